"""One flush of the lander: records of both topics in, Arrow tables of every table out, the audit's last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

import pyarrow as pa
from pyarrow import Table
from reward_schemas.events import Event, Rollout
from reward_schemas.parse import parse

from reward_store import columns, event_rows, result_rows
from reward_store.alert_rows import rule_set_rows
from reward_store.event_rows import Arrived

__all__ = ["EVENTS", "RESULTS", "RULES", "Batch", "Table", "Tables"]

EVENTS, RESULTS, RULES = "events", "results", "rules"
Tables = list[tuple[str, Table]]


class Batch:
    """Records in the order of their arrival. epoch: counts re-creations of the topics."""

    def __init__(self, epoch: int = 0) -> None:
        self.epoch = epoch
        self.bytes = self.rows = 0
        self.unreadable: list[tuple[Arrived, str]] = []  # records of the results topic, known after `tables`
        self._records: dict[tuple[str, int], list[Arrived]] = defaultdict(list)  # by topic and partition

    def add(self, topic: str, record: Arrived) -> None:
        """Takes a record of one of the topics."""
        self._records[topic, record.partition].append(record)
        self.bytes += record.size
        self.rows += 1

    def forget(self, partitions: Collection[tuple[str, int]]) -> None:
        """Drops what came of these partitions: their next owner reads it again."""
        for partition in partitions:
            for record in self._records.pop(partition, ()):
                self.bytes -= record.size
                self.rows -= 1

    def ends(self) -> dict[tuple[str, int], int]:
        """By topic and partition, the offset after the last record: what to commit once all tables are in."""
        return {partition: records[-1].offset + 1 for partition, records in self._records.items()}

    def tables(self) -> Tables:
        """What to insert, in this order: an audit row, and a run's row that says "finished", stand for rows that are there."""
        rules = self._of(RULES)
        rule_sets = [("rule_set_rows", rule_set_rows(rules, self.epoch))] if rules else []
        return [*self._event_tables(), *rule_sets, *self._result_tables(), ("ingest_audit", self._audit())]

    def _of(self, topic: str) -> list[Arrived]:
        return [record for (of, _), records in self._records.items() if of == topic for record in records]

    def _event_tables(self) -> Tables:
        records = self._of(EVENTS)
        if not records:
            return []
        events = [parse(record.key, record.value) for record in records]
        tables = [("event_log", event_rows.event_log(records, events, self.epoch))]
        raw = [(r, e) for r, e in zip(records, events, strict=True) if isinstance(e, Event) and isinstance(e.body, Rollout)]
        if raw:
            tables.append(("rollouts", event_rows.rollouts([r for r, _ in raw], [e for _, e in raw], self.epoch)))
        return tables

    def _result_tables(self) -> Tables:
        by_kind, self.unreadable = defaultdict(list), []
        for record in self._of(RESULTS):
            try:
                result = result_rows.read_result(record.value)
            except result_rows.Malformed as error:
                self.unreadable.append((record, str(error)))
            else:
                by_kind[result.WhichOneof("kind")].append(result)
        tables = [(table, build(by_kind[kind])) for kind, table, build in result_rows.TABLES if kind in by_kind]
        if self.unreadable:
            records, reasons = [r for r, _ in self.unreadable], [reason for _, reason in self.unreadable]
            tables.append(("dead_letter_rows", result_rows.unreadable(records, reasons, self.epoch)))
        return tables

    def _audit(self) -> Table:
        ranges = [
            (topic, partition, *run)
            for (topic, partition), records in self._records.items()
            for run in _unbroken([record.offset for record in records], [record.append_time_ms for record in records])
        ]
        topics, partitions, starts, ends, times = (list(column) for column in zip(*ranges, strict=True)) if ranges else [[]] * 5
        return pa.table(
            {
                "topic": pa.array(topics, pa.string()),
                "epoch": pa.array([self.epoch] * len(ranges), pa.uint32()),
                "partition": pa.array(partitions, pa.uint32()),
                "from_offset": pa.array(starts, pa.int64()),
                "to_offset": pa.array(ends, pa.int64()),
                "rows": pa.array([end - start for start, end in zip(starts, ends, strict=True)], pa.uint64()),
                "append_time": columns.instants(times),
            }
        )


def _unbroken(offsets: list[int], times: list[int]) -> list[tuple[int, int, int]]:
    """Ranges [from, to) of consecutive offsets, each with the time of its last record."""
    ranges, start = [], 0
    for at in range(1, len(offsets) + 1):
        if at == len(offsets) or offsets[at] != offsets[at - 1] + 1:
            ranges.append((offsets[start], offsets[at - 1] + 1, times[at - 1]))
            start = at
    return ranges
