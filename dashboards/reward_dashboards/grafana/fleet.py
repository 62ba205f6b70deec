"""Which of all runs needs me now?"""

from __future__ import annotations

from typing import Any

from reward_dashboards.grafana.board import TO_RUN, dashboard, runs, verdicts
from reward_dashboards.grafana.look import AMBER, GREEN, NEUTRAL, RED, RUN_STATES, VERDICTS, grafana_unit, meaning, place, unit
from reward_dashboards.grafana.panels import column, judged, lines, number, rows, timeline
from reward_dashboards.grafana.query import BUCKET, IN_TIME, THESE_RUNS, measured, reported


def build() -> dict[str, Any]:
    """The dashboard."""
    active = number(
        "Active runs",
        "Runs whose senders speak now.",
        f"SELECT countIf(state = 'live') AS runs FROM runs WHERE {THESE_RUNS}",
        width=6,
    )
    alerting = number(
        "Runs alerting",
        "Runs in which an alert fires, of any severity.",
        f"SELECT uniqExactIf(run_id, state IN ('firing', 'recovering')) AS runs FROM alerts WHERE {THESE_RUNS}",
        width=6,
    )
    rate = number(
        "Rewards",
        "Finite rewards a second, over the last minute in which any came. " + meaning("count"),
        f"""
        SELECT sum(count) / 60 AS rewards
        FROM windows
        WHERE window = '10s' AND function != 'total' AND {THESE_RUNS} AND {IN_TIME}
            AND time > (SELECT max(last_event_at) FROM runs WHERE {THESE_RUNS} AND last_event_at <= $__toTime) - INTERVAL 60 SECOND
        """,
        width=6,
    ).unit("ops")
    delay = number(
        "Ingest delay",
        "From a message's arrival in Kafka to its row here: 99 % took no longer, in this window.",
        """
        SELECT quantileExact(0.99)(dateDiff('millisecond', append_time, landed_at)) AS delay
        FROM event_log
        WHERE $__timeFilter(append_time)
        HAVING count() > 0
        """,
        width=6,
    ).unit("ms")
    health = timeline(
        "Run health",
        "The verdict of each run over time, after every block of steps.",
        f"""
        SELECT $__timeInterval(append_time) AS time, run_id AS run, argMax({place(VERDICTS, "state")}, step) AS verdict
        FROM verdicts
        WHERE $__timeFilter(append_time) AND {THESE_RUNS}
        GROUP BY time, run
        ORDER BY time, run
        """,
        VERDICTS,
        by="run",
        size=(12, 9),
    )
    reward = lines("Mean reward by run", meaning("mean"), measured("avg(s.mean) AS value"), size=(12, 9)).unit(unit("mean"))
    error = lines(
        "Standard error of the mean",
        meaning("standard_error"),
        measured("avg(s.standard_error) AS value"),
    ).unit(unit("standard_error"))
    traffic = lines(
        "Rewards by run",
        "Finite rewards a second.",
        f"""
        SELECT {BUCKET}, run_id AS run, sum(count) / $__interval_s AS value
        FROM windows
        WHERE window = '10s' AND function != 'total' AND {THESE_RUNS} AND {IN_TIME}
        GROUP BY time, run
        ORDER BY time, run
        """,
    ).unit("ops")
    traffic.interval("10s")  # what its rows span
    return dashboard(
        "fleet",
        "Reward monitor · fleet",
        "All runs: which needs me now?",
        [runs()],
        [
            verdicts(),
            judged(active, (None, NEUTRAL)),
            judged(alerting, (None, GREEN), (1, RED)),
            rate,
            judged(delay, (None, GREEN), (10_000, AMBER), (60_000, RED)),
            reward,
            health,
            _table(),
        ],
        Signal_and_traffic=[error, traffic],
    )


def _table() -> Any:
    made = rows(
        "Runs",
        "Each run as it is now. Δ 1 h: how its mean reward of five minutes changed within an hour. "
        f"KL: {reported('kl').means}. Alerts: how many fire.",
        f"""
        SELECT r.run_id AS run, r.project AS project, r.state AS state, r.last_step AS step, m.mean AS mean, m.change AS "Δ 1 h",
            q.score AS quality, k.kl AS kl, a.alerts AS alerts, r.last_event_at AS "last event"
        FROM runs AS r
        LEFT JOIN
        (
            SELECT run_id, argMax(w.mean, w.time) AS mean,
                mean - argMaxIf(w.mean, w.time, w.time <= l.last_event_at - INTERVAL 1 HOUR) AS change
            FROM windows AS w
            INNER JOIN (SELECT run_id, last_event_at FROM runs WHERE {THESE_RUNS}) AS l USING (run_id)
            WHERE window = '5m' AND function = 'total' AND {THESE_RUNS} AND {IN_TIME}
            GROUP BY run_id
        ) AS m USING (run_id)
        LEFT JOIN
        (
            SELECT run_id, argMax(score, (attempt, step)) AS score FROM quality WHERE function = 'total' AND {THESE_RUNS} GROUP BY run_id
        ) AS q USING (run_id)
        LEFT JOIN
        (
            SELECT run_id, argMax(value, step) AS kl FROM trainer_steps WHERE name = 'kl' AND {THESE_RUNS} AND {IN_TIME} GROUP BY run_id
        ) AS k USING (run_id)
        LEFT JOIN
        (
            SELECT run_id, countIf(state IN ('firing', 'recovering')) AS alerts FROM alerts WHERE {THESE_RUNS} GROUP BY run_id
        ) AS a USING (run_id)
        WHERE {THESE_RUNS} AND last_event_at >= $__fromTime AND started_at <= $__toTime
        ORDER BY alerts DESC, r.last_event_at DESC, run
        LIMIT 500
        """,
        size=(24, 10),
    )
    column(made, "run", width=260, link=TO_RUN)
    column(made, "state", width=90, colours=RUN_STATES)
    column(made, "mean", unit=unit("mean"), decimals=3)
    column(made, "Δ 1 h", unit=unit("mean"), decimals=3)
    column(made, "quality", decimals=0)
    return column(made, "kl", unit=grafana_unit(reported("kl").unit), decimals=3)
