"""A log for tests: events of a small training, with what can go wrong, and the results that the real fold makes of them."""

from __future__ import annotations

import numpy as np
from reward_engine.fold import NO_RULES, Record, fold
from reward_engine.rules.ruleset import RuleSet
from reward_engine.state import Partition
from reward_schemas.encode import encode_control, encode_event, function_table
from reward_schemas.events import (
    Event,
    Identity,
    RewardFunction,
    Role,
    Rollout,
    RunEvent,
    RunState,
    SenderReport,
    Tick,
    TrainerStep,
)
from reward_schemas.parse import parse
from reward_schemas.results_pb2 import PaneRow, Result
from reward_store.event_rows import Arrived

T0_MS = 1_760_000_000_000
NAN_WITH_PAYLOAD = np.array([0x7FC12345], np.uint32).view(np.float32)[0]


def functions(names: str = "correct format length", audit: str = "length") -> tuple[RewardFunction, ...]:
    """One for each word, with weights 1, 2, ...; those of `audit` are audit functions."""
    return tuple(
        RewardFunction(name, float(i + 1), Role.AUDIT if name in audit.split() else Role.TRAINED)
        for i, name in enumerate(names.split())
    )


def rollout(
    run: str, rank: int, seq: int, step: int, seed: int = 0, *, n: int = 8, attempt: int = 1, senders: int = 2, **fields
) -> Event:
    """A rank's batch of one step: two groups a rank, random rewards."""
    rng = np.random.default_rng([seed, rank, step, seq])
    table = function_table(fields.pop("functions", functions()))
    body = {
        "step": step,
        "table": table,
        "rewards": rng.normal(1.0, 0.3, (len(table.functions), n)).astype("<f4"),
        "group": (2 * rank + np.arange(n) % 2).astype("<i4"),
        "length": rng.integers(1, 900, n).astype("<i4"),
    } | fields
    return event(run, rank, seq, Rollout(**body), attempt=attempt, senders=senders, at_ms=T0_MS + 1000 * step + seq)


def event(run: str, rank: int, seq: int, body, *, attempt: int = 1, senders: int = 2, at_ms: int = T0_MS) -> Event:
    return Event(Identity(run, attempt, rank, 7 + rank, seq), at_ms, senders, body)


def training(run: str, steps: int = 10, ranks: int = 2, **fields) -> list[Event]:
    """Start, steps with a trainer's scalars and a report, end."""
    events, seqs = [], dict.fromkeys(range(ranks), 0)

    def send(rank: int, make) -> None:
        events.append(make(seqs[rank]))
        seqs[rank] += 1

    started = RunEvent(RunState.STARTED, "maths", {"model": "tiny", "owner": "me"}, "test 1", '{"lr": 1}')
    for rank in range(ranks):
        send(rank, lambda seq, rank=rank: event(run, rank, seq, started, senders=ranks))
    for step in range(steps):
        for rank in range(ranks):
            send(rank, lambda seq, rank=rank, step=step: rollout(run, rank, seq, step, senders=ranks, **fields))
        scalars = TrainerStep(step, {"kl": 0.01 * step, "loss": float("nan") if step == 3 else 1.0 / (1 + step)})
        send(0, lambda seq, body=scalars, step=step: event(run, 0, seq, body, senders=ranks, at_ms=T0_MS + 1000 * step))
    for rank in range(ranks):
        send(rank, lambda seq, rank=rank: event(run, rank, seq, SenderReport(steps, 0, {"full": rank}), senders=ranks))
        send(rank, lambda seq, rank=rank: event(run, rank, seq, RunEvent(RunState.FINISHED, reason="done"), senders=ranks))
    return events


def records(events: list[Event | Tick | bytes], partition: int = 0, start: int = 0) -> list[Arrived]:
    """The log of one partition; bytes are a message that nobody can read."""
    made = []
    for i, item in enumerate(events):
        if isinstance(item, bytes):
            key, value = b"run-x", item
        else:
            key = None if isinstance(item, Tick) else item.identity.run_id.encode()
            value = encode_control(item) if isinstance(item, Tick) else encode_event(item)
        made.append(Arrived(partition, start + i, T0_MS + 500 * i, key, value))
    return made


def folded(log: list[Arrived], rules: RuleSet = NO_RULES) -> list[Result]:
    """What the fold says of a partition's log."""
    state, results = Partition(log[0].partition), []
    for record in log:
        event = parse(record.key, record.value)
        results += fold(state, Record(record.offset, record.append_time_ms, event, record.value or b""), rules)
    return results


def as_records(results: list[Result]) -> list[Arrived]:
    """Results as records of their topic."""
    return [Arrived(r.partition, i, r.append_time_ms, r.run_id.encode(), r.SerializeToString()) for i, r in enumerate(results)]


def rows_of(pane: PaneRow) -> dict[str, tuple]:
    """What a pane says of each series: the ends of its range, its distribution, its partners and products with them, and its
    numbers in the order of `pane.sums`. None is unknown."""
    table = np.frombuffer(pane.values, "<f8").reshape(len(pane.series), len(pane.sums))
    values, counts = np.frombuffer(pane.sketch_values, "<f4"), np.frombuffer(pane.sketch_counts, "<u4")
    products = np.frombuffer(pane.products, "<f8")
    partners = list(pane.series)[: int(len(products) ** 0.5)]
    rows, at = {}, 0
    for row, name in enumerate(pane.series):
        part = slice(at, at := at + (pane.sketch_sizes[row] if pane.sketch_sizes else 0))
        has = row < len(partners)
        rows[name] = (
            *map(_known, (pane.lo[row], pane.hi[row])),
            values[part].tolist(),
            counts[part].tolist(),
            partners if has else [],
            products.reshape(len(partners), -1)[row].tolist() if has else [],
            *map(_known, table[row].tolist()),
        )
    return rows


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
