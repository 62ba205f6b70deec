"""Sudden jumps of series that come step by step: a two-sided CUSUM on what the last steps don't explain.

Rewards of neighbouring steps are alike, and a learning curve rises all the time. So what is summed is not the value but what
is left of it: the value less its local level (an exponential mean), less the part that the last leftover foretells (AR(1)
pre-whitening), divided by its usual size. Without that a CUSUM calls a false alarm every 29 steps at an autocorrelation of
0.8. State of K series in O(K), all updated at once.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct, field

SLACK, ALARM = 0.5, 8.0  # in standard deviations (k and h)
WARM_UP = 30  # known values of a series before it can raise an alarm
MEMORY = 20.0  # steps that the local level looks back
FORGET = 1 / 100.0  # weight of a new step in the estimates of size and autocorrelation
CLIPPED = 4.0  # standard deviations: one outlier is no shift
PHI_MAX = 0.9


def _zeros() -> np.ndarray:
    return np.zeros((len(_ROWS), 0))


_ROWS = ("number", "level", "left", "variance", "covariance", "up", "down")


class Shift(Struct, array_like=True):
    """The state of K series. table: float64[7, K], the rows of `_ROWS`."""

    table: np.ndarray = field(default_factory=_zeros)

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is unknown, and no warning
    def update(self, values: np.ndarray) -> np.ndarray:
        """Takes the values of one step, float64[K] (K may grow; NaN: unknown). int8[K]: 1 where a series has jumped up, -1 where
        down. A series that has raised an alarm starts anew at its new level."""
        if (new := len(values) - self.table.shape[1]) > 0:
            self.table = np.concatenate([self.table, np.zeros((len(_ROWS), new))], axis=1)
        known = np.isfinite(values)
        number, level, left, variance, covariance, up, down = self.table
        first = known & (number == 0)
        level = np.where(first, np.where(known, values, 0.0), level)
        now = np.where(known, values, level) - level
        weight = np.maximum(FORGET, 1.0 / (number + 1.0))
        phi = np.clip(covariance / np.where(variance > 0, variance, 1.0), 0.0, PHI_MAX) * number / (number + MEMORY)
        rest = now - phi * left
        size = np.sqrt(np.maximum(variance * (1 - phi * phi), 0.0))
        z = np.clip(np.where(size > 0, rest / np.where(size > 0, size, 1.0), 0.0), -CLIPPED, CLIPPED)
        ready = known & (number >= WARM_UP)
        up = np.where(ready, np.maximum(up + z - SLACK, 0.0), 0.0)
        down = np.where(ready, np.maximum(down - z - SLACK, 0.0), 0.0)
        alarm = (up > ALARM).astype(np.int8) - (down > ALARM).astype(np.int8)
        bound = np.where(number >= WARM_UP, CLIPPED * np.sqrt(variance), np.inf)
        calm = np.clip(now, -bound, bound)
        fresh = np.array(
            [
                number + 1,
                level + np.maximum(1 / MEMORY, 1 / (number + 1)) * now,
                now,
                variance + weight * (calm * calm - variance),
                covariance + weight * (calm * left - covariance),
                up,
                down,
            ]
        )
        fresh[:, alarm != 0] = 0.0
        self.table = np.where(known, fresh, self.table)
        return alarm
