"""Past a bound of its run an event is refused, with a dead letter, and other runs don't notice."""

from __future__ import annotations

from collections.abc import Iterable

from reward_engine import bounds
from reward_engine.state import Series


class Refusal(Exception):
    """An event past a bound of its run: `field` and `reason` of its dead letter."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason


def room(series: Series, names: Iterable[str], field: str, what: str) -> None:
    """Raises `Refusal` where the run can't have all of these names beside those that it has."""
    if len(series.names) + sum(name not in series.rows for name in names) > bounds.SERIES_MAX:
        raise Refusal(field, f"more than {bounds.SERIES_MAX} {what} in one run")
