"""The runs, newest first, with their latest step and what they are judged to be."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from typing import Any

from rich.text import Text

from reward_monitor.arguments import Parser, running_settings, whole_number
from reward_monitor.terminal import ago, console, table

_RUNS = """
SELECT
    r.run_id AS run_id, r.project AS project, r.state AS state, r.verdict AS verdict, r.verdict_sentence AS verdict_sentence,
    r.last_step AS last_step, s.mean AS total_mean, s.std AS total_std,
    r.senders_active AS senders_active, r.senders_expected AS senders_expected, r.started_at AS started_at,
    r.last_event_at AS last_event_at, r.missing AS missing, r.invalid + r.refused AS unusable, r.sender_dropped AS dropped
FROM runs AS r
LEFT JOIN
(
    SELECT run_id, argMax(mean, step) AS mean, argMax(std, step) AS std
    FROM steps WHERE function = 'total' AND closed GROUP BY run_id
) AS s ON r.run_id = s.run_id
WHERE ({project:String} = '' OR r.project = {project:String})
ORDER BY r.last_event_at DESC NULLS LAST, r.run_id
LIMIT {limit:UInt32}
"""
_COLOURS = {"live": "green", "lost": "red", "learning": "green", "suspicious": "yellow", "hacking": "red", "broken": "red"}


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example("reward-monitor runs", "reward-monitor runs --project math-grpo --json")
    parser.add_argument("--project", default="", help="of this project alone")
    parser.add_argument("--limit", type=whole_number(1), default=50, help="so many at most (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(given: argparse.Namespace) -> int:
    """0; StoreError where ClickHouse can't be asked."""
    client = running_settings(given, "clickhouse").clickhouse.as_reader().connect()
    try:
        rows = client.query_arrow(_RUNS, project=given.project, limit=given.limit).to_pylist()
    finally:
        client.close()
    if given.json:
        sys.stdout.write(json.dumps(rows, indent=2, default=_text) + "\n")
        return 0
    screen = console()
    if not rows:
        screen.print("no runs yet; a first one: `reward-monitor demo`", markup=False)
        return 0
    screen.print(
        table(
            ("run", "project", "state", "verdict", "step", "total reward", "ranks", "last event", "not well"),
            map(_row, rows),
            right=("step", "total reward", "ranks", "last event"),
        )
    )
    return 0


def _row(run: dict[str, Any]) -> tuple[object, ...]:
    mean, std = run["total_mean"], run["total_std"]
    problems = [f"{run[what]} {what}" for what in ("missing", "unusable", "dropped") if run[what]]
    last = run["last_event_at"]
    return (
        run["run_id"],
        run["project"],
        Text(run["state"], style=_COLOURS.get(run["state"], "")),
        Text(run["verdict"], style=_COLOURS.get(run["verdict"], "")),
        run["last_step"],
        None if mean is None else f"{mean:.3g}" + ("" if std is None else f" ± {std:.2g}"),
        f"{run['senders_active']}/{run['senders_expected']}",
        f"{ago(last.timestamp())} ago" if last else None,
        ", ".join(problems),
    )


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)
