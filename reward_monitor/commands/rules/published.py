"""Rule sets on the rules topic: published, listed, written back to files."""

from __future__ import annotations

import argparse
from pathlib import Path

from reward_engine.rules.ruleset import Rule, RuleSet
from reward_jobs.rule_sets import RuleSets, publish
from reward_producers.kafka import entered
from reward_producers.kafka_settings import Kafka
from reward_producers.rule_files import RulesRefused, bare_names, rule_set, texts
from reward_schemas.topics import RULES
from rich.text import Text

from reward_monitor.arguments import Parser, running_settings
from reward_monitor.terminal import console, table

COLOURS = {"critical": "red", "warning": "yellow", "info": "dim"}


def published(given: argparse.Namespace) -> tuple[RuleSets, Kafka]:
    """Every rule set of the cluster's rules topic."""
    kafka = running_settings(given, "kafka").kafka
    entered(kafka)
    found = RuleSets(kafka)
    try:
        found.refresh()
    finally:
        found.close()
    return found, kafka


def in_force(given: argparse.Namespace) -> RuleSet:
    """The newest rule set; of no rules where none was published."""
    found, _ = published(given)
    return found.of(found.newest) or RuleSet()


class Apply:
    """Publishes rules."""

    @staticmethod
    def add(parser: Parser) -> None:
        """Declares the arguments."""
        parser.example("reward-monitor rules apply rules", "reward-monitor rules apply rules --dry-run")
        parser.add_argument("paths", nargs="+", metavar="FILE|DIR", help="the whole rule set: what isn't in it is removed")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, and publish nothing")

    @staticmethod
    def run(given: argparse.Namespace) -> int:
        """0; RulesRefused with every mistake."""
        from reward_monitor.commands.rules.diff import differences

        files, screen = texts(*given.paths), console()
        wanted = rule_set(*given.paths)
        found, kafka = published(given)
        changes = list(differences(found.of(found.newest) or RuleSet(), wanted))
        for line in changes:
            screen.print(line)
        if given.dry_run or not changes:
            screen.print("nothing was published" if changes else "no difference to the rules in force: nothing was published")
            return 0
        version = publish(kafka, bare_names(files))
        screen.print(
            f"version {version}, {len(wanted.rules)} rules: in force within seconds; `reward-monitor status` shows where",
            markup=False,
        )
        return 0


class List:
    """Lists rules."""

    @staticmethod
    def add(parser: Parser) -> None:
        """Declares the arguments."""
        parser.example("reward-monitor rules list", "reward-monitor rules list rules.yaml")
        parser.add_argument("paths", nargs="*", metavar="FILE|DIR", help="of these files; default: those in force")

    @staticmethod
    def run(given: argparse.Namespace) -> int:
        """0."""
        rules = rule_set(*given.paths) if given.paths else in_force(given)
        screen = console()
        if not rules.rules:
            screen.print("no rules are in force; publish some: `reward-monitor rules apply FILE`", markup=False)
            return 0
        title = "" if given.paths else f"version {rules.version}"
        screen.print(
            table(("rule", "severity", "of each", "window", "condition", "for"), map(_row, rules.rules), title=title or None)
        )
        return 0


class Export:
    """Writes a published rule set back to files."""

    @staticmethod
    def add(parser: Parser) -> None:
        """Declares the arguments."""
        parser.example("reward-monitor rules export --to rules", "reward-monitor rules export --version 12 --to old")
        parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="where the files go; none is overwritten")
        parser.add_argument("--version", type=int, help="default: the one in force")

    @staticmethod
    def run(given: argparse.Namespace) -> int:
        """0; RulesRefused where there is no such version, or a file is in the way."""
        found, kafka = published(given)
        version = found.newest if given.version is None else given.version
        said = found.said(version)
        if said is None:
            raise RulesRefused(
                f"There is no version {version}." if version >= 0 else "No rules were published.",
                where=f"{RULES} at {kafka.brokers}",
                remedy="`reward-monitor rules list` shows the one in force",
            )
        given.to.mkdir(parents=True, exist_ok=True)
        places = {given.to / Path(name).name: text for name, text in said.files.items()}
        if there := [str(place) for place in places if place.exists()]:
            raise RulesRefused("A file is there already.", where=", ".join(there), remedy="name another directory")
        for place, text in places.items():
            place.write_text(text, encoding="utf-8")
            console().print(str(place), markup=False)
        return 0


def _row(rule: Rule) -> tuple[object, ...]:
    by = "reward function" if rule.by_reward else "run"
    unit = {"step": " steps", "time": " ms", "clock": " ms"}[rule.axis]
    hold = f"{rule.timing.hold}{unit}" if rule.timing.hold else ""
    severity = Text(rule.severity, style=COLOURS[rule.severity])
    return (rule.uid, severity, by, rule.window, rule.condition.expression.text, hold)
