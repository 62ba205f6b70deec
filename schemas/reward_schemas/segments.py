"""Messages in a file: what a run that has no broker writes, and what is read of it later.

    segment   REWARDS1  frame  frame  frame ...
    frame     length u32 | crc32 u32 | time_ms u64 | key length u16 | key | value        little-endian

length and crc32 are of what follows them. A process that dies leaves a torn last frame, which readers leave out;
damage in the middle is an error with its place, since what follows it can't be trusted.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from reward_schemas.errors import MonitorError

MAGIC = b"REWARDS1"
SUFFIX = ".events"
FRAME_BYTES_MAX = 64 * 1024 * 1024
_BLOCK = 1024 * 1024
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
    end: int = field(default=0, compare=False)  # the byte of the segment behind it


def frame(key: bytes, value: bytes, time_ms: int) -> bytes:
    """The bytes of a frame. Raises ValueError where they are too many."""
    body = _BODY.pack(time_ms, len(key)) + key + value
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"a message of {len(body)} bytes: at most {FRAME_BYTES_MAX}")
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def read(file: Path, start: int = 0) -> Iterator[Frame]:
    """The whole frames of a segment, from one that starts at byte `start`; a block is read at a time.

    Raises `Damaged` for another file, and at damage that isn't the torn end.
    """
    magic = _part(file, 0, len(MAGIC))
    if not MAGIC.startswith(magic):
        raise Damaged("This is no segment of events.", where=str(file), remedy="give a run's directory")
    at, wanted = max(start, len(MAGIC)), _BLOCK
    while len(block := _part(file, at, wanted)) >= _HEAD.size:
        begin = 0
        while begin + _HEAD.size <= len(block):
            length, crc = _HEAD.unpack_from(block, begin)
            end = begin + _HEAD.size + length
            if end > len(block):
                break
            body = block[begin + _HEAD.size : end]
            if length < _BODY.size or zlib.crc32(body) != crc:
                if at + end == file.stat().st_size:
                    return  # the writer was stopped in the middle of it
                raise _damaged(file, at + begin)
            time_ms, key_length = _BODY.unpack_from(body)
            split = _BODY.size + key_length
            yield Frame(body[_BODY.size : split], body[split:], time_ms, at + end)
            begin = end
        length = _HEAD.unpack_from(block)[0]
        wanted = _BLOCK if begin else _HEAD.size + length  # a frame that is larger than a block
        if at + wanted > file.stat().st_size and not begin:
            return
        if wanted > _HEAD.size + FRAME_BYTES_MAX:
            raise _damaged(file, at)
        at += begin


def _part(file: Path, at: int, size: int) -> bytes:
    """Opens it each time: many segments are read side by side, more than a process may hold open."""
    with file.open("rb") as handle:
        handle.seek(at)
        return handle.read(size)


def _damaged(file: Path, at: int) -> Damaged:
    remedy = "restore the file; what stands before it can be had by cutting it there"
    return Damaged(f"The frame at byte {at} is damaged.", where=str(file), remedy=remedy)


class Writer:
    """Appends frames to a new file, which others see once it has begun, as far as `bytes_max` bytes.

    What was appended is the system's once `append` returns, and the disk's after `close`. The file is locked until then.
    """

    def __init__(self, file: Path, bytes_max: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))
        begun = file.with_name(f"{file.name}.new")
        self._handle = begun.open("xb", buffering=0)
        self._size, self._bytes_max = len(MAGIC), bytes_max
        lock(self._handle)
        self._handle.write(MAGIC)
        begun.rename(file)

    def append(self, key: bytes, value: bytes, time_ms: int) -> None:
        """Writes one frame. Raises OSError where there is no room; nothing of it is then in the file."""
        raw = frame(key, value, time_ms)
        if self._size + len(raw) > self._bytes_max:
            raise OSError(errno.EFBIG, f"{self._bytes_max} bytes are full")
        try:
            if self._handle.write(raw) < len(raw):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._handle.truncate(self._size)
            self._handle.seek(self._size)
            raise
        self._size += len(raw)

    def close(self) -> None:
        """Makes it lasting."""
        os.fsync(self._handle.fileno())
        self._handle.close()

    def abandon(self) -> None:
        """In a forked child: the file and its lock stay the parent's."""
        self._handle.close()


def lock(handle: BinaryIO | FileIO) -> bool:
    """Takes a file for this process until it is closed; False where another has it, or there are no such locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def segments(folder: Path) -> list[Path]:
    """The segments of a run's directory, or of a directory of runs; in the order of their names."""
    return sorted(folder.rglob(f"*{SUFFIX}"))
