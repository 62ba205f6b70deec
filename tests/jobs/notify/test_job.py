"""The notifier as a process, from the real broker to a real server: killed, cut off, silenced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reward_infra.embedded_kafka import EmbeddedKafka
from reward_infra.fetch import fetch
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor
from reward_infra.topics import ensure
from reward_jobs import health
from reward_jobs.notify.store import PENDING, SENT, Store
from reward_jobs.rule_sets import publish
from reward_jobs.settings import EXIT_CONFIGURATION
from reward_producers.kafka import admin, producer
from reward_schemas.topics import RESULTS, catalogue

from tests.jobs.notify.alerts import result
from tests.jobs.notify.servers import Answer, Request, Web, web

pytestmark = pytest.mark.timeout(60)
PARTITIONS = 2
TOKEN = "t0p-s3cret-t0ken"
CONFIG = """
routes:
- to: [hook]
  group_by: [run]
  group_wait: 0s
  group_interval: 0s
receivers:
  hook: {{type: webhook, url: "{url}", token: {{env: HOOK_TOKEN}}, allow_private: true, max_per_hour: 1000}}
allow_hosts: [localhost]
"""


class Site:
    """A broker, a directory of one notifier, and its processes."""

    def __init__(self, brokers: str, home: Path) -> None:
        self.brokers, self.home, self.data_dir = brokers, home, home / "data"
        self.started: list[subprocess.Popen] = []
        self.producer = producer(brokers, linger_ms=0)
        self.offset = time.time_ns()  # of the source: ever more, as in one log
        self.url = ""

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **os.environ,
            "REWARD_MONITOR_KAFKA_BROKERS": self.brokers,
            "REWARD_MONITOR_JOBS_DATA_DIR": str(self.data_dir),
            "REWARD_MONITOR_JOBS_NOTIFY_CONFIG": str(self.home / "notify.yaml"),
            "HOOK_TOKEN": TOKEN,
            **more,
        }

    def start(self, url: str = "", *, own_file: bool = True) -> subprocess.Popen:
        self.url = url or self.url
        if own_file:
            (self.home / "notify.yaml").write_text(CONFIG.format(url=self.url))
        with (self.home / "log").open("a") as log:
            command = [sys.executable, "-m", "reward_jobs.notify"]
            more = {} if own_file else {"REWARD_MONITOR_JOBS_NOTIFY_CONFIG": ""}
            self.started.append(subprocess.Popen(command, env=self.environment(**more), stderr=log, stdout=log))
        return self.started[-1]

    def send(self, state: str, run: str, sequence: int, partition: int = 0) -> None:
        self.offset += 1
        now_ms = time.time_ns() // 1_000_000
        self.producer.produce(RESULTS, result(state, self.offset, run=run, sequence=sequence, time_ms=now_ms), run, partition)
        assert self.producer.flush(10) == 0

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = [str(Path(sys.executable).with_name("reward-monitor")), "silence", *arguments]
        return subprocess.run(program, env=self.environment(), capture_output=True, text=True, timeout=60)

    def outcomes(self) -> list[str]:
        store = Store(self.data_dir)
        try:
            return [state for _, state, *_ in store.outcomes()]
        finally:
            store.close()

    def log(self) -> str:
        return (self.home / "log").read_text()


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    installed, tmp = fetch(), tmp_path_factory.mktemp("kafka")
    ports = Ports(None, installed.cache / "ports")
    chosen = ports.choose({"kafka": 29792, "controller": 29793})
    broker = EmbeddedKafka(installed.kafka(), tmp / "kafka", chosen["kafka"], chosen["controller"])
    broker.prepare()
    with Supervisor([broker.part()], tmp / "logs") as supervisor:
        supervisor.start()
        ensure(admin(broker.brokers), catalogue(PARTITIONS), broker.brokers)
        yield broker.brokers
    ports.release()


@pytest.fixture
def site(brokers: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(brokers, tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def wait(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def said(server: Web) -> list[tuple[str, str]]:
    return [(alert["run"], alert["status"]) for request in server.requests for alert in request.json["alerts"]]


def test_kill_9_between_sending_and_recording_sends_again_with_the_same_key(site: Site) -> None:
    def kill(request: Request) -> None:
        if len(server.requests) in (1, 4):
            site.started[-1].kill()

    with web(on_request=kill) as server:
        site.start(server.url())
        site.send("firing", "killed-1", 1)
        wait(lambda: len(server.requests) == 1)
        assert site.started[-1].wait(10) == -signal.SIGKILL
        site.send("firing", "killed-2", 1, partition=1)  # while nobody reads
        site.start()
        wait(lambda: len(server.requests) == 3)
        site.send("resolved", "killed-1", 2)
        wait(lambda: len(server.requests) == 4)
        assert site.started[-1].wait(10) == -signal.SIGKILL
        site.send("resolved", "killed-2", 2, partition=1)
        site.start()
        wait(lambda: len(server.requests) == 6)
        wait(lambda: site.outcomes() == [SENT] * 4)
    first, again, other, ends, ends_again, other_ends = server.requests
    assert first.key == again.key and first.body == again.body
    assert ends.key == ends_again.key and ends.body == ends_again.body
    assert len({first.key, other.key, ends.key, other_ends.key}) == 4
    assert sorted(set(said(server))) == [(f"killed-{n}", status) for n in (1, 2) for status in ("firing", "resolved")]


def test_what_cant_be_sent_is_kept_over_a_restart(site: Site) -> None:
    with web(Answer(503), Answer(503), Answer(200)) as server:
        process = site.start(server.url())
        site.send("firing", "kept", 1)
        wait(lambda: len(server.requests) >= 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0 and site.outcomes() == [PENDING]
        site.start()
        wait(lambda: site.outcomes() == [SENT])
    assert len({request.key for request in server.requests}) == 1
    assert "receiver hook takes no message, it is tried again: HTTP 503" in site.log()
    assert (site.data_dir / health.NOTIFY).is_file() and health.problem(site.data_dir, time.time()) is None
    kept = b"".join(file.read_bytes() for file in site.data_dir.iterdir())
    assert b"kept" in kept and TOKEN.encode() not in kept and TOKEN not in site.log()


def test_silences_by_the_command(site: Site) -> None:
    assert "No notifier has kept anything here" in site.command("list").stderr
    with web() as server:
        site.start(server.url())
        site.send("firing", "loud", 1)
        wait(lambda: said(server) == [("loud", "firing")])
        added = site.command("add", "run=quiet", "rule=coll*", "--for", "2h", "--comment", "known")
        assert added.returncode == 0 and "silences 0 of what fires, until" in added.stdout
        assert "1 of what fires, when that is resolved" in site.command("add", "run=loud", "--until-resolved").stdout
        time.sleep(0.5)  # it looks several times a second
        site.send("firing", "quiet", 1)
        site.send("firing", "other", 1)
        wait(lambda: len(server.requests) == 2)
        listed = site.command("list").stdout
        assert [line.split()[-1] for line in listed.splitlines() if " critical " in line].count("silenced") == 2
        assert "run=quiet rule=coll*" in listed and "known" in listed
        assert site.command("remove", added.stdout.split()[0]).returncode == 0
        site.send("resolved", "loud", 2)
        wait(lambda: len(server.requests) == 4)
    assert said(server)[:2] == [("loud", "firing"), ("other", "firing")]
    assert sorted(said(server)[2:]) == [("loud", "resolved"), ("quiet", "firing")]
    for arguments, code, says in (
        (("add", "run=x", "--until-resolved"), 1, "Nothing that matches fires"),
        (("add", "colour=red", "--for", "1h"), 1, "an alert has no 'colour'"),
        (("add", "run=x", "--for", "soon"), 2, "is no duration"),
        (("add", "run=x", "--until", "2020-01-01"), 1, "would be over already"),
        (("add", "run=x"), 2, "one of the arguments --until --for --until-resolved is required"),
        (("remove", "nothing"), 1, "There is no silence 'nothing'"),
    ):
        told = site.command(*arguments)
        assert (told.returncode, told.stderr.count("\n")) == (code, 1) and says in told.stderr


def test_what_a_restart_doesnt_mend_ends_with_78(site: Site) -> None:
    with web() as server:
        site.start(server.url())
        wait(lambda: "notifying from" in site.log())
        assert site.start().wait(20) == EXIT_CONFIGURATION  # another one in the same directory
        assert "Another notifier uses this directory" in site.log()
    for setting, says in (("NOTIFY_CONFIG", "The notifier's configuration can't be read"), ("DATA_DIR", "can't be used")):
        environment = site.environment(**{f"REWARD_MONITOR_JOBS_{setting}": "/proc/none"})
        told = subprocess.run(
            [sys.executable, "-m", "reward_jobs.notify"], env=environment, capture_output=True, text=True, timeout=30
        )
        assert told.returncode == EXIT_CONFIGURATION and says in told.stderr


def test_routes_of_the_rules_in_force_are_followed(site: Site) -> None:
    def publish_with(url: str, more: str = "") -> None:
        publish(site.brokers, {"notify.yaml": "version: 1" + CONFIG.format(url=url) + more})

    with web() as one, web() as other:
        publish_with(one.url())
        site.start(own_file=False)
        site.send("firing", "routed", 1)
        wait(lambda: said(one) == [("routed", "firing")])
        publish_with(one.url(), "silences: [{match: {run: hushed}, until: 2099-01-01}]\n")
        wait(lambda: "routes and receivers of rule set 1" in site.log())
        site.send("firing", "hushed", 1)
        publish(site.brokers, {"notify.yaml": "no rules"}, refused=True)  # what was stays
        publish_with(other.url())
        wait(lambda: "routes and receivers of rule set 3" in site.log())
        site.send("resolved", "routed", 2)
        wait(lambda: len(other.requests) == 2)
        assert said(one) == [("routed", "firing")]
        assert sorted(said(other)) == [("hushed", "firing"), ("routed", "resolved")]


def test_a_second_notifier_elsewhere_takes_the_place_of_the_first(site: Site) -> None:
    with web() as server:
        first = site.start(server.url())
        wait(lambda: "assigned" in site.log())
        site.data_dir = site.home / "other"
        site.start()
        assert first.wait(30) == EXIT_CONFIGURATION  # a restart would take the place of the second, and so on
        assert "Another notifier has taken this one's place" in site.log()
        site.send("firing", "once", 1)
        wait(lambda: said(server) == [("once", "firing")])
