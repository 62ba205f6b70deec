"""What fires and why, and what looks like reward hacking."""

from __future__ import annotations

from typing import Any

from reward_engine.detectors.divergence import TAKEN_OVER
from reward_engine.detectors.length import CORRELATED
from reward_engine.detectors.policy import ALIKE, SATURATED

from reward_dashboards.grafana.board import TO_RUN, dashboard, runs, verdicts
from reward_dashboards.grafana.look import (
    AMBER,
    GREEN,
    RED,
    SEVERITIES,
    STATES,
    grafana_unit,
    meaning,
    meaning_of_told,
    place,
    unit,
)
from reward_dashboards.grafana.panels import column, judged, limit, lines, number, rows, timeline, wrapped
from reward_dashboards.grafana.query import THESE_RUNS, measured, reported, told

BY_FUNCTION = "run_id AS run, function"
FIRING = "state IN ('firing', 'recovering')"


def build() -> dict[str, Any]:
    """The dashboard."""
    by = ("function", "run")
    not_total = "function != 'total'"
    trained_and_audit = lines(
        "Trained functions and audits",
        "Mean reward of each function by its role: an audit that falls while what is trained rises is the plainest sign. "
        + meaning("mean"),
        measured("avg(s.mean) AS value", where=not_total, labels="role, run_id AS run, function"),
        by=("role", *by),
    )
    length = lines(
        "Reward and length",
        meaning("length_correlation") + f"\n\nThe detector of length exploitation looks from {CORRELATED} on.",
        measured("avg(s.length_correlation) AS value", where="role != 'audit'", labels=BY_FUNCTION),
        by=by,
    )
    takeover = lines(
        "Takeover",
        meaning("variance_contribution"),
        measured("avg(s.variance_contribution) AS value", where="role = 'trained'", labels=BY_FUNCTION),
        by=by,
    )
    saturation = lines(
        "Saturation at the upper end",
        meaning("saturation_high"),
        measured("avg(s.saturation_high) AS value", where=not_total, labels=BY_FUNCTION),
        by=by,
    )
    duplicates = lines("Duplicates", meaning_of_told("duplicate"), told("duplicate")).unit(
        grafana_unit(reported("duplicate").unit)
    )
    return dashboard(
        "alerts",
        "Reward monitor · alerts and hacking",
        "Which alerts fired and why, and what looks like reward hacking.",
        [runs()],
        [
            verdicts(),
            _firing("critical", RED),
            _firing("warning", AMBER),
            _suspects(),
            _timeline(),
            _log(),
            trained_and_audit.unit(unit("mean")),
            limit(length.unit(unit("length_correlation")), CORRELATED, AMBER),
            limit(takeover.unit(unit("variance_contribution")), TAKEN_OVER, AMBER),
            limit(saturation.unit(unit("saturation_high")), SATURATED, AMBER),
        ],
        Duplicates_and_changes=[limit(duplicates, ALIKE, AMBER), _changes()],
    )


def _firing(severity: str, colour: str) -> Any:
    made = number(
        f"{severity.capitalize()} alerts",
        f"Alerts of severity {severity} that fire now.",
        f"SELECT countIf({FIRING}) AS alerts FROM alerts WHERE severity = '{severity}' AND {THESE_RUNS}",
        width=6,
    )
    return judged(made, (None, GREEN), (1, colour))


def _suspects() -> Any:
    made = number(
        "Runs that look hacked",
        "Runs whose verdict is suspicious or hacking.",
        f"SELECT countIf(verdict IN ('suspicious', 'hacking')) AS runs FROM runs WHERE {THESE_RUNS}",
        width=12,
    )
    return judged(made, (None, GREEN), (1, RED))


def _timeline() -> Any:
    return timeline(
        "Alerts over time",
        "The state of each alert: rule, run and reward function.",
        f"""
        SELECT $__timeInterval(append_time) AS time,
            concat(rule, ' · ', run_id, if(function = '', '', concat(' · ', function))) AS alert,
            argMax({place(STATES, "state")}, (append_time, sequence)) AS level
        FROM alert_changes
        WHERE $__timeFilter(append_time) AND {THESE_RUNS}
        GROUP BY time, alert
        ORDER BY time, alert
        """,
        STATES,
        by="alert",
        size=(24, 8),
    )


def _log() -> Any:
    made = rows(
        "Alerts with their evidence",
        "What fired or is pending in this window, the newest first: the values that it was judged by, and groups that show it.",
        f"""
        SELECT changed_at AS changed, state, severity, rule, run_id AS run, function, summary,
            arrayStringConcat(arrayMap((name, value) -> concat(name, ' = ', ifNull(toString(round(value, 4)), 'unknown')),
                mapKeys(evidence), mapValues(evidence)), ', ') AS evidence,
            arrayStringConcat(arrayMap(each -> toString(each), examples), ', ') AS groups, since_step AS "since step",
            fired_at AS fired, resolved_at AS resolved
        FROM alerts AS a
        WHERE {THESE_RUNS} AND changed_at <= $__toTime AND (resolved_at IS NULL OR resolved_at >= $__fromTime)
        ORDER BY {FIRING} DESC, severity = 'critical' DESC, changed DESC, rule, run, function
        LIMIT 500
        """,
        size=(24, 9),
    )
    column(made, "state", width=100, colours=STATES)
    column(made, "severity", width=90, colours=SEVERITIES)
    for name in ("summary", "evidence"):
        wrapped(made, name)
    return column(made, "run", width=220, link=TO_RUN)


def _changes() -> Any:
    made = rows(
        "Every change",
        "Each change of state of an alert, with the condition and the window over which it was judged.",
        f"""
        SELECT append_time AS time, state, severity, rule, run_id AS run, function, step, reason, expr AS condition, window, groups
        FROM alert_changes
        WHERE $__timeFilter(append_time) AND {THESE_RUNS}
        ORDER BY time DESC, rule, run, function, sequence DESC
        LIMIT 500
        """,
    )
    column(made, "state", width=100, colours=STATES)
    column(made, "severity", width=90, colours=SEVERITIES)
    return column(made, "run", width=220, link=TO_RUN)
