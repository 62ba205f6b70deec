"""What Grafana and the ClickHouse plugin make of a query before it reaches ClickHouse: variables first, then macros.

`MODERN` is plugin 4.x, `OLD` is 3.3. Only what our dashboards may use is known; anything else is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A time range in seconds, and the interval that a panel's width gives it."""

    from_s: int
    to_s: int
    interval_s: int = 5


Macro = Callable[[str, Window], str]
_INTERVAL: Macro = lambda column, w: f"toStartOfInterval(toDateTime({column}), INTERVAL {w.interval_s} second)"  # noqa: E731
MODERN: dict[str, Macro] = {
    "timeFilter": lambda column, w: f"{column} >= toDateTime({w.from_s}) AND {column} <= toDateTime({w.to_s})",
    "timeInterval": _INTERVAL,
    "fromTime": lambda _, w: f"toDateTime({w.from_s})",
    "toTime": lambda _, w: f"toDateTime({w.to_s})",
    "interval_s": lambda _, w: str(w.interval_s),
}
OLD: dict[str, Macro] = MODERN | {
    "timeFilter": lambda column, w: f"{column} >= '{w.from_s}' AND {column} <= '{w.to_s}'",
    "fromTime": lambda _, w: f"toDateTime(intDiv({w.from_s * 1000},1000))",
    "toTime": lambda _, w: f"toDateTime(intDiv({w.to_s * 1000},1000))",
}
DIALECTS = {"4.x": MODERN, "3.3": OLD}
TAKES_A_COLUMN = {"timeFilter", "timeInterval"}


def expanded(sql: str, window: Window, variables: Mapping[str, Sequence[str]], dialect: Mapping[str, Macro]) -> str:
    """The query as ClickHouse gets it. KeyError for a variable or macro that isn't there, ValueError for one used wrongly."""

    def value(found: re.Match[str]) -> str:
        name, _, form = found[1].partition(":")
        if form != "singlequote":
            raise ValueError(f"{found[0]} has no :singlequote")
        return ",".join("'" + each.replace("'", "\\'") + "'" for each in variables[name])

    def macro(found: re.Match[str]) -> str:
        name, argument = found[1], found[2]
        if (argument is not None) != (name in TAKES_A_COLUMN):
            raise ValueError(f"{found[0]}: with its argument missing, or one that it does not take")
        if argument is not None and not re.fullmatch(r"\w+", argument):
            raise ValueError(f"{found[0]}: the old plugin takes plain columns alone")
        return dialect[name](argument, window)

    done = re.sub(r"\$\{([^}]*)\}", value, sql)
    done = re.sub(r"\$__(\w+)(?:\(([^)]*)\))?", macro, done)
    if "$" in done:
        raise ValueError(f"a $ is left: {done[done.index('$') :][:60]}")
    return done
