"""Snapshots in their topic: chunks, then a commit record that names and proves them.

A snapshot is the state of one partition through one offset. Any that is valid is correct; an older one only costs
replay. So nothing fences the writers: the reader takes the one with the greatest offset, not the last written.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterable

import msgspec
import zstandard
from reward_engine.bounds import FOLD_GENERATION
from reward_engine.snapshot import STATE_SCHEMA
from reward_producers.kafka import Consumer, KafkaException, Message, Producer, TopicPartition, consumer
from reward_producers.kafka_settings import Kafka
from reward_schemas.topics import SNAPSHOTS

CHUNK_BYTES = 900_000
KEPT = 8  # the reader looks at so many of the latest: a zombie's late one can't hide the newer ones before it


class Commit(msgspec.Struct):
    """The last record of a snapshot."""

    through: int
    snapshot: str
    chunks: int
    bytes: int
    sha256: str
    topic_id: str
    partitions: int
    epoch: int
    generation: int = FOLD_GENERATION
    schema: int = STATE_SCHEMA
    rules: int = -1  # version of the rule set in force


class Candidate(msgspec.Struct):
    """A snapshot as read: its commit record and its chunks, which may be missing or damaged."""

    commit: Commit
    chunks: dict[int, bytes]

    def state(self) -> bytes:
        """The encoded state; ValueError with what is wrong where the bytes are not those that were written."""
        if sorted(self.chunks) != list(range(self.commit.chunks)):
            raise ValueError(f"{len(self.chunks)} of {self.commit.chunks} chunks")
        packed = b"".join(self.chunks[i] for i in range(self.commit.chunks))
        if hashlib.sha256(packed).hexdigest() != self.commit.sha256:
            raise ValueError("sha256 differs from the commit record's")
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=self.commit.bytes)


def pack(state: bytes, through: int, topic_id: str, partitions: int, epoch: int, rules: int = -1) -> tuple[Commit, list[bytes]]:
    """The commit record and the chunks of an encoded state."""
    packed = zstandard.ZstdCompressor(level=1).compress(state)
    chunks = [packed[i : i + CHUNK_BYTES] for i in range(0, len(packed), CHUNK_BYTES)]
    commit = Commit(
        through,
        uuid.uuid4().hex,
        len(chunks),
        len(state),
        hashlib.sha256(packed).hexdigest(),
        topic_id,
        partitions,
        epoch,
        rules=rules,
    )
    return commit, chunks


def send(producer: Producer, partition: int, commit: Commit, chunks: list[bytes]) -> None:
    """Sends a snapshot and waits until the broker has it; raises KafkaException where it doesn't take it."""
    refused: list[object] = []

    def delivered(error: object, _: Message) -> None:
        if error is not None:
            refused.append(error)

    for i, chunk in enumerate(chunks):
        producer.produce(SNAPSHOTS, chunk, f"{commit.snapshot}/{i}", partition, on_delivery=delivered)
    producer.flush()
    if not refused:  # the commit record proves chunks that are there
        producer.produce(SNAPSHOTS, msgspec.msgpack.encode(commit), f"{commit.snapshot}/commit", partition, on_delivery=delivered)
        producer.flush()
    if refused:
        raise KafkaException(refused[0])


def reader(kafka: Kafka | str) -> Consumer:
    """A consumer for `read`. It doesn't wait for more where a fetch finds nothing: it reads to a known end."""
    return consumer(kafka, "reward-monitor.snapshots", fetch_wait_max_ms=10)


def read(client: Consumer, partitions: Iterable[int], timeout_s: float = 60.0) -> dict[int, list[Candidate]]:
    """The latest snapshots of each partition: of the newest epoch first, in it of the greatest offset.

    `client` is used for this alone, without its group. Raises TimeoutError where the broker doesn't deliver.
    """
    ends = {p: client.get_watermark_offsets(TopicPartition(SNAPSHOTS, p), timeout=timeout_s) for p in partitions}
    found: dict[int, list[Candidate]] = {}
    window = 64
    while unread := {p: (max(low, high - window), high) for p, (low, high) in ends.items() if p not in found}:
        for partition, records in _records(client, unread, timeout_s).items():
            candidates = _candidates(records)
            if len(candidates) >= KEPT or unread[partition][0] == ends[partition][0]:
                found[partition] = sorted(candidates, key=lambda c: (c.commit.epoch, c.commit.through), reverse=True)
        window *= 4
    return found


def last_commits(client: Consumer, partitions: Iterable[int], timeout_s: float = 60.0) -> dict[int, Commit]:
    """The commit record of the snapshot that was written last, of each partition that ends with one: a cheap look.

    `client` as of `read`. Raises TimeoutError where the broker doesn't deliver.
    """
    ends = {p: client.get_watermark_offsets(TopicPartition(SNAPSHOTS, p), timeout=timeout_s) for p in partitions}
    last = {p: (max(low, high - 1), high) for p, (low, high) in ends.items()}
    found = {p: _candidates(records) for p, records in _records(client, last, timeout_s).items()}
    return {p: candidates[-1].commit for p, candidates in found.items() if candidates}


def _records(client: Consumer, ranges: dict[int, tuple[int, int]], timeout_s: float) -> dict[int, list[Message]]:
    """The records of each partition in [start, end), all partitions at once."""
    records: dict[int, list[Message]] = {partition: [] for partition in ranges}
    unread = {partition for partition, (start, end) in ranges.items() if end > start}
    client.assign([TopicPartition(SNAPSHOTS, partition, ranges[partition][0]) for partition in unread])
    deadline = time.monotonic() + timeout_s
    while unread:
        for message in client.consume(100, 0.05):
            if message.error():
                raise KafkaException(message.error())
            records[message.partition()].append(message)  # type: ignore[index]  # None only before a message was sent
        # By position, not by the last record: retention or a transaction may leave nothing at the end.
        places = client.position([TopicPartition(SNAPSHOTS, partition) for partition in unread])
        unread -= {place.partition for place in places if place.offset >= ranges[place.partition][1]}
        if unread and time.monotonic() > deadline:
            raise TimeoutError(f"{SNAPSHOTS} partitions {sorted(unread)}: not read to their end in {timeout_s:.0f} s")
    return records


def _candidates(records: list[Message]) -> list[Candidate]:
    chunks: dict[str, dict[int, bytes]] = {}
    candidates = []
    for record in records:
        snapshot, _, part = (record.key() or b"").decode("ascii", "replace").partition("/")
        if part.isdigit():
            chunks.setdefault(snapshot, {})[int(part)] = record.value() or b""
        elif part == "commit":
            try:
                commit = msgspec.msgpack.decode(record.value() or b"", type=Commit)
            except msgspec.DecodeError:
                continue  # a damaged commit record proves nothing; the snapshot before it stands
            candidates.append(Candidate(commit, chunks.get(snapshot, {})))
    return candidates
