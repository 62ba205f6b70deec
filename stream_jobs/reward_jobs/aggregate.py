"""The worker: decode, place, add, judge, emit. A Faust agent over fetched chunks of the events topic.

    python -m reward_jobs.aggregate [--config FILE]

The state of a partition is the pure fold of its prefix. At assignment it comes from the newest valid snapshot and goes on
at the offset after it, never at the committed one; committed offsets only show the lag. So it doesn't matter when the
process dies: its successor folds the same records again and emits the same results.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from reward_engine.bounds import TICK_MS
from reward_engine.fold import Record, fold
from reward_engine.snapshot import encode, joined
from reward_engine.state import Partition
from reward_producers.kafka import entered, producer
from reward_producers.kafka_errors import KafkaUnreachable
from reward_producers.kafka_settings import Kafka
from reward_schemas.encode import encode_control
from reward_schemas.errors import MonitorError
from reward_schemas.events import Tick
from reward_schemas.parse import parse
from reward_schemas.topics import EVENTS

from reward_jobs import groups, health, logs, snapshots
from reward_jobs.assign import Refused, resume
from reward_jobs.chunks import EXIT_FATAL, ChunkApp, chunk_app, leave, run, source_topic
from reward_jobs.log_facts import log_facts
from reward_jobs.results import ResultsWriter
from reward_jobs.settings import EXIT_CONFIGURATION, Settings, of_process

log = logging.getLogger("reward_jobs.aggregate")

_ENTER_S = 30.0  # the longest wait for Kafka at the start
_BACKLOG_MAX = 50_000  # results that wait for the broker
_SLICE_S = 0.02  # how long the fold may hold the loop, which also answers heartbeats


class Owned:
    """A partition that this worker owns: its state, and when that was last stored."""

    def __init__(self, state: Partition, topic_id: str, partitions: int) -> None:
        self.state, self.topic_id, self.partitions = state, topic_id, partitions
        self.stored_through, self.stored_at = state.through, time.monotonic()


class Worker:
    """What the agent does with chunks, apart from Faust."""

    def __init__(self, kafka: Kafka, data_dir: Path, snapshot_s: float) -> None:
        self.owned: dict[int, Owned] = {}
        self._kafka, self._snapshot_s = kafka, snapshot_s
        self._status = health.begin(data_dir, health.AGGREGATE)  # who owns which partitions, from which offset
        self._results = ResultsWriter(kafka)
        self._log = producer(kafka, linger_ms=5, message_timeout_ms=0)  # snapshots and ticks
        self._busy = asyncio.Lock()  # folding, or encoding a state: never both

    async def assign(self, partitions: set[int]) -> dict[int, int]:
        """Takes these partitions over and returns the offset at which each goes on."""
        kept = {p: owned for p, owned in self.owned.items() if p in partitions}  # a prefix's fold is right whoever owned it since
        try:
            async with self._busy:
                fresh = await asyncio.to_thread(self._load, partitions - kept.keys())
                self.owned = kept | fresh
        except Refused as error:
            leave(EXIT_CONFIGURATION, str(error))
        except Exception:  # Faust would swallow it or go on without a seek
            log.exception("taking over partitions failed")
            leave(EXIT_FATAL, "leaving; the next start tries again")
        offsets = {p: owned.state.through + 1 for p, owned in self.owned.items()}
        log.info("owns %s", ", ".join(f"{p} from {offset}" for p, offset in sorted(offsets.items())) or "nothing")
        self._status.parent.mkdir(parents=True, exist_ok=True)
        self._status.write_text(json.dumps({"pid": os.getpid(), "offsets": offsets}))  # last: who reads it may look into the log
        return offsets

    def _load(self, partitions: set[int]) -> dict[int, Owned]:
        if not partitions:
            return {}
        reader = snapshots.reader(self._kafka)
        try:
            facts = log_facts(self._kafka, reader, partitions)
            found = snapshots.read(reader, partitions)
        finally:
            reader.close()
        owned = {}
        for partition in sorted(partitions):
            state, results = resume(partition, found[partition], facts[partition])
            self._results.write(partition, results)
            owned[partition] = Owned(state, facts[partition].topic_id, facts[partition].partitions)
        return owned

    async def take(self, partition: int, records: list[Any]) -> None:
        """Folds a fetched chunk and emits its results, then stores a snapshot if one is due."""
        while self._results.backlog > _BACKLOG_MAX:  # the broker is slower than the fold
            self._results.poll()
            await asyncio.sleep(0.05)
        async with self._busy:
            owned = self.owned.get(partition)
            since = time.monotonic()
            for record in records:
                if owned is None or record.offset <= owned.state.through:
                    continue  # fetched before a rebalance took us back
                if record.offset != owned.state.through + 1:
                    leave(EXIT_FATAL, f"{EVENTS} partition {partition}: after {owned.state.through} came {record.offset}")
                event = parse(record.key, record.value)
                self._results.write(
                    partition, fold(owned.state, Record(record.offset, record.timestamp, event, record.value or b""))
                )
                if time.monotonic() - since > _SLICE_S:
                    await asyncio.sleep(0)
                    since = time.monotonic()
            self._results.poll()
            if owned and owned.state.through > owned.stored_through and time.monotonic() - owned.stored_at > self._snapshot_s:
                await self._store(owned)

    async def _store(self, owned: Owned) -> None:
        pieces, since = [], time.monotonic()
        for piece in encode(owned.state):
            pieces.append(piece)
            if time.monotonic() - since > _SLICE_S:
                await asyncio.sleep(0)
                since = time.monotonic()
        await asyncio.to_thread(self._send, owned, joined(pieces))

    def _send(self, owned: Owned, encoded: bytes) -> None:
        state = owned.state
        self._results.flush()  # first the results of everything up to `through`, then the snapshot that stands for it
        commit, chunks = snapshots.pack(encoded, state.through, owned.topic_id, owned.partitions, state.epoch)
        snapshots.send(self._log, state.partition, commit, chunks)
        owned.stored_through, owned.stored_at = state.through, time.monotonic()
        log.debug(
            "partition %d: snapshot through %d, %d runs, %d bytes", state.partition, state.through, len(state.runs), len(encoded)
        )

    async def tick(self) -> None:
        """Writes a tick into every owned partition, for ever: the clock of the log."""
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            self._log.poll(0)
            if self._status.exists() and not len(self._log):  # partitions were given, and the broker took the ticks before
                self._status.touch()
            for partition in list(self.owned):
                self._log.produce(EVENTS, encode_control(Tick()), None, partition)

    async def store_all(self) -> None:
        """Stores every partition's state, so that a successor needs no replay."""
        async with self._busy:
            for owned in self.owned.values():
                if owned.state.through > owned.stored_through:
                    await self._store(owned)


def app(settings: Settings) -> ChunkApp:
    """The Faust app of a worker."""
    worker = Worker(settings.kafka, settings.jobs.data_dir, settings.jobs.snapshot_s)
    app = chunk_app(groups.AGGREGATE, settings.kafka, EVENTS, settings.jobs.data_dir, worker.assign)

    @app.agent(source_topic(app), concurrency=1)
    async def aggregate(stream: Any) -> None:
        try:
            async for chunks in stream.noack_take(16, within=0.05):
                for chunk in chunks:
                    if chunk.message.generation_id == app.consumer_generation_id:
                        await worker.take(chunk.message.partition, chunk.value)
                    await stream.ack(chunk)  # the lag's display; where we go on is the snapshots' business
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("infrastructure failed")
            leave(EXIT_FATAL, "leaving unacknowledged; the next worker folds the same records again")

    app.task(worker.tick)
    app.on_before_shutdown.connect(lambda _sender, **_: worker.store_all(), weak=False)  # type: ignore[arg-type]  # `**_` has it
    return app


def main() -> None:
    """Runs a worker until SIGTERM; exit code 70 where Kafka does not answer, 78 where a restart won't mend it."""
    settings = of_process("reward_jobs.aggregate", "Folds reward events into results.")
    logs.configure()
    try:
        entered(settings.kafka, _ENTER_S)
        run(lambda: app(settings))
    except MonitorError as error:
        leave(EXIT_FATAL if isinstance(error, KafkaUnreachable) else EXIT_CONFIGURATION, str(error))


if __name__ == "__main__":
    main()
