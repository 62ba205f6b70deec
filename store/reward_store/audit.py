"""The proof that what landed is what was sent: offsets without a hole, and sums recomputed from the raw rewards.

for problem in audit(client): print(problem)
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from reward_engine import bounds
from reward_engine.measuring import COLUMNS

from reward_store import recompute
from reward_store.client import Client
from reward_store.recompute import Row


@dataclass(frozen=True)
class Problem:
    """What does not agree. kind: "offsets" | "log" | "sums"; place: where; what: in words."""

    kind: str
    place: str
    what: str


def audit(client: Client, *, steps: int = 200) -> list[Problem]:
    """Problems of everything that the lander keeps, and of the sums of the `steps` steps that closed last, both
    within the newest day of the log, so that retention isn't taken for a loss. Empty: none."""
    return [*_holes(client), *_log(client), *_sums(client, steps)]


def landed_ends(client: Client, epoch: int) -> dict[tuple[str, int], int]:
    """By topic ("events" or "results") and partition, the offset after the last record that was landed."""
    sql = f"SELECT topic, partition, max(to_offset) FROM {client.settings.tables}.ingest_audit WHERE epoch = {{e:UInt32}} GROUP BY 1, 2"
    return {(topic, partition): end for topic, partition, end in client.query(sql, e=epoch)}


def _holes(client: Client) -> list[Problem]:
    """Offsets that no batch covers, between the first and the last that were landed."""
    sql = f"""
        SELECT topic, epoch, partition, through, from_offset FROM
        (
            SELECT topic, epoch, partition, from_offset, row_number() OVER places AS nth,
                max(to_offset) OVER (places ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS through
            FROM {client.settings.tables}.ingest_audit FINAL
            WINDOW places AS (PARTITION BY topic, epoch, partition ORDER BY from_offset)
        )
        WHERE nth > 1 AND from_offset > through ORDER BY 1, 2, 3, 4"""
    return [
        Problem("offsets", f"{topic} epoch {epoch} partition {partition}", f"records {through} to {start - 1} were never landed")
        for topic, epoch, partition, through, start in client.query(sql)
    ]


def _log(client: Client) -> list[Problem]:
    """Records of the newest day that were landed and are not in `event_log`."""
    tables = client.settings.tables
    sql = f"""
        SELECT epoch, partition, stored, end - first AS landed FROM
        (
            SELECT epoch, partition, uniqExact(offset) AS stored, min(offset) AS first FROM {tables}.event_log
            WHERE append_time > (SELECT max(append_time) - INTERVAL 1 DAY FROM {tables}.event_log) GROUP BY epoch, partition
        ) AS log
        INNER JOIN
        (
            SELECT epoch, partition, max(to_offset) AS end FROM {tables}.ingest_audit WHERE topic = 'events' GROUP BY epoch, partition
        ) AS audit USING (epoch, partition)
        WHERE stored < landed ORDER BY 1, 2"""
    return [
        Problem("log", f"events epoch {epoch} partition {partition}", f"of {landed} newest records event_log has {stored}")
        for epoch, partition, stored, landed in client.query(sql)
    ]


def _sums(client: Client, steps: int) -> list[Problem]:
    """Steps whose rows are not what the fold makes of their raw rewards. Left out: rows of another fold or with a flag, and
    runs that were quarantined."""
    tables = client.settings.tables
    sql = f"""
        SELECT run_id, kind, attempt, slot, any(epoch), any(partition), any(offset),
            groupArray((series, sketch_values, sketch_counts, partners, products, {", ".join(COLUMNS)}))
        FROM {tables}.pane_rows FINAL
        WHERE kind IN ('reward', 'completion') AND window = 'step' AND closed AND empty(flags) AND generation = {{fold:UInt32}}
            AND run_id NOT IN (SELECT run_id FROM {tables}.quarantine_rows)
            AND append_time > (SELECT max(append_time) - INTERVAL 1 DAY FROM {tables}.ingest_audit)
        GROUP BY run_id, kind, attempt, slot ORDER BY any(append_time) DESC, run_id, slot, kind LIMIT {{rows:UInt32}}
        SETTINGS do_not_merge_across_partitions_select_final = 1"""
    ends: dict[int, dict[tuple[str, int], int]] = {}
    problems = []
    for run_id, kind, attempt, step, epoch, partition, offset, rows in client.query(
        sql, fold=bounds.FOLD_GENERATION, rows=2 * steps
    ):
        ends.setdefault(epoch, landed_ends(client, epoch))
        if ends[epoch].get(("events", partition), 0) <= offset:
            continue  # its raw rewards are still on their way
        raw = recompute.raw(client, run_id, attempt, step, offset)
        if raw is None:
            continue
        again = recompute.step(raw, kind)
        for series, values, counts, partners, products, *columns in sorted(rows, key=itemgetter(0)):
            landed = Row(
                np.array(columns, np.float64), (np.array(values), np.array(counts)), dict(zip(partners, products, strict=True))
            )
            if told := recompute.differences(landed, again.row(series)):
                problems.append(Problem("sums", f"run {run_id} step {step} attempt {attempt} {kind} {series}", told))
    return problems
