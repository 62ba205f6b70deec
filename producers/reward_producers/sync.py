"""Publishes run directories and left-over spools: the messages as they are, under their ids, so that a repeat counts once.

    DATA_DIR/RUN_ID/*.events, *.spool  ──merged by time, a chunk at a time──►  rewards.events.v1
    DATA_DIR/RUN_ID/synced.json        how far each file has arrived, by cluster: a repeat goes on from there

Of a run all files are read side by side, as its ranks wrote them side by side: one rank after the other would be late.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

import msgspec
from reward_schemas.errors import MonitorError
from reward_schemas.segments import Damaged, Frame, read, segments
from reward_schemas.topics import EVENTS

from reward_producers import spool
from reward_producers.kafka import KafkaError, KafkaException, Message, Producer, entered, producer
from reward_producers.kafka_settings import Kafka

log = logging.getLogger("reward_monitor")

PROGRESS = "synced.json"
_CHUNK_BYTES = 4 * 1024 * 1024
_CHUNK_MESSAGES = 4000
_ANSWER_S = 30.0


class NotSynced(MonitorError):
    """Not everything was published; what was is noted."""


@dataclass
class Progress:
    """Of one run: messages that have arrived in this go; bytes of its files that have arrived in all, and there are."""

    folder: Path
    messages: int
    bytes_done: int
    bytes_all: int


def sync(folder: Path, kafka: Kafka | str, tell: Callable[[Progress], None]) -> None:
    """Publishes what lies below a folder and has not arrived yet; `tell` is called after every chunk, and at least once for a run.

    Raises NotSynced where there is nothing, or Kafka doesn't take it; KafkaRefused, KafkaUnreachable. Damaged is raised at the end:
    what can be read is published.
    """
    runs = sorted({file.parent for file in (*segments(folder), *spool.left_over(folder))})
    if not runs:
        remedy = "give the directory of runs that were reported offline: REWARD_MONITOR_DATA_DIR, or runs"
        raise NotSynced("There are no runs here.", where=str(folder), remedy=remedy)
    cluster = _cluster(kafka)
    client = producer(
        kafka, message_timeout_ms=int(_ANSWER_S * 1000), queue_buffering_max_kbytes=4 * _CHUNK_BYTES // 1024, linger_ms=5
    )
    damaged: list[Damaged] = []
    for run in runs:
        _sync_run(run, cluster, client, tell, damaged)
    if damaged:
        raise damaged[0]


def _cluster(kafka: Kafka | str) -> str:
    """The cluster's id. Raises NotSynced where it has no events topic."""
    found = entered(kafka).list_topics(timeout=10)
    if EVENTS not in found.topics:
        raise NotSynced(f"Kafka has no topic {EVENTS}.", remedy="`reward-monitor topics --create`")
    return str(found.cluster_id)


def _sync_run(folder: Path, cluster: str, client: Producer, tell: Callable[[Progress], None], damaged: list[Damaged]) -> None:
    noted = _noted(folder)
    at = noted.setdefault(cluster, {})  # by file, the bytes that have arrived
    with ExitStack() as claims:
        files = [file for file in (*segments(folder), *spool.left_over(folder)) if file.parent == folder]
        dead = [file for file in files if file.suffix == spool.SUFFIX and _claim(file, claims)]
        told = Progress(folder, 0, sum(at.get(file.name, 0) for file in files), sum(file.stat().st_size for file in files))
        known = len(damaged)
        tell(told)
        for chunk in _chunks(merge(*(_frames(file, at, damaged) for file in files), key=lambda each: each[1].time_ms)):
            _publish([frame for _, frame in chunk], client)
            at |= {file.name: frame.end for file, frame in chunk}
            _note(folder, noted)
            told.messages += len(chunk)
            told.bytes_done = sum(at.get(file.name, 0) for file in files)
            tell(told)
        if len(damaged) == known:
            for file in dead:
                file.unlink(missing_ok=True)


def _claim(file: Path, claims: ExitStack) -> bool:
    """Whether no process has this spool any more; it is then ours until the end."""
    handle = spool.claimed(file)
    if handle:
        claims.enter_context(handle)
    return handle is not None


def _frames(file: Path, at: Mapping[str, int], damaged: list[Damaged]) -> Iterator[tuple[Path, Frame]]:
    try:
        for frame in read(file, at.get(file.name, 0)):
            yield file, frame
    except Damaged as error:
        damaged.append(error)


def _chunks(messages: Iterable[tuple[Path, Frame]]) -> Iterator[list[tuple[Path, Frame]]]:
    chunk: list[tuple[Path, Frame]] = []
    size = 0
    for file, frame in messages:
        chunk.append((file, frame))
        size += len(frame.value)
        if size >= _CHUNK_BYTES or len(chunk) == _CHUNK_MESSAGES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _publish(messages: list[Frame], client: Producer) -> None:
    """Returns once all have arrived; raises NotSynced."""
    failed: list[KafkaError] = []

    def answered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    try:
        for message in messages:
            client.produce(EVENTS, message.value, message.key, on_delivery=answered)
        while len(client):
            client.poll(0.1)  # in short turns, between which Ctrl-C is heard
    except KafkaException as error:
        failed.append(error.args[0])
    if failed:
        raise NotSynced(f"Kafka did not take it: {failed[0].str()}.", remedy="run the same again: it goes on where this stopped")


def _noted(folder: Path) -> dict[str, dict[str, int]]:
    try:
        return msgspec.json.decode((folder / PROGRESS).read_bytes(), type=dict[str, dict[str, int]])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("%s can't be read, so all is published again and counts once: %s", folder / PROGRESS, error)
        return {}


def _note(folder: Path, noted: dict[str, dict[str, int]]) -> None:
    begun = folder / f"{PROGRESS}.new"
    try:
        begun.write_bytes(msgspec.json.encode(noted))
        begun.replace(folder / PROGRESS)
    except OSError as error:
        remedy = "make the directory writable, or copy it: what has arrived is noted beside the files"
        raise NotSynced(f"The progress can't be noted: {error.strerror}.", where=str(folder), remedy=remedy) from error
