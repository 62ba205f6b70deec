"""Every measure again, from the raw vectors: slow, in loops, with scipy and numpy, and nothing of the engine.

reference(bodies) -> {measure: value of each series}, the total first; NaN where it is unknown
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.stats
from reward_schemas.events import Role, Rollout

NAN = float("nan")
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Scored:
    """One finite value of a series: its completion, its group, and of the completion the length and sum of |weight x reward|."""

    value: float
    completion: tuple[int, int]
    group: tuple[int, int]
    length: int | None
    absolute: float
    weight: float
    lo: float
    hi: float

    @property
    def ranged(self) -> bool:
        return math.isfinite(self.hi - self.lo)

    @property
    def high(self) -> bool:
        return self.ranged and self.value >= self.hi - 0.01 * (self.hi - self.lo)

    @property
    def low(self) -> bool:
        return self.ranged and self.value <= self.lo + 0.01 * (self.hi - self.lo)


@dataclass
class Told:
    """All that the messages say of one series."""

    scored: list[Scored]
    missing: int = 0
    not_scored: int = 0
    non_finite: int = 0
    lo: float = NAN
    hi: float = NAN
    audit: bool = False

    def groups(self) -> list[list[Scored]]:
        found: dict[tuple[int, int], list[Scored]] = {}
        for one in self.scored:
            found.setdefault(one.group, []).append(one)
        return list(found.values())


def told(bodies: Sequence[Rollout]) -> list[Told]:
    functions = bodies[0].table.functions
    out = [Told([]) for _ in range(len(functions) + 1)]
    for place, body in enumerate(bodies):
        weights = [f.weight if f.role is Role.TRAINED else 0.0 for f in body.table.functions]
        trained = [k for k, w in enumerate(weights) if w]
        out[0].lo, out[0].hi = _range_of_total(body)
        for k, f in enumerate(body.table.functions):
            out[k + 1].lo, out[k + 1].hi, out[k + 1].audit = _or_nan(f.lo), _or_nan(f.hi), f.role is Role.AUDIT
        for i in range(body.rewards.shape[1]):
            state = [0] * len(weights) if body.status is None else body.status[:, i].tolist()
            parts = [weights[k] * float(body.rewards[k, i]) for k in trained if state[k] == 0]
            with np.errstate(all="ignore"):
                total = sum(parts) if parts else NAN
            absolute = math.fsum(abs(p) for p in parts if math.isfinite(p))
            group, length = (place, int(body.group[i])), None if body.length is None else int(body.length[i])
            missing = any(state[k] == 1 for k in trained)
            of_total = 0 if parts else 1 if missing else 2
            row = [(of_total, total, 1.0), *zip(state, map(float, body.rewards[:, i]), weights, strict=True)]
            for series, (status, value, weight) in zip(out, row, strict=True):
                if status == 1:
                    series.missing += 1
                elif status == 2:
                    series.not_scored += 1
                elif not math.isfinite(value):
                    series.non_finite += 1
                else:
                    series.scored.append(Scored(value, (place, i), group, length, absolute, weight, series.lo, series.hi))
    return out


def shaken(series: Told, by: float, rng: np.random.Generator) -> Told:
    """The same with every value moved by at most a share `by` of the largest: at random, or onto a grid, where they may meet."""
    x = _values(series.scored)
    step = by * np.abs(x).max(initial=0.0)
    x = np.round(x / step) * step if step and rng.random() < 0.3 else x + step * rng.uniform(-1, 1, len(x))
    return replace(series, scored=[replace(one, value=value) for one, value in zip(series.scored, x.tolist(), strict=True)])


def _or_nan(end: float | None) -> float:
    return NAN if end is None else end


def _range_of_total(body: Rollout) -> tuple[float, float]:
    lows, highs = [], []
    for f in body.table.functions:
        if f.role is Role.TRAINED and f.weight:
            low, high = f.weight * _or_nan(f.lo), f.weight * _or_nan(f.hi)
            lows.append(low if f.weight > 0 else high)
            highs.append(high if f.weight > 0 else low)
    low, high = (sum(lows), sum(highs)) if lows else (NAN, NAN)
    return low if math.isfinite(low) else NAN, high if math.isfinite(high) else NAN


def reference(bodies: Sequence[Rollout], by: float = 0.0, rng: np.random.Generator | None = None) -> dict[str, list[float]]:
    said = told(bodies)
    if rng is not None:
        said = [shaken(series, by, rng) for series in said]
    totals: dict[tuple[int, int], float] = {}  # of each completion that has one, less its group's mean
    for g in said[0].groups():
        totals.update(zip([one.completion for one in g], _centred(_values(g)).tolist(), strict=True))
    found = [_measures(series, totals) for series in said]
    return {name: [one[name] for one in found] for name in found[0]}


@np.errstate(all="ignore")
def _measures(t: Told, totals: dict[tuple[int, int], float]) -> dict[str, float]:
    x = _values(t.scored)
    groups = [_values(g) for g in t.groups()]
    out = {"count": len(x), "missing": t.missing, "not_scored": t.not_scored, "non_finite": t.non_finite, "groups": len(groups)}
    found = _of_values(x) | _of_range(t.scored, t.groups()) | _of_groups(groups) | _with_others(t, totals)
    found |= _quantiles(x) | {"entropy": entropy(x.tolist(), t.lo, t.hi)}
    return out | {name: float(v) if math.isfinite(v) else NAN for name, v in found.items()}


def _of_values(x: np.ndarray) -> dict[str, float]:
    n = len(x)
    apart = x - x[0] if n else x  # the same moments; equal values stay equal
    var = np.var(apart, ddof=1) if n > 1 else NAN
    mean = x[0] + np.mean(apart) if n else NAN
    with np.errstate(all="ignore"):
        snr = np.float64(abs(mean)) / np.sqrt(var)
        squares, absolute = (np.sum(x / s * x / s) if (s := np.abs(x).max(initial=1e-300)) else 0.0), np.sum(np.abs(x))
        ess = (absolute / s) ** 2 / squares if n else NAN
    spread = n > 0 and apart.any()
    return {
        "mean": mean,
        "total": mean * n if n else NAN,
        "variance": var,
        "std": np.sqrt(var),
        "min": x.min() if n else NAN,
        "max": x.max() if n else NAN,
        "signal_to_noise": snr,
        "signal_to_noise_db": 20 * np.log10(snr),
        "skewness": scipy.stats.skew(apart) if spread and n > 2 else NAN,
        "kurtosis": scipy.stats.kurtosis(apart) if spread and n > 3 else NAN,
        "positive_share": np.mean(x > 0) if n else NAN,
        "zero_share": np.mean(x == 0) if n else NAN,
        "effective_samples": ess,
        "effective_share": ess / n if n else NAN,
    }


def _of_range(scored: list[Scored], groups: list[list[Scored]]) -> dict[str, float]:
    """Against the range that was declared when each value came. A group of one can't be flat."""
    ranged = [one for one in scored if one.ranged]
    limited = [one for one in scored if not (math.isnan(one.lo) and math.isnan(one.hi))]
    pairs = [g for g in groups if len(g) > 1 and g[0].ranged]
    out = {
        "saturation_high": _share([one.high for one in ranged]),
        "saturation_low": _share([one.low for one in ranged]),
        "out_of_range": _share([one.value < one.lo or one.value > one.hi for one in limited]),
        "zero_variance_low": _share([_flat(_values(g)) and g[0].low for g in pairs]),
        "zero_variance_high": _share([_flat(_values(g)) and g[0].high for g in pairs]),
        "zero_variance_expected": NAN,
        "learnability": _share([p * (1 - p) * len(g) / (len(g) - 1) for g in pairs for p in [_share([one.high for one in g])]]),
    }
    sizes = [len(g) for g in groups if len(g) > 1]
    if sizes and all(one.high or one.low for one in scored):
        size = np.mean(sizes)
        out["zero_variance_expected"] = out["saturation_high"] ** size + out["saturation_low"] ** size
    for k in (2, 4, 8):
        tried = [(len(g), sum(one.high for one in g)) for g in groups if len(g) >= k and g[0].ranged]
        out[f"pass_at_{k}"] = _share([1 - math.comb(n - c, k) / math.comb(n, k) for n, c in tried])
    return out


def _share(of: list[bool] | list[float]) -> float:
    return float(np.mean(of)) if of else NAN


def _values(g: list[Scored]) -> np.ndarray:
    return np.array([one.value for one in g])


def _flat(g: np.ndarray) -> bool:
    return len(g) > 1 and g.max() - g.min() <= 1e-12 * max(1.0, abs(g.max()))


def _centred(g: np.ndarray) -> np.ndarray:
    return np.zeros(len(g)) if _flat(g) else g - g[0] - np.mean(g - g[0])


def _of_groups(groups: list[np.ndarray]) -> dict[str, float]:
    p, n = len(groups), sum(map(len, groups))
    base = groups[0][0] if p else 0.0
    means = np.array([np.mean(g - base) for g in groups])
    within = sum(np.sum(_centred(g) ** 2) for g in groups)
    variances = np.array([np.sum(_centred(g) ** 2) / (len(g) - 1) for g in groups if len(g) > 1])
    msw = within / (n - p) if n > p else NAN
    out = {
        "standard_error": np.std(means, ddof=1) / math.sqrt(p) if p > 1 else NAN,
        "between_variance": np.var(means, ddof=1) if p > 1 else NAN,
        "within_variance": msw,
        "zero_variance_groups": np.mean([_flat(g) for g in groups if len(g) > 1]) if len(variances) else NAN,
        "group_std": np.mean(np.sqrt(variances)) if len(variances) else NAN,
        "effective_groups": NAN,
        "intraclass_correlation": NAN,
    }
    if (largest := variances.max(initial=0.0)) > 0:
        scaled = variances / largest
        out["effective_groups"] = scaled.sum() ** 2 / (scaled**2).sum()
    if p > 1 and n > p:
        grand = np.mean(np.concatenate(groups) - base)
        msb = sum(len(g) * (m - grand) ** 2 for g, m in zip(groups, means, strict=True)) / (p - 1)
        n0 = (n - sum(len(g) ** 2 for g in groups) / n) / (p - 1)
        out["intraclass_correlation"] = np.float64(msb - msw) / (msb + (n0 - 1) * msw)
    return out


def _with_others(t: Told, totals: dict[tuple[int, int], float]) -> dict[str, float]:
    """Against the total, and against the length of the completions."""
    weighted = math.fsum(one.weight * one.value for one in t.scored)
    absolute = np.float64(math.fsum(one.absolute for one in t.scored))
    product = share = within = by_length = lengths = with_length = 0.0
    for g in t.groups():
        x = _centred(_values(g))
        within += np.sum(x * x)
        with_total = [x[i] * totals.get(one.completion, 0.0) for i, one in enumerate(g)]
        product += sum(with_total)
        share += sum(one.weight * both for one, both in zip(g, with_total, strict=True))
        if g[0].length is not None:
            logs = np.log([max(one.length, 1) for one in g])
            logs -= np.mean(logs)
            by_length, lengths, with_length = by_length + np.sum(x * logs), lengths + np.sum(logs**2), with_length + np.sum(x * x)
    of_total = np.sum(np.array([*totals.values()]) ** 2)
    of_scored = np.sum(np.array([totals.get(one.completion, 0.0) for g in t.groups() for one in g]) ** 2)
    return {
        "mean_contribution": NAN if t.audit else weighted / absolute,
        "variance_contribution": NAN if t.audit else share / of_total,
        "total_correlation": product / np.sqrt(np.float64(within) * of_scored),
        "length_correlation": by_length / np.sqrt(np.float64(with_length) * lengths),
        "length_slope": np.float64(by_length) / lengths,
    }


def _quantiles(x: np.ndarray) -> dict[str, float]:
    """The smallest value that a share does not exceed; a little less than 0.05, whose double is more than 1/20."""
    shares = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
    return {name: np.quantile(x, q - 1e-12, method="inverted_cdf") if len(x) else NAN for name, q in shares.items()}


def rounded(x: float) -> float:
    """To seven significant binary digits, halves away from 0, as float32 can hold."""
    x = float(np.float32(max(min(x, LARGEST), -LARGEST)))
    if x == 0:
        return 0.0
    places = 7 - max(math.frexp(x)[1], -125)  # below 2^-126 float32 has fixed steps
    near = math.floor(abs(x) * 2.0**places + 0.5) * 2.0**-places
    return math.copysign(min(near, 127 * 2.0**121), x) if near >= 2.0**-126 else 0.0


def entropy(x: list[float], lo: float, hi: float) -> float:
    if len(x) < 2:
        return NAN
    x = [rounded(v) for v in x]
    low, high = (rounded(lo), rounded(hi)) if math.isfinite(hi - lo) else (NAN, NAN)
    counts: dict[object, int] = {}
    for v in x:
        name = _bin(v, low, high) if low < high else _octave(v)
        counts[name] = counts.get(name, 0) + 1
    shannon = -math.fsum(c / len(x) * math.log(c / len(x)) for c in counts.values())
    return min((shannon + (len(counts) - 1) / (2 * len(x))) / math.log(32), 1.0)


def _bin(v: float, lo: float, hi: float) -> object:
    if v < lo or v > hi:
        return "below" if v < lo else "above"
    return min(int((v - lo) / (hi - lo) * 32), 31)


def _octave(v: float) -> object:
    if v == 0:
        return 0
    mantissa, exponent = math.frexp(abs(v))
    return v > 0, exponent, int((2 * mantissa - 1) * 8)
