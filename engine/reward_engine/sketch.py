"""The mergeable sketch of a pane's values: each rounded to seven significant binary digits, and counted.

Rounding keeps a value to within 1/128 of itself (0.8 %), and exactly where it has few binary digits: 0, 1/4, 0.5, 3, 100.
Counts are whole numbers, so merging is exact in any order, and a sketch can be taken out of a merge again. Any quantile,
histogram or distance between distributions follows from (value, count). The idea is DDSketch's (Masson, Rim, Lee 2019,
1908.10693), with the floating-point format itself in place of a logarithm, so that every processor gives the same bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct, field

from reward_engine.logarithm import ln

RELATIVE_ERROR = 1 / 128
BINS = 32  # of the entropy

_DROPPED = 17  # of float32's 23 binary places; 6 stay, and the leading 1
_CODES = 16  # bits of a code: sign, exponent, 6 places
_LARGEST = np.uint32(0x7F7E0000 >> _DROPPED)  # the largest finite code: rounding must not reach infinity
_SIGN = np.uint32(1 << 14)
_LN_BINS = 5 * 0.6931471805599453


def _none() -> np.ndarray:
    return np.empty(0, np.uint32)


class Sketch(Struct, array_like=True):
    """Counts of the rounded values of many series. keys: uint32[m], ascending, series << 16 | code; counts: uint32[m]."""

    keys: np.ndarray = field(default_factory=_none)
    counts: np.ndarray = field(default_factory=_none)

    def of_series(self, series: int) -> tuple[np.ndarray, np.ndarray]:
        """(values float64[m], counts uint32[m]) of one series, the smallest value first."""
        start, end = np.searchsorted(self.keys, [series << _CODES, (series + 1) << _CODES])
        values = _values(self.keys[start:end])
        order = np.argsort(values, kind="stable")
        return values[order], self.counts[start:end][order]


def rounded(values: np.ndarray) -> np.ndarray:
    """float64[...]: what a sketch has in place of these values."""
    return _values(_codes(values))


def codes(rows: np.ndarray, values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """uint32[m], unsorted: the keys of the finite ones of values, float64[K, n], of which row k is series rows[k]."""
    keys: np.ndarray = _codes(values) | (rows.astype(np.uint32) << np.uint32(_CODES))[:, None]
    return keys[finite]


def _codes(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        bits = values.astype(np.float32).view(np.uint32)
    near = (bits + np.uint32(1 << (_DROPPED - 1))) >> np.uint32(_DROPPED)
    magnitude = np.minimum(near & (_SIGN - np.uint32(1)), _LARGEST)
    return np.where(magnitude == 0, np.uint32(0), magnitude | (near & _SIGN))  # no -0


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


def _values(keys: np.ndarray) -> np.ndarray:
    code = keys & np.uint32((1 << _CODES) - 1)
    bits = ((code & (_SIGN - np.uint32(1))) << np.uint32(_DROPPED)) | ((code & _SIGN) << np.uint32(_DROPPED))
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def quantile(values: np.ndarray, counts: np.ndarray, q: float) -> float:
    """The smallest value that at least a share q of them does not exceed; NaN of none."""
    if not len(values):
        return float("nan")
    reached = np.cumsum(counts, dtype=np.int64)
    rank = math.ceil(q * float(reached[-1]) - 1e-9)  # 0.05 x 140 is 7.000000000000001 in floating point
    return float(values[np.searchsorted(reached, max(rank, 1))])


def entropy(values: np.ndarray, counts: np.ndarray, lo: float, hi: float) -> float:
    """How evenly the values spread, 0 (all alike) to 1; NaN of fewer than two, which can't spread.

    Shannon's entropy over `BINS` bins, corrected by Miller and Madow's (m - 1) / 2N and divided by ln BINS. The bins cut
    the declared range [lo, hi] (NaN: none) into equal parts, with one more at each end for what is outside; without a
    range each octave of either sign is cut into eight. They never follow the data: bins that did would hide a collapse.
    """
    if counts.sum() < 2:
        return float("nan")
    lo, hi = rounded(np.array([lo, hi])).tolist() if np.isfinite(hi - lo) else (lo, hi)  # as the values were: an end stays one
    if lo < hi:
        bins = np.clip(np.floor((values - lo) / (hi - lo) * BINS), -1, BINS)
        bins[values == hi] = BINS - 1
    else:
        mantissa, exponent = np.frexp(np.abs(values))
        bins = np.sign(values) * ((exponent + 200) * 8 + np.floor((2 * mantissa - 1) * 8))
    _, place = np.unique(bins, return_inverse=True)
    per_bin = np.bincount(place, counts)
    n = per_bin.sum()
    shares = per_bin / n
    nats = -(shares * ln(shares)).sum() + (len(per_bin) - 1) / (2 * n)
    return float(min(nats / _LN_BINS, 1.0))
