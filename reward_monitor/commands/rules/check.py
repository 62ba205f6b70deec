"""Reads rules and tells every mistake."""

from __future__ import annotations

import argparse
import sys

import msgspec
from reward_engine.rules.ruleset import load
from reward_producers.rule_files import DEFAULT_PACK, texts

from reward_monitor.arguments import Parser
from reward_monitor.terminal import console


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example("reward-monitor rules check rules.yaml", "reward-monitor rules check rules --json")
    parser.add_argument("paths", nargs="*", metavar="FILE|DIR", default=[DEFAULT_PACK], help="default: the rules that come along")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(given: argparse.Namespace) -> int:
    """0 where there is no mistake, else 1."""
    files = texts(*given.paths)
    found, mistakes = load(files)
    if given.json:
        said = [
            {
                "file": m.place.file,
                "line": m.place.line,
                "column": m.place.column,
                "rule": m.rule,
                "what": m.what,
                "remedy": m.remedy,
            }
            for m in mistakes
        ]
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(said)).decode() + "\n")
    else:
        for mistake in mistakes:
            print(mistake, file=sys.stderr)
        if found:
            console().print(f"{len(found.rules)} rules in {len(files)} files: no mistake", markup=False)
    return 1 if mistakes else 0
