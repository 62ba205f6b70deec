"""Traffic for the reliability tests: trainers that write straight into the log, so that a test knows every message."""

from __future__ import annotations

import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from reward_producers.kafka import producer
from reward_schemas.encode import encode_event, function_table
from reward_schemas.events import Event, Identity, RewardFunction, Rollout, RunEvent, RunState, TrainerStep
from reward_schemas.topics import EVENTS

TABLE = function_table(
    (RewardFunction("accuracy", 1.0, lo=-1.0, hi=1.0), RewardFunction("format", 0.25), RewardFunction("judge", -0.5))
)
RANKS = 2
COMPLETIONS = 16


@dataclass
class Traffic:
    """Runs of two ranks each, a step every `pause_s`, until `steps` are sent. `sent` holds every rollout by its identity."""

    brokers: str
    name: str
    runs: int = 6
    steps: int = 100
    pause_s: float = 0.05
    sent: dict[tuple[str, int, int], np.ndarray] = field(default_factory=dict)  # (run, rank, step) -> rewards
    kl: dict[tuple[str, int], float] = field(default_factory=dict)
    finish: bool = True  # the runs end with the traffic
    until: threading.Event = field(default_factory=threading.Event)  # with `awaits`: they end when it is set
    awaits: bool = False

    def __post_init__(self) -> None:
        self._producer = producer(self.brokers, linger_ms=5, message_timeout_ms=120_000)
        self._refused: list[object] = []
        self._pool = ThreadPoolExecutor(1)
        self._rng = np.random.default_rng(zlib.crc32(self.name.encode()))

    @property
    def run_ids(self) -> list[str]:
        return [f"{self.name}-{i}" for i in range(self.runs)]

    def __enter__(self) -> Traffic:
        self._done = self._pool.submit(self._run)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.result()
        self._producer.flush()
        assert not self._refused, self._refused

    def send(self, event: Event) -> None:
        self._producer.produce(
            EVENTS, encode_event(event), event.identity.run_id.encode(), on_delivery=lambda e, _: e and self._refused.append(e)
        )
        self._producer.poll(0)

    def _rollout(self, run: str, rank: int, step: int, values: np.ndarray) -> Rollout:
        """In every other run the groups are spread over both ranks."""
        spread = self.run_ids.index(run) % 2
        return Rollout(
            step=step,
            table=TABLE,
            rewards=values,
            group=np.arange(COMPLETIONS, dtype=np.int32) // 4 + (0 if spread else 4 * rank),
            group_size=4 * RANKS if spread else 0,
            length=self._rng.integers(1, 900, COMPLETIONS).astype(np.int32),
            advantage=self._rng.normal(size=COMPLETIONS).astype(np.float32),
            columns={"staleness": self._rng.integers(0, 3, COMPLETIONS).astype(np.float32)},
        )

    def _run(self) -> None:
        seqs: dict[tuple[str, int], int] = {}

        def event(run: str, rank: int, body: object) -> Event:
            seq = seqs[run, rank] = seqs.get((run, rank), -1) + 1
            return Event(Identity(run, 1, rank, 1000 + rank, seq), time.time_ns() // 1_000_000, RANKS, body)

        for run in self.run_ids:
            for rank in range(RANKS):
                self.send(event(run, rank, RunEvent(RunState.STARTED, project=self.name)))
        for step in range(self.steps):
            for run in self.run_ids:
                for rank in range(RANKS):
                    values = (self._rng.normal(size=(3, COMPLETIONS)) * 10.0 ** self._rng.integers(-3, 6)).astype(np.float32)
                    self.sent[run, rank, step] = values
                    self.send(event(run, rank, self._rollout(run, rank, step, values)))
                self.kl[run, step] = float(self._rng.random())
                self.send(event(run, 0, TrainerStep(step, {"kl": self.kl[run, step]})))
            time.sleep(self.pause_s)
        if self.awaits:
            assert self.until.wait(120)
        for run in self.run_ids if self.finish else ():
            for rank in range(RANKS):
                self.send(event(run, rank, RunEvent(RunState.FINISHED)))
