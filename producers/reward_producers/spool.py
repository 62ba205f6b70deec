"""Messages that wait on disk for a broker: first in, first out, and still there after the process has died.

    DATA_DIR/RUN_ID/ATTEMPT-RANK-SESSION.spool        a segment (reward_schemas.segments), locked while its process lives

A file goes once all of it has arrived. What a dead process left is taken over by the next one of the run, or by
`reward-monitor sync`; it goes first, since it is older.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import BinaryIO

from reward_schemas.segments import Frame, Writer, lock, read

SUFFIX = ".spool"
_CHUNK_BYTES = 1024 * 1024
_CHUNK_MESSAGES = 1000


class Spool:
    """The messages of this process, and before them those that dead ones left in the run's folder."""

    def __init__(self, folder: Path, name: str, bytes_max: int) -> None:
        self._file, self._bytes_max = folder / f"{name}{SUFFIX}", bytes_max
        self._own: Writer | None = None
        self._left = deque((file, handle) for file in left_over(folder) if (handle := claimed(file)))
        self._at = self._end = 0  # of the oldest file: how far it has arrived, and would have with what `oldest` gave

    def __bool__(self) -> bool:
        return bool(self._left or self._own)

    @property
    def own(self) -> bool:
        """Whether the oldest messages are of this process."""
        return not self._left

    def append(self, key: bytes, value: bytes) -> None:
        """Keeps a message. Raises OSError where there is no room."""
        if self._own is None:
            self._own = Writer(self._file, self._bytes_max)
        self._own.append(key, value, time.time_ns() // 1_000_000)

    def oldest(self) -> list[Frame]:
        """The oldest messages, the same ones until `arrived`. Raises Damaged, OSError."""
        chunk: list[Frame] = []
        size = 0
        for frame in read(self._oldest, self._at):
            size += len(frame.value)
            if chunk and (size > _CHUNK_BYTES or len(chunk) == _CHUNK_MESSAGES):
                break
            chunk.append(frame)
            self._end = frame.end
        return chunk

    def arrived(self) -> None:
        """What `oldest` gave is no longer needed."""
        self._at = self._end
        if next(read(self._oldest, self._at), None) is None:
            self._oldest.unlink(missing_ok=True)
            self.skip()

    def skip(self) -> None:
        """Leaves the rest of the oldest file where it is."""
        self._at = self._end = 0
        if self._left:
            self._left.popleft()[1].close()
        elif self._own:
            self._own.close()
            self._own = None

    def close(self) -> None:
        """Makes it lasting, for a later process."""
        while self:
            self.skip()

    def abandon(self) -> None:
        """In a forked child: files and locks stay the parent's."""
        for _, handle in self._left:
            handle.close()
        if self._own:
            self._own.abandon()

    @property
    def _oldest(self) -> Path:
        return self._left[0][0] if self._left else self._file


def left_over(folder: Path) -> list[Path]:
    """The spools below a folder, also of processes that live."""
    return sorted(folder.rglob(f"*{SUFFIX}"))


def claimed(file: Path) -> BinaryIO | None:
    """A dead process's spool, locked until it is closed; None where its process lives, or another has claimed it."""
    try:
        handle = file.open("rb")
    except OSError:  # gone: another has published it; or not ours to read
        return None
    if lock(handle):
        return handle
    handle.close()
    return None
