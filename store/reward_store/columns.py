"""Arrow columns from Python and numpy values: whole batches at once, no loop over rewards."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa

INSTANT = pa.timestamp("ms", tz="UTC")
_DATETIME64_MAX_MS = 10_413_791_999_999  # the end of 2299, where ClickHouse's DateTime64 ends
_UUID7 = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?7[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$", re.IGNORECASE)
_STARTED_MIN_MS, _STARTED_MAX_MS = 1_577_836_800_000, 4_102_444_800_000  # 2020 to 2099: else it is no time


def run_month(run_id: str) -> int:
    """The month in which a run started, YYYYMM, as a UUIDv7 at the end of its id says; 0 where it has none.

    Tables are partitioned by it, so it must be a function of the id and never change.

    >>> run_month("0197c5f3-2c00-7abc-8def-0123456789ab"), run_month("grpo-0197c5f32c007abc8def0123456789ab"), run_month("run-1")
    (202507, 202507, 0)
    """
    found = _UUID7.search(run_id)
    started_ms = int(found[1] + found[2], 16) if found else 0
    if not _STARTED_MIN_MS <= started_ms < _STARTED_MAX_MS:
        return 0
    started = datetime.fromtimestamp(started_ms / 1000, timezone.utc)
    return started.year * 100 + started.month


def months(run_ids: Sequence[str]) -> pa.Array:
    """uint32: `run_month` of each."""
    known = {run_id: run_month(run_id) for run_id in set(run_ids)}
    return pa.array([known[run_id] for run_id in run_ids], pa.uint32())


def instants(milliseconds: Sequence[int]) -> pa.Array:
    """Times from ms UTC. Those past the end of 2299 become that: a clock so wrong has its exact value in event_log."""
    clipped = np.minimum(np.asarray(milliseconds, np.int64), _DATETIME64_MAX_MS)
    return pa.array(clipped).cast(INSTANT)


def known(values: Sequence[float] | np.ndarray) -> pa.Array:
    """float64: NULL for NaN."""
    return pa.array(np.array(values, np.float64), from_pandas=True)


def parts(raw: bytes, dtype: str, sizes: Sequence[int]) -> pa.Array:
    """A list column of values that stand one row's after the other's, so many a row, bit for bit."""
    return pa.ListArray.from_arrays(offsets(sizes), pa.array(np.frombuffer(raw, dtype)))


def vectors(parts: Sequence[np.ndarray | None], dtype: str) -> pa.Array:
    """A list column from one array a row, bit for bit; None becomes an empty list."""
    flat = [part.reshape(-1) for part in parts if part is not None and part.size]
    values = np.concatenate(flat) if flat else np.empty(0, dtype)
    sizes = (0 if part is None else part.size for part in parts)
    return pa.ListArray.from_arrays(offsets(sizes), pa.array(values.astype(dtype, copy=False)))


def lists(values: Sequence[Sequence[Any]], kind: pa.DataType) -> pa.Array:
    """A list column from short Python lists, one a row."""
    return pa.ListArray.from_arrays(offsets(map(len, values)), pa.array([v for row in values for v in row], kind))


def repeated(keys: Sequence[Hashable], rows: Mapping[Hashable, Sequence[Any]], kind: pa.DataType) -> pa.Array:
    """A list column whose rows are few distinct lists many times over: rows[key] for each key."""
    at = {key: i for i, key in enumerate(rows)}
    return lists(list(rows.values()), kind).take(pa.array([at[key] for key in keys], pa.int32()))


def offsets(sizes: Iterable[int]) -> pa.Array:
    """Where each row's values begin in a list column, and where the last one's end."""
    return pa.array(np.concatenate([[0], np.cumsum(np.fromiter(sizes, np.int64))]).astype(np.int32))
