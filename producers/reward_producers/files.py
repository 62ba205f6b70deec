"""A run's messages in its directory, one segment a process: in place of a broker."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from urllib.parse import quote

from reward_schemas.segments import Writer

from reward_producers.counts import Counts

_NAME_MAX = 120  # characters; most file systems take 255 bytes with what is added


def folder_name(run_id: str) -> str:
    """A run's name as that of a folder: the same for the same run, and nothing else than a folder below.

    >>> folder_name("math-grpo-7"), folder_name("../a b/c")
    ('math-grpo-7', '%2E.%2Fa%20b%2Fc')
    """
    quoted = quote(run_id, safe="")
    if quoted.startswith("."):
        quoted = "%2E" + quoted[1:]
    if len(quoted) > _NAME_MAX:
        quoted = f"{quoted[: _NAME_MAX - 17]}-{hashlib.sha256(run_id.encode()).hexdigest()[:16]}"
    return quoted


class Files:
    """The place of a run without a broker: its messages in one segment of this process."""

    def __init__(self, file: Path, bytes_max: int, counts: Counts) -> None:
        self._file, self._bytes_max, self._counts = file, bytes_max, counts
        self._writer: Writer | None = None

    def send(self, key: bytes, value: bytes) -> None:
        """Appends a message. Raises OSError where there is no room."""
        if self._writer is None:
            self._writer = Writer(self._file, self._bytes_max)
        self._writer.append(key, value, time.time_ns() // 1_000_000)
        self._counts.delivered += 1

    def poll(self) -> None:
        """Nothing is ever due."""

    def pending(self) -> int:
        """Nothing is ever on its way."""
        return 0

    def close(self, _timeout_s: float) -> None:
        """Ends the file."""
        if self._writer:
            self._writer.close()

    def abandon(self) -> None:
        """Leaves it to the parent."""
        if self._writer:
            self._writer.abandon()
