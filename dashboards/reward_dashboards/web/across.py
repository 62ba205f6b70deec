"""The same of several runs: a chart for each thing, a line for each run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import streamlit as st
from reward_engine.kinds import REWARD
from reward_engine.measures import BY_NAME

from reward_dashboards.web import parts
from reward_dashboards.web.chart import Panel, charts, zoomed
from reward_dashboards.web.figures import View, lines
from reward_dashboards.web.source import Curve, Source

_CHARTS = 12


@dataclass(frozen=True)
class Thing:
    """What a chart is of: a measure of a reward function, or another number by its kind and name."""

    name: str
    measure: str = "mean"
    kind: str = REWARD

    @property
    def title(self) -> str:
        return f"{self.name}: {self.measure}" if self.kind == REWARD else f"{self.name} ({self.kind})"


def drawn(source: Source, run_ids: Sequence[str], things: Sequence[Thing], view: View, key: str, height: int = 300) -> None:
    """The charts, what isn't known of any run left out, and their numbers to take along."""
    key = f"{key}-{view.axis}"
    span = zoomed(key) if view.axis == "step" else None
    found = {}
    for thing in things[:_CHARTS]:
        curves = {run_id: source.curve(run_id, thing.kind, thing.name, thing.measure, span) for run_id in run_ids}
        if known := {run_id: curve for run_id, curve in curves.items() if np.isfinite(curve.mean).any()}:
            found[thing] = known
    if not found:
        st.info("None of these runs has it.")
        return
    charts([_panel(thing, curves, view, height) for thing, curves in found.items()], key, columns=1 if len(found) == 1 else 2)
    if len(things) > _CHARTS:
        st.caption(f"The first {_CHARTS} of {len(things)} charts.")
    parts.take_along(pa.concat_tables(_tables(found)), "curves", "the points of all charts")


def _panel(thing: Thing, curves: dict[str, Curve], view: View, height: int) -> Panel:
    of = BY_NAME[thing.measure] if thing.kind == REWARD else None
    figure = lines(curves, of.unit if of else "", view)
    figure.update_layout(height=height)
    badge = ", ".join(sorted({curve.badge for curve in curves.values()}))
    return Panel(f"{thing.title}-{view}", thing.title, figure, badge, of.means if of else "")


def _tables(found: dict[Thing, dict[str, Curve]]) -> Iterator[pa.Table]:
    for thing, curves in found.items():
        for run_id, curve in curves.items():
            n = len(curve.steps)
            said = {
                "run": [run_id] * n,
                "name": [thing.name] * n,
                "measure": [thing.measure] * n,
                "step": curve.steps,
                "time": curve.times,
            }
            numbers = {"mean": curve.mean, "low": curve.low, "high": curve.high}
            yield pa.table(
                said | {name: pa.array(values, from_pandas=True) for name, values in numbers.items()}
            )  # NaN is unknown
