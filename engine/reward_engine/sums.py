"""The catalogue of sums: what a pane keeps of each series. A new sum is a row here; the fold doesn't change.

A *block* is what one message says of K series, n values each. Each sum reduces the block to K numbers, and two panes
merge number by number: counts add, extremes take the smaller or the larger, and moments merge by the formulas of Chan,
Golub, LeVeque (1983) and, for the third and fourth, Pebay (SAND2008-6212): with counts a, b, means x, y, d = y - x and
sums of squared deviations S, T,

    n = a + b      mean = x + d b / n      squares = S + T + d^2 a b / n

So any window is a merge of panes, and a variance keeps its digits at 1e8 ± 0.3 and when a reward changes its scale by
orders of magnitude during a run, which a plain or a shifted sum of squares does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reward_engine.block import Block

__all__ = ["INDEX", "NAMES", "NEUTRAL", "SUMS", "Block", "Sum", "empty", "grown", "merged", "reduce"]

VALUES, GROUPS = "values", "groups"


@dataclass(frozen=True)
class Sum:
    """One number that a pane keeps of a series. `comment` becomes the column's COMMENT in ClickHouse.

    merge: how two of them become one. A "mean" is weighted by the count named in `of_count`; the "squares" at the same
    place among the squares are the deviations from it, and "cubes" and "fourths" those from the first mean.
    level: what it is reduced from, single values or whole groups.
    """

    name: str
    merge: Literal["add", "mean", "squares", "cubes", "fourths", "min", "max"]
    of: Callable[[Block], np.ndarray]
    comment: str
    level: str = VALUES
    of_count: str = "count"


def _add(name: str, of: Callable[[Block], np.ndarray], comment: str, level: str = VALUES) -> Sum:
    return Sum(name, "add", of, comment, level)


def _grouped(name: str, of: Callable[[Block], np.ndarray], comment: str) -> Sum:
    return _add(name, of, comment, GROUPS)


def _with_lengths(of: Callable[[Block], np.ndarray]) -> Callable[[Block], np.ndarray]:
    return lambda b: np.zeros(len(b.values)) if b.lengths is None else of(b)


def _of_total(of: Callable[[Block], np.ndarray]) -> Callable[[Block], np.ndarray]:
    return lambda b: np.zeros(len(b.values)) if b.weights is None else of(b)


def _pass_at(k: int) -> tuple[Sum, Sum]:
    return (
        _grouped(
            f"pass_{k}", lambda b: b.pass_at(k), f"sum over groups of the chance that {k} drawn completions hold a solved one"
        ),
        _grouped(
            f"tried_{k}",
            lambda b: b.tried(k).sum(axis=1, dtype=np.float64),
            f"groups of at least {k} values, of a function with a declared range",
        ),
    )


_PASS_AT = tuple(each for k in (2, 4, 8) for each in _pass_at(k))

# In the order of the columns: grouped by their merge, so that a merge is a few operations on slices.
SUMS = (
    _add("count", lambda b: b.count, "finite values"),
    _add("missing", lambda b: b.having(1), "values that should have been scored and were not"),
    _add("not_scored", lambda b: b.having(2), "values that an audit function left out on purpose"),
    _add(
        "non_finite",
        lambda b: b.values.shape[1] - b.count - b.having(1) - b.having(2),
        "values that are NaN or infinite; they enter no other sum",
    ),
    _add("absolute", lambda b: np.abs(b.known).sum(axis=1), "sum of |value|"),
    _add("positive", lambda b: b.share(b.values > 0), "values above 0"),
    _add("zero", lambda b: b.share(b.values == 0), "values that are 0"),
    _add("ranged", lambda b: b.ranged, "values of a function with a declared range"),
    _add("at_low", lambda b: b.share(b.at_low), "values within 1 % of the declared range of its lower end, or below"),
    _add("at_high", lambda b: b.share(b.at_high), "values within 1 % of the declared range of its upper end, or above"),
    _add("limited", lambda b: b.limited, "values of a function with at least one declared end of its range"),
    _add("outside", lambda b: b.share(b.outside), "values outside of the declared range"),
    _add("weighted", _of_total(lambda b: b.weights * b.known.sum(axis=1)), "sum of weight x value, each with its weight at the time"),
    _add(
        "total_absolute",
        _of_total(lambda b: b.total_absolute),
        "over the completions scored, the sum of |weight x reward| over all trained functions",
    ),
    _grouped("groups", lambda b: (b.group_counts > 0).sum(axis=1, dtype=np.float64), "groups with a value"),
    _grouped("groups_of_two", lambda b: (b.group_counts > 1).sum(axis=1, dtype=np.float64), "groups with at least two values"),
    _grouped("grouped", lambda b: b.count, "values in groups that are whole, or never will be: what sums of groups are taken from"),
    _grouped("size_squares", lambda b: (b.group_counts * b.group_counts).sum(axis=1), "sum over groups of (values)^2"),
    _grouped("flat", lambda b: b.flat.sum(axis=1, dtype=np.float64), "groups of at least two values, all equal"),
    _grouped("flat_low", lambda b: b.flat_at(b.at_low), "of these, at the lower end of the declared range"),
    _grouped("flat_high", lambda b: b.flat_at(b.at_high), "of these, at the upper end of the declared range"),
    _grouped("within", lambda b: b.group_within.sum(axis=1), "sum of (value - mean of its group)^2"),
    _grouped("spread", lambda b: np.sqrt(b.group_variances).sum(axis=1), "sum over groups of their standard deviation"),
    _grouped("spread_squares", lambda b: b.group_variances.sum(axis=1), "sum over groups of their variance"),
    _grouped("spread_fourths", lambda b: (b.group_variances**2).sum(axis=1), "sum over groups of their variance^2"),
    _grouped("total_product", _of_total(lambda b: (b.centred * b.centred[0]).sum(axis=1)),
             "sum of (value - its group's mean) x (total - its group's mean)"),
    _grouped("weighted_product", _of_total(lambda b: b.weights * (b.centred * b.centred[0]).sum(axis=1)),
             "the sum `total_product`, each value with its weight at the time"),
    _grouped("total_within", _of_total(lambda b: np.repeat(b.group_within[0].sum(), len(b.values))),
             "sum of (total - its group's mean)^2"),
    _grouped("scored_total_within", _of_total(lambda b: b.total_within),
             "the sum `total_within` over the completions that the function scored"),
    _grouped("length_product", _with_lengths(lambda b: (b.centred * b.log_lengths).sum(axis=1)),
             "sum of (value - its group's mean) x (log length - its group's mean)"),
    _grouped("length_squares", _with_lengths(lambda b: (b.log_lengths * b.log_lengths).sum(axis=1)),
             "sum of (log length - its group's mean)^2"),
    _grouped("length_within", _with_lengths(lambda b: b.group_within.sum(axis=1)), "the sum `within`, where lengths are known"),
    *_PASS_AT,
    _grouped("learnability", lambda b: b.learnability, "sum over groups of p(1 - p), p the share of solved completions"),
    Sum("centre", "mean", lambda b: b.mean, "arithmetic mean of the finite values; 0 where there is none"),
    Sum("group_centre", "mean", lambda b: b.group_mean, "mean of the group means", GROUPS, "groups"),
    Sum("grouped_centre", "mean", lambda b: b.mean, "arithmetic mean of the values in groups", GROUPS, "grouped"),
    Sum("squares", "squares", lambda b: b.squares, "sum of (value - centre)^2; divide by count - 1 for the variance"),
    Sum("group_squares", "squares", lambda b: b.group_squares, "sum of (group mean - group_centre)^2", GROUPS, "groups"),
    Sum("between", "squares", lambda b: b.between, "sum over groups of values x (group mean - grouped_centre)^2", GROUPS, "grouped"),
    Sum("cubes", "cubes", lambda b: b.cubes, "sum of (value - centre)^3"),
    Sum("fourths", "fourths", lambda b: b.fourths, "sum of (value - centre)^4"),
    Sum("minimum", "min", lambda b: b.extreme(np.minimum, np.inf), "smallest value; +inf where there is none"),
    Sum("maximum", "max", lambda b: b.extreme(np.maximum, -np.inf), "largest value; -inf where there is none"),
)  # fmt: skip
NAMES = tuple(s.name for s in SUMS)
INDEX = {s.name: i for i, s in enumerate(SUMS)}
NEUTRAL = np.array([{"min": np.inf, "max": -np.inf}.get(s.merge, 0.0) for s in SUMS])


def _columns(merge: str) -> slice:
    places = [i for i, s in enumerate(SUMS) if s.merge == merge]
    assert places == list(range(places[0], places[-1] + 1)), f"the {merge} sums don't stand together"
    return slice(places[0], places[-1] + 1)


_ADD, _MEAN, _SQUARES, _MIN, _MAX = map(_columns, ("add", "mean", "squares", "min", "max"))
_COUNTS = np.array([INDEX[s.of_count] for s in SUMS[_MEAN]])  # the count of each mean
_COUNT, _CENTRE, _SQUARE, _CUBE, _FOURTH = (INDEX[name] for name in ("count", "centre", "squares", "cubes", "fourths"))

# A trainer's scalar may be 1e300: its square is past float64. What overflows is unknown to the measures, and no warning.
_quiet = np.errstate(over="ignore", invalid="ignore")


@_quiet
def reduce(block: Block, *, values: bool = True) -> np.ndarray:
    """float64[K, sums] of a block; those of groups where it has groups; values False: those alone."""
    out = empty(len(block.values))
    for column, s in enumerate(SUMS):
        if values if s.level == VALUES else block.groups is not None:
            out[:, column] = s.of(block)
    return out


def empty(series: int) -> np.ndarray:
    """float64[series, sums] of no values: neutral in every merge."""
    return np.repeat(NEUTRAL[None], series, axis=0)


def grown(table: np.ndarray, series: int) -> np.ndarray:
    """The table with at least so many series; new ones are empty."""
    return table if len(table) >= series else np.concatenate([table, empty(series - len(table))])


@_quiet
def merged(tables: list[np.ndarray]) -> np.ndarray:
    """The merge of tables in their order, with as many series as the largest has. The order fixes the rounding."""
    series = max(map(len, tables))
    if min(map(len, tables)) < series:
        tables = [grown(table, series) for table in tables]
    stack = np.concatenate(tables).reshape(len(tables), series, len(SUMS))
    out = _added(stack)
    counts, means = stack[:, :, _COUNTS], stack[:, :, _MEAN]
    known = counts > 0
    base = means[
        known.argmax(axis=0), np.arange(series)[:, None], np.arange(len(_COUNTS))
    ]  # the first that is known: exact if all are equal
    out[:, _MEAN] = base + _added(counts * np.where(known, means - base, 0.0)) / np.maximum(out[:, _COUNTS], 1.0)
    apart = np.where(known, means - out[:, _MEAN], 0.0)
    out[:, _SQUARES] += _added(counts * (apart * apart))
    n, d = counts[:, :, 0], apart[:, :, 0]
    squares, cubes, square = stack[:, :, _SQUARE], stack[:, :, _CUBE], d * d
    out[:, _CUBE] += _added(d * (3 * squares + n * square))
    out[:, _FOURTH] += _added(d * (4 * cubes + 6 * d * squares) + n * (square * square))
    np.minimum.reduce(stack[:, :, _MIN], axis=0, out=out[:, _MIN])
    np.maximum.reduce(stack[:, :, _MAX], axis=0, out=out[:, _MAX])
    return out


def _added(stack: np.ndarray) -> np.ndarray:
    """The sum over the first axis, one after the other. Of one number each, numpy's own sum would choose another order."""
    return np.add.reduce(stack, axis=0) if stack[0].size > 1 else np.add.accumulate(stack, axis=0)[-1]
