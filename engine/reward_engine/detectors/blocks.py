"""What a run keeps for its detectors: the sums of its steps in blocks.

    steps   0 ........ 9 | 10 ....... 19 | 20 ....... 29 | 30 ..
    blocks       0       |       1       |       2       |  open

A block is ten steps, fewer in a run that is planned to be short. The first `FIRST` and the last `LAST` blocks are kept, so
that the state is bounded, and any window of whole blocks is a merge of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field

from reward_engine import sums
from reward_engine.statistics.shift import Shift

STEPS = 10  # of a block. Rewards of neighbouring steps are alike; means of ten are so little enough to be compared
STEPS_MIN = 2
FIRST, LAST = 5, 20
BLOCKS_PLANNED = 80  # a run that is planned shorter than so many blocks gets shorter ones
SHOWN = 128  # groups of the last message, among which examples are sought
SERIES_MAX = 64  # of a kind: so many are judged, the total and the first functions among them
_COUNT, _CENTRE = sums.INDEX["count"], sums.INDEX["centre"]
_PLANNED = ("planned_steps", "max_steps", "num_steps", "total_steps", "steps")


class Block(Struct, array_like=True):
    """Sums over some closed steps, first to last, by the kind of series: float64[series, sums]. weights: of the rewards, as
    last declared; lo, hi: their ranges."""

    first: int
    last: int
    tables: dict[str, np.ndarray]
    weights: list[float]


class Standing(Struct, array_like=True):
    """How a detector or the verdict stands, since which step, with what reason, and what it would become if that lasts."""

    state: str
    since: int
    sentence: str = ""
    next_state: str = ""
    next_since: int = 0
    times: int = 0  # that it was judged so, one after the other


class Told(Struct, array_like=True):
    """What a detector said last, or the verdict: for the rules. examples: groups that show it."""

    level: str
    series: str = ""
    statistic: float = math.nan
    sentence: str = ""
    examples: list[int] = field(default_factory=list)


class Jump(Struct, array_like=True):
    """A series jumped: at which step, up (1) or down (-1)."""

    step: int
    direction: int


class Shown(Struct, array_like=True):
    """Some groups of the last message, to show as examples. ids: int32[P]; means: float64[series, P] of each in each; flat: uint8[P],
    whether the total is the same in all of it."""

    ids: np.ndarray
    means: np.ndarray
    flat: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, ids: np.ndarray, means: np.ndarray, flat: np.ndarray) -> Shown:
        """Of the series `rows`, of which the means are, [K, P]."""
        kept = rows < SERIES_MAX
        table = np.full((int(rows[kept].max(initial=-1)) + 1, min(len(ids), SHOWN)), np.nan)
        table[rows[kept]] = means[kept, :SHOWN]
        return cls(ids[:SHOWN].astype(np.int32), table, flat[:SHOWN].astype(np.uint8))


class Watch(Struct, array_like=True):
    """What the detectors of a run remember."""

    first: list[Block] = field(default_factory=list)
    last: list[Block] = field(default_factory=list)  # those after the first
    number: int = 0  # of all blocks there have been
    through: int = -1  # the last step that is in a block
    restarted: bool = False  # the next step may be earlier than those that were seen
    standing: dict[str, Standing] = field(default_factory=dict)  # by detector; "" is the verdict
    told: dict[str, Told] = field(default_factory=dict)  # by the same
    shift: Shift = field(default_factory=Shift)
    jumps: dict[str, Jump] = field(default_factory=dict)  # the last one of each reward function
    shown: Shown | None = None
    dropped: int = -1  # the step at which the total last fell at once

    def add(self, block: Block) -> None:
        """Keeps a block, and drops the oldest that is neither of the first nor of the last."""
        self.number += 1
        self.through = block.last
        if len(self.first) < FIRST:
            self.first.append(block)
        else:
            self.last = [*self.last[1 - LAST :], block]

    def rewind(self, step: int) -> None:
        """Forgets blocks that reach to this step or past it: the run goes on from a checkpoint before them."""
        for blocks in (self.first, self.last):
            blocks[:] = [block for block in blocks if block.last < step]
        self.through, self.restarted = step - 1, False
        self.shift, self.jumps, self.dropped = Shift(), {}, -1

    def follow(self, step: int, names: Sequence[str], table: np.ndarray) -> None:
        """Takes the means of one step, of float64[series, sums], and notes which series jump there."""
        table = table[:SERIES_MAX]
        means = np.where(table[:, _COUNT] > 0, table[:, _CENTRE], np.nan)
        alarms = self.shift.update(means)
        for row in np.flatnonzero(alarms).tolist():
            self.jumps[names[row]] = Jump(step, int(alarms[row]))
        if len(alarms) and alarms[0] < 0:
            self.dropped = step

    @property
    def blocks(self) -> list[Block]:
        return [*self.first, *self.last]


def planned_steps(config_json: str) -> int:
    """How many steps the run's configuration plans; 0 where it doesn't say."""
    try:
        config = json.loads(config_json or "{}")
    except ValueError:
        return 0
    if not isinstance(config, dict):
        return 0
    said = (config.get(name) for name in _PLANNED)
    return next((int(steps) for steps in said if isinstance(steps, int | float) and steps is not True and 0 < steps < 2**53), 0)


def steps_of_a_block(planned: int) -> int:
    """How many steps a block has in a run of so many; 0: not known.

    >>> steps_of_a_block(0), steps_of_a_block(100), steps_of_a_block(10_000)
    (10, 2, 10)
    """
    return min(max(planned // BLOCKS_PLANNED, STEPS_MIN), STEPS) if planned else STEPS


def merged(tables: list[np.ndarray]) -> np.ndarray:
    """The sums of those series that are judged."""
    return sums.merged([table[:SERIES_MAX] for table in tables])
