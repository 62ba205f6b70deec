"""Columns that say where a result comes from."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from reward_engine.emit import version
from reward_schemas.results_pb2 import Result

from reward_store import columns

_PLACE = {"epoch": pa.uint32(), "generation": pa.uint32(), "partition": pa.uint32(), "offset": pa.int64(), "index": pa.uint32()}


def origin(results: Sequence[Result]) -> dict[str, pa.Array]:
    """The record that caused each of them, and the version that orders rows of one key."""
    return {
        "append_time": columns.instants([result.append_time_ms for result in results]),
        **{n: pa.array([getattr(result, n) for result in results], t) for n, t in _PLACE.items()},
        "version": pa.array([version(result) for result in results], pa.uint64()),
    }
