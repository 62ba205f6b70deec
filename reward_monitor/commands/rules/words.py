"""What a condition can name."""

from __future__ import annotations

import argparse

from reward_engine.detectors.catalogue import DETECTORS
from reward_engine.measures import MEASURES
from reward_engine.reported import REPORTED
from reward_engine.rules.expression import FUNCTIONS
from reward_engine.rules.template import FILTERS, TEXTS
from reward_engine.rules.vocabulary import LEVELS, RUN, VERDICTS, flat

from reward_monitor.arguments import Parser
from reward_monitor.terminal import console, table


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example("reward-monitor rules words")


def run(_: argparse.Namespace) -> int:
    """0."""
    screen = console()
    reported = ", ".join(f"{each.name}_mean" for each in REPORTED)
    parts = (
        ("Measures of the reward function, or of the total", [(m.name, m.means) for m in MEASURES]),
        ("What trainers report: any measure of it", [("<name>_<measure>", reported)]),
        ("Detectors, as levels: " + ", ".join(LEVELS), [(flat(d.name), d.means) for d in DETECTORS]),
        ("", [("<detector>.statistic", "the number that it judges by")]),
        ("The verdict: " + ", ".join(VERDICTS), [("verdict", "as in `verdict >= suspicious`")]),
        ("The run as it is, also in rules without a window", list(RUN.items())),
        ("Own names", [("<name>.<measure>", "of a rule's `uses: {name: {reward: a function}}`, or scalar, or column")]),
        ("Functions", [(", ".join(FUNCTIONS), "default(x, 0) is 0 where x is unknown")]),
        ("In annotations, beside values", [(", ".join(TEXTS), "as {{ reward }}")]),
        ("", [(", ".join(filter(None, FILTERS)), "filters of values, as {{ mean | f3 }}")]),
    )
    for title, rows in parts:
        screen.print(table(("name", "means"), rows, title=title or None))
        screen.print()
    return 0
