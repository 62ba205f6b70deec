"""What the catalogues of sums and measures become in SQL: columns of `pane_rows`, and columns of the views.

A new sum or measure is a row in `reward_engine.sums.SUMS` or `reward_engine.measures.MEASURES` and nothing else.
"""

from __future__ import annotations

from reward_engine.formula import Measure
from reward_engine.measures import MEASURES
from reward_engine.sums import SUMS


def sum_columns() -> dict[str, str]:
    """Column definition by name. NULL: the row is of a time before this sum was kept."""
    said = {s.name: s.comment for s in SUMS} | {m.name: _comment(m) for m in MEASURES if not m.formula}
    return {name: f"`{name}` Nullable(Float64) COMMENT {quoted(comment)} CODEC(ZSTD(1))" for name, comment in said.items()}


def placeholders() -> dict[str, str]:
    """What stands for the measures in the views' templates.

    {values_said}: how many values senders reported of a series, usable or not: 0 where the function wasn't in the step at all.
    {measure_columns}: their definitions; {measures}: their names; {measure_expressions}: `expression AS m_name`, under
    other names so that no expression takes another measure for the sum of the same name.
    """
    return {
        "values_said": " + ".join(f"ifNull({name}, 0)" for name in ("count", "missing", "not_scored", "non_finite")),
        "measure_columns": ",\n    ".join(f"`{m.name}` {_type(m)} COMMENT {quoted(_comment(m))}" for m in MEASURES),
        "measure_expressions": ",\n        ".join(f"{_known(m)} AS `m_{m.name}`" for m in MEASURES),
        "measures": ", ".join(f"`m_{m.name}` AS `{m.name}`" for m in MEASURES),
        "mean_expression": _known(next(m for m in MEASURES if m.name == "mean")),
        "count_expression": _known(next(m for m in MEASURES if m.name == "count")),
    }


def quoted(text: str) -> str:
    """A string literal of ClickHouse."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _known(measure: Measure) -> str:
    """The measure's expression with NULL for what isn't a finite number: unknown is a gap in a chart."""
    value = f"toUInt64({measure.sql})" if measure.whole else measure.sql
    unknown = f"isFinite({measure.sql}) AND role != 'audit'" if measure.total else f"isFinite({measure.sql})"
    return f"if({unknown}, {value}, NULL)"


def _type(measure: Measure) -> str:
    return "Nullable(UInt64)" if measure.whole else "Nullable(Float64)"


def _comment(measure: Measure) -> str:
    return f"{measure.means} [{measure.unit}]" + (f" Not {measure.not_means}" if measure.not_means else "")
