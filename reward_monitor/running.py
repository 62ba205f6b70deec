"""The local stack while a command runs: started with its parts told, and stopped in order however the command ends."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from reward_dashboards.web import serve
from reward_infra.part import PartState
from reward_infra.pipeline import Pipeline
from reward_infra.ports import is_free
from reward_infra.progress import choose
from rich.console import Console

from reward_monitor.arguments import Parser, settings

_COLOURS = {"up": "green", "backoff": "red", "failed": "red"}


def add_from(parser: Parser) -> None:
    """Adds --from, for machines without internet."""
    parser.add_argument(
        "--from",
        dest="cache",
        type=Path,
        metavar="DIR",
        help="take the programs from what `reward-monitor fetch --to DIR` has fetched",
    )


def add_no_web(parser: Parser) -> None:
    """Adds --no-web."""
    parser.add_argument("--no-web", action="store_true", help="without the web dashboard")


def web(given: argparse.Namespace, monitor: Pipeline) -> str | None:
    """Starts the web dashboard on a free port, and gives its address; None where it isn't wanted."""
    if given.no_web:
        return None
    port = next(filter(is_free, range(serve.PORT, serve.PORT + 1_000)))
    monitor.stack.add(monitor.web(port))
    return f"http://127.0.0.1:{port}"


class Narrator:
    """Says what the parts do, a line each."""

    def __init__(self, screen: Console) -> None:
        self._screen, self.began = screen, time.monotonic()

    def note(self, state: PartState) -> None:
        """A part's status has changed."""
        if colour := _COLOURS.get(state.status):
            why = f"  {state.last_error.splitlines()[0]}" if state.last_error and state.status != "up" else ""
            self._screen.print(
                f"[{colour}]●[/] {state.name:<10} {state.status:<8} after {time.monotonic() - self.began:.1f} s", end=""
            )
            self._screen.print(why, markup=False)


@contextmanager
def running(given: argparse.Namespace, screen: Console) -> Iterator[tuple[Pipeline, Narrator]]:
    """The started pipeline of the command's settings. SIGTERM ends the command as Ctrl-C does."""
    chosen = settings(given).value
    if given.cache:
        chosen = msgspec.structs.replace(chosen, local=msgspec.structs.replace(chosen.local, cache=given.cache))
    narrator, progress = Narrator(screen), choose()
    monitor = Pipeline(settings=chosen, progress=progress, on_change=narrator.note)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = False
    try:
        try:
            monitor.start()
            started = True
        finally:
            progress.close()
        for note in monitor.stack.notes:
            screen.print(f"[yellow]note[/]: {note}")
        yield monitor, narrator
    except KeyboardInterrupt:
        screen.print("\nstopping; what was sent is in the log and lands at the next start")
        raise
    finally:
        monitor.stop()
        signal.signal(signal.SIGTERM, before)
        if started:
            screen.print(
                f"all parts stopped; everything is kept in {monitor.stack.data_dir}, and the next start finds it again",
                markup=False,
            )
