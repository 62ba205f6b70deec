"""The lander on the real broker and the real ClickHouse: killed, cut off, told twice, and every row is there once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reward_infra.fetch import fetch
from reward_infra.local_stack import CLICKHOUSE, LocalStack
from reward_infra.topics import ensure
from reward_jobs.land import EXIT_FATAL
from reward_jobs.settings import EXIT_CONFIGURATION
from reward_producers.kafka import admin, producer
from reward_schemas.events import Tick
from reward_schemas.topics import EVENTS, RESULTS, catalogue
from reward_store.audit import audit, landed_ends
from reward_store.client import Client
from reward_store.errors import Unavailable
from reward_store.migrate import migrate
from reward_store.settings import Retention

from tests.store.logs import folded, records, training
from tests.store.running import address, rows

pytestmark = pytest.mark.timeout(90)
PARTITIONS = 2


class Site:
    """A stack with topics and tables, whose log the test writes itself."""

    def __init__(self, stack: LocalStack, tmp: Path) -> None:
        self.stack, self.tmp = stack, tmp
        self.ends = [0] * PARTITIONS
        ensure(admin(stack.brokers), catalogue(PARTITIONS), stack.brokers)
        self.client: Client = address(stack).connect()
        migrate(self.client, retention=Retention(raw_days=0, log_days=0))
        self.sent: dict[str, int] = {}
        self.started: list[subprocess.Popen] = []

    def send(self, run: str, steps: int, partition: int = 0, *, times: int = 1, extra: tuple = (), pause_s: float = 0.0) -> None:
        """Writes a training's events, `times` over, and what the fold says of them, in pieces with a pause between."""
        log = records([*training(run, steps), *extra, Tick()] * times, partition, self.ends[partition])
        results = folded(log)
        out = producer(self.stack.brokers, linger_ms=0)
        for record in log:
            out.produce(EVENTS, record.value, record.key, partition)
            for result in (r for r in results if r.offset == record.offset):
                out.produce(RESULTS, result.SerializeToString(), result.run_id.encode(), partition)
            if pause_s:
                out.flush()
                time.sleep(pause_s)
        out.flush()
        self.ends[partition] += len(log)
        self.sent[run] = steps

    def lander(self, **more: object) -> subprocess.Popen:
        command = [sys.executable, "-m", "reward_jobs.land", "--config", str(self.stack.settings_file)]
        environment = {**os.environ, **{f"REWARD_MONITOR_{name}".upper(): str(value) for name, value in more.items()}}
        with (self.tmp / "land.log").open("a") as log:
            self.started.append(subprocess.Popen(command, env=environment, stderr=log))
        return self.started[-1]

    def log(self) -> str:
        return (self.tmp / "land.log").read_text()

    def landed(self) -> bool:
        try:
            ends = landed_ends(self.client, 0)
        except Unavailable:
            return False
        if [ends.get(("events", p), 0) for p in range(PARTITIONS)] != self.ends:
            return False
        return all(
            self.query("SELECT state FROM rewards.runs WHERE run_id = {r:String}", run) == [("finished",)] for run in self.sent
        )

    def query(self, sql: str, run: str) -> list[tuple]:
        return rows(self.client, sql, r=run)

    def check(self, run: str) -> None:
        """Every reward and every step of a run, each once, and nothing that the audit would complain of."""
        steps = self.sent[run]
        counts = "SELECT count(), uniqExact(step, rank, seq, completion, function) FROM rewards.rewards WHERE run_id = {r:String}"
        assert self.query(counts, run) == [(steps * 2 * 8 * 3,) * 2]
        counts = "SELECT count(), uniqExact(step, function), min(closed), sum(count) FROM rewards.steps WHERE run_id = {r:String}"
        assert self.query(counts, run) == [(steps * 4, steps * 4, True, steps * 2 * 8 * 4)]
        assert self.query("SELECT state, missing FROM rewards.runs WHERE run_id = {r:String}", run) == [("finished", 0)]
        assert audit(self.client) == []
        assert rows(self.client, "SELECT count() FROM rewards_tables.event_log FINAL") == [(sum(self.ends),)]


@pytest.fixture(scope="module")
def module_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with LocalStack(tmp_path_factory.mktemp("land"), installed=fetch()) as stack:
        stack.start()
        yield Site(stack, tmp_path_factory.mktemp("logs"))


@pytest.fixture
def site(module_site: Site) -> Iterator[Site]:
    (module_site.tmp / "land.log").write_text("")
    yield module_site
    for process in module_site.started:
        process.kill()
        process.wait()
    module_site.started.clear()


def wait(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def finish(process: subprocess.Popen) -> None:
    """SIGTERM: exit code 0 within 5 s."""
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 5.0


def test_kill_9_in_mid_stream(site: Site) -> None:
    process = site.lander(jobs_instance="the-one")
    for kill in range(3):
        site.send(f"killed-{kill}", 12, pause_s=0.02)
        process.kill()
        process.wait()
        process = site.lander(jobs_instance="the-one")
    site.send("killed-last", 5, partition=1, extra=(b"\xff\x00 bad",))
    wait(site.landed)
    for run in list(site.sent):
        site.check(run)
    assert rows(site.client, "SELECT field FROM rewards.dead_letters WHERE source = 'events'") == [("message",)]
    finish(process)


def test_the_same_messages_twice(site: Site) -> None:
    process = site.lander()
    site.send("twice", 6, times=2)
    wait(site.landed)
    site.check("twice")
    assert site.query("SELECT duplicates > 0 FROM rewards.runs WHERE run_id = {r:String}", "twice") == [(True,)]
    finish(process)
    ends = landed_ends(site.client, 0)
    before = site.log().count("assigned")
    process = site.lander()  # it goes on where it was: nothing was left uncommitted
    wait(lambda: site.log().count("assigned") > before)
    time.sleep(0.5)
    finish(process)
    assert landed_ends(site.client, 0) == ends


def test_clickhouse_away_for_a_while(site: Site) -> None:
    process = site.lander()
    site.send("before", 3)
    wait(site.landed)
    site.stack.supervisor.stop(CLICKHOUSE)
    site.send("meanwhile", 20, pause_s=0.02)
    wait(lambda: "stalled" in site.log())
    assert process.poll() is None
    site.stack.supervisor.start(CLICKHOUSE)
    wait(site.landed)
    site.check("before")
    site.check("meanwhile")
    assert "going on" in site.log() and site.log().count("stalled") == 1
    finish(process)


def test_two_landers_share_and_one_leaves(site: Site) -> None:
    first, second = site.lander(), site.lander()
    wait(lambda: site.log().count("assigned events") + site.log().count("assigned results") >= 2)
    site.send("shared-0", 10, pause_s=0.01)
    first.kill()
    site.send("shared-1", 5, partition=1)
    site.send("shared-2", 5)
    wait(site.landed, 60)
    for run in ("shared-0", "shared-1", "shared-2"):
        site.check(run)
    finish(second)


def test_of_two_landers_with_one_name_the_first_ends(site: Site) -> None:
    """Kafka fences it, which a broker's kill can do to a lander that is alone; the next start is a member again."""
    first = site.lander(jobs_instance="twin")
    wait(lambda: "assigned events" in site.log())
    second = site.lander(jobs_instance="twin")
    site.send("twins", 10, pause_s=0.1)
    assert first.wait(30) == EXIT_FATAL
    assert "fenced" in site.log()
    wait(site.landed)
    site.check("twins")
    finish(second)


def test_mistakes_are_told_and_end_it_and_an_outage_does_not_hold_it(site: Site) -> None:
    wrong = site.tmp / "wrong"
    wrong.write_text("no")
    assert site.lander(clickhouse_writer_password_file=wrong).wait(20) == EXIT_CONFIGURATION
    assert "wrong user or password" in site.log()
    assert site.lander(clickhouse_writer_password_file="/nowhere").wait(20) == EXIT_CONFIGURATION
    assert "A secret could not be read: No such file or directory. (/nowhere)" in site.log()
    site.client.command(
        "INSERT INTO rewards_tables.ingest_audit (topic, epoch, partition, from_offset, to_offset) VALUES ('events', 7, 1, 0, 1000000)"
    )
    assert site.lander(jobs_epoch=7).wait(20) == EXIT_CONFIGURATION
    assert "1000000 were landed: it was created anew" in site.log() and "REWARD_MONITOR_JOBS_EPOCH=8" in site.log()
    process = site.lander()
    wait(lambda: "assigned" in site.log())
    site.stack.supervisor.stop(CLICKHOUSE)
    site.send("left", 3)
    wait(lambda: "stalled" in site.log())
    finish(process)  # what can't be landed is left to the next start
