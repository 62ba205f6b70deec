"""A report as one HTML page that needs nothing else: verdicts first, then evidence, then charts that can be zoomed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from reward_engine.statistics.needs import Needs

from reward_dashboards.analysis import NORMAL, SIGNIFICANT, Comparison, FunctionReport, Report, RunReport
from reward_dashboards.page import BAD, COLOURS, GOOD, GREY, chart, page, shade, table
from reward_dashboards.report_text import groups_of, number
from reward_dashboards.runs import RunData


def html(report: Report, runs: Sequence[RunData]) -> str:
    """The page. runs: what the report is of, in its order."""
    title = "Rewards of " + ", ".join(run.run_id for run in report.runs)
    parts = [part for made, run in zip(report.runs, runs, strict=True) for part in _run(made, run)]
    if report.comparisons:
        parts.append(_comparisons(report.comparisons))
    return page(title, parts)


def _run(made: RunReport, run: RunData) -> Iterator[str]:
    state = made.verdict.state if made.verdict else ""
    colour = (BAD | GOOD).get(state, GREY)
    yield f"<h2>{escape(made.run_id)}</h2>"
    yield f'<p class="verdict" style="--state: {colour}">{_prose(made.sentence)}</p>'
    yield f'<p class="soft">Steps {made.steps[0]} to {made.steps[1]}.</p>'
    if made.detections:
        yield _detections(made)
    yield "<h3>Reward functions</h3>" + table(
        (
            "function",
            "role",
            "first quarter",
            "last quarter",
            "gain",
            "trend",
            "levels change at",
            "drives",
            "missing",
            "quality",
        ),
        [_function(made, of) for of in made.functions],
    )
    yield from _charts(run)


def _detections(made: RunReport) -> str:
    rows = [
        (
            f'<span class="{d.level}">{escape(d.level)}</span>',
            escape(d.detector),
            _prose(d.sentence + groups_of(d) or (f"needs {d.needs}" if d.needs else "")),
            "" if d.level in ("off", "arming") else f"{d.recent_from} to {d.recent_to - 1}",
            _figure(d.statistic),
            _figure(d.threshold),
            _figure(d.p),
        )
        for d in sorted(made.detections, key=lambda d: ("critical", "warning", "info", "quiet", "arming", "off").index(d.level))
    ]
    head = ("level", "detector", "what it found", "in steps", "statistic", "threshold", "p")
    return "<h3>Detectors</h3>" + table(head, rows)


def _function(made: RunReport, of: FunctionReport) -> tuple[str, ...]:
    quality = next((q for q in made.quality if q.series == of.name), None)
    trend = "too short" if isinstance(of.trend, Needs) else {1: "rises", -1: "falls", 0: "none"}[of.trend.direction]
    points = "too short" if isinstance(of.change_points, Needs) else ", ".join(map(str, of.change_points)) or "–"
    score = "" if quality is None else f"{quality.score:.0f} ({quality.low:.0f} to {quality.high:.0f})"
    return (
        escape(of.name),
        escape(of.role),
        number(of.first),
        number(of.last),
        number(of.gain, signed=True),
        trend,
        points,
        "" if of.variance_contribution is None else f"{of.variance_contribution:.0%}",
        "" if of.missing is None else f"{of.missing:.2%}",
        "insufficient" if "nan" in score else score,
    )


def _comparisons(found: Sequence[Comparison]) -> str:
    rows = [
        (
            escape(f"{c.other} − {c.one}"),
            escape(c.function),
            number(c.difference, signed=True),
            "" if c.effect is None else f"{c.effect:+.2f}",
            "" if c.p is None else f"{c.p:.2g}" + (" *" if c.p < SIGNIFICANT else ""),
        )
        for c in found
    ]
    note = '<p class="soft">The last quarter of each; p is adjusted for all of these comparisons (Benjamini, Hochberg).</p>'
    return "<h2>Run against run</h2>" + note + table(("runs", "function", "difference", "in std", "p"), rows)


def _prose(sentence: str) -> str:
    """A sentence with names in backticks."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(sentence))


def _figure(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else ""


def _charts(run: RunData) -> Iterator[str]:
    means = {name: (of["mean"], of["standard_error"]) for name, of in run.measures.items()}
    yield _chart(run, "Mean reward, with its 95 % interval", "reward", means)
    drives = {name: (of["variance_contribution"], None) for name, of in run.measures.items() if run.functions[name] == "trained"}
    if len(drives) > 1:
        yield _chart(run, "What drives the advantages", "share of their variance", drives)
    flat = {"total": (run.measures["total"]["zero_variance_groups"], None)} if "total" in run.measures else {}
    yield _chart(run, "Groups whose rewards are all equal", "share of the groups", flat)
    for name, unit in (("length", "tokens"), ("truncated", "share")):
        if name in run.properties:
            yield _chart(run, f"Completions: {name}", unit, {name: (run.properties[name], None)})
    for name, unit in (("kl", "nats"), ("entropy", "nats a token")):
        if name in run.scalars:
            yield _chart(run, f"Policy: {name}", unit, {name: (run.scalars[name], None)})


def _chart(run: RunData, title: str, unit: str, series: Mapping[str, tuple[np.ndarray, np.ndarray | None]]) -> str:
    figure = go.Figure()
    steps = run.steps.tolist()
    places = [*run.functions]
    for name, (values, errors) in series.items():
        if not np.isfinite(values).any():
            continue
        colour = COLOURS[places.index(name) % len(COLOURS) if name in places else 0]  # a function has one in all charts
        if errors is not None and np.isfinite(errors).any():
            reach = NORMAL * np.where(np.isfinite(errors), errors, 0.0)
            edge = np.concatenate([values + reach, (values - reach)[::-1]])
            known = np.isfinite(edge)
            around = np.concatenate([run.steps, run.steps[::-1]])[known].tolist()
            figure.add_scatter(
                x=around, y=edge[known].tolist(), fill="toself", fillcolor=colour, opacity=0.18, line={"width": 0},
                hoverinfo="skip", showlegend=False, legendgroup=name,
            )  # fmt: skip
        y = [value if np.isfinite(value) else None for value in values.tolist()]
        figure.add_scatter(x=steps, y=y, name=escape(name), legendgroup=name, line={"color": colour, "width": 2})
    if not figure.data:
        return ""
    for from_step, to_step, state in _bad(run):
        shade(figure, from_step, to_step, BAD[state], state)
    return chart(figure, title, unit, legend=len(series) > 1)


def _bad(run: RunData) -> Iterator[tuple[int, int, str]]:
    """The stretches of steps in which the verdict was a bad one."""
    start: tuple[int, str] | None = None
    for verdict in run.verdicts:
        if start and verdict.state != start[1]:
            yield start[0], verdict.step, start[1]
            start = None
        if verdict.state in BAD and start is None:
            start = verdict.step, verdict.state
    if start:
        yield start[0], int(run.steps[-1]), start[1]
