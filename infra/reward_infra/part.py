"""What the supervisor is told about a part, what it tells about one, and a part's log file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LOG_BYTES_MAX = 10_000_000
_TAIL_BYTES = 8_000

# waiting: for the parts it comes after · starting: runs, not ready yet · up · backoff: ended, is started again soon ·
# stopping · down: ended as it was told to · failed: did not get ready when it was first started
Status = Literal["waiting", "starting", "up", "backoff", "stopping", "down", "failed"]


@dataclass(frozen=True)
class Part:
    """One program that the supervisor keeps running.

    argv: the program and its arguments. env: its whole environment; None: the supervisor's. cwd: where it runs.
    ready: True once it serves; answers within about a second, may raise for "not yet"; None: ready once it runs.
    ready_timeout_s: how long it may take to get ready. grace_s: how long it may take to end after SIGTERM before
    SIGKILL. after: names of the parts that must be up before its first start, and that end only after it.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    ready: Callable[[], bool] | None = None
    ready_timeout_s: float = 30.0
    grace_s: float = 10.0
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class PartState:
    """What the supervisor knows about a part now.

    pid: None when it does not run. up_since_s: Unix time at which it got ready. restarts: how often it ended without
    being told to. last_exit: exit code of its last end, negative for a signal. last_error: the last thing that went
    wrong, with the last lines of its log.
    """

    name: str
    status: Status
    pid: int | None = None
    up_since_s: float | None = None
    restarts: int = 0
    last_exit: int | None = None
    last_error: str | None = None


@dataclass(frozen=True)
class Restart:
    """An end that nobody asked for: when (Unix time), how, after how long, the pause before the next start, and the last
    lines of the part's log."""

    part: str
    at_s: float
    exit_code: int
    ran_s: float
    pause_s: float
    log_tail: str


class LogFile:
    """The file that takes what a part prints, kept below about twice `LOG_BYTES_MAX` with the one before it (`.1`)."""

    def __init__(self, path: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
        self.path = path
        self._bytes_max = bytes_max
        self._start = 0  # where the output of the current run of the part begins

    def open(self) -> int:
        """A file descriptor for a new run of the part; the caller closes it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.trim()
        # Append mode: the part goes on at the new end when the file is cut while it writes.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, time.strftime("--- start %Y-%m-%d %H:%M:%S\n").encode())
        self._start = os.fstat(descriptor).st_size
        return descriptor

    def trim(self) -> None:
        """Move a full file's text to `.1`; lines that the part writes in that moment can be lost."""
        try:
            if self.path.stat().st_size < self._bytes_max:
                return
        except FileNotFoundError:
            return
        shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
        os.truncate(self.path, 0)
        self._start = 0

    def tail(self, lines: int = 20) -> str:
        """The last lines that the current run of the part printed."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(min(self._start, size), size - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])
