"""Whether two distributions of rewards differ: how far, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reward_engine.statistics.needs import Needs

FAR = 0.3  # of the reference's standard deviation
CERTAIN = 0.01
_SMOOTHED = 0.5  # of an observation in every bin of the stability index: an empty one would make it infinite


@dataclass(frozen=True)
class Difference:
    """wasserstein: earth mover's distance by the reference's standard deviation (infinite where that is 0 and they differ). ks, p:
    Kolmogorov and Smirnov's, with as many observations as there are groups. stability: population stability index over the
    reference's tenths; above 0.2 is by custom called unstable."""

    wasserstein: float
    ks: float
    p: float
    stability: float

    @property
    def clear(self) -> bool:
        """Whether they differ by much, and surely."""
        return self.wasserstein > FAR and self.p < CERTAIN


@np.errstate(over="ignore", invalid="ignore")  # what overflows is unknown, and no warning
def difference(
    before: np.ndarray, before_counts: np.ndarray, after: np.ndarray, after_counts: np.ndarray, groups: tuple[float, float]
) -> Difference | Needs:
    """Compares values with how often each came, as a sketch has them, float64[m] and [n] each.

    groups: how many independent observations each side is worth; completions of a group are not independent.
    scipy.stats.wasserstein_distance, and kstwobign for the p-value.
    """
    from scipy.stats import kstwobign, wasserstein_distance

    if before_counts.sum() < 2 or after_counts.sum() < 2:
        return Needs("two values on either side")
    grid = np.union1d(before, after)
    one, other = _reached(before, before_counts, grid), _reached(after, after_counts, grid)
    ks = float(np.abs(one - other).max())
    mean = np.average(before, weights=before_counts)
    sigma = float(np.sqrt(np.average((before - mean) ** 2, weights=before_counts)))
    moved = float(wasserstein_distance(before, after, before_counts, after_counts))
    worth = np.sqrt(groups[0] * groups[1] / max(groups[0] + groups[1], 1.0))
    far = moved / sigma if sigma > 0 else (np.inf if moved > 0 else 0.0)
    return Difference(far, ks, float(kstwobign.sf(worth * ks)), _stability(before, before_counts, after, after_counts))


def _reached(values: np.ndarray, counts: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """float64[grid]: the share of the values that is at or below each place."""
    order = np.argsort(values)
    reached = np.concatenate([[0.0], np.cumsum(counts[order])]) / counts.sum()
    return np.asarray(reached[np.searchsorted(values[order], grid, side="right")])


def _stability(before: np.ndarray, before_counts: np.ndarray, after: np.ndarray, after_counts: np.ndarray) -> float:
    order = np.argsort(before)
    reached = np.cumsum(before_counts[order]) / before_counts.sum()
    edges = np.unique(before[order][np.searchsorted(reached, np.arange(0.1, 0.95, 0.1))])
    shares = []
    for values, counts in ((before, before_counts), (after, after_counts)):
        bins = np.bincount(np.searchsorted(edges, values), counts, len(edges) + 1) + _SMOOTHED
        shares.append(bins / bins.sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
