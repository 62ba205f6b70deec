"""How far two windows of a series lie apart, with an error that neither drift nor neighbouring steps' likeness makes too small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LIKENESS = 1.5  # variance of a mean of blocks that correlate by 0.2, as a multiple of that of independent ones: (1 + r) / (1 - r)


@dataclass(frozen=True)
class Change:
    """Of K series, float64[K] each; NaN where a window has too few known blocks.

    delta: mean of the later blocks less that of the earlier ones. standard_error: of it. t: delta by its standard error. p:
    chance of such a t, two-sided, by Student's distribution.
    """

    delta: np.ndarray
    standard_error: np.ndarray
    t: np.ndarray
    p: np.ndarray


@np.errstate(over="ignore", invalid="ignore")  # what overflows is unknown, and no warning
def change(
    before: np.ndarray, after: np.ndarray, error_before: np.ndarray | None = None, error_after: np.ndarray | None = None
) -> Change:
    """Compares blocks before, float64[m, K], with blocks after, float64[n, K]; NaN: unknown.

    error_before, error_after: standard errors of the blocks' values, where these are known from within, as by groups. The
    noise of a block is taken from differences of neighbours (von Neumann 1941), so that a drift in a window is no noise, or
    from these errors where they are greater. At least two known blocks are needed on either side.
    """
    from scipy.special import stdtr  # scipy is slow to import, and most processes never judge

    (mean_0, squares_0, n_0), (mean_1, squares_1, n_1) = _window(before), _window(after)
    free = n_0 + n_1 - 2.0
    known = (n_0 > 1) & (n_1 > 1)
    scatter = (squares_0 + squares_1) / np.where(known, free, 1.0) * LIKENESS
    size = np.where(known, 1.0 / np.maximum(n_0, 1.0) + 1.0 / np.maximum(n_1, 1.0), 0.0)
    variance = scatter * size
    if error_before is not None and error_after is not None:
        variance = np.maximum(variance, _of_errors(error_before, n_0) + _of_errors(error_after, n_1))
    delta = np.where(known, mean_1 - mean_0, np.nan)
    error = np.where(known, np.sqrt(variance), np.nan)
    sure = error > 1e-12 * np.maximum(1.0, np.abs(delta))  # less is rounding
    t = np.where(
        sure, delta / np.where(sure, error, 1.0), np.where(np.abs(delta) > 1e-9, np.copysign(np.inf, delta), delta * 0.0)
    )
    return Change(delta, error, t, 2.0 * stdtr(np.maximum(free, 1.0), -np.abs(t)))


def _window(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, half the sum of squared differences of neighbours, and number of the known blocks, [K] each."""
    known = np.isfinite(values)
    number = known.sum(axis=0, dtype=np.float64)
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(number, 1.0)
    both = known[1:] & known[:-1]
    steps = np.where(both, np.diff(np.where(known, values, 0.0), axis=0), 0.0)
    pairs = np.maximum(both.sum(axis=0), 1)
    return mean, (steps * steps).sum(axis=0) / 2.0 / pairs * np.maximum(number - 1.0, 0.0), number


def _of_errors(errors: np.ndarray, number: np.ndarray) -> np.ndarray:
    squares: np.ndarray = np.where(np.isfinite(errors), errors * errors, 0.0).sum(axis=0)
    return np.asarray(squares / np.maximum(number, 1.0) ** 2)
