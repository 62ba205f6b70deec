"""What a rollout says of its rewards and of its completions: blocks with the weighted total, and what is declared of them."""

from __future__ import annotations

import math

import numpy as np
from reward_schemas.events import TOTAL, FunctionTable, RewardFunction, Role, Rollout, Status

from reward_engine import panes
from reward_engine.block import Block
from reward_engine.groups import Groups
from reward_engine.panes import Said
from reward_engine.refusal import room
from reward_engine.state import Declared, Series, Waiting


def said_of(series: Series, body: Rollout) -> tuple[Said, Groups | None, Waiting | None]:
    """What a rollout says of its rewards, and its groups or, where they need other messages, what waits for them.

    New series are noted; raises `Refusal` where there are too many. The audit makes a step's row again by this.
    """
    declared = _declare(series, body.table)
    values, status = with_total(body)
    groups = Groups(body.group)
    parts = bool((groups.sizes < body.group_size).any())
    waiting = Waiting(declared.rows, body.group, body.group_size, values, status, body.length) if parts else None
    told = None if parts else groups
    block = Block(values, status, lo=declared.lo, hi=declared.hi, groups=told, lengths=body.length, weights=declared.weights)
    return panes.said(declared.rows, block), told, waiting


def said_of_completions(series: Series, columns: dict[str, np.ndarray]) -> Said:
    """What is known of the completions beside their rewards: length, advantage, truncated, ...; new series are noted."""
    rows = np.array([series.row(name, 1.0, "completion") for name in columns])
    return panes.said(rows, Block(np.array([*columns.values()], np.float64)))


def _declare(series: Series, table: FunctionTable) -> Declared:
    """Notes what a message declares of its functions; refuses what is too many."""
    if series.declared is None or series.declared.table is not table:
        room(series, (TOTAL, *table.names), "functions", "reward functions")
        declared = _declared(table.functions)
        rows = np.array([series.row(*row) for row in declared])
        lo, hi = (np.array([row[end] for row in declared]) for end in (3, 4))
        series.declared = Declared(table, rows, lo, hi, np.append(1.0, table.weights))
    return series.declared


def _declared(functions: tuple[RewardFunction, ...]) -> tuple[tuple[str, float, str, float, float], ...]:
    """Name, weight, role and range of the total and of each function. The total has a range where all that enter it have."""
    ends = [_weighted(f) for f in functions if f.role is Role.TRAINED and f.weight]
    lo, hi = (_finite(sum(end)) for end in zip(*ends, strict=True)) if ends else (math.nan, math.nan)
    roles = {Role.TRAINED: "trained", Role.AUDIT: "audit"}
    return ((TOTAL, 1.0, "total", lo, hi), *((f.name, f.weight, roles[f.role], _end(f.lo), _end(f.hi)) for f in functions))


def _end(given: float | None) -> float:
    return math.nan if given is None else given


def _weighted(of: RewardFunction) -> tuple[float, float]:
    """The ends of what a function adds to the total: the other way round where it counts against it."""
    ends = of.weight * _end(of.lo), of.weight * _end(of.hi)
    return ends if of.weight > 0 else ends[::-1]


def _finite(end: float) -> float:
    return end if math.isfinite(end) else math.nan


@np.errstate(over="ignore", invalid="ignore")  # weights may be huge; a total that overflows is not finite, and counted so
def with_total(body: Rollout) -> tuple[np.ndarray, np.ndarray | None]:
    """Rewards with the weighted total as the first series: float64[1 + K, n], and their status or None.

    The total of a completion is the sum of weight x reward over the trained functions that scored it; where none did,
    it is missing, or not scored where nothing was to be trained.
    """
    k, n = body.rewards.shape
    values = np.empty((k + 1, n))
    values[1:] = body.rewards
    trained = np.flatnonzero(body.table.weights)
    weighted = values[1:][trained] * body.table.weights[trained, None]
    if body.status is None and len(trained):
        values[0] = weighted.sum(axis=0)
        return values, None
    status = np.zeros((k + 1, n), np.uint8)
    if body.status is not None:
        status[1:] = body.status
    scored = status[1:][trained] == Status.SCORED
    values[0] = np.where(scored, weighted, 0.0).sum(axis=0)
    missing = (status[1:][trained] == Status.MISSING).any(axis=0)
    status[0] = np.where(scored.any(axis=0), Status.SCORED, np.where(missing, Status.MISSING, Status.NOT_SCORED))
    return values, status
