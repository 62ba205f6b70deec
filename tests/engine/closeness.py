"""How near two tables of sums of the same values must be, whatever the order in which they were added and merged.

Counts, minima and maxima are exact. A deviation from a mean, of all or of a group, is rounded relative to the largest
value V of the series, by at most d = `RTOL` V. A sum of n products of two deviations x y feels that by Cauchy and
Schwarz: |sum xy' - sum xy| <= dx sqrt(n sum y^2) + dy sqrt(n sum x^2) + n dx dy. Everything else is rounded relative to
the sum of the sizes of what is added up, by `SUM_RTOL`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from reward_engine.sums import INDEX, NAMES, SUMS

RTOL = 4e-15
SUM_RTOL = 1e-12

EXACT = {
    "count", "missing", "not_scored", "non_finite", "positive", "zero", "ranged", "at_low", "at_high", "limited", "outside",
    "groups", "groups_of_two", "grouped", "size_squares", "flat", "flat_low", "flat_high", "tried_2", "tried_4", "tried_8",
    "minimum", "maximum",
}  # fmt: skip
WEIGHT_MAX = 4.0  # of the weights in these tests
Sums = dict[str, np.ndarray]


def _pairs(n: np.ndarray, dx: np.ndarray, xx: np.ndarray, dy: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """How far a sum of n products may be off, of deviations that are off by dx and dy and have these sums of squares."""
    return SUM_RTOL * np.sqrt(xx * yy) + dx * np.sqrt(n * yy) + dy * np.sqrt(n * xx) + n * dx * dy


def _squares(name: str) -> Callable[[Sums], np.ndarray]:
    return lambda s: _pairs(s["n"], s["d"], s[name], s["d"], s[name])


def _products(s: Sums) -> np.ndarray:
    return _pairs(s["n"], s["d"], s["within"], s["d"][0], s["total_within"])


NEAR: dict[str, Callable[[Sums], np.ndarray]] = {
    **dict.fromkeys(("centre", "group_centre", "grouped_centre"), lambda s: s["d"]),
    **{name: _squares(name) for name in ("squares", "group_squares", "between", "within", "length_within")},
    # |sum of x^p| <= (sum of x^2)^(p/2), and its derivative
    "cubes": lambda s: SUM_RTOL * s["squares"] ** 1.5 + 3 * s["d"] * (s["squares"] + s["n"] * s["d"] ** 2),
    "fourths": lambda s: SUM_RTOL * s["squares"] ** 2 + 4 * s["d"] * (s["squares"] + s["n"] * s["d"] ** 2) ** 1.5,
    "spread": lambda s: SUM_RTOL * s["spread"] + 2 * s["n"] * s["d"],
    "spread_squares": _squares("within"),
    "spread_fourths": lambda s: 2 * (s["spread_squares"] + _squares("within")(s)) * _squares("within")(s),
    # of the total's own deviations, in all groups or in those that a function scored
    **dict.fromkeys(("total_within", "scored_total_within"), lambda s: np.repeat(_squares("within")(s)[0], len(s["n"]))),
    "total_product": _products,
    "weighted_product": lambda s: WEIGHT_MAX * _products(s),
    "length_product": lambda s: _pairs(s["n"], s["d"], s["length_within"], SUM_RTOL, s["length_squares"]),
    "weighted": lambda s: SUM_RTOL * s["total_absolute"],
}


def tolerances(table: np.ndarray) -> np.ndarray:
    """float64[series, sums]: how far another table of the same values may be from this one."""
    sums = {name: table[:, column] for name, column in INDEX.items()}
    largest = np.where(sums["count"] > 0, np.maximum(np.abs(sums["minimum"]), np.abs(sums["maximum"])), 0.0)
    sums |= {"n": np.maximum(sums["count"], 1.0), "d": RTOL * largest}
    out = np.zeros_like(table)
    for column, s in enumerate(SUMS):
        if s.name not in EXACT:
            near = NEAR.get(s.name, lambda of, name=s.name: SUM_RTOL * np.abs(of[name]))
            out[:, column] = near(sums)
    return out


def assert_close(got: np.ndarray, wanted: np.ndarray) -> None:
    """Two tables of the same values, merged in whatever order."""
    assert got.shape == wanted.shape
    with np.errstate(invalid="ignore"):  # inf - inf: equal extremes of no values
        near = (got == wanted) | (np.abs(got - wanted) <= tolerances(wanted))
    wrong = [(series, NAMES[c], got[series, c], wanted[series, c]) for series, c in zip(*np.nonzero(~near), strict=True)]
    assert not wrong, wrong
