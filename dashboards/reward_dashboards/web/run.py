"""One run: is it learning, or is it cheating, and what shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite

import numpy as np
import streamlit as st
from reward_engine.kinds import REWARD, TRAINER
from reward_engine.measures import BY_NAME
from reward_engine.reported import REPORTED

from reward_dashboards.page import COLOURS
from reward_dashboards.web import parts, state
from reward_dashboards.web.chart import Panel, charts, zoomed
from reward_dashboards.web.figures import View, lines, shaded
from reward_dashboards.web.source import Source, Span

_LEVELS = ("critical", "warning", "info", "quiet", "arming", "off")
_POLICY = ("kl", "entropy", "length", "truncated", "clip_fraction", "staleness", "eval_reward", "duplicate")
_UNITS = {each.name: each.unit for each in REPORTED}
_MEANS = {each.name: each.means for each in REPORTED}


def page(source: Source) -> None:
    """Draws it."""
    st.title("Run")
    cards = source.runs()
    if not cards:
        st.info("There are no runs yet. A first one: `reward-monitor demo`.")
        return
    run_id = state.choice("Run", [card.run_id for card in cards], "run")
    with st.sidebar:
        view = View(smoothing=state.smoothing())
    parts.live(source, lambda: _run(source, run_id, view))


def _run(source: Source, run_id: str, view: View) -> None:
    card = next((card for card in source.runs() if card.run_id == run_id), None)
    functions = source.functions(run_id)
    if card is None or not functions:
        st.info("Nothing is known of this run's rewards yet. Its first closed step shows here.")
        return
    st.markdown(f"#### {parts.verdict_line(card)}")
    st.caption(
        " · ".join(
            parts.plain(fact)
            for fact in (card.project, card.state, f"step {card.step}", parts.ago(card.last), *card.problems)
            if fact
        )
    )
    alerts = source.alerts([run_id])
    firing = [alert for alert in alerts if alert.state in ("firing", "recovering")]
    for alert in [alert for alert in firing if alert.severity != "info"][:4]:
        st.markdown(f"{parts.sign(alert.severity)} **{parts.plain(alert.rule)}**: {parts.plain(alert.summary)}")
    span = zoomed(run_id)
    panels = [*_rewards(source, run_id, functions, view, span), *_policy(source, run_id, view, span)]
    for panel in panels:
        shaded(panel.figure, alerts, card.step or 0)
    charts(panels, run_id)
    _evidence(source, run_id)
    st.markdown("##### Alerts")
    parts.alerts_table(alerts, runs=False)


def _rewards(source: Source, run_id: str, functions: Mapping[str, str], view: View, span: Span | None) -> Iterator[Panel]:
    """What is known of the reward functions; a chart of which nothing is known is left out."""
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(functions)}
    trained = [name for name, role in functions.items() if role == "trained"]
    for title, measure, names, unit in (
        ("Mean reward", "mean", functions, "reward"),
        ("What drives the advantages", "variance_contribution", trained, "share of their variance"),
        ("Groups whose rewards are all equal", "zero_variance_groups", ["total"], "share of the groups"),
        ("Reward against length", "length_correlation", functions, "correlation within groups"),
    ):
        curves = {name: source.curve(run_id, REWARD, name, measure, span) for name in names if name in functions}
        if known := {name: curve for name, curve in curves.items() if np.isfinite(curve.mean).any()}:
            badge = next(iter(known.values())).badge
            yield Panel(f"{run_id}-{measure}-{view}", title, lines(known, unit, view, colours), badge, BY_NAME[measure].means)


def _policy(source: Source, run_id: str, view: View, span: Span | None) -> Iterator[Panel]:
    """What the trainer reports of the policy and its completions."""
    reported = source.reported(run_id)
    for kind, name in [each for wanted in _POLICY for each in reported if each[1] == wanted]:
        curve = source.curve(run_id, kind, name, "mean", span)
        title = name if kind == TRAINER else f"{name}, mean of the completions"
        yield Panel(
            f"{run_id}-{kind}-{name}-{view}",
            title,
            lines({name: curve}, _UNITS.get(name, ""), view),
            curve.badge,
            _MEANS.get(name, ""),
        )


def _evidence(source: Source, run_id: str) -> None:
    detections = sorted(source.detections(run_id), key=lambda d: _LEVELS.index(d.level))
    st.markdown("##### Detectors")
    if not detections:
        st.caption("Not judged yet: the first verdict comes after ten steps, or fewer of a short training.")
        return
    st.dataframe(
        [
            {
                "level": d.level,
                "detector": d.detector,
                "what it found": parts.bare(d.sentence) or (f"needs {d.needs}" if d.needs else ""),
                "function": d.series,
                "steps": f"{d.recent_from} to {d.recent_to - 1}" if d.recent_to > d.recent_from else "",
                "groups that show it": ", ".join(map(str, d.examples)),
                "statistic": f"{d.statistic:.3g}" if isfinite(d.statistic) else "",
                "threshold": f"{d.threshold:.3g}" if isfinite(d.threshold) else "",
            }
            for d in detections
        ],
        hide_index=True,
    )
    quality = source.quality(run_id)
    if quality:
        st.markdown("##### Quality of the signal", help="0 to 100, with its 95 % interval; see docs/METRICS.md")
        st.dataframe(
            [
                {
                    "function": q.series,
                    "score": f"{q.score:.0f} ({q.low:.0f} to {q.high:.0f})" if isfinite(q.score) else "insufficient",
                    "coverage": f"{q.coverage:.0%}",
                    **{n: f"{v:.2f}" if isfinite(v) else "unknown" for n, v in zip(q.components, q.values, strict=True)},
                }
                for q in quality
            ],
            hide_index=True,
        )
