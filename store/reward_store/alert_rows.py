"""Rows of alerts, and of the rule sets that they come from."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from reward_schemas.results_pb2 import Result
from reward_schemas.rule_sets import read_rule_set

from reward_store import columns
from reward_store.event_rows import Arrived
from reward_store.origin import origin

_TEXT, _U32, _U64, _I64 = pa.string(), pa.uint32(), pa.uint64(), pa.int64()
_ALERT = {
    "attempt": _U32, "rule": _TEXT, "rule_version": _I64, "series": _TEXT, "state": _TEXT, "reason": _TEXT,
    "episode": _U64, "sequence": _U64, "axis": _TEXT, "at": _I64, "since": _I64, "severity": _TEXT, "expr": _TEXT,
    "window": _TEXT, "window_from": _I64, "window_to": _I64, "groups": _U64, "sentence": _TEXT, "project": _TEXT,
}  # fmt: skip
_TEXTS = pa.map_(_TEXT, _TEXT)


def alert_rows(results: Sequence[Result]) -> pa.Table:
    """A row for each change of state."""
    alerts = [result.alert for result in results]
    sizes = [len(alert.values) for alert in alerts]
    values = columns.known([value for alert in alerts for value in alert.values])
    return pa.table(
        {
            "run_id": pa.array([result.run_id for result in results], _TEXT),
            **{n: pa.array([getattr(alert, n) for alert in alerts], t) for n, t in _ALERT.items()},
            "labels": pa.array([list(alert.labels.items()) for alert in alerts], _TEXTS),
            "annotations": pa.array([list(alert.annotations.items()) for alert in alerts], _TEXTS),
            "names": columns.lists([alert.names for alert in alerts], _TEXT),
            "values": pa.ListArray.from_arrays(columns.offsets(sizes), values),
            "examples": columns.lists([alert.examples for alert in alerts], pa.int32()),
            **origin(results),
        }
    )


def rule_set_rows(records: Sequence[Arrived], epoch: int) -> pa.Table:
    """A row for each record of the rules topic."""
    sets = [read_rule_set(record.value) for record in records]
    return pa.table(
        {
            "version": pa.array([record.offset for record in records], _I64),
            "refused": pa.array([bool(each.mistakes) for each in sets], pa.bool_()),
            "by": pa.array([each.by for each in sets], _TEXT),
            "files": pa.array([list(each.files.items()) for each in sets], _TEXTS),
            "rules": pa.array([each.rules for each in sets], _U32),
            "mistakes": columns.lists([each.mistakes for each in sets], _TEXT),
            "append_time": columns.instants([record.append_time_ms for record in records]),
            "epoch": pa.array([epoch] * len(records), _U32),
        }
    )
