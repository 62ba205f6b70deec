"""What fired, and why."""

from __future__ import annotations

import streamlit as st

from reward_dashboards.web import parts, state
from reward_dashboards.web.source import Source

_STATES = ("fires now", "all")


def page(source: Source) -> None:
    """Draws it."""
    st.title("Alerts")
    shown = state.choice("Show", _STATES, "show", _STATES[0])
    parts.live(source, lambda: _alerts(source, shown))


def _alerts(source: Source, shown: str) -> None:
    alerts = source.alerts()
    firing = [alert for alert in alerts if alert.state in ("firing", "recovering")]
    one, two, three = st.columns(3)
    one.metric("critical", sum(alert.severity == "critical" for alert in firing))
    two.metric("warning", sum(alert.severity == "warning" for alert in firing))
    three.metric("since the beginning", len(alerts))
    if shown == _STATES[0] and not firing and alerts:
        st.info("Nothing fires. What was resolved is under “all”.")
        return
    parts.alerts_table(firing if shown == _STATES[0] else alerts)
