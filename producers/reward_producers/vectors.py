"""One number a completion, as trainers hold them: lists, numpy, torch, pandas. Each becomes a numpy vector of its own.

The trainer may reuse its buffers, so all is copied at once. What doesn't fit raises `Refused` with its field and reason.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence, Sized
from math import prod
from typing import Any

import numpy as np
from reward_schemas.parse import Refused
from reward_schemas.topics import EVENT_BYTES_MAX

Vector = Sequence[float | None] | np.ndarray | Any  # also torch tensors and pandas series


def write_nullable(into: np.ndarray, field: str, given: Vector) -> np.ndarray | None:
    """Writes numbers into float32[n]; gives bool[n] where there is none (None, or pandas' NA), or None if all are there.

    NaN is a number. What is written where there is none has no meaning.
    """
    if type(given) is np.ndarray and given.dtype == into.dtype and given.shape == into.shape:
        into[:] = given  # nearly always, and the trainer waits
        return None
    wide, null = _array(field, given, np.float32), None
    if wide.dtype.kind == "O":
        null = np.array([_is_null(value) for value in wide.flat], bool).reshape(wide.shape)
        wide = np.where(null, 0.0, wide)
    into[:] = _vector(field, wide, np.float32, len(into))
    return null


def numbers(field: str, given: Vector, n: int) -> np.ndarray:
    """float32[n]; NaN where there is none."""
    values = np.empty(n, np.float32)
    null = write_nullable(values, field, given)
    if null is not None:
        values[null] = np.nan
    return values


def elements(given: Vector | None) -> int:
    """How many values there are, without a look at them."""
    shape = getattr(given, "shape", None)
    if shape is not None:
        return prod(shape)
    return len(given) if isinstance(given, Sized) else 0


def whole(field: str, given: Vector, n: int, most: int = 2**31 - 1) -> np.ndarray:
    """Whole numbers from 0 to `most`: uint8[n] where it fits in that, else int32[n]."""
    dtype = np.uint8 if most < 256 else np.int32
    vector = _vector(field, _array(field, given, dtype), dtype, n)
    if n and not 0 <= vector.min() <= vector.max() <= most:
        wrong = vector.min() if vector.min() < 0 else vector.max()
        raise Refused(field, f"{wrong}, 0 to {most} is taken")
    return vector


def group_ids(given: Vector) -> np.ndarray:
    """int32[n]: which completions are of one prompt. Texts become numbers that are the same in every call and process."""
    texts = _texts(given)
    if texts is not None:
        return _numbered(texts)
    return _vector("groups", _array("groups", given, np.int32), np.int32)


def _texts(given: Vector) -> list[str] | None:
    if isinstance(given, str) or hasattr(given, "detach") or getattr(getattr(given, "dtype", None), "kind", "O") not in "OU":
        return None
    values = given if isinstance(given, list | tuple) else np.asarray(given, object)
    if getattr(values, "ndim", 1) != 1 or not len(values) or not all(isinstance(value, str) for value in values):
        return None
    return list(values)


def _numbered(texts: list[str]) -> np.ndarray:
    """A checksum of each, so that ranks agree without speaking; where two texts of a call share one, the next that is free."""
    number: dict[str, int] = {}
    taken = set()
    for text in dict.fromkeys(texts):
        code = zlib.crc32(text.encode("utf-8", "surrogatepass"))
        while code in taken:
            code = (code + 1) % 2**32
        taken.add(code)
        number[text] = code
    return np.array([number[text] for text in texts], np.uint32).view(np.int32)


def _is_null(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType"  # pandas' own, without pandas


def _array(field: str, given: Vector, dtype: type) -> np.ndarray:
    """The values as they are, perhaps still the trainer's own."""
    if (count := elements(given)) > EVENT_BYTES_MAX:  # before they are copied, or fetched from their device
        raise Refused(field, f"{count} values in one batch, at most {EVENT_BYTES_MAX} can be taken")
    if hasattr(given, "detach"):  # a torch tensor
        given = given.detach()
        if dtype is np.float32:
            given = given.float()  # bfloat16, which numpy lacks; whole numbers past 2^24 would not survive it
        given = given.cpu().numpy()
    # A dtype of another library may have a value for none, which numpy would read as NaN.
    foreign = hasattr(given, "dtype") and not isinstance(given.dtype, np.dtype)
    try:
        return np.asarray(given, object if foreign else None)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(field, f"not numbers: {error}") from None


def _vector(field: str, wide: np.ndarray, dtype: type, n: int | None = None) -> np.ndarray:
    try:
        vector = wide.copy() if wide.dtype == dtype else _converted(wide, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(field, f"not numbers: {error}") from None
    if vector.ndim != 1:
        raise Refused(field, f"of shape {vector.shape}, one value a completion is needed")
    if n is not None and len(vector) != n:
        raise Refused(field, f"{len(vector)} values, {n} are needed: one a completion")
    if dtype is not np.float32 and wide.dtype != dtype and not (vector == wide).all():
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
