"""Messages in a file: what a run that has no broker writes, and what is read of it later.

    segment   REWARDS1  frame  frame  frame ...
    frame     length u32 | crc32 u32 | time_ms u64 | key length u16 | key | value        little-endian

length and crc32 are of what follows them. A process that dies leaves a torn last frame, which readers leave out;
damage in the middle is an error with its place, since what follows it can't be trusted.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reward_schemas.errors import MonitorError

MAGIC = b"REWARDS1"
SUFFIX = ".events"
FRAME_BYTES_MAX = 64 * 1024 * 1024
_HEAD = struct.Struct("<II")
_BODY = struct.Struct("<QH")


class Damaged(MonitorError):
    """A segment that can't be read, or not on from some place."""


@dataclass(frozen=True)
class Frame:
    """One message: its key and value as they go to Kafka, and when it was written."""

    key: bytes
    value: bytes
    time_ms: int


def frame(key: bytes, value: bytes, time_ms: int) -> bytes:
    """The bytes of a frame. Raises ValueError where they are too many."""
    body = _BODY.pack(time_ms, len(key)) + key + value
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"a message of {len(body)} bytes: at most {FRAME_BYTES_MAX}")
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def read(file: Path) -> Iterator[Frame]:
    """The whole frames of a segment. Raises `Damaged` for another file, and at damage that isn't the torn end."""
    raw = file.read_bytes()
    if not raw.startswith(MAGIC[: len(raw)]):
        raise Damaged("This is no segment of events.", where=str(file), remedy="give a run's directory")
    at = len(MAGIC)
    while at + _HEAD.size <= len(raw):
        length, crc = _HEAD.unpack_from(raw, at)
        end = at + _HEAD.size + length
        if end > len(raw):
            return  # the writer was stopped in the middle of it
        body = raw[at + _HEAD.size : end]
        if length < _BODY.size or zlib.crc32(body) != crc:
            if end == len(raw):
                return
            raise Damaged(
                f"The frame at byte {at} is damaged.",
                where=str(file),
                remedy="restore the file; what stands before it can be had by cutting it there",
            )
        time_ms, key_length = _BODY.unpack_from(body)
        split = _BODY.size + key_length
        yield Frame(body[_BODY.size : split], body[split:], time_ms)
        at = end


class Writer:
    """Appends frames to a new file. What was appended is the system's once `append` returns, and the disk's after `close`."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._handle = file.open("xb", buffering=0)
        self._handle.write(MAGIC)

    def append(self, key: bytes, value: bytes, time_ms: int) -> None:
        """Writes one frame. Raises OSError where there is no room."""
        self._handle.write(frame(key, value, time_ms))

    def close(self) -> None:
        """Makes it lasting."""
        os.fsync(self._handle.fileno())
        self._handle.close()


def segments(folder: Path) -> list[Path]:
    """The segments of a run's directory, or of a directory of runs; in the order of their names."""
    return sorted(folder.rglob(f"*{SUFFIX}"))
