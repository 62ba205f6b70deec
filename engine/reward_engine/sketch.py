"""The mergeable sketch of a pane's values: each rounded to seven significant binary digits, and counted.

Rounding keeps a value to within 1/128 of itself (0.8 %), and exactly where it has few binary digits: 0, 1/4, 0.5, 3, 100.
Beyond float32's range it is float32's largest number, and below 2^-126 it is within 2^-133.
Counts are whole numbers, so merging is exact in any order, and a sketch can be taken out of a merge again. Any quantile,
histogram or distance between distributions follows from (value, count). The idea is DDSketch's (Masson, Rim, Lee 2019,
1908.10693), with the floating-point format itself in place of a logarithm, so that every processor gives the same bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field

from reward_engine.logarithm import ln

RELATIVE_ERROR = 1 / 128
BINS = 32  # of the entropy

_DROPPED = 17  # of float32's 23 binary places; 6 stay, and the leading 1
_CODES = 16  # bits of a code: it rises with the value, and is `_ZERO` for 0
_ZERO = np.uint32(1 << 14)
_EIGHTH = 3  # of a code's lowest 6 bits, the places, so many are below an eighth of an octave
_LARGEST = np.uint32(0x7F7E0000 >> _DROPPED)  # the largest finite one: rounding must not reach infinity
_LN_BINS = 5 * 0.6931471805599453


def _none() -> np.ndarray:
    return np.empty(0, np.uint32)


class Sketch(Struct, array_like=True):
    """Counts of the rounded values of many series. keys: uint32[m], ascending, series << 16 | code; counts: uint32[m]."""

    keys: np.ndarray = field(default_factory=_none)
    counts: np.ndarray = field(default_factory=_none)

    @property
    def series(self) -> np.ndarray:
        """uint32[m]: of which series each is."""
        return self.keys >> np.uint32(_CODES)

    @property
    def values(self) -> np.ndarray:
        """float64[m]: the rounded values, in each series the smallest first."""
        return _values(self.codes)

    @property
    def codes(self) -> np.ndarray:
        """uint32[m]: the keys without their series."""
        return self.keys & np.uint32((1 << _CODES) - 1)

    def starts(self, series: int) -> np.ndarray:
        """int64[series + 1]: where each one's values start, and where the last one's end."""
        return np.searchsorted(self.keys, np.arange(series + 1, dtype=np.uint32) << np.uint32(_CODES))


def rounded(values: np.ndarray) -> np.ndarray:
    """float64[...]: what a sketch has in place of these finite values."""
    return _values(_codes(values))


def codes(rows: np.ndarray, values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """uint32[m], unsorted: the keys of the finite ones of values, float64[K, n], of which row k is series rows[k]."""
    keys: np.ndarray = _codes(values) | (rows.astype(np.uint32) << np.uint32(_CODES))[:, None]
    return keys.ravel() if finite.all() else keys[finite]


def _codes(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        bits = values.astype(np.float32).view(np.uint32)
    size = bits & np.uint32(0x7FFFFFFF)
    size += np.uint32(1 << (_DROPPED - 1))
    size >>= np.uint32(_DROPPED)
    np.minimum(size, _LARGEST, out=size)
    return np.where(bits >> np.uint32(31), _ZERO - size, _ZERO + size)


def _values(coded: np.ndarray) -> np.ndarray:
    bits = _sizes(coded) << np.uint32(_DROPPED)
    return np.copysign(bits.view(np.float32), coded.astype(np.float64) - float(_ZERO))


def _sizes(coded: np.ndarray) -> np.ndarray:
    """uint32[...]: float32's bits of |value|, those that stay."""
    return np.where(coded < _ZERO, _ZERO - coded, coded - _ZERO)


def counted(keys: np.ndarray) -> Sketch:
    """The sketch of these keys, in any order and number."""
    found, counts = np.unique(keys, return_counts=True)
    return Sketch(found, counts.astype(np.uint32))


def merged(sketches: Sequence[Sketch], without: Sequence[Sketch] = ()) -> Sketch:
    """The sketch of all their values, without those of sketches that had been merged into one of them."""
    keys = np.concatenate([_none(), *(part.keys for part in (*sketches, *without))])
    if not len(keys):
        return Sketch()
    counts = np.concatenate(
        [part.counts.astype(np.int64) for part in sketches] + [-part.counts.astype(np.int64) for part in without]
    )
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    sums = np.add.reduceat(counts, starts)
    left = sums > 0
    return Sketch(keys[starts][left], sums[left].astype(np.uint32))


def quantiles(sketch: Sketch, series: int, shares: Sequence[float]) -> np.ndarray:
    """float64[series, shares]: the smallest value that at least a share of them does not exceed; NaN of none."""
    reached = np.append(0, np.cumsum(sketch.counts, dtype=np.int64))
    ends = reached[sketch.starts(series)]
    number = np.diff(ends)[:, None]
    rank = np.ceil(np.array(shares) * number - 1e-9)  # 0.05 x 140 is 7.000000000000001 in floating point
    place = np.searchsorted(reached, ends[:-1, None] + np.maximum(rank, 1.0)) - 1
    return np.where(number > 0, np.append(sketch.values, np.nan)[place], np.nan)


def entropies(sketch: Sketch, lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """float64[series]: how evenly the values spread, 0 (all alike) to 1; NaN of fewer than two, which can't spread.

    Shannon's entropy over `BINS` bins, corrected by Miller and Madow's (m - 1) / 2N and divided by ln BINS. The bins cut
    the declared range [lo, hi] (NaN: none) into equal parts, with one more at each end for what is outside; without a
    range each octave of either sign is cut into eight. They never follow the data: bins that did would hide a collapse.
    """
    series = len(lo)
    with np.errstate(over="ignore", invalid="ignore"):
        lo, hi = np.where(np.isfinite(hi - lo), rounded(np.array([lo, hi])), np.nan)  # as the values were: an end stays one
    of, values = sketch.series, sketch.values
    if not len(of):
        return np.full(series, np.nan)
    first, last = lo[of], hi[of]
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = np.clip(np.floor((values - first) / (last - first) * BINS), -1, BINS)
    cut[values == last] = BINS - 1
    eighths = (_sizes(sketch.codes) >> np.uint32(_EIGHTH)).astype(np.float64)
    bins = np.where(first < last, cut, np.where(values < 0, -eighths, eighths))
    starts = np.flatnonzero(np.append(True, (bins[1:] != bins[:-1]) | (of[1:] != of[:-1])))
    per_bin, of = np.add.reduceat(sketch.counts.astype(np.int64), starts), of[starts]
    number = np.bincount(of, per_bin, series)
    shares = per_bin / number[of]
    nats = (np.bincount(of, minlength=series) - 1) / (2.0 * np.maximum(number, 1.0)) - np.bincount(
        of, shares * ln(shares), series
    )
    return np.where(number < 2, np.nan, np.minimum(nats / _LN_BINS, 1.0))
