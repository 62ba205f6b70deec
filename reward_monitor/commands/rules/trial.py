"""Tries rules on made-up runs."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from reward_engine.rule_tests import Found, Test, read_tests, tried, uncovered
from reward_engine.rules.ruleset import RuleSet
from reward_engine.rules.source import Mistake, Node
from reward_producers.rule_files import DEFAULT_PACK, RulesRefused, refusal, rule_set, texts_of_tests
from rich.text import Text

from reward_monitor.arguments import Parser
from reward_monitor.terminal import console


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example("reward-monitor rules test rules", "reward-monitor rules test rules --coverage --junit report.xml")
    parser.add_argument(
        "paths", nargs="*", metavar="FILE|DIR", default=[DEFAULT_PACK], help="files of tests, or all *.test.yaml of a directory"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write a report that CI systems read")
    parser.add_argument(
        "--coverage", action="store_true", help="name the rules that no test makes fire, or leaves alone; then exit 1"
    )


def run(given: argparse.Namespace) -> int:
    """0 where everything is as expected."""
    screen, mistakes = console(), list[Mistake]()
    files = {name: read_tests(text, name, mistakes) for name, text in texts_of_tests(*given.paths).items()}
    if mistakes:
        raise refusal(mistakes)
    if not any(files.values()):
        raise RulesRefused("There are no tests.", where=", ".join(map(str, given.paths)), remedy="write them into a *.test.yaml")
    done, sets = list[tuple[str, Found, float]](), dict[tuple[Path, ...], RuleSet]()
    for name, of_file in files.items():
        for test, node in of_file:
            began = time.perf_counter()
            found = tried(test, node, _rules(Path(name), test, node, sets))
            done.append((name, found, time.perf_counter() - began))
            screen.print(Text("failed" if found.failures else "ok", style="red" if found.failures else "green"), test.name)
            for failure in found.failures:
                print(f"  {failure}", file=sys.stderr)
    failed = sum(bool(found.failures) for _, found, _ in done)
    screen.print(f"{len(done)} tests, {failed} failed", markup=False)
    if given.junit:
        given.junit.write_bytes(_junit(done))
    lacking = (
        [gap for rules in sets.values() for gap in uncovered(rules, [found for _, found, _ in done])] if given.coverage else []
    )
    for uid, lacks in lacking:
        screen.print(f"{uid}: no test expects {lacks}", markup=False)
    return 1 if failed or lacking else 0


def _rules(file: Path, test: Test, node: Node, sets: dict[tuple[Path, ...], RuleSet]) -> RuleSet:
    """The rules of a test: those that it names, beside its file; or all of its directory."""
    paths = tuple(file.parent / name for name in test.rules) or (file.parent,)
    if paths not in sets:
        try:
            sets[paths] = rule_set(*paths)
        except RulesRefused as error:
            raise RulesRefused(f"The rules of the test `{test.name}` can't be used: {error}", where=str(node.place)) from error
    return sets[paths]


def _junit(done: list[tuple[str, Found, float]]) -> bytes:
    failed = sum(bool(found.failures) for _, found, _ in done)
    suite = ET.Element("testsuite", name="rules", tests=str(len(done)), failures=str(failed))
    for file, found, seconds in done:
        case = ET.SubElement(suite, "testcase", classname=file, name=found.test.name, time=f"{seconds:.3f}")
        for failure in found.failures:
            ET.SubElement(case, "failure", message=failure.what).text = str(failure)
    report: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return report
