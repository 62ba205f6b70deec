"""The door: bytes of the events topic become an event, a control record or an `InvalidEvent`. Inside, nothing re-validates."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from functools import lru_cache
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from reward_schemas import events_pb2 as pb
from reward_schemas.encode import function_table
from reward_schemas.events import (
    COLUMNS_MAX,
    COUNT_MAX,
    FUNCTIONS_MAX,
    GROUP_SIZE_MAX,
    NAME_BYTES_MAX,
    RANK_MAX,
    SCALARS_MAX,
    SCHEMA_VERSION,
    SEQ_MAX,
    STEP_MAX,
    TABLE_BYTES_MAX,
    TAGS_MAX,
    TEXT_BYTES_MAX,
    TIME_MAX_MS,
    TOTAL,
    Body,
    Control,
    Event,
    FunctionTable,
    Identity,
    InvalidEvent,
    Kind,
    RewardFunction,
    Role,
    Rollout,
    RuleSwitch,
    RunEvent,
    RunState,
    SenderReport,
    Status,
    Tick,
    TrainerStep,
)


class Refused(ValueError):
    """A value that the door refuses: `field` and `reason`, both for a person to read."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


def parse(key: bytes | None, value: bytes | None) -> Event | Control | InvalidEvent:
    """What a message of the events topic says; never raises.

    key: the message's key; a trainer's message is keyed by its run, so that a run stays on one partition.
    """
    payload = value or b""
    identity = None
    try:
        message = pb.Envelope.FromString(payload)
        kind = message.WhichOneof("kind")
        if kind in _CONTROL:
            return _CONTROL[kind](message)
        identity = _identity(message, key)
        if kind not in _BODIES:
            raise Refused("kind", f"none that this version knows (schema {SCHEMA_VERSION}; sent with {message.schema_version})")
        body = _BODIES[kind](getattr(message, kind))
        return Event(identity, _event_time(message), _within("senders", message.senders, RANK_MAX + 1), body)
    except (DecodeError, UnicodeDecodeError) as error:  # the second from protobuf without its C code
        return InvalidEvent("message", f"not a protobuf message of this schema ({error})", payload)
    except Refused as error:
        return InvalidEvent(error.field, error.reason, payload, identity)


def check_name(field: str, name: str) -> str:
    """A name of at most 512 bytes of UTF-8 that is not empty; raises `Refused`."""
    try:
        size = len(name.encode())
    except (AttributeError, UnicodeEncodeError):  # not a string, or with half of a surrogate pair in it
        raise Refused(field, f"{name!r:.60}, text that UTF-8 can encode is needed") from None
    if not size:
        raise Refused(field, "empty")
    if size > NAME_BYTES_MAX:
        raise Refused(field, f"{size} bytes long, at most {NAME_BYTES_MAX} are taken: {name[:40]}...")
    return name


def check_functions(functions: tuple[RewardFunction, ...]) -> tuple[RewardFunction, ...]:
    """Reward functions with distinct, usable names and finite weights; raises `Refused`."""
    if not 1 <= len(functions) <= FUNCTIONS_MAX:
        raise Refused("functions", f"{len(functions)} reward functions, 1 to {FUNCTIONS_MAX} are taken")
    seen = set()
    for function in functions:
        name = check_name("functions.name", function.name)
        if name == TOTAL:
            raise Refused("functions.name", f"{TOTAL!r} is the name of the weighted sum; call the function otherwise")
        if name in seen:
            raise Refused("functions.name", f"{name!r} stands twice")
        seen.add(name)
        if not math.isfinite(function.weight):
            raise Refused("functions.weight", f"{function.weight} for {name!r}, a finite number is needed")
        ends = [end for end in (function.lo, function.hi) if end is not None]
        if not all(map(math.isfinite, ends)) or (len(ends) == 2 and not ends[0] < ends[1]):
            raise Refused("functions.lo", f"range {function.lo} to {function.hi} for {name!r}, lo < hi is needed")
    return functions


def _identity(message: pb.Envelope, key: bytes | None) -> Identity:
    run_id = check_name("run_id", message.run_id)
    rank, seq = _within("rank", message.rank, RANK_MAX), _within("seq", message.seq, SEQ_MAX)
    identity = Identity(run_id, message.attempt, rank, message.session, seq)
    if key != run_id.encode():
        reason = f"{(key or b'')[:60]!r}, the run's id {run_id[:60]!r} is needed: the run would lie on two partitions"
        raise Refused("key", reason)
    return identity


def _event_time(message: pb.Envelope) -> int:
    return _within("event_time_ms", message.event_time_ms, TIME_MAX_MS, least=1)


def _within(field: str, value: int, most: int, least: int = 0) -> int:
    if not least <= value <= most:
        raise Refused(field, f"{value}, {least} to {most} is taken")
    return value


@lru_cache(maxsize=4096)
def _table(raw: bytes) -> FunctionTable:
    try:
        message = pb.FunctionTable.FromString(raw)
    except (DecodeError, UnicodeDecodeError) as error:
        raise Refused("functions", f"not a function table ({error})") from None
    functions = _functions(message)
    if len(raw) > TABLE_BYTES_MAX:
        raise Refused("functions", f"a table of {len(raw)} bytes, at most {TABLE_BYTES_MAX} are taken")
    return function_table(functions)


def _functions(message: pb.FunctionTable) -> tuple[RewardFunction, ...]:
    if len(message.functions) > FUNCTIONS_MAX:  # before a million objects are made of them
        raise Refused("functions", f"{len(message.functions)} reward functions, 1 to {FUNCTIONS_MAX} are taken")
    try:
        functions = tuple(
            RewardFunction(
                name=f.name,
                weight=f.weight,
                role=Role(f.role),
                kind=Kind(f.kind),
                lo=f.lo if f.HasField("lo") else None,
                hi=f.hi if f.HasField("hi") else None,
            )
            for f in message.functions
        )
    except ValueError as error:
        raise Refused("functions", str(error)) from None
    return check_functions(functions)


def _rollout(message: pb.Rollout) -> Rollout:
    n = message.completions
    if not n:
        raise Refused("completions", "0, at least one is needed: an empty group carries no reward")
    table = _table(message.functions)
    k = len(table.functions)
    status = _optional("status", message.status, "u1", k * n)
    if status is not None:
        if status.max() > Status.NOT_SCORED:
            raise Refused("status", f"{status.max()}, 0 to {int(Status.NOT_SCORED)} is taken")
        status = status.reshape(k, n)
    return Rollout(
        step=_within("step", message.step, STEP_MAX),
        table=table,
        rewards=_vector("rewards", message.rewards, "<f4", k * n).reshape(k, n),
        group=_vector("group", message.group, "<i4", n),
        status=status,
        length=_optional("length", message.length, "<i4", n),
        advantage=_optional("advantage", message.advantage, "<f4", n),
        truncated=_optional("truncated", message.truncated, "u1", n),
        more=message.more,
        group_size=_within("group_size", message.group_size, GROUP_SIZE_MAX),
        columns=_columns(message, n),
    )


def _columns(message: pb.Rollout, n: int) -> dict[str, np.ndarray]:
    if len(message.columns) > COLUMNS_MAX:
        raise Refused("columns", f"{len(message.columns)} columns, at most {COLUMNS_MAX} are taken")
    columns: dict[str, np.ndarray] = {}
    for column in message.columns:
        name = check_column(column.name, columns)
        columns[name] = _vector(f"columns[{name[:40]!r}]", column.values, "<f4", n)
    return columns


def check_column(name: str, taken: Container[str]) -> str:
    """The name of a further column, that no other has; raises `Refused`."""
    if check_name("columns.name", name) in ("length", "advantage", "truncated") or name in taken:
        raise Refused("columns.name", f"{name!r} has a column already")
    return name


def _optional(field: str, raw: bytes, dtype: str, size: int) -> np.ndarray | None:
    return _vector(field, raw, dtype, size) if raw else None


def _vector(field: str, raw: bytes, dtype: str, size: int) -> np.ndarray:
    width = np.dtype(dtype).itemsize
    if len(raw) % width:
        raise Refused(field, f"{len(raw)} bytes, not a whole number of {width}-byte values: truncated")
    if len(raw) != size * width:
        raise Refused(field, f"{len(raw) // width} values, {size} are needed")
    return np.frombuffer(raw, dtype)


def _trainer_step(message: pb.TrainerStep) -> TrainerStep:
    if not 1 <= len(message.scalars) <= SCALARS_MAX:
        raise Refused("scalars", f"{len(message.scalars)} scalars, 1 to {SCALARS_MAX} are taken")
    scalars = {check_name("scalars.name", scalar.name): scalar.value for scalar in message.scalars}
    if len(scalars) != len(message.scalars):
        raise Refused("scalars.name", "a name stands twice")
    return TrainerStep(_within("step", message.step, STEP_MAX), scalars)


def _run_event(message: pb.RunEvent) -> RunEvent:
    try:
        state = RunState(message.state)
    except ValueError:
        raise Refused("run_event.state", f"{message.state}, none that this version knows") from None
    functions = _functions(message.functions) if message.HasField("functions") else ()
    body = RunEvent(state, message.project, dict(message.tags), message.trainer, message.config_json, functions, message.reason)
    return check_run_event(body)


def check_run_event(body: RunEvent) -> RunEvent:
    """A run event whose texts a run's state can keep; raises `Refused`."""
    for field, text, most in (
        ("project", body.project, NAME_BYTES_MAX),
        ("trainer", body.trainer, NAME_BYTES_MAX),
        ("reason", body.reason, NAME_BYTES_MAX),
        ("config_json", body.config_json, TEXT_BYTES_MAX),
        *((f"tags[{name[:40]!r}]", name + value, NAME_BYTES_MAX) for name, value in body.tags.items()),
    ):
        if (size := len(text.encode("utf-8", "surrogatepass"))) > most:
            raise Refused(field, f"{size} bytes long, at most {most} are taken")
    if len(body.tags) > TAGS_MAX:
        raise Refused("tags", f"{len(body.tags)} tags, at most {TAGS_MAX} are taken")
    return body


def _sender_report(message: pb.SenderReport) -> SenderReport:
    if len(message.dropped) > TAGS_MAX:
        raise Refused("dropped", f"{len(message.dropped)} reasons, at most {TAGS_MAX} are taken")
    dropped = {check_name("dropped", reason): _within("dropped", count, COUNT_MAX) for reason, count in message.dropped.items()}
    return SenderReport(_within("accepted", message.accepted, COUNT_MAX), _within("spooled", message.spooled, COUNT_MAX), dropped)


_BODIES: dict[str, Callable[[Any], Body]] = {
    "rollout": _rollout,
    "trainer_step": _trainer_step,
    "run_event": _run_event,
    "sender_report": _sender_report,
}  # fmt: skip
_CONTROL: dict[str, Callable[[pb.Envelope], Control]] = {
    "tick": lambda _: Tick(),
    "rule_switch": lambda message: RuleSwitch(message.rule_switch.version),
}
__all__ = ["Body", "Refused", "check_functions", "check_name", "check_run_event", "parse"]
