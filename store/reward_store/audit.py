"""The proof that what landed is what was sent: offsets without a hole, and sums recomputed from the raw rewards.

for problem in audit(client): print(problem)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from reward_engine.observe import with_total
from reward_engine.sums import INDEX, Block, empty, merged, reduce
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Role, Rollout

from reward_store.client import Client

_EXACT = ("count", "missing", "not_scored", "non_finite", "minimum", "maximum")
_RELATIVE = 1e-9  # of moments: another order of additions


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
    """Steps whose sums are not those of their raw rewards. Left out: steps with a flag, runs that were quarantined."""
    tables = client.settings.tables
    sql = f"""
        SELECT run_id, attempt, slot, any(epoch), any(partition), any(offset) AS caused, groupArray((series, {", ".join(INDEX)}))
        FROM {tables}.pane_rows FINAL
        WHERE kind = 'reward' AND window = 'step' AND closed AND empty(flags)
            AND run_id NOT IN (SELECT run_id FROM {tables}.quarantine_rows)
            AND append_time > (SELECT max(append_time) - INTERVAL 1 DAY FROM {tables}.ingest_audit)
        GROUP BY run_id, attempt, slot ORDER BY any(append_time) DESC, run_id, slot LIMIT {{steps:UInt32}}
        SETTINGS do_not_merge_across_partitions_select_final = 1"""
    ends: dict[int, dict[tuple[str, int], int]] = {}
    problems = []
    for run_id, attempt, step, epoch, partition, offset, series in client.query(sql, steps=steps):
        ends.setdefault(epoch, landed_ends(client, epoch))
        if ends[epoch].get(("events", partition), 0) <= offset:
            continue  # its raw rewards are still on their way
        landed = {name: np.array(sums, np.float64) for name, *sums in series}
        raw = _raw(client, run_id, attempt, step, offset)
        recomputed = _recomputed(raw)
        place = f"run {run_id} step {step} attempt {attempt}"
        for name, sums in sorted(landed.items()):
            again = recomputed.get(name, empty(1)[0])
            if differing := [s for s in INDEX if not _agree(s, sums[INDEX[s]], again[INDEX[s]], sums[INDEX["count"]])]:
                told = ", ".join(f"{s} {sums[INDEX[s]]}, from raw {again[INDEX[s]]}" for s in differing)
                problems.append(Problem("sums", f"{place} function {name}", told))
    return problems


def _raw(client: Client, run_id: str, attempt: int, step: int, through: int) -> pa.Table:
    """The rollouts that the fold took into a step, in the order of the log: not those it refused or that came too late."""
    tables = client.settings.tables
    who = "run_id = {run:String}"
    return client.query_arrow(
        f"""
        SELECT functions, weights, roles, rewards, status, length(`group`) AS n FROM {tables}.rollouts FINAL
        WHERE {who} AND attempt = {{attempt:UInt32}} AND step = {{step:Int64}} AND offset <= {{through:Int64}}
            AND (rank, session, seq) NOT IN
                (SELECT rank, session, seq FROM {tables}.late_event_rows WHERE {who} AND axis = 'step' AND fate = 'raw only')
            AND (rank, session, seq) NOT IN (SELECT rank, session, seq FROM {tables}.dead_letter_rows WHERE {who} AND source = 'events')
        ORDER BY offset SETTINGS do_not_merge_across_partitions_select_final = 1""",
        run=run_id, attempt=attempt, step=step, through=through,
    )  # fmt: skip


def _recomputed(raw: pa.Table) -> dict[str, np.ndarray]:
    """float64[sums] of each function and of the total."""
    tables = defaultdict(list)
    for i in range(raw.num_rows):
        column = {name: raw[name][i].values if name != "n" else raw[name][i].as_py() for name in raw.column_names}
        named = zip(column["functions"].to_pylist(), column["weights"].to_pylist(), column["roles"].to_pylist(), strict=True)
        functions = tuple(
            RewardFunction(name, weight, Role.AUDIT if role == "audit" else Role.TRAINED) for name, weight, role in named
        )
        shape = (len(functions), column["n"])
        status = column["status"].to_numpy(zero_copy_only=False)
        body = Rollout(
            step=0,
            table=function_table(functions),
            rewards=column["rewards"].to_numpy(zero_copy_only=False).reshape(shape),
            group=np.empty(0),
            status=status.reshape(shape) if status.size else None,
        )
        names = ["total", *body.table.names]
        for name, sums in zip(names, reduce(Block(*with_total(body))), strict=True):
            tables[name].append(sums[None])
    return {name: merged(parts)[0] for name, parts in tables.items()}


def _agree(name: str, landed: float, again: float, count: float) -> bool:
    if name in _EXACT or landed == again:
        return landed == again
    return bool(np.isclose(landed, again, rtol=_RELATIVE, atol=_RELATIVE * max(count, 1.0)))
