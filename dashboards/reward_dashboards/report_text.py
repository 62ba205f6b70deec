"""A report in the terminal: the verdict first, then what it rests on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from reward_engine.statistics.needs import Needs
from reward_schemas.results_pb2 import Detection

from reward_dashboards.analysis import SIGNIFICANT, Comparison, FunctionReport, Number, Report, RunReport

WIDTH = 100
_LOUD = ("critical", "warning", "info")


def text(report: Report) -> str:
    """The whole report."""
    parts = ["\n".join(_run(run)) for run in report.runs]
    if report.comparisons:
        parts.append("\n".join(_comparisons(report.comparisons)))
    return "\n\n".join(parts) + "\n"


def _run(run: RunReport) -> Iterator[str]:
    yield f"{printable(run.run_id)}: steps {run.steps[0]} to {run.steps[1]}"
    yield textwrap.fill(run.sentence, WIDTH)
    loud = sorted((d for d in run.detections if d.level in _LOUD), key=lambda d: _LOUD.index(d.level))
    for d in loud:
        yield textwrap.fill(
            f"  {d.level:8}  {d.detector}: {printable(d.sentence)}{groups_of(d)}", WIDTH, subsequent_indent=" " * 12
        )
    for level in ("quiet", "arming", "off"):
        names = [f"{d.detector} (needs {d.needs})" if d.needs else d.detector for d in run.detections if d.level == level]
        if names:
            yield textwrap.fill(f"  {level:8}  " + ", ".join(names), WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False)
    yield ""
    head = ("function", "first quarter", "last quarter", "gain", "trend", "levels change at", "drives", "missing", "quality")
    yield from table(head, [_function(run, of) for of in run.functions])
    for of in run.functions:
        if of.outliers:
            steps = ", ".join(map(str, of.outliers[:10])) + (" …" if len(of.outliers) > 10 else "")
            yield f"  {printable(of.name)}: stands apart at step {steps}"


def _function(run: RunReport, of: FunctionReport) -> tuple[str, ...]:
    quality = next((q for q in run.quality if q.series == of.name), None)
    score = "" if quality is None else f"{quality.score:.0f} ({quality.low:.0f}–{quality.high:.0f})"
    ways = {1: "rises", -1: "falls", 0: "none"}
    return (
        printable(of.name) + (" (audit)" if of.role == "audit" else ""),
        number(of.first),
        number(of.last),
        number(of.gain, signed=True),
        "too short" if isinstance(of.trend, Needs) else ways[of.trend.direction],
        "too short" if isinstance(of.change_points, Needs) else ", ".join(map(str, of.change_points[:4])) or "–",
        "" if of.variance_contribution is None else f"{of.variance_contribution:.0%}",
        "" if of.missing is None else f"{of.missing:.2%}".replace("0.00%", "–"),
        "insufficient" if "nan" in score else score,
    )


def _comparisons(found: Sequence[Comparison]) -> Iterator[str]:
    yield "Last quarter, run against run; p is adjusted for all these comparisons"
    rows = [
        (
            f"{printable(c.other)} − {printable(c.one)}",
            printable(c.function),
            number(c.difference, signed=True),
            "" if c.effect is None else f"{c.effect:+.2f}",
            "" if c.p is None else f"{c.p:.2g}" + (" *" if c.p < SIGNIFICANT else ""),
        )
        for c in found
    ]
    yield from table(("runs", "function", "difference", "in std", "p"), rows)


def groups_of(found: Detection) -> str:
    """Which groups show it, for the end of a sentence."""
    return f" (as in groups {', '.join(map(str, found.examples))} of the last step)" if found.examples else ""


def number(of: Number, *, signed: bool = False) -> str:
    """A value with its interval."""
    if of.value is None:
        return ""
    value = f"{of.value:+.3g}" if signed else f"{of.value:.3g}"
    return value if of.low is None or of.high is None else f"{value} ± {(of.high - of.low) / 2:.2g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of columns; those of which nothing is known are left out."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    widths = [max(len(line[i]) for line in (head, *rows)) for i in kept]
    for line in (head, *rows):
        yield "  " + "  ".join(line[i].ljust(width) for i, width in zip(kept, widths, strict=True)).rstrip()


def printable(name: str) -> str:
    """A name must not steer the terminal."""
    return name if name.isprintable() else ascii(name)
