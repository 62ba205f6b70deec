"""How a stack or a cluster does: each part, how far the jobs are behind the log, and which rules count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct
from reward_jobs import groups, snapshots
from reward_jobs.rule_sets import RuleSets
from reward_jobs.settings import Settings
from reward_producers.kafka import AdminClient, KafkaException, TopicPartition, consumer, entered
from reward_producers.kafka_settings import Kafka
from reward_schemas.errors import MonitorError
from reward_schemas.topics import EVENTS

from . import state_file
from .data_dir import holder
from .part import PartState
from .preflight import DISK_BYTES_MIN, free_disk_bytes
from .topics import offsets

_TIMEOUT_S = 5.0
JOBS = {"aggregate": groups.AGGREGATE, "land": groups.LAND}


class PartStatus(Struct, frozen=True):
    """One part of the local stack. uptime_s: None while it is not up; memory_bytes: resident, of its process."""

    name: str
    state: str
    pid: int | None
    uptime_s: float | None
    memory_bytes: int | None
    restarts: int
    last_error: str | None


class JobLag(Struct, frozen=True):
    """One job's consumer group: its members, and the records of its topics that it has not acknowledged.

    lost: of those, the ones that retention has deleted since the job's last acknowledgement.
    """

    job: str
    members: int
    records: int
    lost: int


class Status(Struct, frozen=True):
    """All of it. pid: of the local supervisor, None where no stack runs here; problems: why it isn't well, in words.

    rule_version: of the newest rule set that is sound; in_force: in how many partitions which version is, as of their last
    snapshots, at most half a minute old.
    """

    data_dir: str
    brokers: str
    pid: int | None
    uptime_s: float | None
    parts: list[PartStatus]
    lags: list[JobLag]
    rule_version: int | None
    in_force: dict[int, int]
    disk_free_bytes: int | None
    problems: list[str]


def status(settings: Settings, *, cluster: bool) -> Status:
    """Looks; never raises for what is down: that is a problem of the status.

    cluster: Kafka is to be asked even where no stack runs in the data directory.
    """
    data_dir = settings.local.dir.absolute()
    pid = holder(data_dir)
    told = state_file.read(data_dir) if pid else None
    now = time.time()
    parts = [_part(state, now) for state in told.parts] if told else []
    problems = [f"{part.name} is {part.state}" for part in parts if part.state != "up"]
    lags: list[JobLag] = []
    rules, in_force = None, dict[int, int]()
    if pid or cluster:
        try:
            client = entered(settings.kafka, _TIMEOUT_S)
            lags = [job_lag(client, settings.kafka, job) for job in JOBS]
            rules, in_force, refused = _rules(client, settings.kafka)
            problems += refused
            problems += [f"no {lag.job} job runs" for lag in lags if not lag.members]
        except (KafkaException, TimeoutError, MonitorError) as error:
            problems.append(f"Kafka at {settings.kafka.brokers} can't be asked: {error}")
    free = free_disk_bytes(data_dir) if data_dir.exists() else None
    if pid and free is not None and free < DISK_BYTES_MIN:
        problems.append(f"the disk is nearly full: {free / 1e9:.2f} GB are free")
    return Status(
        str(data_dir),
        settings.kafka.brokers,
        pid,
        now - told.started_at_s if told else None,
        parts,
        lags,
        rules,
        in_force,
        free,
        problems,
    )


def _part(state: PartState, now_s: float) -> PartStatus:
    return PartStatus(
        state.name,
        state.status,
        state.pid,
        None if state.up_since_s is None else now_s - state.up_since_s,
        resident_bytes(state.pid) if state.pid else None,
        state.restarts,
        state.last_error,
    )


def resident_bytes(pid: int) -> int | None:
    """The memory that a process occupies in RAM; None where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)


def job_lag(client: AdminClient, kafka: Kafka, job: str) -> JobLag:
    """How far a job is behind the log. KafkaException or InfraError if the cluster doesn't answer."""
    group = JOBS[job]
    edges = {(topic, p): edge for topic in groups.TOPICS[group] for p, edge in offsets(client, topic, kafka.brokers).items()}
    done = _acknowledged(kafka, group, edges)
    members = client.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)[group].result().members
    return JobLag(
        job,
        len(members),
        records=sum(max(end - done.get(place, 0), 0) for place, (_, end) in edges.items()),
        lost=sum(max(edges[place][0] - offset, 0) for place, offset in done.items()),
    )


def _acknowledged(kafka: Kafka, group: str, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The offsets that a group has committed, of the places where it has.

    Asked by a consumer, which joins no group for that: librdkafka's admin client dereferences a null pointer, and the
    process is gone, where the group's coordinator is still starting.
    """
    reader = consumer(kafka, group)
    try:
        found = reader.committed([TopicPartition(topic, partition) for topic, partition in places], timeout=_TIMEOUT_S)
    finally:
        reader.close()
    return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}


def _rules(client: AdminClient, kafka: Kafka) -> tuple[int | None, dict[int, int], list[str]]:
    """The newest sound rule set, where which is in force, and what is wrong with a newer one."""
    published = RuleSets(kafka)
    reader = snapshots.reader(kafka)
    try:
        published.refresh(_TIMEOUT_S)
        commits = snapshots.last_commits(reader, offsets(client, EVENTS, kafka.brokers), _TIMEOUT_S)
    finally:
        published.close()
        reader.close()
    last = published.last
    wrong = published.mistakes(last)[:5] if last > published.newest else []
    refused = [f"the rules of version {last} are not in force: {mistake}" for mistake in wrong]
    newest = published.newest if published.newest >= 0 else None
    return newest, dict(Counter(commit.rules for commit in commits.values() if commit.rules >= 0)), refused
