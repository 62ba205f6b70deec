"""Which rules are in force, what is wrong with those that were refused, and what others would have done."""

from __future__ import annotations

import streamlit as st
import streamlit.components.v1 as components
from reward_engine.rules.ruleset import Rule, RuleSet, load
from reward_schemas.errors import MonitorError

from reward_dashboards import backtest_report
from reward_dashboards.web import parts, state
from reward_dashboards.web.source import Source

_UNITS = {"step": "steps", "time": "ms", "clock": "ms"}
_EXAMPLE = """version: 1
groups:
- name: mine
  rules:
  - uid: low-reward
    window: 20 steps
    expr: mean < 0.2
"""


def page(source: Source) -> None:
    """Draws it."""
    st.title("Rules")
    parts.live(source, lambda: _rules(source))
    st.subheader("Backtest")
    _backtest(source)


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
    st.caption(f"{len(told.rules.rules)} rules, {where}.")
    wide = st.column_config.TextColumn(width="large")
    st.dataframe([_row(rule) for rule in told.rules.rules], hide_index=True, column_config={"condition": wide})


def _backtest(source: Source) -> None:
    """The same report as `reward-monitor rules backtest`: nothing that is in force changes."""
    st.caption("What rules would have done in these runs, beside those in force. Nothing that is in force changes.")
    runs = state.runs(source)
    with st.form("backtest"):
        text = st.text_area("Rules", _EXAMPLE, height=220, help="YAML, as in docs/RULES.md; with nothing in it: those in force")
        asked = st.form_submit_button("Backtest", disabled=not runs)
    if not asked:
        return
    in_force = source.rules().rules
    rules, mistakes = load({"here.yaml": text}) if text.strip() else (in_force, [])
    for mistake in mistakes:
        st.error(parts.plain(str(mistake)), icon=":material/error:")
    if rules is not None:
        _report(source, rules, in_force, runs)


def _report(source: Source, rules: RuleSet, in_force: RuleSet, runs: list[str]) -> None:
    try:
        with st.spinner("The runs are folded anew."):
            found = source.backtest(rules, runs)
            other = source.backtest(in_force, runs) if in_force is not rules else None
    except MonitorError as error:
        st.error(parts.plain(str(error)), icon=":material/error:")
        return
    report = backtest_report.html(found, other)
    st.download_button("HTML", report, file_name="backtest.html", mime="text/html", help="the report as a page of its own")
    components.html(report, height=900, scrolling=True)


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
