"""Snapshots on the real broker: what a worker goes on from, and when it refuses to."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator

import msgspec
import pytest
from reward_infra.fetch import fetch
from reward_infra.pipeline import AGGREGATE, LAND, Pipeline
from reward_infra.topics import ensure
from reward_jobs import snapshots
from reward_jobs.reset import reset
from reward_producers.kafka import OFFSET_END, TopicPartition, admin, producer
from reward_schemas.errors import MonitorError
from reward_schemas.topics import EVENTS, SNAPSHOTS, catalogue

from tests.jobs.oracle import await_finished, check_exact
from tests.jobs.traffic import Traffic

PARTITIONS = 8


@pytest.fixture
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline of its own for each test: they damage its topics."""
    with Pipeline(tmp_path_factory.mktemp("monitor"), installed=fetch()) as running:
        running.start()
        yield running


def traffic(monitor: Pipeline, name: str, steps: int = 20) -> Traffic:
    with Traffic(monitor.brokers, name, steps=steps, pause_s=0.0) as sent:
        pass
    return sent


def owned(monitor: Pipeline) -> dict[int, int]:
    """From which offset the worker went on, by partition, as it said when it was last given partitions."""
    text = (monitor.stack.log_dir / f"{AGGREGATE}.log").read_text()
    return {int(p): int(o) for p, o in re.findall(r"(\d+) from (\d+)", re.findall(r"owns (.*)", text)[-1])}


def newest(monitor: Pipeline) -> dict[int, snapshots.Candidate]:
    reader = snapshots.reader(monitor.brokers)
    try:
        return {p: found[0] for p, found in snapshots.read(reader, range(PARTITIONS)).items() if found}
    finally:
        reader.close()


def delete_all(monitor: Pipeline, topic: str) -> None:
    client = admin(monitor.brokers)
    for future in client.delete_records([TopicPartition(topic, p, OFFSET_END) for p in range(PARTITIONS)]).values():
        future.result(timeout=20)


def after(stored: dict[int, snapshots.Candidate]) -> dict[int, int]:
    """The offsets after these snapshots; a partition without one begins at 0."""
    return {p: stored[p].commit.through + 1 if p in stored else 0 for p in range(PARTITIONS)}


def with_state(monitor: Pipeline, name: str = "first") -> tuple[Traffic, dict[int, snapshots.Candidate]]:
    """Traffic that was folded and landed, and the snapshots of the worker, which is stopped now."""
    sent = traffic(monitor, name)
    await_finished(monitor, sent.run_ids)
    monitor.supervisor.stop(AGGREGATE)
    return sent, newest(monitor)


def test_a_worker_goes_on_after_its_last_snapshot(monitor: Pipeline) -> None:
    _, stored = with_state(monitor)
    assert stored
    monitor.supervisor.start(AGGREGATE)
    assert owned(monitor) == after(stored)


def test_a_corrupt_newest_falls_back_and_a_zombies_late_one_does_no_harm(monitor: Pipeline) -> None:
    first, older = with_state(monitor)
    monitor.supervisor.start(AGGREGATE)
    second = traffic(monitor, "second")
    await_finished(monitor, second.run_ids)
    monitor.supervisor.stop(AGGREGATE)
    good = newest(monitor)
    third = traffic(monitor, "third")  # the log goes on, so that the corrupt ones may claim to be ahead of the good ones
    writer = producer(monitor.brokers)
    for partition in good:
        corrupt = msgspec.structs.replace(
            good[partition].commit, snapshot=f"corrupt{partition}", through=good[partition].commit.through + 1
        )
        chunks = [raw[:-1] + bytes([raw[-1] ^ 0xFF]) for _, raw in sorted(good[partition].chunks.items())]
        snapshots.send(writer, partition, corrupt, chunks)
    for partition in older:
        zombie = msgspec.structs.replace(older[partition].commit, snapshot=f"zombie{partition}")
        snapshots.send(writer, partition, zombie, [raw for _, raw in sorted(older[partition].chunks.items())])
    monitor.supervisor.start(AGGREGATE)
    assert owned(monitor) == after(good)
    log = (monitor.stack.log_dir / f"{AGGREGATE}.log").read_text()
    assert len(re.findall(r"is unusable \(sha256 differs", log)) == len(good)
    await_finished(monitor, third.run_ids)
    for sent in (first, second, third):
        check_exact(monitor, sent)


def test_without_snapshots_the_whole_log_is_folded_again(monitor: Pipeline) -> None:
    first, _ = with_state(monitor)
    delete_all(monitor, SNAPSHOTS)
    monitor.supervisor.start(AGGREGATE)
    assert set(owned(monitor).values()) == {0}
    second = traffic(monitor, "second")
    await_finished(monitor, second.run_ids)
    check_exact(monitor, first)
    check_exact(monitor, second)


def test_a_topic_that_was_created_again_is_refused_until_a_reset(monitor: Pipeline) -> None:
    with_state(monitor)
    monitor.supervisor.stop(LAND)
    client = admin(monitor.brokers)
    client.delete_topics([EVENTS])[EVENTS].result()
    time.sleep(1.0)
    ensure(client, catalogue(PARTITIONS), monitor.brokers)

    part = monitor.aggregate("refused")
    refused = subprocess.run(part.argv, env=part.env, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 78
    assert "it was deleted and created again" in refused.stderr
    assert "reward-monitor topics --reset" in refused.stderr

    assert reset(monitor.brokers) == 1
    monitor.supervisor.start(AGGREGATE)
    monitor.stack.add(monitor.land("land-1", epoch=1))
    anew = traffic(monitor, "anew")
    await_finished(monitor, anew.run_ids)
    client = monitor.writer()
    try:
        epochs = client.query("SELECT DISTINCT epoch FROM rewards_tables.pane_rows FINAL WHERE run_id LIKE 'anew-%'")
    finally:
        client.close()
    assert epochs == [(1,)]
    with pytest.raises(MonitorError, match="1 workers run.*stop them first"):
        reset(monitor.brokers)


def test_a_log_that_has_lost_its_start_is_a_counted_gap_with_flagged_rows(monitor: Pipeline) -> None:
    with Traffic(monitor.brokers, "open", steps=5, pause_s=0.0, finish=False) as sent:
        pass
    deadline = time.monotonic() + 30
    client = monitor.reader()
    while client.query("SELECT count() FROM steps WHERE function = 'total' AND closed") != [(30,)]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    monitor.supervisor.stop(AGGREGATE)
    stored = newest(monitor)
    more = Traffic(monitor.brokers, "lost", steps=10, pause_s=0.0)
    with more:
        pass
    reader = snapshots.reader(monitor.brokers)
    ends = {p: reader.get_watermark_offsets(TopicPartition(EVENTS, p), timeout=10)[1] for p in range(PARTITIONS)}
    reader.close()
    time.sleep(3.0)  # the lander has these records; retention takes them before the worker does
    delete_all(monitor, EVENTS)
    monitor.supervisor.start(AGGREGATE)
    assert owned(monitor) == ends
    fresh = traffic(monitor, "fresh", steps=3)
    await_finished(monitor, fresh.run_ids)
    gaps = client.query("SELECT partition, from_offset, to_offset FROM gaps ORDER BY partition")
    assert gaps == [(p, start, ends[p]) for p, start in after(stored).items() if ends[p] > start]
    deadline = time.monotonic() + 15  # rows of open panes come at the next tick
    flagged = "SELECT DISTINCT run_id FROM windows WHERE has(flags, 'gap') ORDER BY run_id"
    while (got := [run for (run,) in client.query(flagged)]) != sent.run_ids:
        assert time.monotonic() < deadline, got
        time.sleep(0.3)
    assert client.query("SELECT count() FROM steps WHERE has(flags, 'gap') AND run_id LIKE 'fresh-%'") == [(0,)]
    client.close()
