"""How far a fetch is: bars on a terminal, plain lines elsewhere, nothing for a caller that wants silence."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID

_MB = 1_000_000
_LINE_EVERY_S = 5.0


class Progress(Protocol):
    """Told by the fetch what it does; called from several threads."""

    def begin(self, piece: str, total_bytes: int | None, files: int) -> None:
        """A piece starts: its size if it is known, and its number of files."""

    def update(self, piece: str, done_bytes: int, files_done: int = 0, doing: str = "") -> None:
        """So many bytes and files are there; `doing` says what goes on where bytes cannot tell."""

    def end(self, piece: str, fetched_bytes: int, seconds: float) -> None:
        """A piece is there; how much was fetched for it and how long it took."""

    def note(self, text: str) -> None:
        """Something that a reader should know, such as a refused file."""

    def close(self) -> None:
        """Nothing more will come."""


class Silent:
    """Shows nothing."""

    def begin(self, piece: str, total_bytes: int | None, files: int) -> None: ...

    def update(self, piece: str, done_bytes: int, files_done: int = 0, doing: str = "") -> None: ...

    def end(self, piece: str, fetched_bytes: int, seconds: float) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Lines:
    """A line when a piece starts and ends, and one in between every few seconds."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._last: dict[str, float] = {}

    def begin(self, piece: str, total_bytes: int | None, files: int) -> None:
        self._files[piece] = files
        self._last[piece] = time.monotonic()
        size = f", {total_bytes / _MB:.0f} MB" if total_bytes else ""
        _line(f"{piece}: {files} file{'s' if files != 1 else ''}{size}")

    def update(self, piece: str, done_bytes: int, files_done: int = 0, doing: str = "") -> None:
        now = time.monotonic()
        if now - self._last[piece] < _LINE_EVERY_S:
            return
        self._last[piece] = now
        _line(f"{piece}: {doing or f'{files_done} of {self._files[piece]} files, {done_bytes / _MB:.1f} MB'}")

    def end(self, piece: str, fetched_bytes: int, seconds: float) -> None:
        _line(f"{piece}: done, {fetched_bytes} bytes in {seconds:.1f} s")

    def note(self, text: str) -> None:
        _line(text)

    def close(self) -> None: ...


class Bars:
    """One bar a piece, by rich."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:20}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, tuple[TaskID, int | None, int]] = {}
        self._progress.start()

    def begin(self, piece: str, total_bytes: int | None, files: int) -> None:
        task = self._progress.add_task(piece, total=None, figures="")
        self._tasks[piece] = (task, total_bytes, files)

    def update(self, piece: str, done_bytes: int, files_done: int = 0, doing: str = "") -> None:
        task, total, files = self._tasks[piece]
        counted = f"{files_done} of {files} · " if files > 1 else ""
        size = f"{done_bytes / _MB:.1f}" + (f" of {total / _MB:.1f} MB" if total else " MB")
        # Without a total the bar pulses: something goes on, and nobody knows how much of it is left.
        self._progress.update(task, total=None if doing else total, completed=done_bytes, figures=doing or counted + size)

    def end(self, piece: str, fetched_bytes: int, seconds: float) -> None:
        task, _, _ = self._tasks[piece]
        figures = f"{fetched_bytes / _MB:.1f} MB fetched" if fetched_bytes else "nothing to fetch"
        self._progress.update(task, total=1, completed=1, figures=figures)

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


def choose() -> Progress:
    """Bars if the error stream is a terminal, else lines."""
    return Bars() if sys.stderr.isatty() else Lines()


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
