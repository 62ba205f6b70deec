"""How near two tables of sums of the same values must be, whatever the order in which they were merged.

Counts, minima and maxima are exact. A mean is rounded relative to the largest value V, by at most d = `RTOL` V over all
merges. Sums of powers of deviations from it are rounded relative to what they are made of, and feel its rounding: a sum
of (x - m)^p moves by p d (sum of |x - m|^(p-1)) and less. A sum of terms of either sign is rounded relative to the sum
of their sizes, which another sum bounds.
"""

from __future__ import annotations

import numpy as np
from reward_engine.sums import INDEX, NAMES, SUMS

RTOL = 1e-13  # of the largest value, for a mean
SUM_RTOL = 1e-12  # of what is added up

EXACT = {
    "count", "missing", "not_scored", "non_finite", "positive", "zero", "ranged", "at_low", "at_high", "outside", "groups",
    "groups_of_two", "grouped", "size_squares", "flat", "flat_low", "flat_high", "tried_2", "tried_4", "tried_8", "minimum",
    "maximum",
}  # fmt: skip
# What bounds a sum of terms of either sign.
SIZES = {
    "weighted": lambda s: s["total_absolute"],
    "total_product": lambda s: np.sqrt(s["within"] * s["total_within"]),
    "weighted_product": lambda s: np.sqrt(s["within"] * s["total_within"]) * WEIGHT_MAX,
    "length_product": lambda s: np.sqrt(s["length_within"] * s["length_squares"]),
}
WEIGHT_MAX = 4.0  # of the weights in these tests
_CENTRES = {"squares": "centre", "between": "grouped_centre", "group_squares": "group_centre"}


def tolerances(table: np.ndarray) -> np.ndarray:
    """float64[series, sums]: how far another table of the same values may be from this one."""
    sums = {name: table[:, column] for name, column in INDEX.items()}
    largest = np.where(sums["count"] > 0, np.maximum(np.abs(sums["minimum"]), np.abs(sums["maximum"])), 0.0)
    d, count = RTOL * largest, np.maximum(sums["count"], 1.0)
    squares = sums["squares"] + count * d * d
    powers = {"cubes": squares**1.5, "fourths": squares**2}  # |sum of x^p| <= (sum of x^2)^(p/2)
    feels = {"cubes": 3 * d * squares, "fourths": 4 * d * squares**1.5 + 6 * d * d * squares}
    out = np.zeros_like(table)
    for column, s in enumerate(SUMS):
        if s.name in EXACT:
            continue
        if s.merge == "mean":
            out[:, column] = d
        elif s.merge == "squares":
            out[:, column] = SUM_RTOL * sums[s.name] + count * d * d
        elif s.name in powers:
            out[:, column] = SUM_RTOL * powers[s.name] + feels[s.name]
        else:
            out[:, column] = SUM_RTOL * SIZES.get(s.name, lambda _, name=s.name: np.abs(sums[name]))(sums)
    return out


def assert_close(got: np.ndarray, wanted: np.ndarray) -> None:
    """Two tables of the same values, merged in whatever order."""
    assert got.shape == wanted.shape
    with np.errstate(invalid="ignore"):  # inf - inf: equal extremes of no values
        near = (got == wanted) | (np.abs(got - wanted) <= tolerances(wanted))
    wrong = [(series, NAMES[c], got[series, c], wanted[series, c]) for series, c in zip(*np.nonzero(~near), strict=True)]
    assert not wrong, wrong
