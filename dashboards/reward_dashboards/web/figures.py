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


@dataclass(frozen=True)
class View:
    """How curves are drawn. axis: "step", or "relative", where each begins at 0. smoothing: 0 none, to 0.99."""

    axis: str = "step"
    smoothing: float = 0.0


def smoothed(values: np.ndarray, by: float) -> np.ndarray:
    """Exponential moving average without a bias at the beginning; what is unknown stays so.

    >>> smoothed(np.array([1.0, 1.0, np.nan, 4.0]), 0.5).round(3).tolist()
    [1.0, 1.0, nan, 2.714]
    """
    made, last, weight = np.full(len(values), np.nan), 0.0, 0.0
    for i, value in enumerate(values.tolist()):
        if np.isfinite(value):
            last, weight = by * last + (1 - by) * value, by * weight + (1 - by)
            made[i] = last / weight
    return made


def lines(curves: Mapping[str, Curve], unit: str, view: View, colours: Mapping[str, str] | None = None) -> go.Figure:
    """Curves by name."""
    figure = go.Figure()
    for number, (name, curve) in enumerate(curves.items()):
        colour = (colours or {}).get(name) or COLOURS[number % len(COLOURS)]
        x = curve.steps - (curve.steps[0] if view.axis == "relative" and len(curve.steps) else 0)
        if len(curve.steps) < curve.total:
            _band(figure, x, curve, colour, name)
        if view.smoothing:
            _line(figure, x, curve.mean, colour, name, faint=True)
        _line(figure, x, smoothed(curve.mean, view.smoothing) if view.smoothing else curve.mean, colour, name)
    return styled(figure, unit, legend=len(curves) > 1)


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


def styled(figure: go.Figure, unit: str, *, legend: bool) -> go.Figure:
    """The look of all charts: readable on white and on black."""
    axis = {"gridcolor": _GRID, "zerolinecolor": "rgba(128,128,128,.5)", "automargin": True}
    figure.update_layout(
        height=300, margin={"l": 50, "r": 15, "t": 10, "b": 40}, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified", showlegend=legend, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"bgcolor": "#f4f4f4", "font": {"color": "#1c1c1c"}, "namelength": 40},
        xaxis={"title": "step", **axis}, yaxis={"title": unit, **axis},
    )  # fmt: skip
    return figure


def _line(figure: go.Figure, x: np.ndarray, values: np.ndarray, colour: str, name: str, *, faint: bool = False) -> None:
    y = [value if np.isfinite(value) else None for value in values.tolist()]
    figure.add_scatter(
        x=x.tolist(), y=y, name=escape(name), legendgroup=name, line={"color": colour, "width": 1 if faint else 2},
        mode="lines" if len(y) > 1 else "markers", opacity=0.3 if faint else 1, showlegend=not faint, hoverinfo="skip" if faint else None,
    )  # fmt: skip


def _band(figure: go.Figure, x: np.ndarray, curve: Curve, colour: str, name: str) -> None:
    known = np.isfinite(curve.low)
    figure.add_scatter(
        x=np.concatenate([x[known], x[known][::-1]]).tolist(), y=np.concatenate([curve.high[known], curve.low[known][::-1]]).tolist(),
        fill="toself", fillcolor=colour, opacity=0.15, line={"width": 0}, hoverinfo="skip", showlegend=False, legendgroup=name,
    )  # fmt: skip
