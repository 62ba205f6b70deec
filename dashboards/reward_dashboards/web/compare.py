"""Runs side by side, by any measures of any functions: also what nobody has asked for yet. Kept under a name, it can be opened again."""

from __future__ import annotations

import streamlit as st
from reward_engine.kinds import COMPLETION, REWARD, TRAINER
from reward_engine.measures import BY_NAME

from reward_dashboards.web import parts, state, views
from reward_dashboards.web.across import Thing, drawn
from reward_dashboards.web.source import Source


def page(source: Source) -> None:
    """Draws it."""
    st.title("Compare")
    views.shown("compare")
    runs = state.runs(source)
    if not runs:
        return
    functions = state.functions(source, runs)
    reported = {
        f"{name} ({kind})": Thing(name, "mean", kind)
        for run_id in runs
        for kind, name in source.reported(run_id)
        if kind in (TRAINER, COMPLETION)
    }
    one, two = st.columns(2)
    with one:
        names = state.choices("Functions", [*functions, *reported], "function", functions[:1])
    with two:
        measures = state.choices("Measures", list(BY_NAME), "measure", ["mean"])
    view = state.view()
    things = [Thing(name, measure, REWARD) for name in names if name not in reported for measure in measures] + [
        reported[name] for name in names if name in reported
    ]
    if not things:
        st.info("Choose a function and a measure.")
        return
    if len(measures) == 1 and any(thing.kind == REWARD for thing in things):
        of = BY_NAME[measures[0]]
        st.caption(f"{of.means} [{of.unit}]" + (f". Not {of.not_means}" if of.not_means else ""))
    parts.live(source, lambda: drawn(source, runs, things, view, "compare", 460 if len(things) == 1 else 300))
