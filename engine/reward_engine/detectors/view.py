"""What the detectors look at: the run's blocks as arrays, a recent window of them, and earlier ones to compare it with.

                blocks  0  1  2  3  4 | 5  6  7 .. 14 | 15 16 17 18 19 | 20 21 22 23 24
from the start          [ reference  ]                                 |    [ recent  ]
far before                              [ reference ]                       [ recent  ]
just before                                           [   reference   ]     [ recent  ]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import MappingProxyType

import numpy as np

from reward_engine import formula, sums
from reward_engine.detectors.blocks import Block, Jump, merged
from reward_engine.kinds import COMPLETION, REWARD, TRAINER
from reward_engine.measures import BY_NAME
from reward_engine.measuring import AUDIT
from reward_engine.statistics.change import Change, change

WINDOW = 5  # blocks, at most: of the recent window and of each reference
LATEST = 2  # blocks: what is sure enough of few steps is judged on these
BLOCKS_MIN = 4  # two to look at, and two to compare with


@dataclass(frozen=True)
class Window:
    """Blocks [start, stop) of those that are kept. name: as in "since the start"."""

    start: int
    stop: int
    name: str = ""

    def __len__(self) -> int:
        return self.stop - self.start


class Kind:
    """The series of one kind: names, their blocks, and measures of them."""

    def __init__(self, names: Sequence[str], tables: Sequence[np.ndarray]) -> None:
        width = max(map(len, tables), default=0)
        self.names = list(names[:width])
        self.stack = np.array([sums.grown(table, width) for table in tables]).reshape(len(tables), width, len(sums.NAMES))
        self._columns = {name: self.stack[:, :, i] for i, name in enumerate(sums.NAMES)}
        # Each is asked for by several detectors.
        self.each = cache(self._each)
        self.sums = cache(self._sums)
        self.over = cache(self._over)
        self.change = cache(self._change)

    def _each(self, measure: str) -> np.ndarray:
        """float64[blocks, series]: a measure of each block; NaN where it is unknown."""
        return formula.value(BY_NAME[measure], self._columns)

    def _sums(self, window: Window) -> np.ndarray:
        """float64[series, sums] of a window."""
        return merged(list(self.stack[window.start : window.stop]))

    def _over(self, measure: str, window: Window) -> np.ndarray:
        """float64[series]: a measure of a whole window."""
        columns = dict(zip(sums.NAMES, self.sums(window).T, strict=True))
        return formula.value(BY_NAME[measure], columns)

    def _change(self, measure: str, reference: Window, recent: Window) -> Change:
        """By how much a measure of each series differs between two windows. A mean's error knows of the groups."""
        of = self.each(measure)
        error = self.each("standard_error") if measure == "mean" else None
        before, after = slice(reference.start, reference.stop), slice(recent.start, recent.stop)
        return change(of[before], of[after], None if error is None else error[before], None if error is None else error[after])

    def row(self, name: str) -> int | None:
        """The place of a series of this name."""
        return self.names.index(name) if name in self.names else None


@dataclass(frozen=True)
class Declared:
    """What is declared of the reward functions: names, roles, ranges, float64[series] (NaN: no such end)."""

    names: Sequence[str]
    roles: Sequence[str]
    lo: np.ndarray
    hi: np.ndarray


class View:
    """All that a detector may know of a run."""

    def __init__(
        self,
        blocks: Sequence[Block],
        declared: Declared,
        completions: Sequence[str],
        scalars: Sequence[str],
        jumps: Mapping[str, Jump] = MappingProxyType({}),
        dropped: int = -1,
    ) -> None:
        self.blocks, self.declared, self.jumps, self.dropped = blocks, declared, jumps, dropped
        names = {REWARD: declared.names, COMPLETION: completions, TRAINER: scalars}
        nothing = sums.empty(0)
        self.reward, self.completion, self.trainer = (
            Kind(names[kind], [block.tables.get(kind, nothing) for block in blocks]) for kind in names
        )
        roles = np.array([*declared.roles[: len(self.reward.names)]])
        self.trained, self.audits = np.flatnonzero(roles == "trained"), np.flatnonzero(roles == AUDIT)

    @cached_property
    def recent(self) -> Window:
        """The blocks that are judged."""
        return Window(len(self.blocks) - self._width, len(self.blocks))

    @cached_property
    def latest(self) -> Window:
        """The last few of them."""
        return Window(len(self.blocks) - LATEST, len(self.blocks))

    @property
    def _width(self) -> int:
        return min(WINDOW, len(self.blocks) // 2)

    @cached_property
    def earlier(self) -> tuple[Window, ...]:
        """The windows before it: far back to near, none of which reaches into it."""
        width, number = self._width, len(self.blocks)
        places = {0: "since the start", number - 4 * width: "in a while", number - 2 * width: "of late"}
        return tuple(Window(at, at + width, name) for at, name in sorted(places.items()) if 0 <= at <= number - 2 * width)

    @cached_property
    def references(self) -> tuple[Window, ...]:
        """Those of them that it can be compared with: where the total has dropped at once, what was before is another task.

        Optimisation doesn't lower what it raises from one step to the next; harder prompts or a stricter judge do. Then everything
        that goes with the task changes as well, and is no sign of anything.
        """
        number, width = len(self.blocks), self._width
        first = next((at for at, block in enumerate(self.blocks) if block.first > self.dropped), number)
        if first == 0:
            return self.earlier
        if first + 2 * width > number:
            return ()
        since = Window(first, first + width, f"since the drop at step {self.dropped}")
        return (since, *(window for window in self.earlier if window.start > first))

    def steps(self, window: Window) -> tuple[int, int]:
        """The steps of a window, half-open."""
        return self.blocks[window.start].first, self.blocks[window.stop - 1].last + 1

    def correlation(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """float64[series] twice: correlation with the total within groups, and its standard error without any, of a window.

        Groups in which either is the same in all completions say nothing, and don't count.
        """
        of = dict(zip(sums.NAMES, self.reward.sums(window).T, strict=True))
        varied = 1.0 - of["flat"] / np.maximum(of["groups_of_two"], 1.0)
        free = (of["grouped"] - of["groups"]) * np.minimum(varied, varied[0])
        return self.reward.over("total_correlation", window), 1 / np.sqrt(np.maximum(free, 1.0))

    def groups(self) -> int:
        """How many groups the recent window has."""
        return int(self.reward.sums(self.recent)[0, sums.INDEX["groups"]])
