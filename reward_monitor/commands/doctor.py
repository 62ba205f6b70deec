"""Finds what is wrong with an installation, and says what mends it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

import msgspec
from reward_infra.doctor.context import Context
from reward_infra.doctor.examine import examine
from reward_infra.doctor.finding import Finding
from reward_schemas.settings import SettingsError

from reward_monitor.arguments import Parser, elsewhere, settings

# A sign and its colour on a terminal. No table of rich's: this command must run where packages are missing.
_SIGNS = {"ok": ("✓", "32"), "note": ("·", ""), "warning": ("!", "33"), "error": ("✗", "31"), "unseen": ("·", "2")}
_SECTIONS = ("kafka", "clickhouse")


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Looks at this machine, the settings, Kafka, ClickHouse and the way from an event to a row, and names the remedy for "
        "what it finds. Changes nothing. Exit code 1 where it found an error; warnings alone: 0."
    )
    parser.example("reward-monitor doctor", "reward-monitor doctor --config cluster.yaml --json")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(given: argparse.Namespace) -> int:
    """0; 1 where an error was found."""
    looked = examine(_context(given))
    found = _as_json(looked) if given.json else _as_text(looked)
    return 1 if any(finding.level == "error" for finding in found) else 0


def _context(given: argparse.Namespace) -> Context:
    directory = given.data_dir or Path(".reward-monitor")
    try:
        loaded = settings(given)
    except SettingsError as error:
        return Context(directory, None, mistakes=error.mistakes)
    except ImportError:  # the examination tells which package is missing
        return Context(directory, None)
    return Context(loaded.value.local.dir, loaded, elsewhere=frozenset(s for s in _SECTIONS if elsewhere(loaded, s)))


def _as_json(looked: Iterator[Finding]) -> list[Finding]:
    found = list(looked)
    counts = {f"{level}s": sum(finding.level == level for finding in found) for level in ("error", "warning")}
    sys.stdout.write(msgspec.json.format(msgspec.json.encode({**counts, "findings": found})).decode() + "\n")
    return found


def _as_text(looked: Iterator[Finding]) -> list[Finding]:
    """Prints each finding as it comes; what was not looked at in one line for each reason, at its group's end."""
    found: list[Finding] = []
    for group, findings in groupby(looked, key=lambda finding: finding.group):
        _line(f"{group}", "1")
        unseen: dict[str, list[str]] = {}
        for finding in findings:
            found.append(finding)
            if finding.level == "unseen":
                unseen.setdefault(finding.what, []).append(finding.check)
            else:
                _show(finding)
        for reason, checks in unseen.items():
            _indented(f"not looked at, since {reason}: {', '.join(checks)}", *_SIGNS["unseen"])
    errors, warnings = (sum(finding.level == level for finding in found) for level in ("error", "warning"))
    _line(f"\n{_counted(errors, 'error')}, {_counted(warnings, 'warning')}", "31" if errors else "33" if warnings else "32")
    return found


def _show(finding: Finding) -> None:
    sign, colour = _SIGNS[finding.level]
    where = f" ({finding.where})" if finding.where and finding.level != "ok" else ""
    _indented(f"{finding.check}: {finding.what}{where}", sign, colour)
    if finding.remedy:
        _wrapped(f"→ {finding.remedy}", " " * 6, " " * 8)


def _indented(text: str, sign: str, colour: str) -> None:
    _wrapped(text, f"  {_coloured(sign, colour)} ", " " * 4)


def _wrapped(text: str, first: str, rest: str) -> None:
    """Broken into lines on a terminal only: a program, or grep, wants one."""
    text = " ".join(text.split())
    width = shutil.get_terminal_size().columns - len(rest) if _terminal() else 0
    lines: Iterable[str] = textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False) if width > 20 else [text]
    for indent, line in zip([first, *[rest] * len(text)], lines):  # noqa: B905 - as many as there are lines
        _line(indent + line)


def _line(text: str, colour: str = "") -> None:
    print(_coloured(text, colour), flush=True)


def _coloured(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and _terminal() else text


def _terminal() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
