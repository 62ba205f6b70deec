"""What a trainer hands over, as the body of an event: for the reporter, which sends it, and for the tracker, which folds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from reward_schemas.encode import function_table
from reward_schemas.events import (
    COLUMNS_MAX,
    GROUP_SIZE_MAX,
    SCALARS_MAX,
    STEP_MAX,
    RewardFunction,
    Role,
    Rollout,
    Status,
    TrainerStep,
)
from reward_schemas.parse import Refused, check_column, check_functions, check_name

from reward_producers import vectors
from reward_producers.vectors import Vector

Functions = Mapping[str, "float | RewardFunction"] | Sequence["str | RewardFunction"]
Ranges = Mapping[str, "tuple[float | None, float | None]"]


def functions_of(given: Functions) -> tuple[RewardFunction, ...]:
    """Reward functions as a trainer names them: a mapping of names to weights, or a list of names or `RewardFunction`s."""
    if isinstance(given, str) or not isinstance(given, Iterable):  # a text is iterable too, letter by letter
        raise Refused(
            "functions", f"{type(given).__name__} {given!r:.60}; a list of names, or a mapping of names to weights, is needed"
        )
    pairs = given.items() if isinstance(given, Mapping) else ((f, 1.0) for f in given)
    return check_functions(tuple(_function(name, weight) for name, weight in pairs))


def _function(name: Any, weight: Any) -> RewardFunction:
    for given in (name, weight):
        if isinstance(given, RewardFunction):
            return given
    return RewardFunction(name, _number("functions.weight", name, weight))


def declared(
    functions: tuple[RewardFunction, ...],
    weights: Mapping[str, float] | None = None,
    audit: Iterable[str] = (),
    ranges: Ranges | None = None,
) -> tuple[RewardFunction, ...]:
    """The functions with what else is known of them by name. audit: those that are measured and never trained."""
    weights = _by_name("weights", weights or {}, functions)
    ranges = _by_name("ranges", ranges or {}, functions)
    audit = _by_name("audit", dict.fromkeys([audit] if isinstance(audit, str) else audit), functions)
    return check_functions(
        tuple(
            RewardFunction(
                f.name,
                _number("weights", f.name, weights.get(f.name, f.weight)),
                Role.AUDIT if f.name in audit else f.role,
                f.kind,
                *_ends(f.name, ranges.get(f.name, (f.lo, f.hi))),
            )
            for f in functions
        )
    )


def _by_name(field: str, given: Mapping[str, Any], functions: tuple[RewardFunction, ...]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Refused(field, f"{given!r:.60}, a mapping by the functions' names is needed")
    names = [f.name for f in functions]
    if unknown := [name for name in given if name not in names]:
        raise Refused(field, f"unknown function {unknown[0]!r}; there are {', '.join(names)}")
    return given


def _ends(name: str, given: Any) -> tuple[float | None, float | None]:
    try:
        lo, hi = given
    except (TypeError, ValueError):
        raise Refused("ranges", f"{given!r:.60} for {name!r}, the two ends (lo, hi) are needed") from None
    return (
        None if lo is None else _number("ranges", name, lo),
        None if hi is None else _number("ranges", name, hi),
    )


def _number(field: str, name: str, given: Any) -> float:
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        raise Refused(field, f"{given!r:.60} for {name!r}, a finite number is needed") from None


def rollout(
    functions: tuple[RewardFunction, ...],
    step: int,
    rewards: Mapping[str, Vector],
    groups: Vector | None,
    lengths: Vector | None = None,
    advantages: Vector | None = None,
    truncated: Vector | None = None,
    more: bool = False,
    group_size: int | None = None,
    columns: Mapping[str, Vector | None] | None = None,
) -> Rollout:
    """The event of one rank's batch; raises `Refused` with the field and the reason where the columns don't fit.

    A reward of None is missing; of an audit function, which may be left out as a whole, it is not scored. An advantage or
    a further column is NaN there. A column of None is left out.
    """
    if not isinstance(rewards, Mapping):
        raise Refused("rewards", f"{type(rewards).__name__}, a mapping of function names to numbers is needed")
    group = None if groups is None else vectors.group_ids(groups)
    if group is None or not len(group):
        raise Refused("groups", "no completions")
    n = len(group)
    values, status = _rewards(functions, rewards, n)
    return Rollout(
        step=_step(step),
        table=function_table(functions),
        rewards=values,
        group=group,
        status=status,
        length=None if lengths is None else vectors.whole("lengths", lengths, n),
        advantage=None if advantages is None else vectors.numbers("advantages", advantages, n),
        truncated=None if truncated is None else vectors.whole("truncated", truncated, n, most=1),
        more=more,
        group_size=whole_number("group_size", group_size or 0, GROUP_SIZE_MAX),
        columns=_further(columns or {}, n),
    )


def _rewards(
    functions: tuple[RewardFunction, ...], rewards: Mapping[str, Vector], n: int
) -> tuple[np.ndarray, np.ndarray | None]:
    names = [function.name for function in functions]
    if unknown := [name for name in rewards if name not in names]:
        raise Refused("rewards", f"unknown function {unknown[0]!r}; the run declared {', '.join(names)}")
    values = np.zeros((len(functions), n), np.float32)
    status: np.ndarray | None = None
    for row, function in enumerate(functions):
        given, null = rewards.get(function.name), None
        if given is not None:
            null = vectors.write_nullable(values[row], f"rewards[{function.name!r}]", given)
            if null is None or not null.any():
                continue
        elif function.role is not Role.AUDIT:
            raise Refused("rewards", f"{function.name!r} is lacking; give None for a completion that it did not score")
        if status is None:
            status = np.zeros(values.shape, np.uint8)
        status[row, slice(None) if null is None else null] = Status.NOT_SCORED if function.role is Role.AUDIT else Status.MISSING
    return values, status


def _further(given: Mapping[str, Vector | None], n: int) -> dict[str, np.ndarray]:
    if not isinstance(given, Mapping):
        raise Refused("columns", f"{type(given).__name__}, a mapping of names to numbers is needed")
    columns: dict[str, np.ndarray] = {}
    for name, column in given.items():
        if column is not None:
            columns[check_column(name, columns)] = vectors.numbers(f"columns[{name!r}]", column, n)
    if len(columns) > COLUMNS_MAX:
        raise Refused("columns", f"{len(columns)} columns, at most {COLUMNS_MAX} are taken")
    return columns


def each_alone(rewards: Mapping[str, Vector]) -> np.ndarray:
    """Groups where none are known: every completion is its own, so that what needs groups of several stays unknown."""
    given = rewards.values() if isinstance(rewards, Mapping) else ()
    try:
        n = len(next((column for column in given if column is not None), ()))
    except TypeError:
        n = 1  # a bare number: `rollout` says what is wrong with it
    return np.arange(n, dtype=np.int32)


def trainer_step(step: int, scalars: Mapping[str, Any]) -> TrainerStep:
    """The event of one optimizer step's scalars; those that are None are left out."""
    given = {}
    for name, value in scalars.items():
        if value is not None:
            check_name("scalars.name", name)
            if isinstance(value, str):  # float() would read it
                raise Refused(f"scalars[{name!r}]", f"{value!r:.60}, a number is needed")
            try:
                given[name] = float(value)
            except (TypeError, ValueError, OverflowError) as error:
                raise Refused(f"scalars[{name!r}]", str(error)) from None
    if not 1 <= len(given) <= SCALARS_MAX:
        raise Refused("scalars", f"{len(given)} scalars, 1 to {SCALARS_MAX} are taken")
    return TrainerStep(_step(step), given)


def size_of(body: object) -> int:
    """Bytes of a body's vectors and names, which are nearly all of its message and of its memory."""
    if not isinstance(body, Rollout):
        return 0
    fixed = (body.rewards, body.group, body.status, body.length, body.advantage, body.truncated)
    further = sum(len(name.encode()) + 16 + column.nbytes for name, column in body.columns.items())
    return len(body.table.raw) + further + sum(column.nbytes for column in fixed if column is not None)


def whole_number(field: str, given: int, most: int, least: int = 0) -> int:
    """A whole number of any make within bounds; raises `Refused`."""
    try:
        whole = int(given)
    except (TypeError, ValueError, OverflowError):
        raise Refused(field, f"{given!r:.60} is not a number") from None
    if whole != given or not least <= whole <= most:
        raise Refused(field, f"{given!r:.60}, a whole number from {least} to {most} is needed")
    return whole


def _step(given: int) -> int:
    return whole_number("step", given, STEP_MAX)
