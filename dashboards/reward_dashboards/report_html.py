"""A report as one HTML page that needs nothing else: verdicts first, then evidence, then charts that can be zoomed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from reward_engine.statistics.needs import Needs

from reward_dashboards.analysis import NORMAL, SIGNIFICANT, Comparison, FunctionReport, Report, RunReport
from reward_dashboards.report_text import groups_of, number
from reward_dashboards.runs import RunData

COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#999999",
)  # Paul Tol's "bright": for colour-blind eyes too
BAD = {"suspicious": "#d98b00", "hacking": "#c8253c", "broken": "#c8253c", "falling": "#d98b00"}
GOOD = {"learning": "#228833"}
_GREY = "#808080"  # of what must be read on white and on black
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --line: #d9d9d9; --soft: #666; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #181a1d; --line: #3a3d42; --soft: #a0a0a0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; padding: 0 1rem;
  max-width: 72rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
.verdict { border-left: .4rem solid var(--state); padding: .4rem 1rem; font-size: 1.15rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; } td.prose { white-space: normal; min-width: 22rem; }
th { color: var(--soft); font-weight: 600; } code { font-size: .92em; } .soft { color: var(--soft); }
.critical { color: #c8253c; font-weight: 600; } .warning { color: #d98b00; font-weight: 600; }
"""


def html(report: Report, runs: Sequence[RunData]) -> str:
    """The page. runs: what the report is of, in its order."""
    title = "Rewards of " + ", ".join(run.run_id for run in report.runs)
    parts = [part for made, run in zip(report.runs, runs, strict=True) for part in _run(made, run)]
    if report.comparisons:
        parts.append(_comparisons(report.comparisons))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body>\n<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _run(made: RunReport, run: RunData) -> Iterator[str]:
    state = made.verdict.state if made.verdict else ""
    colour = (BAD | GOOD).get(state, _GREY)
    yield f"<h2>{escape(made.run_id)}</h2>"
    yield f'<p class="verdict" style="--state: {colour}">{_prose(made.sentence)}</p>'
    yield f'<p class="soft">Steps {made.steps[0]} to {made.steps[1]}.</p>'
    if made.detections:
        yield _detections(made)
    yield "<h3>Reward functions</h3>" + _table(
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
    return "<h3>Detectors</h3>" + _table(head, rows)


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
    return "<h2>Run against run</h2>" + note + _table(("runs", "function", "difference", "in std", "p"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    lines = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{"".join(f"<th>{name}</th>" for name in head)}</tr>{lines}</table></div>'


def _cell(cell: str) -> str:
    long = len(cell) > 40  # a sentence, or a hostile name
    return f'<td class="prose">{cell}</td>' if long else f"<td>{cell}</td>"


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
        figure.add_vrect(
            x0=from_step, x1=to_step, fillcolor=BAD[state], opacity=0.12, line_width=0, annotation_text=state,
            annotation_position="top left", annotation_font_color=BAD[state],
        )  # fmt: skip
    axis = {"gridcolor": "rgba(128,128,128,.25)", "zerolinecolor": "rgba(128,128,128,.5)", "linecolor": _GREY}
    figure.update_layout(
        title=title, height=340, margin={"l": 60, "r": 20, "t": 50, "b": 45}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"color": _GREY}, hovermode="x unified", showlegend=len(series) > 1,
        hoverlabel={"bgcolor": "#f4f4f4", "font": {"color": "#1c1c1c"}},
        xaxis={"title": "step", **axis}, yaxis={"title": unit, **axis},
    )  # fmt: skip
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}))


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
