"""Values that stand apart from the rest, by the median, which they don't move."""

from __future__ import annotations

import numpy as np

APART = 5.0
_TO_SIGMA = 0.6745  # median absolute deviation of a normal distribution, in standard deviations (Iglewicz, Hoaglin 1993)
_IQR_TO_SIGMA = 1.349


@np.errstate(over="ignore", invalid="ignore")  # what overflows is unknown, and no warning
def scores(values: np.ndarray, span: float = np.nan) -> np.ndarray:
    """float64[n]: how many robust standard deviations each value, float64[n], is from the median; NaN for unknown ones.

    Where more than half are equal, the quartiles give the size, then a hundredth of the declared range `span`; where that isn't
    known either, what differs at all is infinitely far.
    """
    known = np.isfinite(values)
    out = np.full(len(values), np.nan)
    if not known.any():
        return out
    apart = values[known] - np.median(values[known])
    size = np.median(np.abs(apart)) / _TO_SIGMA
    if size == 0:
        low, high = np.quantile(values[known], (0.25, 0.75))
        size = (high - low) / _IQR_TO_SIGMA
    if size == 0 and np.isfinite(span):
        size = span / 100
    out[known] = apart / size if size > 0 else np.where(apart == 0, 0.0, np.copysign(np.inf, apart))
    return out


def outliers(values: np.ndarray, span: float = np.nan) -> np.ndarray:
    """int[m]: the places of the outliers."""
    return np.flatnonzero(np.abs(scores(values, span)) > APART)
