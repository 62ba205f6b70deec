"""Made-up runs for tests of rules: what their series say, as the messages that a trainer would send."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from reward_schemas.encode import function_table
from reward_schemas.events import Body, Event, Identity, RewardFunction, Role, Rollout, RunEvent, RunState, Tick, TrainerStep

from reward_engine.bounds import TICK_MS

STEPS_MAX = 100_000
T0_MS = 1_790_000_000_000
_RUN = "tested"
_PART = re.compile(r"(?P<from>[^x.]+(?:\.[^x.]+)?)(?:\.\.(?P<to>[^x]+))?(?:x(?P<times>\d+))?")
_KINDS = ("reward", "scalar", "column")


class Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A series of the run: a reward function, a scalar of the trainer, or a further number of each completion.

    values: as `0.5x50 0.1..0.9x40 nan nullx5`: a mean for each step; `null` is missing, `nan` not finite. spread: half of the
    completions of a group are so far above the mean, half below.
    """

    values: str
    reward: str | None = None
    scalar: str | None = None
    column: str | None = None
    spread: Annotated[float, Meta(ge=0)] = 0.0
    weight: float = 1.0
    audit: bool = False
    lo: float | None = None
    hi: float | None = None


class MadeUpRun:
    """A run of these series, of one sender. lost: so many of its messages don't come, after the first."""

    def __init__(self, inputs: Sequence[Input], completions: int, group_size: int, step_ms: int, lost: int = 0) -> None:
        self._of = {kind: {getattr(each, kind): values(each.values) for each in inputs if getattr(each, kind)} for kind in _KINDS}
        self.steps = max((len(series) for each in self._of.values() for series in each.values()), default=0)
        self._completions, self._step_ms = completions, step_ms
        self._group = np.arange(completions, dtype=np.int32) // group_size
        sides = np.where(np.arange(completions) % 2, 1.0, -1.0)
        self._spread = {each.reward or each.column: each.spread * sides for each in inputs}
        self._table = function_table(
            tuple(
                RewardFunction(each.reward, each.weight, Role.AUDIT if each.audit else Role.TRAINED, lo=each.lo, hi=each.hi)
                for each in inputs
                if each.reward
            )
        )
        self._seq, self._lost = 0, lost

    def records(self, started: RunEvent, finishes: bool, until_ms: int) -> Iterator[tuple[int, int, Event | Tick]]:
        """(ms since the begin, the step, what is said), with a tick every five seconds."""
        ticked = 0
        yield 0, 0, self._event(started, 0)
        for step in range(self.steps):
            ms = step * self._step_ms
            while ticked + TICK_MS <= ms:
                ticked += TICK_MS
                yield ticked, step, Tick()
            for body in self._bodies(step):
                yield ms, step, self._event(body, ms)
        end = max(self.steps - 1, 0) * self._step_ms
        if finishes:
            yield end, self.steps, self._event(RunEvent(RunState.FINISHED), end)
        while ticked < max(until_ms, end):
            ticked += TICK_MS
            yield ticked, self.steps, Tick()

    def _event(self, body: Body, ms: int) -> Event:
        seq, self._seq, self._lost = self._seq, self._seq + 1 + self._lost, 0
        return Event(Identity(_RUN, 1, 0, 1, seq), T0_MS + ms, 1, body)

    def _bodies(self, step: int) -> Iterator[Body]:
        if scalars := _known(self._of["scalar"], step):
            yield TrainerStep(step, scalars)
        if not self._table.functions:
            return
        means = [_at(self._of["reward"][function.name], step) for function in self._table.functions]
        rewards = np.zeros((len(means), self._completions), np.float32)
        for row, (function, mean) in enumerate(zip(self._table.functions, means, strict=True)):
            if mean is not None:
                rewards[row] = mean + self._spread[function.name]
        status = np.repeat(np.array([[mean is None] for mean in means], np.uint8), self._completions, axis=1)
        columns = {
            name: (mean + np.zeros(self._completions) + self._spread[name]).astype(np.float32)
            for name, mean in _known(self._of["column"], step).items()
        }
        length = columns.pop("length", None)
        lengths = None if length is None else np.maximum(length, 0).astype(np.int32)
        yield Rollout(step, self._table, rewards, self._group, status, length=lengths, columns=columns)


def _at(series: Sequence[float | None], step: int) -> float | None:
    return series[step] if step < len(series) else None


def _known(of: Mapping[str, Sequence[float | None]], step: int) -> dict[str, float]:
    return {name: value for name, series in of.items() if (value := _at(series, step)) is not None}


def values(text: str) -> list[float | None]:
    """The values of a series, one a step; None: missing.

    >>> values("0.5x2 1..2x3 null nan")
    [0.5, 0.5, 1.0, 1.5, 2.0, None, nan]

    Raises ValueError with a remedy.
    """
    made: list[float | None] = []
    for part in text.split():
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(f"`{part:.40}`: write 0.5, 0.5x50, 0.1..0.9x40, nullx5 or nan")
        times = int(found["times"] or 1)
        if len(made) + times > STEPS_MAX:
            raise ValueError(f"more than {STEPS_MAX} steps")
        if found["from"] == "null":
            made += [None] * times
        else:
            try:
                first = float(found["from"])
                last = first if found["to"] is None else float(found["to"])
            except ValueError:
                raise ValueError(f"`{part:.40}`: write 0.5, 0.5x50, 0.1..0.9x40, nullx5 or nan") from None
            made += np.linspace(first, last, times).tolist()
    return made
