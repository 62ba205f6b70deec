"""The measures of a pane or window, from its sums and its sketch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reward_engine import formula, sketch
from reward_engine.measures import MEASURES, SKETCHED
from reward_engine.sketch import Sketch
from reward_engine.sums import NAMES

AUDIT = "audit"
COLUMNS = (*NAMES, *SKETCHED)  # of a row: its sums, and what was taken from its sketch
_SHARES = np.array([m.quantile for m in MEASURES if m.quantile is not None])
assert (*(m.name for m in MEASURES if m.quantile is not None), "entropy") == SKETCHED


def measured(table: np.ndarray, roles: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Every measure, float64[series] each, of sums, float64[series, sums], or of whole rows, float64[series, COLUMNS].

    NaN where it is unknown; those of the sketch only of whole rows.
    """
    columns = dict(zip(COLUMNS, table.T, strict=False))
    audit = np.array([role == AUDIT for role in roles] or [False] * len(table), bool)
    found = {
        m.name: formula.value(m, columns) if m.formula else columns[m.name] for m in MEASURES if m.formula or m.name in columns
    }
    return found | {m.name: np.where(audit, np.nan, found[m.name]) for m in MEASURES if m.total}


def sketched(values: Sketch, lo: Sequence[float], hi: Sequence[float]) -> np.ndarray:
    """float64[series, SKETCHED]: the measures that are taken from the sketch; NaN where a series has no value."""
    found = sketch.quantiles(values, len(lo), _SHARES)
    return np.column_stack([found, sketch.entropies(values, lo, hi)])
