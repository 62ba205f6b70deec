"""Where the level of a finished series changes: offline, over the whole of it."""

from __future__ import annotations

import numpy as np

from reward_engine.statistics.needs import Needs

LEAST = 12  # values
PENALTY = 5.0  # times ln n, in units of the noise's variance: Yao's (1988) doubled, and more for what is left of likeness


@np.errstate(over="ignore", invalid="ignore")  # what overflows is unknown, and no warning
def change_points(values: np.ndarray) -> np.ndarray | Needs:
    """int[m]: the places at which a new level begins, of values float64[n] that are nearly independent, as means of ten steps.

    The split into constant parts with the least squares, and a price for each part (PELT; Killick et al. 1101.1438). Exact, by
    dynamic programming: a run has a few hundred blocks at most. NaN: skipped.
    """
    at = np.flatnonzero(np.isfinite(values))
    if len(at) < LEAST:
        return Needs(f"{LEAST} values, has {len(at)}")
    x = values[at] - np.median(values[at])
    noise = np.sqrt(np.mean(np.diff(x) ** 2) / 2)  # von Neumann's: one jump counts in one difference
    if noise == 0:
        return np.empty(0, np.int64)
    x = x / noise
    n = len(x)
    sums, squares = np.concatenate([[0.0], np.cumsum(x)]), np.concatenate([[0.0], np.cumsum(x * x)])
    price = PENALTY * np.log(n)
    best, last = np.zeros(n + 1), np.zeros(n + 1, np.int64)
    best[0] = -price
    for end in range(1, n + 1):
        start = np.arange(end)
        cost = squares[end] - squares[start] - (sums[end] - sums[start]) ** 2 / (end - start)
        total = best[start] + cost + price
        last[end] = int(total.argmin())
        best[end] = total[last[end]]
    found, end = [], n
    while last[end] > 0:
        end = last[end]
        found.append(at[end])
    return np.array(found[::-1], np.int64)
