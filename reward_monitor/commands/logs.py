"""What the parts print."""

from __future__ import annotations

import argparse
import heapq
import re
import time
from collections.abc import Iterator
from pathlib import Path

from reward_infra.errors import InfraError
from rich.console import Console
from rich.text import Text

from reward_monitor.arguments import Parser, settings, suggestion, whole_number
from reward_monitor.terminal import console

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
_LOOK_S = 0.2
_READ_BYTES = 2_000_000  # of the end of a file
_STAMP = re.compile(r"[\[(]?(?:--- start )?(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)")


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example("reward-monitor logs", "reward-monitor logs aggregate -f", "reward-monitor logs kafka -n 200")
    parser.add_argument("part", nargs="?", metavar="PART", help="one part alone: kafka, clickhouse, aggregate, land, …")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    parser.add_argument(
        "-n", "--lines", type=whole_number(0), default=40, help="so many of the last lines (default: %(default)s)"
    )


def run(given: argparse.Namespace) -> int:
    """0; InfraError where there is no log."""
    directory = settings(given).value.local.dir.absolute() / "logs"
    files = {file.stem: file for file in sorted(directory.glob("*.log"))}
    if not files:
        raise InfraError("There are no logs: nothing has been started here.", where=str(directory), remedy="`reward-monitor up`")
    if given.part:
        if given.part not in files:
            raise InfraError(
                f"No part is called {given.part!r:.80}{suggestion(given.part, files)}.",
                where=str(directory),
                remedy="name one of them",
            )
        files = {given.part: files[given.part]}
    screen = console()
    styles = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(files)}
    last = [heapq.nlargest(given.lines, _stamped(name, file)) for name, file in files.items()]
    ends = {name: file.stat().st_size for name, file in files.items()}
    for _, _, name, line in sorted(heapq.nlargest(given.lines, (row for rows in last for row in rows))):
        _print(screen, name, line, styles)
    while given.follow:
        for name, file in files.items():
            ends[name] = _follow(screen, name, file, ends[name], styles)
        time.sleep(_LOOK_S)
    return 0


def _stamped(name: str, file: Path) -> Iterator[tuple[str, int, str, str]]:
    """(time, number, part, line) of a log's last lines; a line without a time belongs to the one before it."""
    with file.open("rb") as source:
        source.seek(max(file.stat().st_size - _READ_BYTES, 0))
        text = source.read().decode(errors="replace")
    stamp = ""
    for number, line in enumerate(text.splitlines()):
        if found := _STAMP.match(line):
            stamp = found[1].replace("T", " ")
        yield stamp, number, name, line


def _follow(screen: Console, name: str, file: Path, start: int, styles: dict[str, str]) -> int:
    """Prints what has been written since, whole lines only; returns where to go on."""
    size = file.stat().st_size
    if size < start:  # it was full, and begun anew
        start = 0
    with file.open("rb") as source:
        source.seek(start)
        whole, _, _ = source.read(size - start).rpartition(b"\n")
    for line in whole.decode(errors="replace").splitlines():
        _print(screen, name, line, styles)
    return start + len(whole) + 1 if whole else start


def _print(screen: Console, name: str, line: str, styles: dict[str, str]) -> None:
    shown = Text(f"{name:<10} ", style=styles[name]) if len(styles) > 1 else Text()
    screen.print(shown.append(line, style="default"), soft_wrap=True)
