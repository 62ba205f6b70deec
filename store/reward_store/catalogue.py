"""What the catalogues of sums and measures become in SQL: columns of `pane_rows`, and columns of the views.

A new sum or measure is a row in `reward_engine.sums.SUMS` or `reward_engine.measures.MEASURES` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from reward_engine.formula import Measure
from reward_engine.measures import BY_NAME, MEASURES
from reward_engine.sums import NAMES, NEUTRAL, SUMS, Block, reduce


def sum_columns() -> dict[str, str]:
    """Column definition by name. NULL: unknown, or the row is of a time before this sum was kept."""
    said = {s.name: s.comment for s in SUMS} | {m.name: _comment(m) for m in MEASURES if not m.formula}
    return {name: f"`{name}` Nullable(Float64) COMMENT {quoted(comment)} CODEC(ZSTD(1))" for name, comment in said.items()}


def of_values() -> tuple[Measure, ...]:
    """The measures that make sense of any values, as lengths or advantages: those of sums that values fill which are no
    rewards, and so have no range, no weight and no groups."""
    bare = reduce(Block(np.array([[-1.0, 0.0, 2.0, np.nan]])))[0]
    filled = {name for name, value, empty in zip(NAMES, bare, NEUTRAL, strict=True) if value != empty}
    return tuple(m for m in MEASURES if filled.issuperset(m.needs))


def placeholders() -> dict[str, str]:
    """What stands for the measures in the views' templates.

    {values_said}: how many values senders reported of a series, usable or not: 0 where the function wasn't in the step at all.
    {measure_columns}: their definitions; {measures}: `expression AS name`, for a SELECT with prefer_column_name_to_alias = 1,
    so that no expression takes another measure for the sum of the same name. {value_…}: of `of_values` alone.
    """
    return {
        "values_said": " + ".join(f"ifNull({name}, 0)" for name in ("count", "missing", "not_scored", "non_finite")),
        "measure_columns": _definitions((m, _comment(m)) for m in MEASURES),
        "measures": _expressions(MEASURES),
        "value_measure_columns": _definitions((m, _explained(m).replace("reward", "value")) for m in of_values()),
        "value_measures": _expressions(of_values()),
        "mean": _known(BY_NAME["mean"]),
        "count": _known(BY_NAME["count"]),
    }


def quoted(text: str) -> str:
    """A string literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _definitions(explained: Iterable[tuple[Measure, str]]) -> str:
    return ",\n    ".join(f"`{m.name}` {_type(m)} COMMENT {quoted(comment)}" for m, comment in explained)


def _expressions(measures: Iterable[Measure]) -> str:
    return ",\n    ".join(f"{_known(m)} AS `{m.name}`" for m in measures)


def _known(measure: Measure) -> str:
    """The measure's expression with NULL for what isn't a finite number: unknown is a gap in a chart."""
    known = f"accurateCastOrNull({measure.sql}, 'UInt64')" if measure.whole else f"ifNotFinite({measure.sql}, NULL)"
    return f"if(role = 'audit', NULL, {known})" if measure.total else known


def _type(measure: Measure) -> str:
    return "Nullable(UInt64)" if measure.whole else "Nullable(Float64)"


def _explained(measure: Measure) -> str:
    return f"{measure.means} [{measure.unit}]"


def _comment(measure: Measure) -> str:
    return _explained(measure) + (f". Not {measure.not_means}" if measure.not_means else "")
