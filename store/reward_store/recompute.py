"""A step's row again, from the raw rewards that were landed, by the code that the fold runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from reward_engine import panes, sums
from reward_engine.kinds import REWARD
from reward_engine.measuring import COLUMNS, sketched
from reward_engine.rollouts import said_of, said_of_completions
from reward_engine.state import Pane, Series
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Role, Rollout

from reward_store.client import Client

_RELATIVE = 1e-9  # the additions are the fold's, in its order: what is left are other versions of numpy


class Row(NamedTuple):
    """What a step says of one series: float64[COLUMNS], NaN where unknown; its sketch's values and counts; its products."""

    columns: np.ndarray
    sketch: tuple[np.ndarray, np.ndarray]
    products: dict[str, float]


class Step:
    """The pane of a step as its messages come, in the order of the log."""

    def __init__(self) -> None:
        self._pane, self._series, self._closed = Pane(0, [], 0), Series(), False

    def add(self, body: Rollout) -> None:
        """Takes what a message says of rewards."""
        what, _, waiting = said_of(self._series, body)
        self._take(what)
        for whole in panes.wait(self._pane, waiting, self._series) if waiting else ():
            self._take(whole)
        if self._closed:
            self.close()

    def add_completions(self, body: Rollout) -> None:
        """Takes what a message says of its completions."""
        if columns := body.of_completions:
            self._take(said_of_completions(self._series, columns))

    def close(self) -> None:
        """Nothing more is awaited: groups count as they are. What still comes amends the step."""
        for rest in panes.give_up(self._pane, self._series):
            self._take(rest)
        if self._pane.tables:
            self._pane.settle()
        self._closed = True

    def row(self, name: str) -> Row:
        """Of one series; an empty one where no message had it."""
        pane, series = self._pane, self._series
        at = series.rows[name] if name in series.rows else series.row(name, 0.0, "")
        size = len(series.names)
        table = sums.grown(pane.table if pane.tables else sums.empty(0), size)
        numbers = np.concatenate([table, sketched(pane.sketch, series.lo, series.hi)], axis=1)
        start, end = pane.sketch.starts(size)[at : at + 2]
        products = pane.products[at] if at < len(pane.products) else ()
        return Row(
            numbers[at],
            (pane.sketch.values[start:end], pane.sketch.counts[start:end]),
            dict(zip(series.names, products, strict=False)),
        )

    def _take(self, what: panes.Said) -> None:
        panes.take(self._pane, what, len(self._series.names))
        if self._closed:
            self._pane.settle()


def raw(client: Client, run_id: str, attempt: int, step: int, through: int) -> list[dict[str, Any]] | None:
    """The rollouts that the fold took into a step, in the order of the log: not those it refused or that came too late.

    None where some were landed by a version that did not keep all that is needed.
    """
    tables = client.settings.tables
    who = "run_id = {run:String}"
    found = client.query_arrow(
        f"""
        SELECT functions, weights, roles, lo, hi, rewards, status, `group`, group_size, length, advantage, truncated, columns, column_values,
            (rank, session, seq) IN
                (SELECT rank, session, seq FROM {tables}.late_event_rows WHERE {who} AND axis = 'step' AND fate = 'amended') AS amended
        FROM {tables}.rollouts FINAL
        WHERE {who} AND attempt = {{attempt:UInt32}} AND step = {{step:Int64}} AND offset <= {{through:Int64}}
            AND (rank, session, seq) NOT IN
                (SELECT rank, session, seq FROM {tables}.late_event_rows WHERE {who} AND axis = 'step' AND fate = 'raw only')
            AND (rank, session, seq) NOT IN (SELECT rank, session, seq FROM {tables}.dead_letter_rows WHERE {who} AND source = 'events')
        ORDER BY offset SETTINGS do_not_merge_across_partitions_select_final = 1""",
        run=run_id, attempt=attempt, step=step, through=through,
    )  # fmt: skip
    rows = [{name: _value(found[name][i]) for name in found.column_names} for i in range(found.num_rows)]
    return rows if all(len(row["lo"]) == len(row["functions"]) for row in rows) else None


def _value(cell: Any) -> Any:
    return cell.values.to_numpy(zero_copy_only=False) if hasattr(cell, "values") else cell.as_py()


def step(rows: Sequence[dict[str, Any]], kind: str) -> Step:
    """What the fold makes of these messages of a step."""
    made = Step()
    for row in rows:
        if row["amended"]:
            made.close()  # the step had closed before this came
        (made.add if kind == REWARD else made.add_completions)(_rollout(row))
    made.close()
    return made


def _rollout(row: dict[str, Any]) -> Rollout:
    functions = tuple(
        RewardFunction(name, weight, Role.AUDIT if role == "audit" else Role.TRAINED, lo=_end(lo), hi=_end(hi))
        for name, weight, role, lo, hi in zip(*(row[of] for of in ("functions", "weights", "roles", "lo", "hi")), strict=True)
    )
    n = len(row["group"])
    return Rollout(
        step=0,
        table=function_table(functions),
        rewards=row["rewards"].reshape(len(functions), n),
        group=row["group"],
        status=None if _given(row["status"]) is None else row["status"].reshape(len(functions), n),
        length=_given(row["length"]),
        advantage=_given(row["advantage"]),
        truncated=_given(row["truncated"]),
        group_size=row["group_size"],
        columns=dict(zip(row["columns"], row["column_values"].reshape(-1, n), strict=True)),
    )


def _given(vector: np.ndarray) -> np.ndarray | None:
    return vector if vector.size else None


def _end(landed: float | None) -> float | None:
    return None if landed is None or np.isnan(landed) else float(landed)


def differences(landed: Row, again: Row) -> str:
    """What differs between a landed row and what the raw rewards give, in words; empty: nothing."""
    told = [
        f"{name} {value}, from raw {other}"
        for name, value, other in zip(COLUMNS, landed.columns, again.columns, strict=True)
        if not _agree(value, other)
    ]
    told += [
        f"product with {partner} {value}, from raw {again.products.get(partner)}"
        for partner, value in landed.products.items()
        if not _agree(value, again.products.get(partner, 0.0))
    ]
    if not all(np.array_equal(one, other) for one, other in zip(landed.sketch, again.sketch, strict=True)):
        told.append("another distribution")
    return ", ".join(told)


def _agree(landed: float, again: float) -> bool:
    return bool(np.isclose(landed, again, rtol=_RELATIVE, atol=0.0, equal_nan=True))
