"""Runs side by side, by any measure: also what was asked for by nobody yet."""

from __future__ import annotations

import numpy as np
import streamlit as st
from reward_engine.kinds import REWARD
from reward_engine.measures import BY_NAME

from reward_dashboards.web import parts, state
from reward_dashboards.web.chart import Panel, charts
from reward_dashboards.web.figures import View, lines
from reward_dashboards.web.source import Source

_RUNS = 4  # preselected


def page(source: Source) -> None:
    """Draws it."""
    st.title("Compare")
    cards = source.runs()
    if not cards:
        st.info("There are no runs yet. A first one: `reward-monitor demo`.")
        return
    run_ids = state.choices("Runs", [card.run_id for card in cards], "runs", [card.run_id for card in cards[:_RUNS]])
    if not run_ids:
        st.info("Choose some runs.")
        return
    functions = list(dict.fromkeys(name for run_id in run_ids for name in source.functions(run_id)))
    reported = list(dict.fromkeys(f"{name} ({kind})" for run_id in run_ids for kind, name in source.reported(run_id)))
    one, two, three, four = st.columns([2, 2, 1, 1])
    with one:
        what = state.choice("Function", [*functions, *reported], "function")
    with two:
        measure = state.choice("Measure", list(BY_NAME), "measure", "mean")
    with three:
        axis = state.choice("Axis", ["step", "relative"], "axis", "step")
    with four:
        smoothing = st.slider("Smoothing", 0.0, 0.99, float(state.text("smoothing", "0") or 0), 0.01)
        state.remember("smoothing", f"{smoothing:g}" if smoothing else "")
    of = BY_NAME[measure]
    st.caption(f"{of.means} [{of.unit}]" + (f". Not {of.not_means}" if of.not_means else ""))
    parts.live(source, lambda: _compared(source, run_ids, what, measure, View(axis, smoothing)))


def _compared(source: Source, run_ids: list[str], what: str, measure: str, view: View) -> None:
    name, _, kind = what.rpartition(" (") if what.endswith(")") and " (" in what else (what, "", REWARD + ")")
    curves = {run_id: source.curve(run_id, kind.rstrip(")"), name, measure) for run_id in run_ids}
    known = {run_id: curve for run_id, curve in curves.items() if np.isfinite(curve.mean).any()}
    if not known:
        st.info("None of these runs has it.")
        return
    figure = lines(known, BY_NAME[measure].unit if kind.startswith(REWARD) else "", view)
    figure.update_layout(height=460)
    badge = ", ".join(sorted({curve.badge for curve in known.values()}))
    charts([Panel(f"{what}-{measure}-{view}", f"{what}: {measure}", figure, badge)], "compare", columns=1)
    rows = [
        {"run": run_id, "step": int(step), "mean": float(mean), "low": float(low), "high": float(high)}
        for run_id, curve in known.items()
        for step, mean, low, high in zip(curve.steps, curve.mean, curve.low, curve.high, strict=True)
    ]
    text = "run,step,mean,low,high\n" + "".join(",".join(_csv(value) for value in row.values()) + "\n" for row in rows)
    st.download_button("CSV", text, file_name="compare.csv", mime="text/csv")


def _csv(value: object) -> str:
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n') else text
