"""How good a signal a reward function is: one number between 0 and 100, with its interval and what it is made of.

    score = 100 (1 - hacking) exp(sum of w ln max(q, 0.01) / sum of w)      over the components q that are known

A weighted geometric mean, so that one component near 0 can't be made up for by the others. `hacking` is what the detectors
take from it. The interval is of a jackknife over blocks of steps (Quenouille 1956; Tukey 1958), since neighbouring steps are
alike and their groups come from the same policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reward_engine.sums import INDEX

WEIGHTS = {
    "integrity": 0.20,
    "signal": 0.25,
    "spread": 0.20,
    "length independence": 0.15,
    "coherence": 0.10,
    "reliability": 0.10,
}
MEANS = {
    "integrity": "share of the rewards that are there, finite, and inside of the declared range",
    "signal": "1 where at least half of the groups have any variance, less in proportion",
    "spread": "mean standard deviation of a group, of the greatest that the declared range allows",
    "length independence": "1 - (correlation with the log length within groups)^2",
    "coherence": "1 + correlation with the total within groups, where that is negative, else 1; of the total, the functions' mean",
    "reliability": "agreement of a second scoring with the first (ICC); unknown where nothing is scored twice",
}
SUFFICIENT = 0.6  # of the weight of all components: with less known there is no score
INFORMATIVE = 0.5  # share of groups with variance that is as good as all
HACKING = {"warning": 0.25, "critical": 0.6}
_LEAST = 0.01
_RELIABILITY = "reliability"
_USED = (  # the components are made of sums that add up, so that a block can be left out
    "count", "missing", "non_finite", "outside", "groups_of_two", "flat", "spread",
    "within", "total_product", "scored_total_within", "length_product", "length_within", "length_squares",
)  # fmt: skip
_COLUMNS = [INDEX[name] for name in _USED]


@dataclass(frozen=True)
class Quality:
    """Of one series. score, low, high: 0 to 100, NaN where too little is known. coverage: weight of what is known, 0 to 1.
    components: 0 to 1 each, NaN where unknown."""

    series: str
    score: float
    low: float
    high: float
    coverage: float
    components: dict[str, float]
    hacking: float


@np.errstate(over="ignore", invalid="ignore")  # what overflows is unknown, and no warning
def qualities(
    names: Sequence[str], roles: Sequence[str], stack: np.ndarray, lo: np.ndarray, hi: np.ndarray, hacking: float = 0.0
) -> list[Quality]:
    """The quality of the total and of each trained function over some blocks.

    stack: float64[blocks, series, sums]; lo, hi: float64[series], the declared ranges (NaN: none). hacking: what is taken from
    every score, by the worst that a detector found.
    """
    from scipy.special import stdtrit

    blocks = len(stack)
    rows = [row for row, role in enumerate(roles[: stack.shape[1]]) if role in ("total", "trained")]
    if not blocks or not rows:
        return []
    stack = stack[:, :, _COLUMNS]
    whole = stack.sum(axis=0)
    without = whole - stack if blocks > 2 else np.empty((0, *whole.shape))
    trained = [row for row in rows if roles[row] == "trained"]
    found = _components(np.concatenate([whole[None], without])[:, rows], lo[rows], hi[rows], [rows.index(row) for row in trained])
    coverage, scores = _scores(found)
    scores *= 100 * (1 - hacking)
    left_out = scores[1:]
    error = np.sqrt((blocks - 1) / blocks * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)) if blocks > 2 else np.nan
    reach = error * float(stdtrit(max(blocks - 1, 1), 0.975)) * np.ones(len(rows))
    return [
        Quality(
            names[row],
            float(scores[0, i]),
            float(np.clip(scores[0, i] - reach[i], 0, 100)),
            float(np.clip(scores[0, i] + reach[i], 0, 100)),
            float(coverage[0, i]),
            {name: float(values[0, i]) for name, values in found.items()},
            hacking,
        )
        for i, row in enumerate(rows)
    ]


def _components(table: np.ndarray, lo: np.ndarray, hi: np.ndarray, trained: Sequence[int]) -> dict[str, np.ndarray]:
    """float64[tables, series] each, of the sums of `_USED`, float64[tables, series, sums]."""

    def of(name: str) -> np.ndarray:
        column: np.ndarray = table[..., _USED.index(name)]
        return column

    span = np.where(np.isfinite(hi - lo) & (hi > lo), hi - lo, np.nan)
    said = of("count") + of("missing") + of("non_finite")
    coherence = 1 + np.minimum(_ratio(of("total_product"), np.sqrt(of("within") * of("scored_total_within"))), 0.0)
    if trained:
        coherence[:, 0] = coherence[:, trained].mean(axis=1)  # NaN where one is unknown
    return {
        "integrity": _ratio(of("count") - of("outside"), said),
        "signal": np.minimum(_ratio(of("groups_of_two") - of("flat"), INFORMATIVE * of("groups_of_two")), 1.0),
        "spread": np.minimum(_ratio(of("spread"), of("groups_of_two") * span / 2), 1.0),
        "length independence": 1 - _ratio(of("length_product") ** 2, of("length_within") * of("length_squares")),
        "coherence": coherence,
        _RELIABILITY: np.full(said.shape, np.nan),
    }


def _scores(components: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and weighted geometric mean, 0 to 1, float64[tables, series] each."""
    values = np.array([components[name] for name in WEIGHTS])
    weights = np.array([*WEIGHTS.values()])[:, None, None] * np.isfinite(values)
    coverage = weights.sum(axis=0)
    logs = weights * np.log(np.clip(np.where(np.isfinite(values), values, 1.0), _LEAST, 1.0))
    return coverage, np.where(coverage >= SUFFICIENT - 1e-9, np.exp(logs.sum(axis=0) / np.maximum(coverage, 1e-9)), np.nan)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where there is nothing below."""
    there = np.isfinite(above) & np.isfinite(below) & (below > 0)
    return np.where(there, np.where(there, above, 0.0) / np.where(there, below, 1.0), np.nan)
