"""How each part does."""

from __future__ import annotations

import argparse
import sys
import time

import msgspec
from reward_infra.status import Status, status
from rich.console import Console
from rich.text import Text

from reward_monitor.arguments import Parser, elsewhere, settings
from reward_monitor.terminal import ago, console, size, table

_NOTHING_RUNS = 3  # as service managers have it
_COLOURS = {"up": "green", "starting": "yellow", "waiting": "yellow", "stopping": "yellow"}


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about("How each part does. Exit code 0: all well; 1: something isn't; 3: nothing runs.")
    parser.example("reward-monitor status", "reward-monitor status --json | jq .problems")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(given: argparse.Namespace) -> int:
    """0: all well; 1: something isn't; 3: nothing runs."""
    loaded = settings(given)
    cluster = elsewhere(loaded, "kafka")
    found = status(loaded.value, cluster=cluster)
    if given.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode() + "\n")
    else:
        _show(console(), found, cluster)
    if not cluster and found.pid is None:
        return _NOTHING_RUNS
    return 1 if found.problems else 0


def _show(screen: Console, found: Status, cluster: bool) -> None:
    now = time.time()
    if found.pid is not None:
        since = ago(now - found.uptime_s, now) if found.uptime_s is not None else "?"
        screen.print(f"runs since {since} as process {found.pid}, in {found.data_dir}", markup=False)
    elif not cluster:
        screen.print(f"nothing runs in {found.data_dir}; start it with `reward-monitor up`", markup=False)
        return
    if found.parts:
        rows = [
            (
                part.name,
                Text(part.state, style=_COLOURS.get(part.state, "red")),
                ago(now - part.uptime_s, now) if part.uptime_s is not None else None,
                size(part.memory_bytes),
                part.restarts,
                part.last_error.splitlines()[0] if part.last_error else None,
            )
            for part in found.parts
        ]
        screen.print(
            table(("part", "state", "uptime", "memory", "restarts", "last error"), rows, right=("uptime", "memory", "restarts"))
        )
    for lag in found.lags:
        screen.print(
            f"{lag.job:<10} {lag.members} running, {lag.records:,} records behind the log of {found.brokers}", markup=False
        )
    rules = "none published" if found.rule_version is None else f"version {found.rule_version}"
    if found.in_force:
        rules += ", in force: " + ", ".join(
            f"{version} in {count} partitions" for version, count in sorted(found.in_force.items())
        )
    if found.lags:
        screen.print(f"{'rules':<10} {rules}")
    if found.disk_free_bytes is not None and found.pid is not None:
        screen.print(f"{'disk':<10} {size(found.disk_free_bytes)} free")
    for problem in found.problems:
        screen.print(Text(f"not well: {problem}", style="red"))
