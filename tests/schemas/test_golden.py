"""What was written once is read for ever, and today's writer still writes it."""

from __future__ import annotations

import pytest
from reward_schemas import events_pb2, results_pb2
from reward_schemas.events import Event, InvalidEvent
from reward_schemas.parse import parse

from tests.schemas import golden

STORED = golden.stored()


def _kinds(message: type) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.oneofs_by_name["kind"].fields}


def test_there_is_a_golden_message_of_every_kind() -> None:
    events = {events_pb2.Envelope.FromString(raw).WhichOneof("kind") for name, raw, _ in STORED if "/event-" in name}
    results = {results_pb2.Result.FromString(raw).WhichOneof("kind") for name, raw, _ in STORED if "/result-" in name}
    states = {f"run_event-{s}" for s in events_pb2.RunEvent.State.values() if s}
    said = [events_pb2.Envelope.FromString(raw) for name, raw, _ in STORED if "/event-" in name]
    assert events == _kinds(events_pb2.Envelope)
    assert results == _kinds(results_pb2.Result)
    assert {f"run_event-{m.run_event.state}" for m in said if m.HasField("run_event")} == states


@pytest.mark.parametrize(("name", "raw", "said"), STORED, ids=[name for name, _, _ in STORED])
def test_every_version_is_read_as_it_was_meant(name: str, raw: bytes, said: str) -> None:
    assert golden.differences(name, raw, said) == []


def test_the_comparison_sees_a_changed_bit() -> None:
    name, raw, said = next(stored for stored in STORED if stored[0].endswith("event-rollout"))
    assert golden.differences(name, raw, said.replace("-0.0", "0.0"))
    assert golden.differences(name, raw, said.replace("7fc00001", "7fc00000"))
    assert golden.differences(name, raw.replace(b"accuracy", b"accurate"), said)
    assert golden.differences(name, raw[:-1], said)


def test_a_field_that_came_later_has_to_be_unsaid() -> None:
    name, raw, said = next(stored for stored in STORED if stored[0].endswith("event-rollout"))
    assert golden.differing(said, golden.meaning("event", golden.key_of(golden.EVENTS["rollout"]), raw)) == []
    message = events_pb2.Envelope.FromString(raw)
    message.rollout.group_size = 8
    (difference,) = golden.differences(name, message.SerializeToString(), said)
    assert difference == ".parsed.body.group_size: was not known, 8 is read"
    for more in ('{"a": 1, "b": "0"}', '{"a": 1, "b": [0]}', '{"a": 1, "b": 0.5}', '{"a": 1, "b": {"c": 0}}'):
        assert golden.differing('{"a": 1}', more)
    for more in ('{"a": 1, "b": ""}', '{"a": 1, "b": []}', '{"a": 1, "b": {}}', '{"a": 1, "b": 0}', '{"a": 1, "b": null}'):
        assert not golden.differing('{"a": 1}', more)
        assert golden.differing(more, '{"a": 1}')  # what was known may not go


def test_todays_writer_writes_the_newest_goldens() -> None:
    newest = max(name.split("/")[0] for name, _, _ in STORED)
    written = {f"{newest}/{name}": raw for name, (_, raw) in golden.written_today().items()}
    assert written == {name: raw for name, raw, _ in STORED if name.startswith(newest)}


@pytest.mark.parametrize("name", golden.EVENTS)
def test_what_is_written_is_read_back(name: str) -> None:
    event = golden.EVENTS[name]
    read = parse(golden.key_of(event), golden.encoded(event))
    assert not isinstance(read, InvalidEvent)
    assert golden.described(read) == golden.described(event)


def test_goldens_lie_inside_the_package() -> None:
    from importlib.resources import files

    assert files("reward_schemas").joinpath("golden/v1/event-tick.hex").is_file()
    assert all(isinstance(golden.EVENTS[name], Event) or name in ("tick", "rule_switch") for name in golden.EVENTS)
