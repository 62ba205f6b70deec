"""The alerts: what fires, and what was resolved."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
from typing import Any

from reward_store.client import Client
from reward_store.errors import Unavailable
from rich.console import Console
from rich.text import Text

from reward_monitor.arguments import Parser, running_settings, whole_number
from reward_monitor.terminal import ago, console, table

_STATES = {"firing": "red", "recovering": "yellow", "pending": "yellow", "error": "red", "resolved": "green", "inactive": "dim"}
_SEVERITIES = {"critical": "red", "warning": "yellow"}
_ALERTS = """
SELECT run_id, rule, function, state, severity, summary, reason, since_step, last_step, fired_at, resolved_at, changed_at, evidence,
    examples, labels, episode
FROM alerts
WHERE ({run:String} = '' OR run_id = {run:String}) AND ({rule:String} = '' OR rule = {rule:String})
    AND ({all:Bool} OR state IN ('firing', 'recovering', 'error'))
ORDER BY resolved_at IS NULL AND fired_at IS NOT NULL DESC, severity = 'critical' DESC, changed_at DESC LIMIT {limit:UInt32}
"""
_CHANGES = """
SELECT run_id, rule, function, state, severity, summary, reason, step, append_time, landed_at
FROM alert_changes
WHERE landed_at > fromUnixTimestamp64Milli({since:Int64}) AND ({run:String} = '' OR run_id = {run:String})
    AND ({rule:String} = '' OR rule = {rule:String}) AND ({all:Bool} OR state IN ('firing', 'resolved', 'error'))
ORDER BY landed_at, append_time, sequence
"""
_LOOK_S = 1.0


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "The alerts that fire, worst first. With --all also those that are resolved or pending; --follow tells changes as they land."
    )
    parser.example("reward-monitor alerts", "reward-monitor alerts --all --run RUN", "reward-monitor alerts --follow")
    parser.add_argument("--all", action="store_true", help="also what is resolved, pending, or was pending only")
    parser.add_argument("--run", default="", metavar="RUN", help="of this run alone")
    parser.add_argument("--rule", default="", metavar="UID", help="of this rule alone")
    parser.add_argument("--follow", action="store_true", help="tell changes from now on, until Ctrl-C")
    parser.add_argument("--limit", type=whole_number(1), default=100, help="so many at most (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs; with --follow a line each")


def run(given: argparse.Namespace) -> int:
    """0; StoreError where ClickHouse can't be asked."""
    client = running_settings(given, "clickhouse").clickhouse.as_reader().connect()
    try:
        if given.follow:
            _follow(client, given)
        rows = client.query_arrow(_ALERTS, run=given.run, rule=given.rule, all=given.all, limit=given.limit).to_pylist()
    finally:
        client.close()
    if given.json:
        sys.stdout.write(json.dumps(rows, indent=2, default=_text) + "\n")
        return 0
    screen = console()
    if not rows:
        screen.print(
            "nothing fires" if not given.all else "no alerts; rules make them: `reward-monitor rules list`", markup=False
        )
        return 0
    screen.print(
        table(("state", "severity", "rule", "run", "function", "step", "since", "what"), map(_row, rows), right=("step", "since"))
    )
    return 0


def _row(alert: dict[str, Any]) -> tuple[object, ...]:
    steps = [alert["since_step"], alert["last_step"]]
    step = (
        None if steps[0] is None else str(steps[0]) if steps[0] == steps[1] or steps[1] is None else f"{steps[0]} to {steps[1]}"
    )
    since = alert["fired_at"] or alert["changed_at"]
    why = f" ({alert['reason']})" if alert["reason"] else ""
    return (
        Text(alert["state"], style=_STATES.get(alert["state"], "")),
        Text(alert["severity"], style=_SEVERITIES.get(alert["severity"], "")),
        alert["rule"],
        alert["run_id"],
        alert["function"],
        step,
        f"{ago(since.timestamp())} ago",
        alert["summary"] + why,
    )


def _follow(client: Client, given: argparse.Namespace) -> None:
    """Tells changes as they land, for ever."""
    screen = console()
    since = int(time.time() * 1000)
    while True:
        try:
            rows = client.query_arrow(_CHANGES, since=since, run=given.run, rule=given.rule, all=given.all).to_pylist()
        except Unavailable as error:
            print(f"waiting for ClickHouse: {error}", file=sys.stderr)
            rows = []
        for row in rows:
            since = max(since, int(row["landed_at"].timestamp() * 1000))
            _tell(screen, row, given.json)
        time.sleep(_LOOK_S)


def _tell(screen: Console, change: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(change, default=_text) + "\n")
        sys.stdout.flush()
        return
    at = change["append_time"].astimezone().strftime("%H:%M:%S")
    step = "" if change["step"] is None else f" at step {change['step']}"
    about = f" [{change['function']}]" if change["function"] else ""
    why = f" ({change['reason']})" if change["reason"] else ""
    line = Text(f"{at} ")
    line.append(change["state"], style=_STATES.get(change["state"], ""))
    line.append(f"{why} {change['severity']} {change['rule']}{about} {change['run_id']}{step}: {change['summary']}")
    screen.print(line)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
