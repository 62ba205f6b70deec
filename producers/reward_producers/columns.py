"""What a trainer hands over, as the columns of an event. Copies at once: the trainer may reuse its buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from reward_schemas.encode import function_table
from reward_schemas.events import SCALARS_MAX, STEP_MAX, RewardFunction, Role, Rollout, Status, TrainerStep
from reward_schemas.parse import Refused, check_functions, check_name
from reward_schemas.topics import EVENT_BYTES_MAX

Vector = Sequence[float | None] | np.ndarray | Any  # also torch tensors and pandas series
_OBJECT = np.dtype(object)
Functions = Mapping[str, "float | RewardFunction"] | Sequence["str | RewardFunction"]


def functions_of(given: Functions) -> tuple[RewardFunction, ...]:
    """Reward functions as a trainer names them: a mapping of names to weights, or a list of names or `RewardFunction`s."""
    if isinstance(given, str):  # a sequence as well, of its letters
        raise Refused("functions", f"the text {given!r}; a list of names, or a mapping of names to weights, is needed")
    if not isinstance(given, Mapping):
        return check_functions(tuple(f if isinstance(f, RewardFunction) else RewardFunction(f) for f in given))
    made = []
    for name, weight in given.items():
        try:
            made.append(weight if isinstance(weight, RewardFunction) else RewardFunction(name, float(weight)))
        except (TypeError, ValueError):
            raise Refused("functions.weight", f"{weight!r} for {name!r}, a finite number is needed") from None
    return check_functions(tuple(made))


def rollout(
    functions: tuple[RewardFunction, ...],
    step: int,
    rewards: Mapping[str, Vector],
    groups: Vector,
    lengths: Vector | None = None,
    advantages: Vector | None = None,
    truncated: Vector | None = None,
    more: bool = False,
) -> Rollout:
    """The event of one rank's batch; raises `Refused` with the field and the reason where the columns don't fit.

    A reward of None is missing; of an audit function, which may be left out as a whole, it is not scored.
    """
    table = function_table(functions)
    if not isinstance(rewards, Mapping):
        raise Refused("rewards", f"{type(rewards).__name__}, a mapping of function names to numbers is needed")
    if unknown := [name for name in rewards if name not in table.names]:
        raise Refused("rewards", f"unknown function {unknown[0]!r}; the run declared {', '.join(table.names)}")
    group = _optional("groups", groups, np.int32)
    if group is None or not len(group):
        raise Refused("groups", "no completions")
    n = len(group)
    values = np.zeros((len(functions), n), np.float32)
    status = np.zeros((len(functions), n), np.uint8)
    for row, function in enumerate(functions):
        left_out = Status.NOT_SCORED if function.role is Role.AUDIT else Status.MISSING
        given = rewards.get(function.name)
        if given is None:
            if function.role is not Role.AUDIT:
                raise Refused("rewards", f"{function.name!r} is lacking; give None for a completion that it did not score")
            status[row] = left_out
            continue
        column, null = _nullable(f"rewards[{function.name!r}]", given, n)
        values[row] = column
        status[row][null] = left_out
    body = Rollout(
        step=_step(step),
        table=table,
        rewards=values,
        group=group,
        status=status if status.any() else None,
        length=_optional("lengths", lengths, np.int32, n),
        advantage=_optional("advantages", advantages, np.float32, n),
        truncated=_optional("truncated", truncated, np.uint8, n),
        more=more,
    )
    size = sum(c.nbytes for c in (values, group, body.status, body.length, body.advantage, body.truncated) if c is not None)
    size += len(table.raw)
    if size > EVENT_BYTES_MAX:
        raise Refused("rewards", f"{size} bytes in one batch, {EVENT_BYTES_MAX} are taken; log it in parts with more=True")
    return body


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


def _step(step: int) -> int:
    try:
        whole = int(step)
    except (TypeError, ValueError, OverflowError):
        raise Refused("step", f"{step!r} is not a number") from None
    if whole != step or not 0 <= whole <= STEP_MAX:
        raise Refused("step", f"{step!r}, a whole number from 0 on is needed")
    return whole


def _nullable(field: str, given: Vector, n: int) -> tuple[np.ndarray, np.ndarray | slice]:
    if getattr(given, "dtype", None) is _OBJECT:  # numpy or pandas, perhaps with None in it
        given = list(given)
    if isinstance(given, list | tuple) and any(value is None for value in given):
        null = np.array([value is None for value in given])
        return _vector(field, [0.0 if value is None else value for value in given], np.float32, n), null
    return _vector(field, given, np.float32, n), slice(0, 0)


def _optional(field: str, given: Vector | None, dtype: type, n: int | None = None) -> np.ndarray | None:
    return None if given is None else _vector(field, given, dtype, n)


def _vector(field: str, given: Any, dtype: type, n: int | None = None) -> np.ndarray:
    if hasattr(given, "detach"):  # a torch tensor
        given = given.detach()
        if dtype is np.float32:
            given = given.float()  # bfloat16, which numpy lacks; whole numbers past 2^24 would not survive it
        given = given.cpu().numpy()
    try:
        wide = np.asarray(given)
        vector = wide.copy() if wide.dtype == dtype else _converted(wide, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(field, f"not numbers: {error}") from None
    if vector.ndim != 1:
        raise Refused(field, f"of shape {vector.shape}, one value a completion is needed")
    if n is not None and len(vector) != n:
        raise Refused(field, f"{len(vector)} values, {n} are needed: one a completion")
    if dtype is not np.float32 and not (vector == wide).all():
        raise Refused(field, f"whole numbers of type {vector.dtype} are needed")
    return vector


def _converted(wide: np.ndarray, dtype: type) -> np.ndarray:
    kind = wide.dtype.kind
    if kind not in "biufO" or (kind == "O" and any(isinstance(value, str) for value in wide.flat)):
        raise TypeError(f"values of type {wide.dtype}")  # text too, which numpy would read
    if kind in "bi":
        return wide.astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return wide.astype(dtype)
