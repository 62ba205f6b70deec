"""Alert rules: checked, tested, tried on what is stored, published, listed."""

from __future__ import annotations

import argparse
from typing import Any

from reward_monitor.arguments import Parser, add_common
from reward_monitor.commands.rules import backtest, check, diff, published, trial, words

_PARTS: dict[str, tuple[str, Any]] = {
    "check": ("reads rules and tells every mistake, with its place and remedy", check),
    "test": ("tries rules on made-up runs, and compares what their alerts are with what is expected", trial),
    "backtest": ("tries rules on the runs that are stored: when they would have fired", backtest),
    "diff": ("how two versions of rules differ, or how files differ from the rules in force", diff),
    "apply": ("publishes rules: the jobs follow within seconds", published.Apply),
    "list": ("the rules in force, or those of files", published.List),
    "export": ("writes the files of a published rule set", published.Export),
    "words": ("what a condition can name", words),
}


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example(
        "reward-monitor rules check rules.yaml",
        "reward-monitor rules test rules",
        "reward-monitor rules apply rules",
    )
    parts = parser.add_subparsers(dest="part", required=True, metavar="PART", parser_class=Parser)
    for name, (does, part) in _PARTS.items():
        made = parts.add_parser(name, help=does)
        made.about(f"{does[0].upper()}{does[1:]}.")
        add_common(made, below=True)
        part.add(made)


def run(given: argparse.Namespace) -> int:
    """Runs the part."""
    code: int = _PARTS[given.part][1].run(given)
    return code
