"""What a worker does with its partitions: takes them over, folds what comes, stores snapshots, ticks, and follows the rules."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from reward_engine.bounds import TICK_MS
from reward_engine.fold import NO_RULES, Record, fold
from reward_engine.rules.ruleset import RuleSet
from reward_engine.snapshot import encode, joined
from reward_engine.state import Partition
from reward_producers.kafka import KafkaException, producer
from reward_producers.kafka_settings import Kafka
from reward_schemas.encode import encode_control
from reward_schemas.events import RuleSwitch, Tick
from reward_schemas.parse import parse
from reward_schemas.topics import EVENTS, RULES

from reward_jobs import health, snapshots
from reward_jobs.assign import Refused, resume
from reward_jobs.chunks import EXIT_FATAL, leave
from reward_jobs.log_facts import log_facts
from reward_jobs.results import ResultsWriter
from reward_jobs.rule_sets import RuleSets
from reward_jobs.settings import EXIT_CONFIGURATION

log = logging.getLogger("reward_jobs.aggregate")

_BACKLOG_MAX = 50_000  # results that wait for the broker
_RULES_S = 1.0  # between two looks at the rules topic
_SLICE_S = 0.02  # how long the fold may hold the loop, which also answers heartbeats


class Owned:
    """A partition that this worker owns: its state, the rules in force, and when it was last stored."""

    def __init__(self, state: Partition, rules: RuleSet, topic_id: str, partitions: int) -> None:
        self.state, self.rules, self.topic_id, self.partitions = state, rules, topic_id, partitions
        self.stored_through, self.stored_at = state.through, time.monotonic()
        self.asked = -1  # the version that a switch was written for


class Worker:
    """What the agent does with chunks, apart from Faust."""

    def __init__(self, kafka: Kafka, data_dir: Path, snapshot_s: float) -> None:
        self.owned: dict[int, Owned] = {}
        self._kafka, self._snapshot_s = kafka, snapshot_s
        self._status = health.begin(data_dir, health.AGGREGATE)  # who owns which partitions, from which offset
        self._results = ResultsWriter(kafka)
        self._log = producer(kafka, linger_ms=5, message_timeout_ms=0)  # snapshots, ticks and switches
        self._rules = RuleSets(kafka)
        self._looking = asyncio.Lock()  # into the rules topic
        self._busy = asyncio.Lock()  # folding, or encoding a state: never both

    async def assign(self, partitions: set[int]) -> dict[int, int]:
        """Takes these partitions over and returns the offset at which each goes on."""
        kept = {p: owned for p, owned in self.owned.items() if p in partitions}  # a prefix's fold is right whoever owned it since
        try:
            async with self._busy, self._looking:
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
        self._rules.refresh()
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
            rules = self._rules.of(state.rule_version)
            if rules is None:
                log.error(
                    "partition %d: rule set %d is gone from %s: no rule is judged until another is applied",
                    partition,
                    state.rule_version,
                    RULES,
                )
            owned[partition] = Owned(state, rules or NO_RULES, facts[partition].topic_id, facts[partition].partitions)
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
                rules = await self._switched(owned, event, record.timestamp) if isinstance(event, RuleSwitch) else owned.rules
                self._results.write(
                    partition, fold(owned.state, Record(record.offset, record.timestamp, event, record.value or b""), rules)
                )
                owned.rules = rules
                if time.monotonic() - since > _SLICE_S:
                    await asyncio.sleep(0)
                    since = time.monotonic()
            self._results.poll()
            if owned and owned.state.through > owned.stored_through and time.monotonic() - owned.stored_at > self._snapshot_s:
                await self._store(owned)

    async def _switched(self, owned: Owned, switch: RuleSwitch, at_ms: int) -> RuleSet:
        """The rule set that a switch brings into force; that in force where it is an older one, or nobody published it."""
        if switch.version <= owned.state.rule_version:
            return owned.rules
        async with self._looking:
            await asyncio.to_thread(self._rules.refresh)
            rules = self._rules.of(switch.version, at_ms)
        if rules is None:
            log.warning("a switch to rule set %d, which nobody published: ignored", switch.version)
            return owned.rules
        log.info("partition %d: rule set %d is in force", owned.state.partition, switch.version)
        return rules

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
        commit, chunks = snapshots.pack(encoded, state.through, owned.topic_id, owned.partitions, state.epoch, state.rule_version)
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

    async def follow_rules(self) -> None:
        """Writes a switch into every owned partition that is behind the newest rule set, for ever."""
        while True:
            await asyncio.sleep(_RULES_S)
            try:
                async with self._looking:
                    refused = await asyncio.to_thread(self._rules.refresh)
            except (KafkaException, TimeoutError) as error:
                log.warning("the rules can't be looked at: %s", error)
                continue
            for version in refused:
                told = "; ".join(self._rules.mistakes(version)[:10])
                log.error("rule set %d has mistakes and is not used, what was in force stays: %s", version, told)
            for partition, owned in list(self.owned.items()):
                if owned.state.rule_version < self._rules.newest != owned.asked:
                    owned.asked = self._rules.newest
                    self._log.produce(EVENTS, encode_control(RuleSwitch(owned.asked)), None, partition)

    async def store_all(self) -> None:
        """Stores every partition's state, so that a successor needs no replay."""
        async with self._busy:
            for owned in self.owned.values():
                if owned.state.through > owned.stored_through:
                    await self._store(owned)
