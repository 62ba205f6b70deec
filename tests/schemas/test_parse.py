"""The door: whatever bytes come, `parse` says what they are, with the field and the reason where they are of no use."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reward_schemas import events_pb2 as pb
from reward_schemas.encode import encode_control, encode_event, function_table
from reward_schemas.events import (
    COLUMNS_MAX,
    COUNT_MAX,
    FUNCTIONS_MAX,
    GROUP_SIZE_MAX,
    RANK_MAX,
    SEQ_MAX,
    STEP_MAX,
    TIME_MAX_MS,
    Control,
    Event,
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
    Tick,
    TrainerStep,
)
from reward_schemas.parse import parse

from tests.schemas.golden import T0, described, stored

GOLDENS = [raw for name, raw, _ in stored() if "/event-" in name]
UINT32, UINT64 = 2**32 - 1, 2**64 - 1

# ---- what is well formed comes back bit for bit -------------------------------------------------------------------

counts = st.integers(0, COUNT_MAX)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
names = text.filter(lambda name: name and name != "total") | st.sampled_from(["награда", "报酬", "🎯", "a" * 512, "é" * 256])
column_names = names.filter(lambda name: name not in ("length", "advantage", "truncated")) | st.just("total")
finite = st.floats(allow_nan=False, allow_infinity=False)
ranges = st.one_of(
    st.just((None, None)), finite.map(lambda lo: (lo, None)), finite.map(lambda hi: (None, hi)),
    st.tuples(finite, finite).map(sorted).map(tuple).filter(lambda r: r[0] < r[1]),
)  # fmt: skip


@st.composite
def functions(draw: st.DrawFn) -> tuple[RewardFunction, ...]:
    made = []
    for name in draw(st.lists(names, min_size=1, max_size=5, unique=True)):
        lo, hi = draw(ranges)
        made.append(RewardFunction(name, draw(finite), draw(st.sampled_from(Role)), draw(st.sampled_from(Kind)), lo, hi))
    return tuple(made)


def _vector(shape: int | tuple[int, int], dtype: str) -> st.SearchStrategy[np.ndarray]:
    """Any bits at all: NaNs with payloads, signalling ones, subnormal numbers."""
    bits = {"<f4": "<u4", "<i4": "<u4"}.get(dtype, dtype)
    return hnp.arrays(np.dtype(bits), shape).map(lambda a: a.view(dtype))


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    table = function_table(draw(functions()))
    k, n = len(table.functions), draw(st.integers(1, 12))
    return Rollout(
        step=draw(st.integers(0, STEP_MAX)),
        table=table,
        rewards=draw(_vector((k, n), "<f4")),
        group=draw(_vector(n, "<i4")),
        status=draw(st.none() | hnp.arrays(np.uint8, (k, n), elements=st.integers(0, 2))),
        length=draw(st.none() | _vector(n, "<i4")),
        advantage=draw(st.none() | _vector(n, "<f4")),
        truncated=draw(st.none() | _vector(n, "u1")),
        more=draw(st.booleans()),
        group_size=draw(st.integers(0, GROUP_SIZE_MAX)),
        columns={name: draw(_vector(n, "<f4")) for name in draw(st.lists(column_names, max_size=3, unique=True))},
    )


texts = st.dictionaries(text, text, max_size=3)
bodies = st.one_of(
    rollouts(),
    st.builds(
        TrainerStep, st.integers(0, STEP_MAX), st.dictionaries(names | st.just("total"), st.floats(), min_size=1, max_size=5)
    ),
    st.builds(RunEvent, st.sampled_from(RunState), text, texts, text, text, st.just(()) | functions(), text),
    st.builds(SenderReport, counts, counts, st.dictionaries(names, counts, max_size=3)),
)
identities = st.builds(
    Identity, names, st.integers(0, UINT32), st.integers(0, RANK_MAX), st.integers(0, UINT64), st.integers(0, SEQ_MAX)
)
events = st.builds(Event, identities, st.integers(1, TIME_MAX_MS), st.integers(0, RANK_MAX + 1), bodies)


@given(events)
@settings(max_examples=300, deadline=None)
def test_an_event_comes_back_bit_for_bit(event: Event) -> None:
    read = parse(event.identity.run_id.encode(), encode_event(event))
    # As text, since -0.0 is not 0.0; by sorted names, since protobuf keeps no order in a map.
    assert json.dumps(described(read), sort_keys=True) == json.dumps(described(event), sort_keys=True)
    if isinstance(event.body, TrainerStep):
        assert list(read.body.scalars) == list(event.body.scalars)


@given(st.just(Tick()) | st.builds(RuleSwitch, st.integers(-(2**63), 2**63 - 1)), st.none() | st.binary(max_size=8))
def test_a_control_record_comes_back_whatever_its_key(control: Control, key: bytes | None) -> None:
    assert parse(key, encode_control(control)) == control


# ---- whatever comes, nothing is raised ----------------------------------------------------------------------------


def _says_something(key: bytes | None, raw: bytes | None) -> None:
    said = parse(key, raw)
    assert isinstance(said, Event | Tick | RuleSwitch | InvalidEvent)
    if isinstance(said, InvalidEvent):
        assert said.field and said.reason
        assert said.payload == (raw or b"")


@given(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=200))
@example(None, b"")
@settings(max_examples=300)
def test_random_bytes_say_something(key: bytes | None, raw: bytes | None) -> None:
    _says_something(key, raw)


@given(st.sampled_from(GOLDENS), st.data())
@settings(max_examples=600)
def test_damaged_messages_say_something(raw: bytes, data: st.DataObject) -> None:
    damaged = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    _says_something(pb.Envelope.FromString(raw).run_id.encode(), bytes(damaged))


@pytest.mark.parametrize("raw", GOLDENS)
def test_every_truncation_says_something(raw: bytes) -> None:
    key = pb.Envelope.FromString(raw).run_id.encode()
    for end in range(len(raw)):
        _says_something(key, raw[:end])


@given(st.sampled_from(GOLDENS), st.sampled_from(GOLDENS), st.binary(max_size=40))
def test_messages_run_together_say_something(one: bytes, other: bytes, more: bytes) -> None:
    _says_something(b"r", one + other + more)  # protobuf merges them


# ---- what is refused, and in which words --------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """A good message with one thing wrong. `known`: the message still says who sent it."""

    name: str
    spoil: Callable[[pb.Envelope], object]
    field: str
    reason: str
    known: bool = True
    key: bytes | None = b"r"


def _good() -> pb.Envelope:
    event = Event(
        Identity("r", 1, 0, 7, 0),
        T0,
        1,
        Rollout(
            step=3,
            table=function_table((RewardFunction("a"), RewardFunction("b", 0.2))),
            rewards=np.ones((2, 4), "<f4"),
            group=np.zeros(4, "<i4"),
            status=np.zeros((2, 4), "u1"),
            length=np.ones(4, "<i4"),
            advantage=np.ones(4, "<f4"),
            truncated=np.zeros(4, "u1"),
            group_size=8,
            columns={"kl": np.ones(4, "<f4")},
        ),
    )
    return pb.Envelope.FromString(encode_event(event))


def _put(**fields: object) -> Callable[[pb.Envelope], object]:
    return lambda m: [setattr(m.rollout if hasattr(m.rollout, name) else m, name, value) for name, value in fields.items()]


def _cut(vector: str, by: int) -> Callable[[pb.Envelope], object]:
    return lambda m: setattr(m.rollout, vector, getattr(m.rollout, vector)[:-by])


def _table(*made: dict | str, raw: bytes = b"") -> Callable[[pb.Envelope], object]:
    functions = [pb.RewardFunction(**(f if isinstance(f, dict) else {"name": f})) for f in made]
    return lambda m: setattr(m.rollout, "functions", pb.FunctionTable(functions=functions).SerializeToString() + raw)


def _body(**body: object) -> Callable[[pb.Envelope], object]:
    def spoil(m: pb.Envelope) -> None:
        m.ClearField("rollout")
        m.MergeFrom(pb.Envelope(**body))

    return spoil


def _columns(*names: str, values: bytes = bytes(16)) -> Callable[[pb.Envelope], object]:
    return lambda m: m.rollout.columns.extend(pb.Column(name=name, values=values) for name in names)


def _scalars(*names: str) -> Callable[[pb.Envelope], object]:
    return _body(trainer_step=pb.TrainerStep(step=1, scalars=[pb.Scalar(name=name, value=1.0) for name in names]))


LONG, INT64_MIN = "x" * 10_000, -(2**63)
MILLION = b"\x0a\x00" * 1_000_000  # a table of a million functions without a name
BAD = [
    Bad("vector cut in a value", _cut("rewards", 1), "rewards", "31 bytes, not a whole number of 4-byte values: truncated"),
    Bad("vector cut between values", _cut("rewards", 4), "rewards", "7 values, 8 are needed"),
    Bad("no rewards", _put(rewards=b""), "rewards", "0 values, 8 are needed"),
    Bad("groups too few", _cut("group", 4), "group", "3 values, 4 are needed"),
    Bad("no groups", _put(group=b""), "group", "0 values, 4 are needed"),
    Bad("lengths too few", _cut("length", 8), "length", "2 values, 4 are needed"),
    Bad("lengths cut", _cut("length", 3), "length", "13 bytes, not a whole number of 4-byte values: truncated"),
    Bad("advantages too many", _put(advantage=bytes(20)), "advantage", "5 values, 4 are needed"),
    Bad("truncated flags too few", _cut("truncated", 1), "truncated", "3 values, 4 are needed"),
    Bad("statuses too few", _cut("status", 4), "status", "4 values, 8 are needed"),
    Bad("unknown status", _put(status=b"\x03" + bytes(7)), "status", "3, 0 to 2 is taken"),
    Bad("column too short", _columns("x", values=bytes(12)), "columns['x']", "3 values, 4 are needed"),
    Bad("column too long", _columns("x", values=bytes(20)), "columns['x']", "5 values, 4 are needed"),
    Bad(
        "column cut in a value",
        _columns("x", values=bytes(15)),
        "columns['x']",
        "15 bytes, not a whole number of 4-byte values: truncated",
    ),
    Bad("empty column", _columns("x", values=b""), "columns['x']", "0 values, 4 are needed"),
    Bad("a column twice", _columns("kl"), "columns.name", "'kl' has a column already"),
    *(
        Bad(f"a second {name}", _columns(name), "columns.name", f"{name!r} has a column already")
        for name in ("length", "advantage", "truncated")
    ),
    Bad("empty column name", _columns(""), "columns.name", "empty"),
    Bad("long column name", _columns(LONG), "columns.name", f"10000 bytes long, at most 512 are taken: {'x' * 40}..."),
    Bad("name of a bad column", _columns("y" * 500, values=b""), f"columns[{'y' * 40!r}]", "0 values, 4 are needed"),
    Bad(
        "33 columns",
        _columns(*map(str, range(COLUMNS_MAX))),
        "columns",
        f"{COLUMNS_MAX + 1} columns, at most {COLUMNS_MAX} are taken",
    ),
    Bad("group size", _put(group_size=GROUP_SIZE_MAX + 1), "group_size", f"{GROUP_SIZE_MAX + 1}, 0 to {GROUP_SIZE_MAX} is taken"),
    Bad("group size of -1", _put(group_size=UINT32), "group_size", f"{UINT32}, 0 to {GROUP_SIZE_MAX} is taken"),
    Bad("no completions", _put(completions=0), "completions", "0, at least one is needed: an empty group carries no reward"),
    Bad(
        "nothing at all in it",
        lambda m: m.rollout.Clear(),
        "completions",
        "0, at least one is needed: an empty group carries no reward",
    ),
    Bad("completions beyond memory", _put(completions=UINT32), "status", "8 values, 8589934590 are needed"),
    Bad("negative step", _put(step=-1), "step", "-1, 0 to 9007199254740992 is taken"),
    Bad("least step", _put(step=INT64_MIN), "step", f"{INT64_MIN}, 0 to 9007199254740992 is taken"),
    Bad("step past 2^53", _put(step=2**53 + 1), "step", "9007199254740993, 0 to 9007199254740992 is taken"),
    Bad("no functions", _table(), "functions", "0 reward functions, 1 to 256 are taken"),
    Bad("a million functions", _table(raw=MILLION), "functions", "1000000 reward functions, 1 to 256 are taken"),
    Bad("257 functions", _table(*map(str, range(FUNCTIONS_MAX + 1))), "functions", "257 reward functions, 1 to 256 are taken"),
    Bad(
        "a padded table",
        _table("a", "b", raw=b"\x7a\x80\x80\x10" + bytes(2**18)),
        "functions",
        "a table of 262158 bytes, at most 147456 are taken",
    ),
    Bad("empty name", _table("a", ""), "functions.name", "empty"),
    Bad("10 kB name", _table("a", LONG), "functions.name", f"10000 bytes long, at most 512 are taken: {'x' * 40}..."),
    Bad(
        "name of 513 bytes",
        _table("a", "é" * 256 + "x"),
        "functions.name",
        f"513 bytes long, at most 512 are taken: {'é' * 40}...",
    ),
    Bad(
        "reserved name",
        _table("a", "total"),
        "functions.name",
        "'total' is the name of the weighted sum; call the function otherwise",
    ),
    Bad("a name twice", _table("a", "a"), "functions.name", "'a' stands twice"),
    Bad(
        "NaN weight",
        _table("a", {"name": "b", "weight": float("nan")}),
        "functions.weight",
        "nan for 'b', a finite number is needed",
    ),
    Bad(
        "infinite weight",
        _table("a", {"name": "b", "weight": float("-inf")}),
        "functions.weight",
        "-inf for 'b', a finite number is needed",
    ),
    Bad("lo = hi", _table("a", {"name": "b", "lo": 1, "hi": 1}), "functions.lo", "range 1.0 to 1.0 for 'b', lo < hi is needed"),
    Bad("lo > hi", _table("a", {"name": "b", "lo": 2, "hi": 1}), "functions.lo", "range 2.0 to 1.0 for 'b', lo < hi is needed"),
    Bad("NaN hi", _table("a", {"name": "b", "hi": float("nan")}), "functions.lo", "range None to nan for 'b', lo < hi is needed"),
    Bad("unknown role", _table("a", {"name": "b", "role": 9}), "functions", "9 is not a valid Role"),
    Bad("unknown kind of reward", _table("a", {"name": "b", "kind": 9}), "functions", "9 is not a valid Kind"),
    Bad("one function too few", _table("a"), "status", "8 values, 4 are needed"),
    Bad("no time", _put(event_time_ms=0), "event_time_ms", "0, 1 to 253402300799999 is taken"),
    Bad("time before 1970", _put(event_time_ms=-5), "event_time_ms", "-5, 1 to 253402300799999 is taken"),
    Bad("time in nanoseconds", _put(event_time_ms=T0 * 10**6), "event_time_ms", f"{T0 * 10**6}, 1 to 253402300799999 is taken"),
    Bad("senders beyond ranks", _put(senders=65_537), "senders", "65537, 0 to 65536 is taken"),
    Bad("rank", _put(rank=65_536), "rank", "65536, 0 to 65535 is taken", known=False),
    Bad("seq", _put(seq=UINT64), "seq", f"{UINT64}, 0 to {2**48} is taken", known=False),
    Bad("no run", _put(run_id=""), "run_id", "empty", known=False),
    Bad("10 kB run", _put(run_id=LONG), "run_id", f"10000 bytes long, at most 512 are taken: {'x' * 40}...", known=False),
    Bad(
        "wrong key", _put(), "key", "b's', the run's id 'r' is needed: the run would lie on two partitions", known=False, key=b"s"
    ),
    Bad("no key", _put(), "key", "b'', the run's id 'r' is needed: the run would lie on two partitions", known=False, key=None),
    Bad("no kind", _body(), "kind", "none that this version knows (schema 1; sent with 1)"),
    Bad("no scalars", _scalars(), "scalars", "0 scalars, 1 to 256 are taken"),
    Bad("257 scalars", _scalars(*map(str, range(257))), "scalars", "257 scalars, 1 to 256 are taken"),
    Bad("empty scalar name", _scalars("kl", ""), "scalars.name", "empty"),
    Bad("long scalar name", _scalars(LONG), "scalars.name", f"10000 bytes long, at most 512 are taken: {'x' * 40}..."),
    Bad("a scalar twice", _scalars("kl", "kl"), "scalars.name", "a name stands twice"),
    Bad(
        "trainer's step",
        _body(trainer_step=pb.TrainerStep(step=-2, scalars=[pb.Scalar(name="kl")])),
        "step",
        "-2, 0 to 9007199254740992 is taken",
    ),
    Bad("no run state", _body(run_event=pb.RunEvent()), "run_event.state", "0, none that this version knows"),
    Bad("unknown run state", _body(run_event=pb.RunEvent(state=77)), "run_event.state", "77, none that this version knows"),
    Bad(
        "a run of a million functions",
        _body(run_event=pb.RunEvent(state=1, functions=pb.FunctionTable.FromString(MILLION))),
        "functions",
        "1000000 reward functions, 1 to 256 are taken",
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_a_bad_message_is_refused_with_field_and_reason(bad: Bad) -> None:
    message = _good()
    assert isinstance(parse(b"r", message.SerializeToString()), Event)
    bad.spoil(message)
    raw = message.SerializeToString()
    said = parse(bad.key if len(message.run_id) < 2 else message.run_id.encode(), raw)
    assert isinstance(said, InvalidEvent)
    assert (said.field, said.reason) == (bad.field, bad.reason)
    assert said.payload == raw
    assert said.identity == (Identity("r", 1, 0, 7, 0) if bad.known else None)


@pytest.mark.parametrize("raw", [b"\xff" * 20, b"not a protobuf", b"{}\x00", b'{"step": 1, "reward": 0.5}', b"\x08"])
def test_bytes_that_are_no_protobuf(raw: bytes) -> None:
    said = parse(b"r", raw)
    assert isinstance(said, InvalidEvent)
    assert said.field == "message"
    assert said.reason.startswith("not a protobuf message of this schema (")
    assert said.identity is None


def test_a_text_that_is_not_utf8_is_no_message_of_this_schema() -> None:
    said = parse(b"\xff", b"\x12\x01\xff")  # run_id = "\xff"
    assert (said.field, said.payload) == ("message", b"\x12\x01\xff")


def test_a_function_table_that_is_no_protobuf() -> None:
    message = _good()
    message.rollout.functions = b"\xff\xff"
    said = parse(b"r", message.SerializeToString())
    assert said.field == "functions" and said.reason.startswith("not a function table (")


@pytest.mark.parametrize("raw", [None, b""])
def test_an_empty_value_is_refused(raw: bytes | None) -> None:
    assert parse(b"r", raw) == InvalidEvent("run_id", "empty", b"")


def test_a_kind_from_the_future_still_says_who_sent_it() -> None:
    message = _good()
    message.ClearField("rollout")
    message.schema_version = 2
    raw = message.SerializeToString() + b"\x9a\x06\x03abc"  # field 99 of the oneof, as bytes
    said = parse(b"r", raw)
    assert said == InvalidEvent("kind", "none that this version knows (schema 1; sent with 2)", raw, Identity("r", 1, 0, 7, 0))


def test_a_newer_sender_may_add_fields() -> None:
    raw = _good().SerializeToString()
    assert described(parse(b"r", raw + b"\x9a\x06\x03abc")) == described(parse(b"r", raw))


@pytest.mark.parametrize("control", [Tick(), RuleSwitch(5)])
def test_a_control_record_that_claims_a_run_is_only_a_control_record(control: Control) -> None:
    message = pb.Envelope.FromString(encode_control(control))
    message.run_id, message.seq, message.session, message.event_time_ms = "r", 9, 7, T0
    assert parse(b"r", message.SerializeToString()) == control


@pytest.mark.parametrize("name", ["награда", "报酬 一", "🎯", "a\nb", "\u202e", "e\u0301", "Total", "é" * 256])
def test_names_may_be_of_any_script(name: str) -> None:
    message = _good()
    _table("a", name)(message)
    assert parse(b"r", message.SerializeToString()).body.table.names == ("a", name)


def test_what_is_parsed_cannot_be_written_to() -> None:
    body = parse(b"r", _good().SerializeToString()).body
    named = (body.rewards, body.group, body.status, body.length, body.advantage, body.truncated, body.table.weights)
    for vector in (*named, body.columns["kl"]):
        with pytest.raises(ValueError, match="read-only"):
            vector.flat[0] = 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (RunEvent(RunState.STARTED, project="p" * 513), "project"),
        (RunEvent(RunState.STARTED, config_json="x" * 65_537), "config_json"),
        (RunEvent(RunState.STARTED, tags={"a" * 300: "b" * 300}), "tags['" + "a" * 40 + "']"),
        (RunEvent(RunState.STARTED, tags={str(i): "" for i in range(65)}), "tags"),
        (SenderReport(2**53 + 1, 0, {}), "accepted"),
        (SenderReport(0, 0, {str(i): 1 for i in range(65)}), "dropped"),
        (SenderReport(0, 0, {"": 1}), "dropped"),
    ],
)
def test_what_a_runs_state_cannot_keep_is_refused(body: object, field: str) -> None:
    raw = encode_event(Event(Identity("r", 1, 0, 1, 0), 1, 1, body))
    refused = parse(b"r", raw)
    assert isinstance(refused, InvalidEvent)
    assert refused.field == field
