"""The catalogue of measures: numbers computed from a series' sums. Columns, rules and explanations take them from here.

Each measure has its formula twice, for numpy and for ClickHouse; a test computes both over the same rows on the real
engine. Unknown is NaN here, None for a person, NULL in ClickHouse, and a gap in a chart: never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reward_engine.sums import INDEX, NAMES

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Measure:
    """A number that users meet. `unit`: of its value; `sql`: an expression over the columns of sums."""

    name: str
    unit: str
    needs: tuple[str, ...]
    of: Callable[[Columns], np.ndarray]
    sql: str
    means: str


def _count(name: str, means: str) -> Measure:
    return Measure(name, "rewards", (name,), lambda c: c[name], f"toUInt64({name})", means)


def _if(condition: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The value where the condition holds and it is finite, else NaN."""
    return np.where(condition & np.isfinite(value), value, np.nan)


def _variance(c: Columns) -> np.ndarray:
    return _if(c["count"] > 1, c["squares"] / np.maximum(c["count"] - 1, 1.0))


_MEAN = "if(count > 0 AND isFinite(centre), centre, NULL)"
_VARIANCE = "if(count > 1 AND isFinite(squares), squares / (count - 1), NULL)"
_MOMENTS = ("count", "centre", "squares")

MEASURES = (
    _count("count", "finite rewards"),
    _count("missing", "rewards that should have been scored and were not"),
    _count("not_scored", "rewards that an audit function left out on purpose"),
    _count("non_finite", "rewards that were NaN or infinite; no other measure counts them"),
    Measure(
        "mean",
        "reward",
        _MOMENTS[:2],
        lambda c: _if(c["count"] > 0, c["centre"]),
        _MEAN,
        "arithmetic mean of the finite rewards",
    ),
    Measure(
        "variance",
        "reward^2",
        _MOMENTS,
        _variance,
        _VARIANCE,
        "sample variance (n - 1) of the finite rewards; unknown for fewer than two",
    ),
    Measure(
        "std",
        "reward",
        _MOMENTS,
        lambda c: np.sqrt(_variance(c)),
        f"sqrt({_VARIANCE})",
        "sample standard deviation (n - 1) of the finite rewards; unknown for fewer than two",
    ),
    Measure(
        "min",
        "reward",
        ("count", "minimum"),
        lambda c: _if(c["count"] > 0, c["minimum"]),
        "if(count > 0, minimum, NULL)",
        "smallest finite reward",
    ),
    Measure(
        "max",
        "reward",
        ("count", "maximum"),
        lambda c: _if(c["count"] > 0, c["maximum"]),
        "if(count > 0, maximum, NULL)",
        "largest finite reward",
    ),
    Measure(
        "total",
        "reward",
        _MOMENTS[:2],
        lambda c: _if(c["count"] > 0, c["centre"] * c["count"]),
        "if(count > 0 AND isFinite(centre * count), centre * count, NULL)",
        "sum of the finite rewards",
    ),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


@np.errstate(over="ignore")
def measure(table: np.ndarray) -> Columns:
    """Every measure, float64[series] each, of a table of sums, float64[series, sums]."""
    columns = {name: table[:, INDEX[name]] for name in NAMES}
    return {m.name: m.of(columns) for m in MEASURES}
