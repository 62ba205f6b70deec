"""Rows of what the detectors say of runs: verdicts, the part of each detector, and quality scores."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

import pyarrow as pa
from reward_schemas.results_pb2 import Result

from reward_store import columns
from reward_store.origin import origin

_TEXT, _U32, _U64, _I64, _F64 = pa.string(), pa.uint32(), pa.uint64(), pa.int64(), pa.float64()
_VERDICT = {"attempt": _U32, "step": _I64, "state": _TEXT, "sentence": _TEXT, "since_step": _I64, "judged": _U32}
_DETECTION = {
    "detector": _TEXT, "level": _TEXT, "needs": _TEXT, "series": _TEXT, "sentence": _TEXT, "since_step": _I64,
    "reference_from": _I64, "reference_to": _I64, "recent_from": _I64, "recent_to": _I64, "groups": _U64,
}  # fmt: skip


def verdict_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each verdict."""
    verdicts = [result.verdict for result in results]
    return pa.table(
        {
            "run_id": pa.array([result.run_id for result in results], _TEXT),
            **{n: pa.array([getattr(verdict, n) for verdict in verdicts], t) for n, t in _VERDICT.items()},
            "detectors": pa.array([len(verdict.detections) for verdict in verdicts], _U32),
            **origin(results),
        }
    )


def detection_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each detector of each verdict."""
    found = [detection for result in results for detection in result.verdict.detections]
    return pa.table(
        {
            **_of_verdict(results, [len(result.verdict.detections) for result in results]),
            **{n: pa.array([getattr(each, n) for each in found], t) for n, t in _DETECTION.items()},
            **{n: columns.known([getattr(each, n) for each in found]) for n in ("statistic", "threshold", "p", "standard_error")},
            "examples": columns.lists([each.examples for each in found], pa.int32()),
        }
    )


def quality_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each series that a verdict scores."""
    scored = [quality for result in results for quality in result.verdict.quality]
    return pa.table(
        {
            **_of_verdict(results, [len(result.verdict.quality) for result in results]),
            "series": pa.array([quality.series for quality in scored], _TEXT),
            **{n: columns.known([getattr(quality, n) for quality in scored]) for n in ("score", "low", "high")},
            **{n: pa.array([getattr(quality, n) for quality in scored], _F64) for n in ("coverage", "hacking")},
            "components": pa.array(
                [
                    [(name, None if isnan(value) else value) for name, value in zip(each.components, each.values, strict=True)]
                    for each in scored
                ],
                pa.map_(_TEXT, _F64),
            ),
        }
    )


def _of_verdict(results: Sequence[Result], sizes: Sequence[int]) -> dict[str, pa.Array]:
    """What all rows of a verdict have alike, so many times each."""
    alike = {
        "run_id": [result.run_id for result in results],
        "attempt": [result.verdict.attempt for result in results],
        "step": [result.verdict.step for result in results],
    }
    place = origin(results)
    take = pa.array([i for i, size in enumerate(sizes) for _ in range(size)], pa.int32())
    kinds = {"run_id": _TEXT, "attempt": _U32, "step": _I64}
    every = {name: pa.array(values, kinds[name]) for name, values in alike.items()}
    return {name: column.take(take) for name, column in (every | {n: place[n] for n in ("append_time", "version")}).items()}
