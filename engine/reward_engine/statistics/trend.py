"""Whether a series rises or falls, by its ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reward_engine.statistics.needs import Needs

CERTAIN = 0.01  # p
LARGE = 0.5  # change over the whole series, in standard deviations about the trend
LEAST = 6  # values: fewer can't have such a p


@dataclass(frozen=True)
class Trend:
    """tau, p: Kendall's rank correlation with time, and the chance of one so large without a trend. slope: Theil and Sen's, a
    value; low, high: its 95 % interval. change: over the whole series. noise: standard deviation about the trend."""

    tau: float
    p: float
    slope: float
    low: float
    high: float
    change: float
    noise: float

    @property
    def direction(self) -> int:
        """1 where it rises, -1 where it falls, 0 where neither is certain and large."""
        if self.p >= CERTAIN or abs(self.change) <= LARGE * self.noise:
            return 0
        return 1 if self.slope > 0 else -1


@np.errstate(over="ignore", invalid="ignore")  # what overflows is unknown, and no warning
def trend(values: np.ndarray) -> Trend | Needs:
    """The trend of values, float64[n], NaN: unknown. Neighbours must be nearly independent: means of ten steps are.

    scipy.stats.kendalltau and theilslopes (Sen 1968), which single outliers don't move.
    """
    from scipy.stats import kendalltau, theilslopes

    at = np.flatnonzero(np.isfinite(values))
    if len(at) < LEAST:
        return Needs(f"{LEAST} values, has {len(at)}")
    known = values[at]
    if (known == known[0]).all():
        return Trend(0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    scale = float(np.abs(known).max())  # differences of huge numbers overflow
    tau, p = kendalltau(at, known)
    slope, intercept, low, high = theilslopes(known / scale, at, alpha=0.95)
    noise = float(np.std(known / scale - slope * at - intercept))
    return Trend(
        float(tau), float(p), slope * scale, low * scale, high * scale, float(slope * (at[-1] - at[0])) * scale, noise * scale
    )
