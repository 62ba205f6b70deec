"""The demo: the whole monitor on this machine, a real GRPO training in two rank processes, and its rows as they land."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reward_jobs.rule_folder import RuleFolder
from reward_producers.reporter import new_run_id
from reward_producers.rule_files import DEFAULT_PACK
from reward_store.client import Client
from reward_store.errors import Unavailable
from reward_store.queries import FIVE_QUERIES, Query
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reward_monitor.arguments import Parser, whole_number
from reward_monitor.running import add_from, add_no_web, running, web
from reward_monitor.terminal import console, table

RANKS = 2
_ROWS = 14  # of the live table
_ANSWER_ROWS = 12
_LAND_S = 20.0  # the longest wait for the last rows after the training's end

_LATEST = """
SELECT s.step, s.function, s.mean, s.std, s.closed, date_diff('millisecond', s.event_time, s.landed_at) / 1000, k.kl
FROM steps AS s
LEFT JOIN (SELECT step, value AS kl FROM trainer_steps WHERE run_id = {run:String} AND name = 'kl') AS k ON s.step = k.step
WHERE s.run_id = {run:String} AND s.step > (SELECT max(step) FROM steps WHERE run_id = {run:String}) - {rows:Int64}
ORDER BY s.step
"""


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Starts Kafka, ClickHouse and the jobs, trains a small GRPO policy in two rank processes, and shows the rows as they land."
    )
    parser.example("reward-monitor demo --steps 120 --seed 3")
    parser.add_argument("--steps", type=whole_number(1), default=150, help="optimizer steps (default: %(default)s)")
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, help="of the training; 0 gets hacked, 3 learns honestly (default: 0)"
    )
    parser.add_argument(
        "--pause-ms", type=whole_number(0), default=100, help="slept after each step, for watching (default: %(default)s)"
    )
    parser.add_argument(
        "--rules", action="append", default=[], type=Path, metavar="FILE|DIR", help="alert rules; default: those that come along"
    )
    add_no_web(parser)
    add_from(parser)


def run(given: argparse.Namespace) -> int:
    """Runs it all; 0 when the training ended and its rows are in, 130 after Ctrl-C, 1 where a rank failed."""
    screen = console()
    failed: list[int] = []
    with running(given, screen) as (monitor, narrator):
        client = monitor.reader()
        screen.print(_found(client, monitor.stack.data_dir))
        if told := RuleFolder(monitor.brokers, given.rules or [DEFAULT_PACK]).look():
            screen.print(told, markup=False)
        run_id = new_run_id("demo")
        screen.print(f"run {run_id}: {given.steps} steps of GRPO in {RANKS} rank processes, seed {given.seed}\n")
        with _training(monitor.brokers, run_id, given.steps, given.seed, given.pause_ms) as ranks:
            if url := web(given, monitor):  # it starts while the training runs
                screen.print(f"web dashboard, as long as the demo runs: {url}", markup=False)
            _watch(screen, client, run_id, ranks, narrator.began)
            failed = [rank.returncode for rank in ranks if rank.returncode]
        if not failed:
            _alerts(screen, client, run_id)
            _answer(screen, client)
        client.close()
    return 1 if failed else 0


@contextmanager
def _training(brokers: str, run_id: str, steps: int, seed: int, pause_ms: int) -> Iterator[list[subprocess.Popen[str]]]:
    """The rank processes of one training; ended in order where it is left before they are done."""
    with tempfile.TemporaryDirectory() as scratch:
        arguments = ["--world-size", RANKS, "--rendezvous", f"{scratch}/ranks", "--steps", steps, "--pause-ms", pause_ms]
        arguments += ["--brokers", brokers, "--run-id", run_id, "--seed", seed]
        command = [sys.executable, "-m", "reward_producers.numpy_grpo", *map(str, arguments)]
        # A session of their own: Ctrl-C reaches this process alone, which then ends them.
        ranks = [
            subprocess.Popen(
                [*command, "--rank", str(rank)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for rank in range(RANKS)
        ]
        try:
            yield ranks
        finally:
            for rank in ranks:
                if rank.poll() is None:
                    rank.terminate()
            for rank in ranks:
                try:
                    rank.wait(15)
                except subprocess.TimeoutExpired:
                    rank.kill()


def _watch(console: Console, client: Client, run_id: str, ranks: list[subprocess.Popen[str]], began: float) -> None:
    """Shows the latest rows until the training has ended and its run is finished in ClickHouse."""
    first: float | None = None
    ended: float | None = None
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                # The state first: the rows of a run that has finished are there before its state says so.
                states = client.query("SELECT state FROM runs WHERE run_id = {run:String}", run=run_id)
                rows = client.query(_LATEST, run=run_id, rows=_ROWS)
            except Unavailable:
                rows, states = [], []
            if rows and first is None:
                first = time.monotonic() - began
            live.update(_table(rows, first), refresh=True)
            if ended is None and all(rank.poll() is not None for rank in ranks):
                ended = time.monotonic()
            if ended and (states == [("finished",)] or time.monotonic() - ended > _LAND_S):
                break
            time.sleep(0.4)
    for number, rank in enumerate(ranks):
        if rank.returncode and rank.stderr:
            console.print(f"[red]rank {number} ended with {rank.returncode}[/]: {rank.stderr.read().strip()[-500:]}")


def _table(rows: list[tuple[Any, ...]], first: float | None) -> Table:
    functions = sorted({row[1] for row in rows}, key=lambda name: (name != "total", name))
    table = Table(
        title="rows as they land: mean ± std, KL in nats, delay from event to row in s"
        + (f"\nfirst row {first:.1f} s after the start" if first else ""),
        title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=0,
    )  # fmt: skip
    table.add_column("step", justify="right", no_wrap=True)
    for name in functions:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("KL", justify="right", no_wrap=True)
    table.add_column("delay", justify="right", no_wrap=True)
    steps: dict[int, dict[str, tuple[Any, ...]]] = {}
    for step, function, *rest in rows:
        steps.setdefault(step, {})[function] = tuple(rest)
    for step, found in list(steps.items())[-_ROWS:]:
        mean_std = [_number(found[name][0]) + " ± " + _number(found[name][1]) if name in found else "" for name in functions]
        _, _, closed, delay, kl = next(iter(found.values()))
        table.add_row(str(step), *mean_std, _number(kl, 3), f"{delay:.2f}", style="" if closed else "dim")
    if not rows:
        table.add_row("waiting for the first row", style="dim")
    return table


def _found(client: Client, data_dir: Path) -> Text:
    ((runs, rewards),) = client.query(
        "SELECT (SELECT count() FROM runs), (SELECT sum(count) FROM steps WHERE function != 'total')"
    )
    return Text(
        f"found {runs} runs with {rewards or 0:,} rewards of earlier starts in {data_dir}"
        if runs
        else f"new data directory {data_dir}"
    )


def _alerts(console: Console, client: Client, run_id: str) -> None:
    """What the rules found."""
    sql = "SELECT severity, rule, since_step, summary FROM alerts WHERE run_id = {run:String} AND fired_at IS NOT NULL AND severity != 'info' ORDER BY fired_at"
    if rows := client.query(sql, run=run_id):
        console.print(table(("severity", "rule", "since step", "what"), rows, title="\nalerts", right=("since step",)))
    else:
        console.print("\nno alerts: `reward-monitor rules list` shows what was watched", markup=False)


def _answer(console: Console, client: Client) -> None:
    """The five queries and their answers."""
    for number, query in enumerate(FIVE_QUERIES, 1):
        console.print(f"\n[bold]{number}. {query.title}[/]")
        console.print(query.sql.strip(), style="dim", highlight=False, markup=False)
        console.print(_answer_table(client, query))


def _answer_table(client: Client, query: Query) -> Table:
    answer = client.query_arrow(query.sql)
    shown = table(answer.column_names, (row.values() for row in answer.slice(0, _ANSWER_ROWS).to_pylist()))
    if answer.num_rows > _ANSWER_ROWS:
        shown.caption = f"{_ANSWER_ROWS} of {answer.num_rows} rows"
    return shown


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
