"""A report of runs: the verdict first, then what it rests on; of several, how they differ."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reward_dashboards.reward_analyzer import RewardAnalyzer

from reward_monitor.arguments import Parser, running_settings


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Reports whole runs: is it learning or is it cheating, what each reward function gained, where levels change, how good a "
        "signal it is; of several runs, how they differ. RUN is one that ClickHouse has, DIR a directory of runs that were "
        "reported with data_dir, without any service."
    )
    parser.example(
        "reward-monitor analyze RUN", "reward-monitor analyze RUN OTHER --html report.html", "reward-monitor analyze DIR"
    )
    parser.add_argument("runs", nargs="+", metavar="RUN|DIR", help="ids of runs, or one directory")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one page with charts, which needs nothing else")


def run(given: argparse.Namespace) -> int:
    """0; NoRun where there is none, StoreError where ClickHouse can't be asked."""
    analyzer = _analyzer(given)
    if given.html:
        given.html.write_text(analyzer.html(), encoding="utf-8")
        print(f"{given.html} ({given.html.stat().st_size / 1e6:.1f} MB)", file=sys.stderr)
    if given.json:
        sys.stdout.write(analyzer.json())
    elif not given.html:
        sys.stdout.write(analyzer.text())
    return 0


def _analyzer(given: argparse.Namespace) -> RewardAnalyzer:
    first = Path(given.runs[0])
    if first.is_dir() or len(first.parts) > 1:  # what looks like a path is meant as one
        runs = [run for folder in given.runs for run in RewardAnalyzer.of_directory(folder).runs]
        return RewardAnalyzer(runs)
    client = running_settings(given, "clickhouse").clickhouse.as_reader().connect()
    try:
        return RewardAnalyzer.of_runs(client, given.runs)
    finally:
        client.close()
