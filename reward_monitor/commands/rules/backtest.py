"""Tries rules on the runs that are stored."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import msgspec
from reward_dashboards import backtest_report
from reward_dashboards.backtest import Backtest, of_directory, of_store
from reward_engine.rules.language import length
from reward_engine.rules.ruleset import RuleSet
from reward_producers.rule_files import DEFAULT_PACK, rule_set

from reward_monitor.arguments import Parser, running_settings


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Tries rules on the runs that ClickHouse has, or a directory of offline runs: when they would have fired, for how long, and "
        "how many notifications that would have been. The same fold as live, so its alerts are those that would have been."
    )
    parser.example(
        "reward-monitor rules backtest rules --since 7d",
        "reward-monitor rules backtest new.yaml --against old.yaml --run RUN --html backtest.html",
        "reward-monitor rules backtest rules --runs-dir runs",
    )
    parser.add_argument("paths", nargs="*", metavar="FILE|DIR", default=[DEFAULT_PACK], help="default: the rules that come along")
    parser.add_argument("--against", metavar="FILE|DIR", help="another version of the rules, to compare with")
    parser.add_argument(
        "--since", type=_duration, default="7d", metavar="TIME", help="runs that reported since: 12h, 7d (default: 7d)"
    )
    parser.add_argument("--run", action="append", default=[], metavar="RUN", help="of this run alone; may be repeated")
    parser.add_argument("--runs-dir", type=Path, metavar="DIR", help="a directory of offline runs instead")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one page with charts")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(given: argparse.Namespace) -> int:
    """0; NoRun where there is nothing to try them on, RulesRefused with every mistake."""
    rules = rule_set(*given.paths)
    other = rule_set(given.against) if given.against else None
    began = time.perf_counter()
    found, compared = _tried(rules, given), _tried(other, given) if other else None
    print(f"folded in {time.perf_counter() - began:.1f} s", file=sys.stderr)
    if given.html:
        given.html.write_text(backtest_report.html(found, compared), encoding="utf-8")
        print(f"{given.html} ({given.html.stat().st_size / 1e6:.1f} MB)", file=sys.stderr)
    if given.json:
        said = {"runs": found.runs, "steps": found.steps, "notifications": found.notifications, "alerts": found.episodes}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(said)).decode() + "\n")
    elif not given.html:
        sys.stdout.write(backtest_report.text(found, compared))
    return 0


def _tried(rules: RuleSet, given: argparse.Namespace) -> Backtest:
    if given.runs_dir:
        return of_directory(rules, given.runs_dir, given.run)
    client = running_settings(given, "clickhouse").clickhouse.as_reader().connect()
    try:
        return of_store(rules, client, int(time.time() * 1000) - given.since, given.run)
    finally:
        client.close()


def _duration(text: str) -> int:
    """ms."""
    try:
        axis, number = length(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r:.40}: {error}") from None
    if axis != "time":
        raise argparse.ArgumentTypeError(f"{text!r:.40}: write a time, as 7d")
    return number
