"""Which rules are in force, and what is wrong with those that were refused."""

from __future__ import annotations

import streamlit as st
from reward_engine.rules.ruleset import Rule

from reward_dashboards.web import parts
from reward_dashboards.web.source import Source

_UNITS = {"step": "steps", "time": "ms", "clock": "ms"}


def page(source: Source) -> None:
    """Draws it."""
    st.title("Rules")
    parts.live(source, lambda: _rules(source))


def _rules(source: Source) -> None:
    told = source.rules()
    for mistake in told.mistakes:
        st.warning(parts.plain(f"Refused: {mistake}"), icon=":material/warning:")
    if not told.rules.rules:
        st.info(
            "No rules are in force. `reward-monitor rules apply FILE`, or `reward-monitor up --rules DIR`; see docs/RULES.md."
        )
        return
    where = "those that come along" if told.rules.version < 0 else f"version {told.rules.version}"
    st.caption(f"{len(told.rules.rules)} rules, {where}. `reward-monitor rules backtest FILE` tries others on what is stored.")
    st.dataframe([_row(rule) for rule in told.rules.rules], hide_index=True)


def _row(rule: Rule) -> dict[str, object]:
    unit = _UNITS[rule.axis]
    return {
        "rule": rule.uid,
        "severity": rule.severity,
        "condition": rule.condition.expression.text,
        "well again": rule.recover.expression.text if rule.recover else "",
        "over": rule.window or "the run as it is",
        "one for each": "reward function" if rule.by_reward else "run",
        "for": f"{rule.timing.hold} {unit}" if rule.timing.hold else "",
        "group": rule.group,
    }
