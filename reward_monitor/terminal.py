"""What the commands print: colours on a terminal only, tables that a pipe doesn't cut, and words for sizes and times."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_PIPE_WIDTH = 10_000  # no line is broken for a reader that is a program


def console(*, stderr: bool = False) -> Console:
    """The terminal, or the pipe that stands for it."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _PIPE_WIDTH
    return made


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = (), title: str | None = None) -> Table:
    """A table of values; None is an empty cell, and nothing in a cell is markup."""
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell(value) for value in row))
    return made


def cell(value: Any) -> Any:
    """A value as text of a table's cell."""
    return value if isinstance(value, Text) else Text("" if value is None else str(value))


def ago(unix_s: float | None, now_s: float | None = None) -> str:
    """How long ago a moment is: "12 s", "3 min", "2 h 05", "4 d"."""
    if unix_s is None:
        return ""
    seconds = max((time.time() if now_s is None else now_s) - unix_s, 0.0)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6_000:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f}"
    return f"{seconds / 86_400:.0f} d"


def size(count: float | None) -> str:
    """Bytes in words: "212 MB"."""
    if count is None:
        return ""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.3g} {unit}"
    return f"{count:.0f} B"
