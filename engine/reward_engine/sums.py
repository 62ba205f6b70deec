"""The catalogue of sums: what a pane keeps of each series. A new sum is a row here; the fold doesn't change.

A *block* is what one message says of K series, n values each. Each sum reduces the block to K numbers, and two panes
merge number by number: counts add, extremes take the smaller or the larger, and moments merge by Chan's formula
(Chan, Golub, LeVeque 1983): with counts a, b, means x, y and sums of squared deviations S, T,

    n = a + b      mean = x + (y - x) b / n      squares = S + T + (y - x)^2 a b / n

So any window is a merge of panes, and a variance keeps its digits at 1e8 ± 0.3 and when a reward changes its scale by
orders of magnitude during a run, which a plain or a shifted sum of squares does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np


class Block:
    """K series of n values. values: float64[K, n]; status: uint8[K, n] (0 scored, 1 missing, 2 not scored) or None."""

    def __init__(self, values: np.ndarray, status: np.ndarray | None) -> None:
        self.values, self.status = values, status
        self.finite = np.isfinite(values)
        if status is not None:
            self.finite &= status == 0
        self.whole = bool(self.finite.all())

    @cached_property
    def count(self) -> np.ndarray:
        """float64[K]: how many values are finite."""
        return np.full(len(self.values), float(self.values.shape[1])) if self.whole else self.finite.sum(axis=1, dtype=np.float64)

    @cached_property
    def _offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """float64[K] and float64[K, n]: a value of each series, and what the others differ from it by; 0 for no value."""
        base = np.where(self.finite[:, 0], self.values[:, 0], 0.0)
        offsets = self.values - base[:, None]
        return base, offsets if self.whole else np.where(self.finite, offsets, 0.0)

    @cached_property
    def _mean_offset(self) -> np.ndarray:
        return self._offsets[1].sum(axis=1) / np.maximum(self.count, 1.0)

    @cached_property
    def mean(self) -> np.ndarray:
        """float64[K]: the mean of the finite values, exact where all are equal; 0 where there are none."""
        return np.where(self.count > 0, self._offsets[0] + self._mean_offset, 0.0)

    @cached_property
    def squares(self) -> np.ndarray:
        """float64[K]: the sum of squared deviations from the mean."""
        deviations = self._offsets[1] - self._mean_offset[:, None]
        if not self.whole:
            deviations[~self.finite] = 0.0
        # (x * x).sum, not einsum or dot: those add in an order that depends on the processor, and replays must agree.
        return (deviations * deviations).sum(axis=1)

    def having(self, status: int) -> np.ndarray:
        """float64[K]: how many values have this status."""
        if self.status is None:
            return np.zeros(len(self.values))
        return (self.status == status).sum(axis=1, dtype=np.float64)

    def extreme(self, reduce: np.ufunc, neutral: float) -> np.ndarray:
        """float64[K]: the smallest or largest finite value; `neutral` where there is none."""
        values = self.values if self.whole else np.where(self.finite, self.values, neutral)
        return reduce.reduce(values, axis=1, initial=neutral)


@dataclass(frozen=True)
class Sum:
    """One number that a pane keeps of a series. `comment` becomes the column's COMMENT in ClickHouse.

    merge: how two of them become one. A "mean" is weighted by the count named in `of_count`; the "squares" at the same
    place among the squares are the deviations from it.
    """

    name: str
    merge: Literal["add", "mean", "squares", "min", "max"]
    of: Callable[[Block], np.ndarray]
    comment: str
    of_count: str = "count"


# In the order of the columns: grouped by their merge, so that a merge is a few operations on slices.
SUMS: tuple[Sum, ...] = (
    Sum("count", "add", lambda b: b.count, "finite values"),
    Sum("missing", "add", lambda b: b.having(1), "values that should have been scored and were not"),
    Sum("not_scored", "add", lambda b: b.having(2), "values that an audit function left out on purpose"),
    Sum(
        "non_finite",
        "add",
        lambda b: b.values.shape[1] - b.count - b.having(1) - b.having(2),
        "values that are NaN or infinite; they enter no other sum",
    ),
    Sum("centre", "mean", lambda b: b.mean, "arithmetic mean of the finite values; 0 where there is none"),
    Sum("squares", "squares", lambda b: b.squares, "sum of (value - centre)^2; divide by count - 1 for the variance"),
    Sum("minimum", "min", lambda b: b.extreme(np.minimum, np.inf), "smallest value; +inf where there is none"),
    Sum("maximum", "max", lambda b: b.extreme(np.maximum, -np.inf), "largest value; -inf where there is none"),
)
NAMES = tuple(s.name for s in SUMS)
INDEX = {s.name: i for i, s in enumerate(SUMS)}
NEUTRAL = np.array([{"min": np.inf, "max": -np.inf}.get(s.merge, 0.0) for s in SUMS])


def _columns(merge: str) -> slice:
    places = [i for i, s in enumerate(SUMS) if s.merge == merge]
    assert places == list(range(places[0], places[-1] + 1)), f"the {merge} sums don't stand together"
    return slice(places[0], places[-1] + 1)


_ADD, _MEAN, _SQUARES, _MIN, _MAX = (_columns(merge) for merge in ("add", "mean", "squares", "min", "max"))
_COUNTS = np.array([INDEX[s.of_count] for s in SUMS[_MEAN]])  # the count of each mean

# A trainer's scalar may be 1e300: its square is past float64. What overflows is unknown to the measures, and no warning.
_quiet = np.errstate(over="ignore", invalid="ignore")


@_quiet
def reduce(block: Block) -> np.ndarray:
    """float64[K, sums] of a block."""
    out = np.empty((len(block.values), len(SUMS)))
    for column, s in enumerate(SUMS):
        out[:, column] = s.of(block)
    return out


def empty(series: int) -> np.ndarray:
    """float64[series, sums] of no values: neutral in every merge."""
    return np.repeat(NEUTRAL[None], series, axis=0)


def grown(table: np.ndarray, series: int) -> np.ndarray:
    """The table with at least so many series; new ones are empty."""
    return table if len(table) >= series else np.concatenate([table, empty(series - len(table))])


@_quiet
def add(into: np.ndarray, rows: np.ndarray, table: np.ndarray) -> None:
    """Merges table, float64[K, sums], into these rows of `into`, in place. The rows are distinct."""
    target = into[rows]
    before = target[:, _COUNTS]
    apart = table[:, _MEAN] - target[:, _MEAN]
    share = table[:, _COUNTS] / np.maximum(before + table[:, _COUNTS], 1.0)
    target[:, _ADD] += table[:, _ADD]
    target[:, _MEAN] += apart * share
    target[:, _SQUARES] += table[:, _SQUARES] + apart * apart * before * share
    np.minimum(target[:, _MIN], table[:, _MIN], out=target[:, _MIN])
    np.maximum(target[:, _MAX], table[:, _MAX], out=target[:, _MAX])
    into[rows] = target


@_quiet
def merged(tables: list[np.ndarray]) -> np.ndarray:
    """The merge of tables in their order, with as many series as the largest has. The order fixes the rounding."""
    series = max(map(len, tables))
    if min(map(len, tables)) < series:
        tables = [grown(table, series) for table in tables]
    stack = np.concatenate(tables).reshape(len(tables), series, len(SUMS))
    out = np.empty(stack.shape[1:])
    out[:, _ADD] = _added(stack[:, :, _ADD])
    counts, means = stack[:, :, _COUNTS], stack[:, :, _MEAN]
    base = np.take_along_axis(means, (counts > 0).argmax(axis=0)[None], axis=0)  # the first that is known: exact if all are equal
    out[:, _MEAN] = base[0] + _added(counts * (means - base)) / np.maximum(_added(counts), 1.0)
    out[:, _SQUARES] = _added(stack[:, :, _SQUARES]) + _added(counts * (means - out[:, _MEAN]) ** 2)
    np.minimum.reduce(stack[:, :, _MIN], axis=0, out=out[:, _MIN])
    np.maximum.reduce(stack[:, :, _MAX], axis=0, out=out[:, _MAX])
    return out


def _added(stack: np.ndarray) -> np.ndarray:
    """The sum over the first axis, one after the other: numpy's own sum may choose another order."""
    return np.add.accumulate(stack, axis=0)[-1]
