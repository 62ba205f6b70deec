"""What a broker doesn't take goes to disk as it is, and into the log later: old before new, under the same ids."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from reward_infra.embedded_kafka import EmbeddedKafka
from reward_infra.fetch import fetch
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_infra.topics import ensure
from reward_producers import delivery
from reward_producers.kafka import TopicPartition, admin, consumer
from reward_producers.reporter import Reporter, start_run
from reward_producers.spool import Spool
from reward_schemas.events import Event, SenderReport
from reward_schemas.parse import parse
from reward_schemas.segments import Damaged, read
from reward_schemas.topics import EVENTS, catalogue

pytestmark = pytest.mark.timeout(120)


class Broker:
    """A broker of the test's own, to be stopped."""

    def __init__(self, kafka: EmbeddedKafka, supervisor: Supervisor) -> None:
        self.address, self._kafka, self._supervisor = kafka.brokers, kafka, supervisor

    def signal(self, number: int) -> None:
        self._supervisor.signal("kafka", number)

    def stop(self) -> None:
        self._supervisor.stop("kafka")

    def start(self) -> None:
        self._supervisor.start("kafka")

    def events(self, run_id: str) -> list[Event]:
        """What lies in the topic of a run, repeats too."""
        client = consumer(self.address, "reader")
        client.assign([TopicPartition(EVENTS, 0, 0)])
        end, found, at = client.get_watermark_offsets(TopicPartition(EVENTS, 0), timeout=10)[1], [], 0
        while at < end:
            for message in client.consume(500, 0.1):
                at = message.offset() + 1
                if message.key() == run_id.encode():
                    found.append(parse(message.key(), message.value()))
        client.close()
        return found


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    installed, home = fetch(), tmp_path_factory.mktemp("own-broker")
    ports = Ports(None, installed.cache / "ports")
    chosen = ports.choose({"kafka": 29792, "controller": 29793})
    kafka = EmbeddedKafka(installed.kafka(), home / "kafka", chosen["kafka"], chosen["controller"])
    kafka.prepare()
    with Supervisor([kafka.part()], home / "logs") as supervisor:
        supervisor.start()
        ensure(admin(kafka.brokers), catalogue(1), kafka.brokers)
        yield Broker(kafka, supervisor)
    ports.release()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "ANSWER_S", 2.0)
    monkeypatch.setattr(delivery, "RETRY_S", 0.1)


def eventually(holds: Callable[[], Any], timeout_s: float = 30.0) -> bool:
    until = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return bool(holds())


def log_steps(run: Reporter, steps: range) -> None:
    for step in steps:
        run.log_rollout(step, {"f": [float(step)]}, [0])


def unique(events: list[Event]) -> list[Event]:
    """As the fold takes them: a repeat is dropped."""
    return list({(event.identity.session, event.identity.seq): event for event in reversed(events)}.values())[::-1]


def test_an_outage_is_spooled_and_replayed_in_order(broker: Broker, tmp_path: Path) -> None:
    with start_run("p", ["f"], brokers=broker.address, run_id="outage") as run:
        log_steps(run, range(10))
        assert eventually(lambda: run.counts.delivered == 11)
        broker.stop()
        log_steps(run, range(10, 20))
        assert eventually(lambda: run.counts.spooled == 10)
        log_steps(run, range(20, 30))
        assert eventually(lambda: run.counts.spooled == 20)
        (spool,) = tmp_path.rglob("*.spool")
        kept = [parse(frame.key, frame.value) for frame in read(spool)]
        assert [event.body.step for event in kept] == list(range(10, 30))
        broker.start()
        assert eventually(lambda: not run.counts.spooled)
        assert not spool.exists()
        log_steps(run, range(30, 40))
    assert str(run.counts) == "43 accepted, 43 delivered, 0 dropped"
    events = unique(broker.events("outage"))
    assert [event.identity.seq for event in events] == list(range(43))
    assert events[11:31] == kept  # as they were: ids and times too
    assert list(tmp_path.rglob("*.spool")) == []


def test_what_the_end_left_goes_first_in_a_later_process_of_the_run(broker: Broker, tmp_path: Path) -> None:
    broker.signal(signal.SIGSTOP)
    try:
        with start_run("p", ["f"], brokers=broker.address, run_id="two") as first:
            log_steps(first, range(5))
            began = time.monotonic()
            first.finish(timeout_s=1)
            assert time.monotonic() - began < 4
    finally:
        broker.signal(signal.SIGCONT)
    assert str(first.counts) == "8 accepted, 0 delivered, 8 spooled, 0 dropped"
    with start_run("p", ["f"], brokers=broker.address, run_id="two", attempt=2) as second:
        log_steps(second, range(5, 10))
        assert eventually(lambda: second.counts.delivered == 6)
    assert str(second.counts) == "8 accepted, 8 delivered, 0 dropped"  # of its own
    sent = [(event.identity.attempt, event.identity.seq) for event in unique(broker.events("two"))]
    assert sent == [(attempt, seq) for attempt in (1, 2) for seq in range(8)]
    assert list(tmp_path.rglob("*.spool")) == []


def test_what_is_spooled_is_told_upstream(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    with start_run("p", ["f"], brokers=broker.address, run_id="told") as run:
        assert eventually(lambda: run.counts.delivered == 1)
        broker.signal(signal.SIGSTOP)
        log_steps(run, range(3))
        assert eventually(lambda: run.counts.spooled == 3)
        run._sender.report()
        broker.signal(signal.SIGCONT)
    reports = [event.body for event in unique(broker.events("told")) if isinstance(event.body, SenderReport)]
    assert reports[0] == SenderReport(4, 3, {}) and reports[-1].accepted == 5


def test_a_replay_takes_its_time(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "REPLAY_BYTES_PER_S", 1)
    monkeypatch.setattr("reward_producers.spool._CHUNK_MESSAGES", 3)
    start_run("p", ["f"], brokers="127.0.0.1:1", run_id="slow").finish(timeout_s=0.1)
    with start_run("p", ["f"], brokers=broker.address, run_id="slow", attempt=2) as run:
        log_steps(run, range(2))
        assert eventually(lambda: len(broker.events("slow")) == 3)
        assert run._sender._place._replay_at > time.monotonic() + 60
        assert eventually(lambda: run.counts.spooled == 3)  # behind what is older
        run.finish(timeout_s=0.2)
    assert [event.identity.attempt for event in broker.events("slow")] == [1, 1, 1]


def test_what_no_later_try_helps_is_dropped_and_the_rest_goes_on(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "producer", partial(delivery.producer, message_max_bytes=2000))
    with start_run("p", ["f"], brokers=broker.address, run_id="large") as run:
        run.log_rollout(0, {"f": [0.0] * 1000}, [0] * 1000)
        log_steps(run, range(1, 3))
    assert str(run.counts) == "6 accepted, 5 delivered, 1 dropped (1 MSG_SIZE_TOO_LARGE)"
    assert [event.identity.seq for event in broker.events("large")] == [0, 2, 3, 4, 5]


def test_a_topic_that_is_missing_is_an_outage(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delivery, "EVENTS", "no.such.topic")
    with start_run("p", ["f"], brokers=broker.address) as run:
        log_steps(run, range(3))
        assert eventually(lambda: run.counts.spooled == 4)
        run.finish(timeout_s=0.5)
    assert run.counts.spooled == run.counts.accepted == 6
    assert "what is spooled is published by this run's next process, or `reward-monitor sync " in caplog.text


# ---- the spool alone ----------------------------------------------------------------------------------------------


def filled(folder: Path, name: str, number: int) -> Spool:
    spool = Spool(folder, name, 10_000)
    for i in range(number):
        spool.append(b"run", f"{name} {i}".encode())
    return spool


def emptied(spool: Spool) -> list[str]:
    found = []
    while spool:
        found += [frame.value.decode() for frame in spool.oldest()]
        spool.arrived()
    return found


def test_first_in_first_out_by_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_producers.spool._CHUNK_MESSAGES", 3)
    spool = filled(tmp_path, "a", 5)
    assert [len(spool.oldest()), len(spool.oldest())] == [3, 3]  # nothing has arrived
    spool.arrived()
    spool.append(b"run", b"more")
    assert emptied(spool) == ["a 3", "a 4", "more"]
    assert not spool and not list(tmp_path.iterdir())
    spool.append(b"run", b"again")
    assert emptied(spool) == ["again"]


def test_a_large_message_is_a_chunk_of_its_own(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 10**8)
    for size in (100, 3_000_000, 100):
        spool.append(b"run", bytes(size))
    sizes = []
    while spool:
        sizes.append([len(frame.value) for frame in spool.oldest()])
        spool.arrived()
    assert sizes == [[100], [3_000_000], [100]]


def test_the_spool_of_a_process_that_lives_is_its_own(tmp_path: Path) -> None:
    first = filled(tmp_path, "a", 2)
    assert not Spool(tmp_path, "b", 10_000)
    first.close()
    second = filled(tmp_path, "b", 1)
    assert not Spool(tmp_path, "c", 10_000)  # claimed by the second
    assert not second.own and emptied(second) == ["a 0", "a 1", "b 0"]
    assert not list(tmp_path.iterdir())


def test_a_damaged_spool_is_left_where_it_is(tmp_path: Path) -> None:
    filled(tmp_path, "a", 2).close()
    file = tmp_path / "a.spool"
    raw = bytearray(file.read_bytes())
    raw[20] ^= 1
    file.write_bytes(raw)
    spool = filled(tmp_path, "b", 1)
    with pytest.raises(Damaged, match="a.spool"):
        spool.oldest()
    spool.skip()
    assert emptied(spool) == ["b 0"] and list(tmp_path.iterdir()) == [file]


def test_a_disk_that_fills_up_leaves_whole_frames(tmp_path: Path) -> None:
    """A write that only half succeeds is taken back."""
    program = (
        "import resource, signal, sys; from pathlib import Path; from reward_producers.spool import Spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "spool, full = Spool(Path(sys.argv[1]), 'a', 10**6), 0\n"
        "for size in (300, 300, 500, 300, 10):\n"
        "    try: spool.append(b'run', bytes(size))\n"
        "    except OSError: full += 1\n"
        "print(full)"
    )
    told = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True)
    assert told.stdout == "2\n", told.stderr
    assert [len(frame.value) for frame in read(tmp_path / "a.spool")] == [300, 300, 300]
