"""Bytes of events: the inverse of `parse`. Trainers, partition owners and tests write the log through here alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import numpy as np

from reward_schemas import events_pb2 as pb
from reward_schemas.events import (
    SCHEMA_VERSION,
    Body,
    Control,
    Event,
    FunctionTable,
    RewardFunction,
    Role,
    Rollout,
    RunEvent,
    SenderReport,
    Tick,
    TrainerStep,
)


@lru_cache(maxsize=1024)
def function_table(functions: tuple[RewardFunction, ...]) -> FunctionTable:
    """The table of these functions, with its bytes and weights."""
    weights = np.array([f.weight if f.role is Role.TRAINED else 0.0 for f in functions])
    weights.flags.writeable = False
    return FunctionTable(_table_message(functions).SerializeToString(deterministic=True), functions, weights)


def encode_event(event: Event) -> bytes:
    """The message of an event. Vectors are written as they are, little-endian, without a conversion of their type."""
    identity = event.identity
    message = pb.Envelope(
        schema_version=SCHEMA_VERSION,
        run_id=identity.run_id,
        attempt=identity.attempt,
        rank=identity.rank,
        session=identity.session,
        seq=identity.seq,
        event_time_ms=event.event_time_ms,
        senders=event.senders,
    )
    _WRITERS[type(event.body)](message, event.body)
    return message.SerializeToString()


def encode_control(control: Control) -> bytes:
    """The message of a control record."""
    message = pb.Envelope(schema_version=SCHEMA_VERSION)
    if isinstance(control, Tick):
        message.tick.SetInParent()
    else:
        message.rule_switch.version = control.version
    return message.SerializeToString()


def _rollout(message: pb.Envelope, body: Rollout) -> None:
    out = message.rollout
    out.step = body.step
    out.more = body.more
    out.completions = body.rewards.shape[1]
    out.functions = body.table.raw
    out.rewards = _bytes(body.rewards, "<f4")
    out.status = _bytes(body.status, "u1")
    out.group = _bytes(body.group, "<i4")
    out.length = _bytes(body.length, "<i4")
    out.advantage = _bytes(body.advantage, "<f4")
    out.truncated = _bytes(body.truncated, "u1")
    out.group_size = body.group_size
    out.columns.extend(pb.Column(name=name, values=_bytes(column, "<f4")) for name, column in body.columns.items())


def _trainer_step(message: pb.Envelope, body: TrainerStep) -> None:
    message.trainer_step.step = body.step
    message.trainer_step.scalars.extend(pb.Scalar(name=name, value=value) for name, value in body.scalars.items())


def _run_event(message: pb.Envelope, body: RunEvent) -> None:
    out = message.run_event
    out.state = cast("pb.RunEvent.State", body.state)  # its numbers are protobuf's
    out.project, out.trainer, out.config_json, out.reason = body.project, body.trainer, body.config_json, body.reason
    out.tags.update(body.tags)
    if body.functions:
        out.functions.CopyFrom(_table_message(body.functions))


def _sender_report(message: pb.Envelope, body: SenderReport) -> None:
    out = message.sender_report
    out.accepted, out.spooled = body.accepted, body.spooled
    out.dropped.update(body.dropped)
    out.SetInParent()


_WRITERS: dict[type[Body], Callable[[pb.Envelope, Any], None]] = {
    Rollout: _rollout,
    TrainerStep: _trainer_step,
    RunEvent: _run_event,
    SenderReport: _sender_report,
}


def _table_message(functions: tuple[RewardFunction, ...]) -> pb.FunctionTable:
    return pb.FunctionTable(functions=map(_function_message, functions))


def _function_message(of: RewardFunction) -> pb.RewardFunction:
    role, kind = cast("pb.RewardFunction.Role", of.role), cast("pb.RewardFunction.Kind", of.kind)  # their numbers are protobuf's
    return pb.RewardFunction(name=of.name, weight=of.weight, role=role, kind=kind, lo=of.lo, hi=of.hi)


def _bytes(vector: np.ndarray | None, dtype: str) -> bytes:
    return b"" if vector is None else np.ascontiguousarray(vector, dtype=dtype).tobytes()
