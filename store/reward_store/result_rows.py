"""Rows of the results topic: each kind of result and its table. Pure: bytes and messages in, Arrow out."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt, nan
from typing import Any

import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError
from reward_engine.measuring import COLUMNS as NAMES
from reward_schemas.results_pb2 import PaneRow, Result

from reward_store import columns
from reward_store.alert_rows import alert_rows
from reward_store.event_rows import Arrived
from reward_store.origin import origin
from reward_store.verdict_rows import detection_rows, quality_rows, verdict_rows

_PAYLOAD_BYTES_MAX = 65_536


class Malformed(ValueError):
    """A result that can't be landed, and why."""


def read_result(value: bytes | None) -> Result:
    """The result of a message; raises Malformed for what isn't one, or doesn't fit in itself."""
    try:
        result = Result.FromString(value or b"")
    except DecodeError as error:
        raise Malformed(f"not a protobuf message of this schema ({error})") from None
    kind = result.WhichOneof("kind")
    if kind not in _KINDS:
        raise Malformed("of a kind that this version doesn't know: update the lander")
    if not (result.epoch < 2**8 and result.generation < 2**12 and 0 <= result.offset < 2**44):
        raise Malformed(f"epoch {result.epoch}, generation {result.generation}, offset {result.offset} don't fit a version")
    if kind == "pane":
        _check_pane(result.pane)
    return result


def _check_pane(pane: PaneRow) -> None:
    series = len(pane.series)
    if not series or len({series, len(pane.weights), len(pane.roles)}) != 1:
        raise Malformed(f"{series} series with {len(pane.weights)} weights, {len(pane.roles)} roles")
    if len(pane.values) != 8 * series * len(pane.sums):
        raise Malformed(f"{len(pane.values)} bytes of values for {series} series of {len(pane.sums)} sums")
    # An older fold said nothing of ranges, sketches and products; nor do the rows of longer windows of the last two.
    if {len(pane.lo), len(pane.hi)} not in ({0}, {series}) or len(pane.sketch_sizes) not in (0, series):
        raise Malformed(f"{series} series with {len(pane.lo)}, {len(pane.hi)} ends and {len(pane.sketch_sizes)} sketches")
    sketched = sum(pane.sketch_sizes)
    if not len(pane.sketch_values) == len(pane.sketch_counts) == 4 * sketched:
        raise Malformed(
            f"{len(pane.sketch_values)}, {len(pane.sketch_counts)} bytes of sketches for {sketched} values and their counts"
        )
    if (partners := _partners(pane)) > series or len(pane.products) != 8 * partners**2:
        raise Malformed(f"{len(pane.products)} bytes of products for {series} series")


def _partners(pane: PaneRow) -> int:
    """How many series, the first, have products with each other."""
    return isqrt(len(pane.products) // 8)


def unreadable(records: Sequence[Arrived], reasons: Sequence[str], epoch: int) -> pa.Table:
    """Rows of `dead_letter_rows` for records of the results topic that `read_result` refused."""
    rows = len(records)
    values = [r.value or b"" for r in records]
    return pa.table(
        {
            "source": pa.array(["results"] * rows, pa.string()),
            "epoch": pa.array([epoch] * rows, pa.uint32()),
            "partition": pa.array([r.partition for r in records], pa.uint32()),
            "offset": pa.array([r.offset for r in records], pa.int64()),
            "run_id": pa.array([(r.key or b"").decode(errors="replace") for r in records], pa.string()),
            "field": pa.array(["result"] * rows, pa.string()),
            "reason": pa.array(list(reasons), pa.string()),
            "payload": pa.array([value[:_PAYLOAD_BYTES_MAX] for value in values], pa.binary()),
            "payload_bytes": pa.array([len(value) for value in values], pa.uint64()),
            "append_time": columns.instants([r.append_time_ms for r in records]),
        }
    )


def pane_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each series of each pane or window. Sums that this version doesn't know are left out; missing ones are NULL."""
    panes = [result.pane for result in results]
    sizes = [len(pane.series) for pane in panes]
    take = pa.array(np.repeat(np.arange(len(panes), dtype=np.int32), sizes))
    run_ids = [result.run_id for result in results]
    each = {
        "run_id": pa.array(run_ids, pa.string()),
        **{n: pa.array([getattr(pane, n) for pane in panes], t) for n, t in _PANE.items()},
        "flags": columns.lists([pane.flags for pane in panes], pa.string()),
        "event_time": columns.instants([pane.event_time_ms for pane in panes]),
        **origin(results),
        "month": columns.months(run_ids),
    }
    table = {name: column.take(take) for name, column in each.items()}
    for name, of, kind in (
        ("series", "series", pa.string()),
        ("weight", "weights", pa.float64()),
        ("role", "roles", pa.string()),
    ):
        table[name] = pa.array([value for pane in panes for value in getattr(pane, of)], kind)
    for end in ("lo", "hi"):
        table[end] = columns.known([value for pane in panes for value in getattr(pane, end) or [nan] * len(pane.series)])
    return pa.table(table | _sketches(panes) | _products(panes) | _sums(panes))


def _sketches(panes: Sequence[PaneRow]) -> dict[str, pa.Array]:
    sizes = [size for pane in panes for size in pane.sketch_sizes or [0] * len(pane.series)]
    return {
        "sketch_values": columns.parts(b"".join(pane.sketch_values for pane in panes), "<f4", sizes),
        "sketch_counts": columns.parts(b"".join(pane.sketch_counts for pane in panes), "<u4", sizes),
    }


def _products(panes: Sequence[PaneRow]) -> dict[str, pa.Array]:
    """A matrix of s x s is, row by row, the products of each of the first s series; those after them have none."""
    square = [_partners(pane) for pane in panes]
    sizes = [s if row < s else 0 for pane, s in zip(panes, square, strict=True) for row in range(len(pane.series))]
    names = columns.lists([*(pane.series[:s] for pane, s in zip(panes, square, strict=True)), []], pa.string())
    of_pane = np.repeat(np.arange(len(panes)), [len(pane.series) for pane in panes])
    return {
        "partners": names.take(pa.array(np.where(np.array(sizes) > 0, of_pane, len(panes)))),
        "products": columns.parts(b"".join(pane.products for pane in panes), "<f8", sizes),
    }


def _sums(panes: Sequence[PaneRow]) -> dict[str, pa.Array]:
    if all(tuple(pane.sums) == NAMES for pane in panes):  # nearly always: the fold's sums are ours
        values = np.frombuffer(b"".join(pane.values for pane in panes), "<f8").reshape(-1, len(NAMES))
        return {name: columns.known(values[:, i]) for i, name in enumerate(NAMES)}
    parts: dict[str, list[pa.Array]] = {name: [] for name in NAMES}
    for pane in panes:
        values = np.frombuffer(pane.values, "<f8").reshape(len(pane.series), len(pane.sums))
        at = {name: i for i, name in enumerate(pane.sums)}
        for name, column in parts.items():
            column.append(columns.known(values[:, at[name]]) if name in at else pa.nulls(len(pane.series), pa.float64()))
    return {name: pa.concat_arrays(column) for name, column in parts.items()}


def run_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each run's state."""
    runs = [result.run for result in results]
    return pa.table(
        {
            "run_id": pa.array([result.run_id for result in results], pa.string()),
            **{n: pa.array([getattr(run, n) for run in runs], t) for n, t in _RUN.items()},
            "started_at": columns.instants([run.started_ms for run in runs]),
            "last_event_at": columns.instants([run.last_event_ms for run in runs]),
            "tags": pa.array([list(run.tags.items()) for run in runs], pa.map_(pa.string(), pa.string())),
            "counts": pa.array([list(run.counts.items()) for run in runs], pa.map_(pa.string(), pa.uint64())),
            "silent_ranks": columns.lists([run.silent_ranks for run in runs], pa.uint32()),
            "flags": columns.lists([run.flags for run in runs], pa.string()),
            **origin(results),
        }
    )


def late_event_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each late message and axis."""
    return _plain(results, [result.late_event for result in results], _LATE)


def dead_letter_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each message of a sender that could not be used."""
    table = _plain(results, [result.dead_letter for result in results], _DEAD)
    return table.append_column("source", pa.array(["events"] * len(results), pa.string()))


def gap_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each range of records that no fold saw."""
    return _plain(results, [result.gap for result in results], _GAP).drop_columns(["run_id"])


def quarantine_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each quarantine or release."""
    return _plain(results, [result.quarantine for result in results], _QUARANTINE)


def _plain(results: Sequence[Result], bodies: Sequence[Any], fields: dict[str, pa.DataType]) -> pa.Table:
    return pa.table(
        {
            "run_id": pa.array([result.run_id for result in results], pa.string()),
            **{n: pa.array([getattr(body, n) for body in bodies], t) for n, t in fields.items()},
            **origin(results),
        }
    )


_TEXT, _U32, _U64, _I64, _FLAG = pa.string(), pa.uint32(), pa.uint64(), pa.int64(), pa.bool_()
_PANE = {
    "kind": _TEXT, "window": _TEXT, "slot": _I64, "attempt": _U32,
    "closed": _FLAG, "reported": _U32, "expected": _U32, "panes": _U32,
}  # fmt: skip
_RUN = {
    "state": _TEXT, "attempt": _U32, "project": _TEXT, "trainer": _TEXT, "config_json": _TEXT,
    "last_step": _I64, "expected": _U32, "active": _U32, "reason": _TEXT,
}  # fmt: skip
_LATE = {
    "attempt": _U32, "rank": _U32, "session": _U64, "seq": _U64, "axis": _TEXT, "kind": _TEXT,
    "slot": _I64, "lateness": _I64, "fate": _TEXT,
}  # fmt: skip
_DEAD = {
    "rank": _U32, "session": _U64, "seq": _U64, "field": _TEXT, "reason": _TEXT,
    "payload": pa.binary(), "payload_bytes": _U64,
}  # fmt: skip
_GAP = {"from_offset": _I64, "to_offset": _I64, "reason": _TEXT}
_QUARANTINE = {"released": _FLAG, "error": _TEXT, "traceback": _TEXT}

# The kind of a result, a table and what makes its rows, in the order of landing: a run's state comes after its rows.
TABLES = (
    ("pane", "pane_rows", pane_rows),
    ("late_event", "late_event_rows", late_event_rows),
    ("dead_letter", "dead_letter_rows", dead_letter_rows),
    ("gap", "gap_rows", gap_rows),
    ("quarantine", "quarantine_rows", quarantine_rows),
    ("verdict", "detection_rows", detection_rows),
    ("verdict", "quality_rows", quality_rows),
    ("verdict", "verdict_rows", verdict_rows),
    ("alert", "alert_rows", alert_rows),
    ("run", "run_rows", run_rows),
)
_KINDS = {kind for kind, _, _ in TABLES}
