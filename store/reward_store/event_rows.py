"""Rows of the events topic: every record for `event_log`, and the raw vectors of rollouts. Pure: bytes and events in, Arrow out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
from reward_schemas.events import (
    Control,
    Event,
    InvalidEvent,
    Role,
    Rollout,
    RuleSwitch,
    RunEvent,
    SenderReport,
    Tick,
    TrainerStep,
)

from reward_store import columns

_ALL_BITS = 2**64 - 1


class Arrived(NamedTuple):
    """A record of a topic as the broker hands it out."""

    partition: int
    offset: int
    append_time_ms: int
    key: bytes | None
    value: bytes | None

    @property
    def size(self) -> int:
        """Bytes that it holds, about."""
        return len(self.value or b"") + len(self.key or b"") + 100


_KINDS = {
    Rollout: "rollout",
    TrainerStep: "trainer_step",
    RunEvent: "run_event",
    SenderReport: "sender_report",
    Tick: "tick",
    RuleSwitch: "rule_switch",
    InvalidEvent: "invalid",
}


def kind_of(event: Event | Control | InvalidEvent) -> str:
    """The word for it in `event_log`."""
    return _KINDS[type(event.body if isinstance(event, Event) else event)]


def event_log(records: Sequence[Arrived], events: Sequence[Event | Control | InvalidEvent], epoch: int) -> pa.Table:
    """A row for each record; events[i] is what records[i] says."""
    return pa.table(
        {
            "epoch": _constant(epoch, len(records)),
            "partition": pa.array([r.partition for r in records], pa.uint32()),
            "offset": pa.array([r.offset for r in records], pa.int64()),
            "append_time": columns.instants([r.append_time_ms for r in records]),
            "key": pa.array([r.key or b"" for r in records], pa.binary()),
            "kind": pa.array([kind_of(event) for event in events], pa.string()),
            "payload": pa.array([r.value or b"" for r in records], pa.binary()),
        }
    )


def rollouts(records: Sequence[Arrived], events: Sequence[Event], epoch: int) -> pa.Table:
    """A row for each rollout with its raw vectors, bit for bit; the body of events[i], of records[i], is a `Rollout`."""
    who = [event.identity for event in events]
    bodies = cast("list[Rollout]", [event.body for event in events])
    keys = [body.table.raw for body in bodies]
    functions = {body.table.raw: body.table.functions for body in bodies}
    run_ids = [identity.run_id for identity in who]
    return pa.table(
        {
            "run_id": pa.array(run_ids, pa.string()),
            "step": pa.array([body.step for body in bodies], pa.int64()),
            "attempt": pa.array([identity.attempt for identity in who], pa.uint32()),
            "rank": pa.array([identity.rank for identity in who], pa.uint32()),
            "session": pa.array([identity.session for identity in who], pa.uint64()),
            "seq": pa.array([identity.seq for identity in who], pa.uint64()),
            "event_time": columns.instants([event.event_time_ms for event in events]),
            "more": pa.array([body.more for body in bodies], pa.bool_()),
            "functions": columns.repeated(keys, {k: [f.name for f in fs] for k, fs in functions.items()}, pa.string()),
            "weights": columns.repeated(keys, {k: [f.weight for f in fs] for k, fs in functions.items()}, pa.float64()),
            "roles": columns.repeated(keys, {k: [_role(f.role) for f in fs] for k, fs in functions.items()}, pa.string()),
            "lo": columns.repeated(keys, {k: [f.lo for f in fs] for k, fs in functions.items()}, pa.float64()),
            "hi": columns.repeated(keys, {k: [f.hi for f in fs] for k, fs in functions.items()}, pa.float64()),
            "rewards": columns.vectors([body.rewards for body in bodies], "<f4"),
            "status": columns.vectors([body.status for body in bodies], "u1"),
            "group": columns.vectors([body.group for body in bodies], "<i4"),
            "group_size": pa.array([body.group_size for body in bodies], pa.uint32()),
            "length": columns.vectors([body.length for body in bodies], "<i4"),
            "advantage": columns.vectors([body.advantage for body in bodies], "<f4"),
            "truncated": columns.vectors([body.truncated for body in bodies], "u1"),
            "columns": columns.lists([list(body.columns) for body in bodies], pa.string()),
            "column_values": columns.vectors([_stacked(body.columns) for body in bodies], "<f4"),
            "append_time": columns.instants([r.append_time_ms for r in records]),
            "epoch": _constant(epoch, len(records)),
            "partition": pa.array([r.partition for r in records], pa.uint32()),
            "offset": pa.array([r.offset for r in records], pa.int64()),
            "month": columns.months(run_ids),
            # Of a message that was sent twice the fold takes the first, so here the first has the greatest version.
            "version": pa.array([_ALL_BITS - (epoch << 56 | r.offset) for r in records], pa.uint64()),
        }
    )


def _stacked(named: dict[str, np.ndarray]) -> np.ndarray | None:
    return np.concatenate([*named.values()]) if named else None


def _role(role: Role) -> str:
    return "audit" if role is Role.AUDIT else "trained"


def _constant(value: int, rows: int) -> pa.Array:
    return pa.array(np.full(rows, value, np.uint32))
