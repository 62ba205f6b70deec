"""Measures as text for a terminal of 80 columns: no colours, so that it reads alike on any background and in a log file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reward_producers.metrics import Measures, Metrics, WindowMetrics

WIDTH = 80
_NAME_MIN = 12
_SHOWN = {
    "mean": "mean",
    "std": "std",
    "min": "min",
    "max": "max",
    "zero_variance_groups": "zero-var.\ngroups",
    "variance_contribution": "variance\ncontrib.",
}


def wrapped(title: str, values: Mapping[str, float | None]) -> str:
    """A title with what follows from it, over as many lines as that needs."""
    text = title + ", ".join(f"{name} {_number(value)}" for name, value in values.items())
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def table(metrics: Metrics, window: WindowMetrics | None = None) -> str:
    """A line for each reward function and each further column of the completions; then what is wrong with the rewards.

    window: its means stand in the last column. A column of which nothing is known is left out.
    """
    shown = [*metrics.values(), *metrics.columns.values()]
    columns = {head: [_cell(m, measure) for m in shown] for measure, head in _SHOWN.items()}
    if window:
        columns[f"{window.size} steps\nmean"] = [_number(m.mean) for m in _same(metrics, window)]
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    widths = [max(map(len, [*head.split("\n"), *cells])) for head, cells in columns.items()]
    names = _names(shown, room=max(WIDTH - sum(width + 2 for width in widths), _NAME_MIN))

    def line(name: str, cells: Iterable[str]) -> str:
        return (name + "".join(f"  {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))).rstrip()

    blank = " " * len(names[0])
    heads = [line(blank, (head.rpartition("\n")[part] for head in columns)) for part in (0, 2)]
    body = [line(name, (cells[row] for cells in columns.values())) for row, name in enumerate(names)]
    if metrics.columns:
        body.insert(len(metrics), "")
    return "\n".join([_title(metrics), *filter(None, heads), *body, *_wrong(metrics)])


def _same(metrics: Metrics, window: WindowMetrics) -> list[Measures]:
    """The series of the step in its window, where all of them are."""
    return [*(window[name] for name in metrics), *(window.columns[name] for name in metrics.columns)]


def _cell(measures: Measures, measure: str) -> str:
    if measures.role == "audit" and measure == "variance_contribution":
        return "audit"  # it has none, and that is why
    return _number(measures[measure])


def _names(shown: Sequence[Measures], room: int) -> list[str]:
    """What the lines begin with, all of one width of at most `room`: without its middle where a name is too long."""
    head, tail = room // 2, room - room // 2 - 1
    names = [_printable(m.name) for m in shown]
    names = [name if len(name) <= room else f"{name[:head]}…{name[-tail:]}" for name in names]
    return [name.ljust(max(map(len, names))) for name in names]


def _title(metrics: Metrics) -> str:
    total = metrics.total
    what = f"step {metrics.step}" if metrics.steps == 1 else f"{metrics.steps} steps up to {metrics.step}"
    many = _counted(sum(int(total[name] or 0) for name in ("count", "missing", "not_scored", "non_finite")), "completion")
    if total.zero_variance_groups is not None:  # a group has several
        many += f" in {_counted(int(total.groups or 0), 'group')}"
    return wrapped(f"{what}: {many}" + (", " if metrics.scalars else ""), metrics.scalars)


def _wrong(metrics: Metrics) -> list[str]:
    """A line for each function of which rewards are missing or not finite."""
    found = []
    for m in metrics.values():
        said = [f"{m[name]} {words}" for name, words in (("missing", "missing"), ("non_finite", "not finite")) if m[name]]
        if said and m.role != "total":
            found.append(f"{_printable(m.name)}: {', '.join(said)}")
    return found


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)  # a name must not steer the terminal


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if 1e3 <= abs(value) < 1e7 else f"{value:.4g}"
