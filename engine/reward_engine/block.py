"""What one message says of K series: their values, and what can be reduced from them to sums."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from reward_engine.groups import Groups
from reward_engine.logarithm import ln_whole

_AT_END = 0.01  # of a declared range: so near to an end a value counts as at it
PASS_MAX = 8  # the largest k of pass@k
_SIZE_USUAL = 128  # of groups: up to it the chances of pass@k are looked up
_EQUAL = 1e-12  # relative to the values, or to 1: rewards of a group that differ by no more are equal but for a total's rounding


class Block:
    """K series of n values each.

    values: float64[K, n]. status: uint8[K, n] (0 scored, 1 missing, 2 not scored) or None for all scored. lo, hi:
    float64[K], the declared range of each series, NaN where there is none. groups: of the n completions, None where
    values have none. lengths: int[n], tokens, or None. weights: float64[K] in the total, which is then the first series.
    """

    def __init__(
        self,
        values: np.ndarray,
        status: np.ndarray | None = None,
        *,
        lo: np.ndarray | None = None,
        hi: np.ndarray | None = None,
        groups: Groups | None = None,
        lengths: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> None:
        self.groups, self.weights = groups, weights
        if groups is not None and groups.order is not None:
            values = groups.ordered(values)
            status = None if status is None else groups.ordered(status)
            lengths = None if lengths is None else groups.ordered(lengths)
        self.values, self.status, self.lengths = values, status, lengths
        unknown = np.full(len(values), np.nan)
        self.lo, self.hi = unknown if lo is None else lo, unknown if hi is None else hi
        self.finite = np.isfinite(values)
        if status is not None:
            self.finite &= status == 0
        self.whole = bool(self.finite.all())

    # --- of values

    @cached_property
    def known(self) -> np.ndarray:
        """float64[K, n]: the values, 0 where there is none."""
        return self.values if self.whole else np.where(self.finite, self.values, 0.0)

    @cached_property
    def count(self) -> np.ndarray:
        """float64[K]: how many values are finite."""
        return np.full(len(self.values), float(self.values.shape[1])) if self.whole else self.finite.sum(axis=1, dtype=np.float64)

    @cached_property
    def _offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """float64[K] and float64[K, n]: a value of each series, and what the others differ from it by; 0 for no value."""
        if self.whole:
            return self.values[:, 0], self.values - self.values[:, :1]
        first = self.finite.argmax(axis=1)
        base = self.known[np.arange(len(first)), first]
        return base, np.where(self.finite, self.known - base[:, None], 0.0)

    @cached_property
    def _mean_offset(self) -> np.ndarray:
        return self._offsets[1].sum(axis=1) / np.maximum(self.count, 1.0)

    @cached_property
    def mean(self) -> np.ndarray:
        """float64[K]: the mean of the finite values, exact where all are equal; 0 where there are none."""
        return np.where(self.count > 0, self._offsets[0] + self._mean_offset, 0.0)

    @cached_property
    def _powers(self) -> tuple[np.ndarray, np.ndarray]:
        deviations = self._offsets[1] - self._mean_offset[:, None]
        if not self.whole:
            deviations[~self.finite] = 0.0
        return deviations, deviations * deviations

    # (x * x).sum, not einsum or dot: those add in an order that depends on the processor, and replays must agree.

    @cached_property
    def squares(self) -> np.ndarray:
        """float64[K]: the sum of squared deviations from the mean."""
        return self._powers[1].sum(axis=1)

    @cached_property
    def cubes(self) -> np.ndarray:
        """float64[K]: the sum of their third powers."""
        deviations, squares = self._powers
        return (squares * deviations).sum(axis=1)

    @cached_property
    def fourths(self) -> np.ndarray:
        """float64[K]: the sum of their fourth powers."""
        return (self._powers[1] * self._powers[1]).sum(axis=1)

    def having(self, status: int) -> np.ndarray:
        """float64[K]: how many values have this status."""
        if self.status is None:
            return np.zeros(len(self.values))
        return (self.status == status).sum(axis=1, dtype=np.float64)

    def extreme(self, reduce: np.ufunc, neutral: float) -> np.ndarray:
        """float64[K]: the smallest or largest finite value; `neutral` where there is none."""
        values = self.values if self.whole else np.where(self.finite, self.values, neutral)
        return reduce.reduce(values, axis=1, initial=neutral)

    def share(self, which: np.ndarray) -> np.ndarray:
        """float64[K]: how many of the finite values are so, bool[K, n]."""
        return (which & self.finite).sum(axis=1, dtype=np.float64)

    # --- against the declared range

    @cached_property
    def _bounded(self) -> np.ndarray:
        """bool[K]: whether there is a declared range with two ends."""
        return np.isfinite(self.hi - self.lo)

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        margin = _AT_END * np.where(self._bounded, self.hi - self.lo, np.nan)
        return (self.lo + margin)[:, None], (self.hi - margin)[:, None]

    @cached_property
    def ranged(self) -> np.ndarray:
        """float64[K]: how many values have a declared range to stand in."""
        return np.where(self._bounded, self.count, 0.0)

    @cached_property
    def limited(self) -> np.ndarray:
        """float64[K]: how many values have at least one end of a range."""
        return np.where(np.isnan(self.lo) & np.isnan(self.hi), 0.0, self.count)

    @cached_property
    def at_high(self) -> np.ndarray:
        """bool[K, n]: at the upper end of the range, or above it."""
        return self.values >= self._ends[1]

    @cached_property
    def at_low(self) -> np.ndarray:
        """bool[K, n]: at the lower end of the range, or below it."""
        return self.values <= self._ends[0]

    @property
    def outside(self) -> np.ndarray:
        """bool[K, n]: outside of the range."""
        return (self.values < self.lo[:, None]) | (self.values > self.hi[:, None])

    @cached_property
    def total_absolute(self) -> np.ndarray:
        """float64[K]: over the completions that each series scored, the sum of |weight x reward| over all functions."""
        assert self.weights is not None
        of_completion = np.abs(self.known[1:] * self.weights[1:, None]).sum(axis=0)
        return np.where(self.finite, of_completion, 0.0).sum(axis=1)

    # --- of groups; [K, P] or, centred in their groups, [K, n]

    @cached_property
    def group_counts(self) -> np.ndarray:
        """float64[K, P]: how many values of each group are finite."""
        groups = self._groups
        if self.whole:
            return np.broadcast_to(groups.sizes.astype(np.float64), (len(self.values), len(groups.sizes)))
        return groups.sums(self.finite.astype(np.float64))

    @cached_property
    def group_offsets(self) -> np.ndarray:
        """float64[K, P]: each group's mean, less the base that all values of the series are taken from."""
        return self._groups.sums(self._offsets[1]) / np.maximum(self.group_counts, 1.0)

    @cached_property
    def group_mean(self) -> np.ndarray:
        """float64[K]: the mean of the group means."""
        have = self.group_counts > 0
        number = np.maximum(have.sum(axis=1), 1)
        return np.where(have.any(axis=1), self._offsets[0] + np.where(have, self.group_offsets, 0.0).sum(axis=1) / number, 0.0)

    @property
    def group_means(self) -> np.ndarray:
        """float64[K, P]: each group's mean; NaN where it has no value."""
        return np.where(self.group_counts > 0, self._offsets[0][:, None] + self.group_offsets, np.nan)

    @cached_property
    def group_squares(self) -> np.ndarray:
        """float64[K]: the sum of squared deviations of the group means from their mean."""
        apart = np.where(self.group_counts > 0, self.group_offsets - (self.group_mean - self._offsets[0])[:, None], 0.0)
        return (apart * apart).sum(axis=1)

    @cached_property
    def between(self) -> np.ndarray:
        """float64[K]: the sum over all values of the squared deviation of their group's mean from the mean."""
        apart = self.group_offsets - self._mean_offset[:, None]
        return (self.group_counts * (apart * apart)).sum(axis=1)

    @cached_property
    def centred(self) -> np.ndarray:
        """float64[K, n]: each value less its group's mean; 0 for no value, exactly 0 in a group of equal values."""
        apart = self._offsets[1] - self._groups.spread(self.group_offsets)
        apart[self._groups.spread(self.flat)] = 0.0
        if not self.whole:
            apart[~self.finite] = 0.0
        return apart

    @cached_property
    def group_within(self) -> np.ndarray:
        """float64[K, P]: the sum of squared deviations within each group."""
        return self._groups.sums(self.centred * self.centred)

    @property
    def total_within(self) -> np.ndarray:
        """float64[K]: over the completions that each series scored, the sum of squared deviations of the total in its group."""
        squares = self.centred[0] * self.centred[0]
        return np.repeat(squares.sum(), len(self.values)) if self.whole else np.where(self.finite, squares, 0.0).sum(axis=1)

    @cached_property
    def group_variances(self) -> np.ndarray:
        """float64[K, P]: the sample variance of each group; 0 of fewer than two values."""
        return np.where(self.group_counts > 1, self.group_within / np.maximum(self.group_counts - 1.0, 1.0), 0.0)

    @cached_property
    def flat(self) -> np.ndarray:
        """bool[K, P]: groups of at least two values that are all equal."""
        starts, least, most = self._groups.starts, self.values, self.values
        if not self.whole:
            least, most = np.where(self.finite, least, np.inf), np.where(self.finite, most, -np.inf)
        low, high = np.minimum.reduceat(least, starts, axis=1), np.maximum.reduceat(most, starts, axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            equal = high - low <= _EQUAL * np.maximum(1.0, np.abs(high))
        return equal & (self.group_counts > 1)

    def flat_at(self, end: np.ndarray) -> np.ndarray:
        """float64[K]: how many flat groups are at an end of the range, bool[K, n]."""
        first = end[:, self._groups.starts] if self.whole else np.maximum.reduceat(end & self.finite, self._groups.starts, axis=1)
        return (self.flat & first).sum(axis=1, dtype=np.float64)

    @cached_property
    def solved(self) -> np.ndarray:
        """float64[K, P]: how many values of each group are at the upper end."""
        return self._groups.sums((self.at_high & self.finite).astype(np.float64))

    @cached_property
    def _unsolved(self) -> list[np.ndarray]:
        """float64[K, P] for 0, 1, ... `PASS_MAX`: the chance that so many drawn ones hold no solved one; 0 for more than there are.

        C(n - c, k) / C(n, k) for c solved of n, as a product.
        """
        failed, size = self.group_counts - self.solved, self._groups.size
        if self.whole and 0 < size <= _SIZE_USUAL:
            place = failed.astype(np.intp)
            return [chances[place] for chances in _chances_of_size(size)]
        return _chances(self.group_counts, failed)

    def pass_at(self, k: int) -> np.ndarray:
        """float64[K]: the sum over groups of at least k values of the chance that k drawn ones hold a solved one."""
        return np.where(self.tried(k), 1.0 - self._unsolved[k], 0.0).sum(axis=1)

    def tried(self, k: int) -> np.ndarray:
        """bool[K, P]: groups of at least k values of a series with a declared range."""
        return (self.group_counts >= k) & (self.ranged > 0)[:, None]

    @cached_property
    def learnability(self) -> np.ndarray:
        """float64[K]: the sum over groups of at least two values of p(1 - p), p the share that is solved, unbiased."""
        n, c = self.group_counts, self.solved
        p = c / np.maximum(n, 1.0)
        return np.where(self.tried(2), p * (1.0 - p) * n / np.maximum(n - 1.0, 1.0), 0.0).sum(axis=1)

    @cached_property
    def log_lengths(self) -> np.ndarray:
        """float64[K, n]: the logarithm of each completion's length less its mean over the group's scored ones; 0 elsewhere."""
        assert self.lengths is not None
        logs, groups = ln_whole(self.lengths), self._groups
        if self.whole:  # the same of every series
            return np.broadcast_to(logs - groups.spread(groups.sums(logs) / groups.sizes), self.values.shape)
        logs = np.where(self.finite, logs, 0.0)
        apart = logs - groups.spread(groups.sums(logs) / np.maximum(self.group_counts, 1.0))
        return np.where(self.finite, apart, 0.0)

    def products(self, which: np.ndarray) -> np.ndarray:
        """float64[k, k]: of these series, bool[K], the sums of the products of two ones' deviations from their group means."""
        centred = self.centred if which.all() else self.centred[which]
        out = np.empty((len(centred), len(centred)))
        for i, one in enumerate(centred):
            out[i, i:] = out[i:, i] = (one * centred[i:]).sum(axis=1)
        return out

    @property
    def _groups(self) -> Groups:
        assert self.groups is not None
        return self.groups


def _chances(n: np.ndarray | float, failed: np.ndarray) -> list[np.ndarray]:
    chances = [np.ones_like(failed)]
    for i in range(PASS_MAX):
        chances.append(chances[-1] * np.maximum(failed - i, 0.0) / np.maximum(n - i, 1.0))
    return chances


@lru_cache(maxsize=_SIZE_USUAL)
def _chances_of_size(size: int) -> list[np.ndarray]:
    return _chances(float(size), np.arange(size + 1.0))
