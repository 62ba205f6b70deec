"""Explains measures and detectors: all by topic, or one with what it does not mean. Needs no service and no extra."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from collections.abc import Iterable
from difflib import get_close_matches

from reward_engine.detectors.catalogue import DETECTORS
from reward_engine.detectors.finding import Detector
from reward_engine.formula import Measure
from reward_engine.measures import BY_NAME
from reward_engine.reported import REPORTED, SCALAR, Reported
from reward_engine.sums import INDEX, SUMS
from reward_engine.topics import TOPICS, range_of
from reward_store.catalogue import of_values

from reward_monitor.arguments import Parser

_REPORTED = {each.name: each for each in REPORTED}


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


_DETECTORS = {_plain(each.name): each for each in DETECTORS}
_LABEL = 12  # the width of what stands before a line's text


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "What is computed from rewards, what trainers report beside them, and the detectors that judge a run by it: all by "
        "topic, or one with its formula, its range, and what it does not mean. All of it on one page: docs/METRICS.md."
    )
    parser.example("reward-monitor measures", "reward-monitor measures variance_contribution")
    parser.add_argument("name", nargs="?", type=_known, metavar="NAME", help="of one measure or detector; without: a list of all")


def _known(text: str) -> str:
    name = _plain(text)
    known = [*BY_NAME, *_REPORTED, *_DETECTORS]
    if name in known:
        return name
    near = get_close_matches(name, known, n=3)
    did = f"did you mean {' or '.join(f'`{each}`' for each in near)}?" if near else "`reward-monitor measures` lists them"
    raise argparse.ArgumentTypeError(f"there is no measure or detector {text!r:.80}: {did}")


def run(given: argparse.Namespace) -> int:
    """0."""
    if not given.name:
        _list()
        return 0
    told = [_measure(BY_NAME[given.name])] if given.name in BY_NAME else []
    if given.name in _REPORTED:  # `entropy` is both: of the rewards, and of the policy
        told.append(_reported(_REPORTED[given.name]))
    if given.name in _DETECTORS:
        told.append(_detector(_DETECTORS[given.name]))
    print("\n\n".join(told))
    return 0


def _list() -> None:
    for topic in TOPICS:
        _print_topic(topic.title, topic.about, ((m.name, m.means) for m in map(BY_NAME.__getitem__, topic.names)))
    _print_topic(
        "Reported by trainers",
        "KL divergence, policy entropy, advantages and the like are the trainer's own numbers.",
        ((each.name, each.means) for each in REPORTED),
    )
    _print_topic(
        "Detectors", "Asked after every block of steps; see the view detections.", ((d.name, d.means) for d in DETECTORS)
    )
    print("`reward-monitor measures NAME` explains one.")


def _print_topic(title: str, about: str, rows: Iterable[tuple[str, str]]) -> None:
    print(f"{title}. {about}")
    for name, means in rows:
        line = f"  {name:24}{means}"
        print(line if len(line) <= _width() else line[: _width() - 2].rsplit(" ", 1)[0] + " …")
    print()


def _measure(m: Measure) -> str:
    views = "steps, windows and completions" if m in of_values() else "steps and windows"
    rows = [
        ("means", m.means),
        ("not", m.not_means),
        ("range", range_of(m)),
        ("formula", m.formula or "from the sketch of the step's or window's values"),
        *(("", f"{name}: {SUMS[INDEX[name]].comment}") for name in m.needs),
        ("unknown", "of an audit function: it has no part in the total" if m.total else ""),
        ("reference", m.source),
        ("column", f"{m.name} of the views {views}"),
        ("try", f"SELECT step, {m.name} FROM steps WHERE run_id = '…' AND function = '…' ORDER BY step"),
    ]
    return _told(f"{m.name} [{m.unit}]", rows)


def _reported(each: Reported) -> str:
    scalar = f"SELECT step, value FROM trainer_steps WHERE run_id = '…' AND name = '{each.name}' ORDER BY step"
    column = f"SELECT step, mean, p95 FROM completions WHERE run_id = '…' AND property = '{each.name}' ORDER BY step"
    rows = [
        ("means", each.means),
        ("not", each.not_means),
        ("reference", each.source),
        *(("try", scalar if way == SCALAR else column) for way in each.ways),
    ]
    return _told(f"{each.name} [{each.unit}], reported by the trainer", rows)


def _detector(each: Detector) -> str:
    gate = "while the total rises; otherwise what it finds is information" if each.gated else ""
    rows = [
        ("finds", each.means),
        ("not", each.not_means),
        ("family", each.family),
        ("warns", gate),
        ("reference", each.source),
        ("try", f"SELECT step, level, sentence FROM detections WHERE run_id = '…' AND detector = '{each.name}' ORDER BY step"),
    ]
    return _told(f"{each.name}, a detector", rows)


def _told(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [title]
    for label, text in rows:
        if text:
            first, rest = f"  {label:{_LABEL - 2}}", " " * _LABEL
            lines += textwrap.wrap(
                text, _width(), initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
            )
    return "\n".join(lines)


def _width() -> int:
    """Of the terminal; a program, or grep, wants one line."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
