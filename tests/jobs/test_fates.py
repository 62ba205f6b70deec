"""Bad input and odd senders on the real stream: each has its fate in a row, and the stream goes on."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from reward_infra.pipeline import AGGREGATE, Pipeline
from reward_producers.kafka import producer
from reward_schemas import events_pb2 as pb
from reward_schemas.encode import encode_event
from reward_schemas.events import RunState
from reward_schemas.topics import EVENTS

from tests.engine.logs import T0, Trainer
from tests.jobs.oracle import audited, await_finished

NOW_MS = int(time.time() * 1000)


class Feed:
    """Sends messages as they are."""

    def __init__(self, monitor: Pipeline) -> None:
        self._producer = producer(monitor.brokers, linger_ms=1)

    def raw(self, key: bytes | None, value: bytes, partition: int = -1) -> None:
        self._producer.produce(EVENTS, value, key, partition)

    def send(self, *events) -> None:
        for event in events:
            self.raw(event.identity.run_id.encode(), encode_event(event))

    def done(self) -> None:
        assert self._producer.flush(20) == 0


@pytest.fixture
def feed(monitor: Pipeline) -> Feed:
    return Feed(monitor)


def sender(run: str, **more: object) -> Trainer:
    return Trainer(run, session=int(time.time() * 1e6), **more)


def at(step: int, base_ms: int = 0) -> int:
    """Event time of a step, relative to T0: now, a step every 10 ms."""
    return NOW_MS - T0 + base_ms + 10 * step


def query(monitor: Pipeline, sql: str, **parameters: object) -> list[tuple]:
    client = monitor.reader()
    try:
        return client.query(sql, **parameters)
    finally:
        client.close()


def eventually(monitor: Pipeline, sql: str, wanted: list[tuple], timeout_s: float = 30.0, **parameters: object) -> None:
    deadline = time.monotonic() + timeout_s
    while (got := query(monitor, sql, **parameters)) != wanted:
        assert time.monotonic() < deadline, f"{sql}: {got}, not {wanted}"
        time.sleep(0.3)


def run_row(monitor: Pipeline, run: str) -> dict:
    ((counts, last_step, attempt, flags),) = query(
        monitor, "SELECT counts, last_step, attempt, flags FROM runs WHERE run_id = {run:String}", run=run
    )
    return {**counts, "last_step": last_step, "attempt": attempt, "flags": flags}


def test_bad_messages_are_dead_letters_and_the_stream_goes_on(monitor: Pipeline, feed: Feed) -> None:
    good = sender("good")
    good_events = [good.rollout(step, at(step)) for step in range(3)]
    feed.send(good_events[0])

    bad = sender("bad")
    whole = pb.Envelope.FromString(encode_event(bad.rollout(0, at(0))))

    def broken(change) -> bytes:
        message = pb.Envelope()
        message.CopyFrom(whole)
        message.seq = broken.seq = broken.seq + 1
        change(message)
        return message.SerializeToString()

    broken.seq = 0

    def truncated(m: pb.Envelope) -> None:
        m.rollout.rewards = m.rollout.rewards[:-1]

    def mismatched(m: pb.Envelope) -> None:
        m.rollout.group = m.rollout.group + bytes(4)

    def empty(m: pb.Envelope) -> None:
        m.rollout.completions, m.rollout.group, m.rollout.rewards = 0, b"", b""

    def million(m: pb.Envelope) -> None:
        m.rollout.functions = bytes([0x0A, 0x03, 0x0A, 0x01, 0x61]) * 700_000

    def long_name(m: pb.Envelope) -> None:
        m.rollout.functions = pb.FunctionTable(functions=[pb.RewardFunction(name="é" * 5_000)]).SerializeToString()

    for change in (truncated, mismatched, empty, million, long_name):
        feed.raw(b"bad", broken(change))
    feed.raw(b"bad", b"\xff\xff no protobuf", 1)
    future = broken(lambda m: m.ClearField("rollout")) + bytes([0xC2, 0x3E, 0x02, 0x08, 0x01])  # field 1000, from the future
    feed.raw(b"bad", future)
    feed.raw(b"another key", broken(lambda m: None))
    feed.send(*good_events[1:], good.state(RunState.FINISHED, at(9)), bad.state(RunState.FINISHED, at(9)))
    feed.done()

    eventually(monitor, "SELECT count() FROM dead_letters", [(8,)])
    letters = query(monitor, "SELECT field, reason, run_id, payload_bytes FROM dead_letters")
    reasons = {field: reason for field, reason, _, _ in letters}
    assert sorted(field for field, *_ in letters) == sorted(
        ["rewards", "group", "completions", "functions", "functions.name", "message", "kind", "key"]
    )
    assert "truncated" in reasons["rewards"]
    assert "5 values, 4 are needed" in reasons["group"]
    assert "at least one" in reasons["completions"]
    assert "700000 reward functions" in reasons["functions"]
    assert "10000 bytes long" in reasons["functions.name"]
    assert "not a protobuf message" in reasons["message"]
    assert "none that this version knows" in reasons["kind"]
    assert "two partitions" in reasons["key"]
    assert max(size for *_, size in letters) > 3_000_000
    eventually(
        monitor,
        "SELECT step, count FROM steps WHERE run_id = 'good' AND function = 'total' ORDER BY step",
        [(s, 4) for s in range(3)],
    )


def test_names_of_any_script_arrive(monitor: Pipeline, feed: Feed) -> None:
    run = "прогон 走 'quote' \"double\" `tick` {brace} \\ %s"
    s = sender(run)
    feed.send(s.rollout(0, at(0)), s.state(RunState.FINISHED, at(1)))
    feed.done()
    eventually(monitor, "SELECT count FROM steps WHERE run_id = {run:String} AND function = 'total'", [(4,)], run=run)


def test_duplicates_in_any_order_land_once(monitor: Pipeline, feed: Feed) -> None:
    s = sender("twice")
    events = [s.rollout(step, at(step)) for step in range(20)]
    order = np.random.default_rng(3).permutation(np.repeat(np.arange(20), 2))
    feed.send(*(events[i] for i in order), s.state(RunState.FINISHED, at(30)))
    feed.done()
    await_finished(monitor, ["twice"])
    row = run_row(monitor, "twice")
    assert (row["duplicates"], row["missing"]) == (20, 0)
    assert query(monitor, "SELECT count(), sum(count) FROM steps WHERE run_id = 'twice' AND function = 'total'") == [(20, 80)]
    assert query(monitor, "SELECT count() FROM rewards WHERE run_id = 'twice'") == [(160,)]


def test_holes_late_events_and_a_step_that_goes_back(monitor: Pipeline, feed: Feed) -> None:
    a, b = sender("odd", rank=0, senders=2), sender("odd", rank=1, senders=2)
    late = b.rollout(0, at(0))
    b.rollout(1, at(1))  # lost on the way
    back = None
    for step in range(20):
        feed.send(a.rollout(step, at(step)))
        if step > 1:
            feed.send(b.rollout(step, at(step)))
    back = a.rollout(7, at(20))
    feed.send(late, back, a.state(RunState.FINISHED, at(30)), b.state(RunState.FINISHED, at(30)))
    feed.done()
    await_finished(monitor, ["odd"])
    row = run_row(monitor, "odd")
    assert (row["missing"], row["late"]) == (1, 2)
    fates = query(monitor, "SELECT rank, step, fate FROM late_events WHERE run_id = 'odd' AND axis = 'step' ORDER BY rank")
    assert fates == [(0, 7, "amended"), (1, 0, "amended")]
    steps = query(
        monitor,
        "SELECT step, count, reported FROM steps WHERE run_id = 'odd' AND function = 'total' AND step IN (0, 1, 7, 8) ORDER BY step",
    )
    assert steps == [(0, 8, 2), (1, 4, 1), (7, 12, 2), (8, 8, 2)]


def test_a_rank_that_dies_for_ever_leaves_coverage_behind(monitor: Pipeline, feed: Feed) -> None:
    a, b = sender("half", rank=0, senders=2), sender("half", rank=1, senders=2)
    for step in range(60):
        feed.send(a.rollout(step, at(step)))
        if step < 10:
            feed.send(b.rollout(step, at(step)))
    feed.done()
    eventually(
        monitor,
        "SELECT coverage, count() FROM steps WHERE run_id = 'half' AND function = 'total' AND closed GROUP BY coverage ORDER BY coverage",
        [(0.5, 34), (1.0, 10)],
    )


def test_a_clock_an_hour_ahead_and_a_resumed_run(monitor: Pipeline, feed: Feed) -> None:
    a, fast = sender("skewed", rank=0, senders=2), sender("skewed", rank=1, senders=2)
    for step in range(10):
        feed.send(a.rollout(step, at(step)), fast.rollout(step, at(step, 3_600_000)))
    again = [replace(s, attempt=2, session=s.session + 1, seq=0) for s in (a, fast)]
    for s in again:
        feed.send(s.state(RunState.RESUMED, at(20)))
    for step in range(5, 12):
        feed.send(*(s.rollout(step, at(step, 1000)) for s in again))
    feed.send(*(s.state(RunState.FINISHED, at(99)) for s in again))
    feed.done()
    await_finished(monitor, ["skewed"])
    row = run_row(monitor, "skewed")
    assert (row["clamped"], row["attempt"], row["resumes"], row["last_step"]) == (10, 2, 1, 11)
    rows = query(
        monitor, "SELECT step, attempt, coverage FROM steps WHERE run_id = 'skewed' AND function = 'total' ORDER BY step"
    )
    assert rows == [(s, 1, 1.0) for s in range(5)] + [(s, 2, 1.0) for s in range(5, 12)]


def test_a_fold_that_fails_on_one_run_quarantines_that_run_alone(monitor: Pipeline, feed: Feed) -> None:
    poisoned = (
        "from reward_engine import observe\n"
        "from reward_schemas.events import Rollout\n"
        "original = observe._BODIES[Rollout]\n"
        "def fails(run, body, moment, out):\n"
        "    if run.run_id == 'poison' and body.step == 3: raise ZeroDivisionError('made to fail')\n"
        "    original(run, body, moment, out)\n"
        "observe._BODIES[Rollout] = fails\n"
        "from reward_jobs.aggregate import main\n"
        "main()\n"
    )
    monitor.supervisor.stop(AGGREGATE)
    part = monitor.aggregate("poisoned")
    monitor.stack.add(replace(part, argv=(sys.executable, "-c", poisoned, *part.argv[3:])))
    try:
        bad, good = sender("poison"), sender("healthy")
        for step in range(6):
            feed.send(bad.rollout(step, at(step)), good.rollout(step, at(step)))
        feed.send(good.state(RunState.FINISHED, at(9)))
        feed.done()
        await_finished(monitor, ["healthy"])
        eventually(
            monitor, "SELECT run_id, error, released FROM quarantines", [("poison", "ZeroDivisionError: made to fail", False)]
        )
        assert query(monitor, "SELECT max(step) FROM steps WHERE run_id = 'poison'") == [(2,)]
        assert query(monitor, "SELECT max(step) FROM steps WHERE run_id = 'healthy'") == [(5,)]
        eventually(monitor, "SELECT uniqExact(step) FROM rewards WHERE run_id = 'poison'", [(6,)])  # its raw data land on
    finally:
        monitor.supervisor.stop("poisoned")
        monitor.supervisor.start(AGGREGATE)

    released = sender("poison")
    feed.send(released.state(RunState.RELEASED, at(10)), bad.rollout(6, at(11)), released.state(RunState.FINISHED, at(12)))
    feed.done()
    eventually(monitor, "SELECT step FROM steps WHERE run_id = 'poison' AND function = 'total' AND step > 2", [(6,)])


def test_the_audit_finds_nothing_wrong_with_all_that(monitor: Pipeline) -> None:
    assert audited(monitor, "") == []
