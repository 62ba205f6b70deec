"""One reward function: what it gives, how it spreads, what it goes along with; in one run, and the same in others."""

from __future__ import annotations

import streamlit as st

from reward_dashboards.web import parts, state
from reward_dashboards.web.across import Thing, drawn
from reward_dashboards.web.source import Source

_MEASURES = (
    "mean",
    "std",
    "p05",
    "p50",
    "p95",
    "variance_contribution",
    "total_correlation",
    "length_correlation",
    "zero_variance_groups",
    "saturation_high",
    "missing",
    "non_finite",
)


def page(source: Source) -> None:
    """Draws it."""
    st.title("Function")
    runs = state.runs(source)
    if not runs:
        return
    functions = state.functions(source, runs)
    if not functions:
        st.info("Nothing is known of these runs' rewards yet.")
        return
    function = state.choice("Function", functions, "function", next((name for name in functions if name != "total"), "total"))
    view = state.view()
    st.caption("Point at a chart's title to read what it means.")
    parts.live(
        source, lambda: drawn(source, runs, [Thing(function, measure) for measure in _MEASURES], view, f"function-{function}")
    )
