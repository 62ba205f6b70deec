"""What the tests of `doctor` share: a context from settings, and the findings of some checks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reward_infra.doctor.context import Context
from reward_infra.doctor.examine import examine
from reward_infra.doctor.finding import Finding
from reward_infra.errors import InfraError
from reward_infra.topics import ensure, offsets
from reward_jobs.settings import Settings
from reward_producers.kafka import admin
from reward_schemas.settings import PREFIX, load
from reward_schemas.topics import Topic


def context(file: Path | None = None, *, now_s: Callable[[], float] | None = None, **settings: object) -> Context:
    """A context of a settings file, and of settings beside it: kafka_brokers="…" is the variable REWARD_MONITOR_KAFKA_BROKERS."""
    given = {f"{PREFIX}{name}".upper(): str(value) for name, value in settings.items()}
    loaded = load(Settings, given, file)
    more = {"now_s": now_s} if now_s else {}
    return Context(loaded.value.local.dir, loaded, elsewhere=frozenset({"kafka", "clickhouse"}), **more)


def look(patient: Context, *checks: str) -> list[Finding]:
    """What these checks find; what they need must be well."""
    found = list(examine(patient, checks))
    others = [finding for finding in found if finding.check not in checks and finding.level not in ("ok", "note")]
    assert not others, others
    return [finding for finding in found if finding.check in checks]


def one(patient: Context, check: str, level: str = "error") -> Finding:
    """The one finding of this level of a check."""
    found = [finding for finding in look(patient, check) if finding.level == level]
    assert len(found) == 1, look(patient, check)
    return found[0]


def well(patient: Context, *checks: str) -> list[str]:
    """What the checks say where all is well."""
    found = look(patient, *checks)
    assert {finding.level for finding in found} <= {"ok"} and {finding.check for finding in found} == {*checks}, found
    return [finding.what for finding in found]


def make_topics(place: str, topics: tuple[Topic, ...]) -> None:
    """Creates topics, and waits until every partition of theirs has a leader that knows of it."""
    client = admin(place)
    ensure(client, topics, place)
    for topic in topics:
        while True:
            with suppress(InfraError):
                offsets(client, topic.name, place)
                break
            time.sleep(0.02)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that answers nothing, as behind a firewall: nobody accepts, and the queue of those who wait is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            waiting.append(client)
        yield server.getsockname()[1]
        for client in waiting:
            client.close()


@contextmanager
def mute_port() -> Iterator[int]:
    """A port that takes connections and says nothing, as of a program that hangs."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
