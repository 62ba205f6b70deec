"""Is the pipeline itself well: does everything arrive, in time, and whole?"""

from __future__ import annotations

from typing import Any

from reward_dashboards.grafana.board import dashboard, verdicts
from reward_dashboards.grafana.look import AMBER, GREEN, RED, RUN_STATES
from reward_dashboards.grafana.panels import column, judged, lines, number, rows

ARRIVED = "$__timeFilter(append_time)"


def build() -> dict[str, Any]:
    """The dashboard. It has no choice of runs: the pipeline is one."""
    freshness = number(
        "Freshness",
        "How old the newest record is that has landed, by the broker's clock. Ticks keep it young even where no run speaks.",
        "SELECT max(append_time) AS newest, dateDiff('millisecond', newest, now64(3)) AS age FROM event_log WHERE $__timeFilter(append_time) HAVING count() > 0",
        width=6,
    ).unit("ms")
    dead = number("Dead letters", "Messages that could not be used, in this window.",
                  f"SELECT count() AS letters FROM dead_letters WHERE {ARRIVED}", width=6)  # fmt: skip
    gaps = number("Gaps", "Ranges of records that were gone before they were aggregated, in this window.",
                  f"SELECT count() AS gaps FROM gaps WHERE {ARRIVED}", width=6)  # fmt: skip
    quarantined = number(
        "Quarantined runs",
        "Runs that are not aggregated after an error of ours; their raw rewards land on.",
        "SELECT countIf(last = 0) AS runs FROM (SELECT run_id, argMax(released, append_time) AS last FROM quarantines GROUP BY run_id)",
        width=6,
    )
    throughput = lines(
        "Messages by kind",
        "Messages a second that were taken by the broker, by what they are.",
        f"""
        SELECT $__timeInterval(append_time) AS time, kind, count() / $__interval_s AS value
        FROM event_log
        WHERE {ARRIVED}
        GROUP BY time, kind
        ORDER BY time, kind
        """,
        by=("kind",),
    )
    landing = _delays(
        "From Kafka to raw rows", "From a message's arrival in Kafka to its row here.", "event_log", "append_time", "append_time"
    )
    steps = _delays(
        "From the trainer to a step's row",
        "From the latest event of a step, by the sender's clock, to the row of the step. A step waits for all of its senders.",
        "steps",
        "event_time",
        "event_time",
    )
    partitions = lines(
        "Age of the newest record by partition",
        "From the arrival of the newest record of each partition until the end of each interval: it grows where one stands still.",
        f"""
        SELECT $__timeInterval(append_time) AS time, toString(partition) AS partition,
            dateDiff('millisecond', max(append_time), toDateTime64(time, 3) + toIntervalSecond($__interval_s)) AS value
        FROM event_log AS e
        WHERE {ARRIVED}
        GROUP BY time, partition
        ORDER BY time, partition
        """,
        by=("partition",),
    )
    return dashboard(
        "health",
        "Reward monitor · pipeline",
        "Is the pipeline itself well: does everything arrive, in time, and whole?",
        [],
        [
            verdicts("1"),
            judged(freshness, (None, GREEN), (60_000, AMBER), (300_000, RED)),
            judged(dead, (None, GREEN), (1, AMBER), (100, RED)),
            judged(gaps, (None, GREEN), (1, RED)),
            judged(quarantined, (None, GREEN), (1, RED)),
            throughput.unit("wps"),
            _rewards(),
            landing,
            steps,
            partitions.unit("ms"),
            _late(),
            _runs(),
        ],
        Rejects=[_letters(), _quarantines()],
        Batches=[_batches()],
    )


def _delays(title: str, description: str, view: str, since: str, time: str) -> Any:
    made = lines(
        title,
        description + " Half, and 99 %, took no longer.",
        f"""
        SELECT $__timeInterval({time}) AS time, quantileExact(0.5)(delay) AS p50, quantileExact(0.99)(delay) AS p99
        FROM (SELECT {time}, dateDiff('millisecond', {since}, landed_at) AS delay FROM {view} WHERE $__timeFilter({time}))
        GROUP BY time
        ORDER BY time
        """,
        by=(),
    )
    return made.unit("ms")


def _rewards() -> Any:
    made = lines(
        "Rewards by function",
        "Finite rewards a second, by reward function, over all runs.",
        """
        SELECT $__timeInterval(event_time) AS time, function, sum(count) / $__interval_s AS value
        FROM windows
        WHERE window = '10s' AND function != 'total' AND $__timeFilter(event_time)
        GROUP BY time, function
        ORDER BY time, function
        """,
        by=("function",),
    )
    return made.unit("ops").interval("10s")  # what its rows span


def _batches() -> Any:
    made = lines(
        "Messages landed together",
        "Messages of one insert: many while it catches up, few while it waits for them. Half had no more than this, and the largest.",
        f"""
        SELECT $__timeInterval(arrived) AS time, quantileExact(0.5)(messages) AS p50, max(messages) AS largest
        FROM (
            SELECT landed_at, min(append_time) AS arrived, count() AS messages
            FROM event_log
            WHERE {ARRIVED}
            GROUP BY landed_at
        )
        GROUP BY time
        ORDER BY time
        """,
        by=(),
    )
    return made.unit("short")


def _late() -> Any:
    made = lines(
        "Late messages",
        "Messages that came after their step or slot had closed: amended are in the measures, raw only in the rewards alone.",
        f"""
        SELECT $__timeInterval(append_time) AS time, fate, count() AS value
        FROM late_events
        WHERE {ARRIVED}
        GROUP BY time, fate
        ORDER BY time, fate
        """,
        by=("fate",),
    )
    return made.unit("short")


def _runs() -> Any:
    made = rows(
        "What each run lost",
        "Messages of each run: missing were sent and have not come, sender dropped never left the trainer.",
        """
        SELECT run_id AS run, state, senders_active AS senders, senders_expected AS expected, received, duplicates, missing, late,
            invalid, refused, sender_dropped AS "sender dropped", arrayStringConcat(arrayMap(r -> toString(r), silent_ranks), ', ') AS "silent ranks"
        FROM runs
        WHERE last_event_at >= $__fromTime AND started_at <= $__toTime
        ORDER BY missing + invalid + refused + ifNull(sender_dropped, 0) DESC, last_event_at DESC, run
        LIMIT 200
        """,
        size=(24, 8),
    )
    return column(made, "state", width=90, colours=RUN_STATES)


def _letters() -> Any:
    return rows(
        "What could not be used",
        "Messages that could not be used: what is wrong, why, and where they lie.",
        f"""
        SELECT append_time AS time, source, run_id AS run, rank, field, reason, partition, offset, payload_bytes AS bytes
        FROM dead_letters
        WHERE {ARRIVED}
        ORDER BY time DESC, partition, offset DESC
        LIMIT 500
        """,
    )


def _quarantines() -> Any:
    return rows(
        "Quarantines",
        "Runs that made the fold fail, and their releases.",
        f"""
        SELECT append_time AS time, run_id AS run, if(released, 'released', 'quarantined') AS event, error
        FROM quarantines
        WHERE {ARRIVED}
        ORDER BY time DESC
        LIMIT 500
        """,
    )
