"""What a measure is, and how its formula is read.

A formula is declared once, as an expression that numpy and ClickHouse read alike; a test computes every one both ways on
the real engine. A division by nothing is not a number, and not a number is unknown: NaN here, None for a person, NULL in
ClickHouse, a gap in a chart, never 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import CodeType
from typing import Any

import numpy as np

from reward_engine.sums import INDEX

_FUNCTIONS: dict[str, Any] = {"sqrt": np.sqrt, "abs": np.abs, "log10": np.log10, "pow": np.power}
_NAME = re.compile(r"\b[a-z][a-z_0-9]*\b")


@dataclass(frozen=True)
class Measure:
    """A number that users meet.

    unit: of its value. formula: over sums; empty for one that the fold takes from the sketch. means,
    not_means: what it says, and what it must not be taken for. source: a reference. low, high: its range. total: it is
    a share of the weighted total, and unknown for an audit function, which has none. whole: a whole number. quantile:
    which one of the sketch.
    """

    name: str
    unit: str
    formula: str
    means: str
    not_means: str = ""
    source: str = ""
    low: float = float("-inf")
    high: float = float("inf")
    total: bool = False
    whole: bool = False
    quantile: float | None = None

    @cached_property
    def code(self) -> CodeType:
        """The formula as Python reads it."""
        return compile(self.formula, self.name, "eval")

    @property
    def needs(self) -> tuple[str, ...]:
        """The sums that the formula names."""
        return tuple(dict.fromkeys(name for name in _NAME.findall(self.formula) if name in INDEX))

    @property
    def sql(self) -> str:
        """The formula for ClickHouse, over columns of the sums' names."""
        return _NAME.sub(lambda found: found[0] if found[0] in _FUNCTIONS else f"`{found[0]}`", self.formula) or f"`{self.name}`"


@np.errstate(all="ignore")
def value(measure: Measure, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64[series]: a measure of columns of sums; NaN where it is unknown."""
    found = np.asarray(eval(measure.code, {"__builtins__": {}}, {**_FUNCTIONS, **columns}), np.float64)  # noqa: S307 - ours
    return np.where(np.isfinite(found), found, np.nan)
