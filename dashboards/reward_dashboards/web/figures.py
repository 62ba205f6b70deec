"""Figures of curves: a line each, its band where points were summed up, and where alerts fired."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from reward_dashboards.page import COLOURS
from reward_dashboards.web.source import AlertCard, Curve

SEVERITIES = {"critical": "#c8253c", "warning": "#d98b00", "info": "#808080"}
_GRID = "rgba(128,128,128,.25)"


AXES = ("step", "relative", "wall clock")


@dataclass(frozen=True)
class View:
    """How curves are drawn. axis: one of AXES; relative: each begins at 0. smoothing: 0 none, to 0.99."""

    axis: str = "step"
    smoothing: float = 0.0


def smoothed(values: np.ndarray, by: float, width: float = 1.0) -> np.ndarray:
    """Exponential moving average without a bias at the beginning; what is unknown stays so. by: what is kept of it from one step
    to the next. width: steps between two values: of buckets it is what it would be of their steps, but for what lies in one.

    >>> smoothed(np.array([1.0, 1.0, np.nan, 4.0]), 0.5).round(3).tolist()
    [1.0, 1.0, nan, 2.714]
    """
    made, last, weight, kept = np.full(len(values), np.nan), 0.0, 0.0, by**width
    for i, value in enumerate(values.tolist()):
        if np.isfinite(value):
            last, weight = kept * last + (1 - kept) * value, kept * weight + (1 - kept)
            made[i] = last / weight
    return made


def lines(curves: Mapping[str, Curve], unit: str, view: View, colours: Mapping[str, str] | None = None) -> go.Figure:
    """Curves by name."""
    figure = go.Figure()
    for number, (name, curve) in enumerate(curves.items()):
        colour = (colours or {}).get(name) or COLOURS[number % len(COLOURS)]
        x, values = _along(curve, view.axis), curve.mean
        if len(curve.steps) < curve.total:
            _band(figure, x, curve, colour, name)
        if view.smoothing:
            _line(figure, x, values, colour, name, faint=True)
            values = smoothed(values, view.smoothing, curve.total / max(len(curve.steps), 1))
        _line(figure, x, values, colour, name)
    return styled(figure, unit, view.axis, legend=len(curves) > 1)


def _along(curve: Curve, axis: str) -> np.ndarray:
    if axis == "wall clock":
        return curve.times
    return curve.steps - curve.steps[0] if axis == "relative" and len(curve.steps) else curve.steps


def shaded(figure: go.Figure, alerts: Sequence[AlertCard], last: int) -> go.Figure:
    """Marks where alerts fired: once where several of a severity did."""
    for severity in ("warning", "critical"):
        spans = sorted(_span(alert, last) for alert in alerts if alert.severity == severity and alert.since_step is not None)
        for start, end in _joined(spans):
            figure.add_vrect(x0=start, x1=end, fillcolor=SEVERITIES[severity], opacity=0.09, line_width=0, layer="below")
    return figure


def _span(alert: AlertCard, last: int) -> tuple[int, int]:
    start = alert.since_step or 0
    over = alert.state in ("resolved", "inactive") and alert.last_step is not None
    return start, max(alert.last_step if over and alert.last_step is not None else last, start)


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in their order, those that meet as one."""
    made: list[tuple[int, int]] = []
    for start, end in spans:
        if made and start <= made[-1][1]:
            made[-1] = made[-1][0], max(made[-1][1], end)
        else:
            made.append((start, end))
    return made


def styled(figure: go.Figure, unit: str, along: str = "step", *, legend: bool) -> go.Figure:
    """The look of all charts: readable on white and on black."""
    axis = {"gridcolor": _GRID, "zerolinecolor": "rgba(128,128,128,.5)", "automargin": True}
    titles = {"relative": "steps since the first", "wall clock": "UTC"}
    figure.update_layout(
        height=300, margin={"l": 50, "r": 15, "t": 10, "b": 40}, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified", showlegend=legend, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"bgcolor": "#f4f4f4", "font": {"color": "#1c1c1c"}, "namelength": 40},
        xaxis={"title": titles.get(along, along), **axis}, yaxis={"title": unit, **axis},
    )  # fmt: skip
    return figure


def _line(figure: go.Figure, x: np.ndarray, values: np.ndarray, colour: str, name: str, *, faint: bool = False) -> None:
    figure.add_scatter(
        x=x, y=values.astype(np.float32), name=escape(name), legendgroup=name, line={"color": colour, "width": 1 if faint else 2},
        mode="lines" if len(x) > 1 else "markers", opacity=0.3 if faint else 1, showlegend=not faint, hoverinfo="skip" if faint else None,
    )  # fmt: skip


def _band(figure: go.Figure, x: np.ndarray, curve: Curve, colour: str, name: str) -> None:
    known = np.isfinite(curve.low)
    x, y = (np.concatenate([there[known], back[known][::-1]]) for there, back in ((x, x), (curve.high, curve.low)))
    figure.add_scatter(
        x=x, y=y.astype(np.float32), fill="toself", fillcolor=colour, opacity=0.15, line={"width": 0}, hoverinfo="skip",
        showlegend=False, legendgroup=name,
    )  # fmt: skip
