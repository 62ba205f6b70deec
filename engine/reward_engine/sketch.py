"""The mergeable sketch of a pane's values: each rounded to seven significant binary digits, and counted.

Rounding keeps a value to within 1/128 of itself (0.8 %), and exactly where it has few binary digits: 0, 1/4, 0.5, 3, 100.
Beyond float32's range it is float32's largest number, or 0.
Counts are whole numbers, so merging is exact in any order, and a sketch can be taken out of a merge again. Any quantile,
histogram or distance between distributions follows from (value, count). The idea is DDSketch's (Masson, Rim, Lee 2019,
1908.10693), with the floating-point format itself in place of a logarithm, so that every processor gives the same bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from msgspec import Struct, field

from reward_engine.logarithm import ln_whole

RELATIVE_ERROR = 1 / 128
BINS = 32  # of the entropy

_DROPPED = 17  # of float32's 23 binary places; 6 stay, and the leading 1
_CODES = 16  # bits of a code: it rises with the value, and is `_ZERO` for 0
_ZERO = np.uint32(1 << 14)
_EIGHTH = 3  # of a code's lowest 6 bits, the places, so many are below an eighth of an octave
_NO_CODE = np.uint32(0xFFFF)  # after every code
_SMALLEST = np.uint32(1 << 6)  # of a normal number: what is nearer to 0 is 0
_LARGEST = np.uint32(0x7F7E0000 >> _DROPPED)  # the largest finite one: rounding must not reach infinity
_ALL = np.arange(_ZERO - _LARGEST, _ZERO + _LARGEST + 1, dtype=np.uint32)  # the code of every value
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


def counted(rows: np.ndarray, values: np.ndarray, finite: np.ndarray) -> Sketch:
    """The sketch of the finite ones of values, float64[K, n], of which row k is series rows[k]."""
    if (rows[1:] < rows[:-1]).any():
        order = np.argsort(rows)
        rows, values, finite = rows[order], values[order], finite[order]
    coded = _codes(values).astype(np.uint16)
    whole = finite.all()
    if not whole:
        coded[~finite] = _NO_CODE
    coded.sort(axis=1)  # 16 bits are sorted ten times as fast as 32
    keys = (coded | (rows.astype(np.uint32) << np.uint32(_CODES))[:, None]).ravel()
    first = np.flatnonzero(_new(keys))
    counts = (np.append(first[1:], len(keys)) - first).astype(np.uint32)
    keys = keys[first]
    there = slice(None) if whole else keys & _NO_CODE != _NO_CODE
    return Sketch(keys[there], counts[there])


def _new(ordered: np.ndarray) -> np.ndarray:
    """bool[m]: where another number starts."""
    new = np.empty(len(ordered), bool)
    new[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return new


def _codes(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        bits = values.astype(np.float32).view(np.uint32)
    size = bits & np.uint32(0x7FFFFFFF)
    size += np.uint32(1 << (_DROPPED - 1))
    size >>= np.uint32(_DROPPED)
    np.minimum(size, _LARGEST, out=size)
    size *= size >= _SMALLEST
    minus = np.uint32(0) - (bits >> np.uint32(31))  # all bits of a negative one: -x is ~x + 1
    return _ZERO + ((size ^ minus) - minus)


def _values(coded: np.ndarray) -> np.ndarray:
    bits = _sizes(coded) << np.uint32(_DROPPED)
    return np.copysign(bits.view(np.float32), coded.astype(np.float64) - float(_ZERO))


def _sizes(coded: np.ndarray) -> np.ndarray:
    """uint32[...]: float32's bits of |value|, those that stay."""
    return np.where(coded < _ZERO, _ZERO - coded, coded - _ZERO)


def merged(sketches: Sequence[Sketch], without: Sequence[Sketch] = ()) -> Sketch:
    """The sketch of all their values, without those of sketches that had been merged into one of them."""
    both = np.concatenate([np.empty(0, np.uint64), *map(_packed, sketches), *(_packed(part, -1) for part in without)])
    both.sort()
    keys = (both >> np.uint64(32)).astype(np.uint32)
    first = np.flatnonzero(_new(keys))
    if not len(first):
        return Sketch()
    counts = np.add.reduceat((both & np.uint64(0xFFFFFFFF)).astype(np.int64) - (1 << 31), first)
    keys, left = keys[first], counts > 0
    return Sketch(keys[left], counts[left].astype(np.uint32)) if without else Sketch(keys, counts.astype(np.uint32))


def _packed(sketch: Sketch, sign: int = 1) -> np.ndarray:
    """uint64[m]: key and signed count in one number, which sorts faster than by an index; |count| < 2^31."""
    signed = (1 << 31) + sign * sketch.counts.astype(np.int64)
    return sketch.keys.astype(np.uint64) << np.uint64(32) | signed.astype(np.uint64)


def _reached(sketch: Sketch) -> np.ndarray:
    """int64[1 + m]: how many values there are before each, and in all."""
    reached = np.zeros(len(sketch.counts) + 1, np.int64)
    np.cumsum(sketch.counts, out=reached[1:])
    return reached


def quantiles(sketch: Sketch, series: int, shares: np.ndarray) -> np.ndarray:
    """float64[series, shares]: the smallest value that at least a share of them does not exceed; NaN of none."""
    if not len(sketch.keys):
        return np.full((series, len(shares)), np.nan)
    reached = _reached(sketch)
    ends = reached[sketch.starts(series)]
    number = (ends[1:] - ends[:-1])[:, None]
    rank = np.ceil(shares * number - 1e-9)  # 0.05 x 140 is 7.000000000000001 in floating point
    place = reached.searchsorted(ends[:-1, None] + np.maximum(rank, 1.0).astype(np.int64)) - 1
    known = number > 0
    found = _values(sketch.codes[np.where(known, place, 0)])
    return found if known.all() else np.where(known, found, np.nan)


def entropies(sketch: Sketch, lo: Sequence[float], hi: Sequence[float]) -> np.ndarray:
    """float64[series]: how evenly the values spread, 0 (all alike) to 1; NaN of fewer than two, which can't spread.

    Shannon's entropy over `BINS` bins, corrected by Miller and Madow's (m - 1) / 2N and divided by ln BINS. The bins cut
    the declared range [lo, hi] (NaN: none) into equal parts, with one more at each end for what is outside; without a
    range each octave of either sign is cut into eight. They never follow the data: bins that did would hide a collapse.
    """
    keys, series = sketch.keys, len(lo)
    if not len(keys):
        return np.full(series, np.nan)
    edges, ranged = _edges(tuple(lo), tuple(hi))
    if ranged.all():
        new = np.zeros(len(keys), bool)
    else:
        below = (sketch.codes < _ZERO) * np.uint32((1 << _EIGHTH) - 1)  # towards 0 on either side of it
        new = _new((keys + below) >> np.uint32(_EIGHTH)) & ~ranged[sketch.series]
    places = np.searchsorted(keys, edges)
    new[places[places < len(keys)]] = True
    first = np.flatnonzero(new)
    of = keys[first] >> np.uint32(_CODES)
    per_bin = np.add.reduceat(sketch.counts, first, dtype=np.int64)
    number = np.bincount(of, per_bin, series).astype(np.int64)
    nats = np.bincount(of, per_bin * (ln_whole(number)[of] - ln_whole(per_bin)) + 0.5, series) - 0.5
    return np.where(number < 2, np.nan, np.minimum(nats / (np.maximum(number, 1) * _LN_BINS), 1.0))


@lru_cache(maxsize=1024)
def _edges(los: tuple[float, ...], his: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """uint32[m], the keys with which the bins of declared ranges start, series by series; bool[series], which have one."""
    edges = [_edges_of(lo, hi) for lo, hi in zip(los, his, strict=True)]
    keys = [codes + np.uint32(row << _CODES) for row, codes in enumerate(edges) if len(codes)]
    return np.concatenate([_none(), *keys]), np.array([len(codes) > 0 for codes in edges])


def _edges_of(lo: float, hi: float) -> np.ndarray:
    if not math.isfinite(hi - lo):
        return _none()
    lo, hi = rounded(np.array([lo, hi])).tolist()  # as the values are: an end stays one
    if not lo < hi:
        return _none()
    values = _values(_ALL)
    with np.errstate(over="ignore"):
        bins = np.clip(np.floor((values - lo) / (hi - lo) * BINS), -1, BINS - 1)  # of what is just below hi it may round to BINS
    bins[values > hi] = BINS
    first = np.searchsorted(bins, np.arange(BINS + 1))
    return np.append(0, _ALL[first[first < len(_ALL)]]).astype(np.uint32)
