"""The values that rules are judged by: of a window of a run, and of the run as it is; each is computed when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan, nan

import numpy as np

from reward_engine import formula
from reward_engine.kinds import REWARD
from reward_engine.measures import BY_NAME, SKETCHED
from reward_engine.measuring import AUDIT, sketched
from reward_engine.panes import rolled, summed
from reward_engine.rules.vocabulary import LEVELS, VERDICTS, DetectorOf, RunOf, Source
from reward_engine.state import AXES, Pane, Run, senders_active
from reward_engine.sums import NAMES


class Evidence:
    """What is known of a run at a slot of an axis, over windows that end there; without an axis, of the run alone."""

    def __init__(self, run: Run, axis: str = "", slot: int = 0) -> None:
        self.run, self._axis, self.slot = run, axis, slot
        self._windows: dict[tuple[str, int], _Window | None] = {}
        self._columns: dict[tuple[Source, int], list[float] | float] = {}

    def column(self, of: Source, width: int) -> list[float] | float:
        """A value over a window of this width: of each reward function, by its row, or one for all. NaN: unknown."""
        found = self._columns.get((of, width))
        if found is None:
            found = self._columns[of, width] = self._found(of, width)
        return found

    def value(self, of: Source, row: int, width: int) -> float:
        """The value of one reward function."""
        return of_row(self.column(of, width), row)

    def slots(self, width: int) -> tuple[int, int]:
        """The first and the last slot of a window."""
        window = self._window(REWARD, width)
        return (min(window.inside), max(window.inside)) if window else (0, 0)

    def _found(self, of: Source, width: int) -> list[float] | float:
        if isinstance(of, DetectorOf):
            return self._said(of)
        if isinstance(of, RunOf):
            return _RUN[of.what](self.run)
        if not of.where:
            window = self._window(REWARD, width)
            return window.of(of.measure).tolist() if window else nan
        known = (value for kind, name in of.where if not isnan(value := self._measure(kind, name, of.measure, width)))
        return next(known, nan)

    def _measure(self, kind: str, name: str, measure: str, width: int) -> float:
        window, row = self._window(kind, width), self.run.series[kind].rows.get(name)
        return float(window.of(measure)[row]) if window and row is not None and row < window.rows else nan

    def _window(self, kind: str, width: int) -> _Window | None:
        if (kind, width) not in self._windows:
            lane = self.run.lane(AXES[self._axis], kind)
            inside = {slot: lane.held[slot] for slot in sorted(lane.held) if self.slot - width < slot <= self.slot}
            self._windows[kind, width] = _Window(self.run, self._axis, kind, width, inside) if inside else None
        return self._windows[kind, width]

    def _said(self, of: DetectorOf) -> float:
        told = self.run.watch.told.get(of.name)
        if told is None:
            return nan
        return told.statistic if of.statistic else (VERDICTS if not of.name else LEVELS).get(told.level, nan)


def of_row(column: list[float] | float, row: int) -> float:
    """The value of a reward function in a column; of one that is newer than the column NaN."""
    if isinstance(column, float):
        return column
    return column[row] if row < len(column) else nan


class _Window:
    """The measures of all series of a kind over some panes."""

    def __init__(self, run: Run, axis: str, kind: str, width: int, inside: dict[int, Pane]) -> None:
        self.inside = inside
        self._lane, self._series, self._width = run.lane(AXES[axis], kind), run.series[kind], width
        table = summed(self._lane, inside) if len(inside) > 1 else next(iter(inside.values())).table
        self.rows = len(table)
        self._columns = dict(zip(NAMES, table.T, strict=True))
        self._found: dict[str, np.ndarray] = {}

    def of(self, measure: str) -> np.ndarray:
        """float64[series]: NaN where it is unknown."""
        if measure not in self._found:
            if measure in SKETCHED:
                self._sketched()
            else:
                found = formula.value(BY_NAME[measure], self._columns)
                if BY_NAME[measure].total:
                    found = np.where([role == AUDIT for role in self._series.roles[: self.rows]], nan, found)
                self._found[measure] = found
        return self._found[measure]

    def _sketched(self) -> None:
        name = f"{self._width} of rules"
        values = rolled(self._lane, name, self.inside) if len(self.inside) > 1 else next(iter(self.inside.values())).sketch
        found = sketched(values, self._series.lo[: self.rows], self._series.hi[: self.rows])
        self._found |= dict(zip(SKETCHED, found.T, strict=True))


def _counted(name: str) -> Callable[[Run], float]:
    return lambda run: float(run.counts.get(name, 0))


_RUN: dict[str, Callable[[Run], float]] = {
    "run.lost": lambda run: float(run.state == "lost"),
    "run.silent_ranks": lambda run: float(sum(each.silent and not each.finished for each in run.senders.values())),
    "run.senders": lambda run: float(senders_active(run)),
    "run.expected": lambda run: float(run.senders_expected()),
    "run.step": lambda run: float(run.top_step),
    "run.missing": lambda run: float(sum(seen.missing for each in run.senders.values() for seen in each.sessions.values())),
    "run.dropped": lambda run: float(
        sum(sum(report.dropped.values()) for each in run.senders.values() for report in each.reports.values())
    ),
    **{f"run.{name}": _counted(name) for name in ("late", "invalid", "refused", "gaps", "resumes")},
}
