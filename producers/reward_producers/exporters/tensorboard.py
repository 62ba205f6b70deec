"""TensorBoard's event files, by TensorBoard's own messages and records: neither torch nor TensorFlow is needed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.summary.writer.record_writer import RecordWriter

from reward_producers.exporters.destination import Distribution, histogram

_CHARTS = {  # of the custom-scalars page: a title, and which scalars are its lines
    "Mean reward": r"^reward/[^/]+/mean$",
    "What drives the advantages": r"^reward/[^/]+/variance_contribution$",
    "Groups whose rewards are all equal": r"^reward/[^/]+/zero_variance_groups$",
    "Reward against length": r"^reward/[^/]+/length_correlation$",
    "Completions": r"^completion/[^/]+/mean$",
    "Trainer": r"^trainer/",
}


class TensorBoardExporter:
    """Writes below one directory, a file for each process that does. hyperparameters: of the HParams page.

    The first step of a process, and one that goes back, supersede what earlier files have from there on: TensorBoard shows
    each step once. A step is in the file when `write` returns. One that can't be written raises OSError, and leaves no trace: a
    reader would stop at half of a record.
    """

    def __init__(self, folder: Path, hyperparameters: Mapping[str, str | float | bool] | None = None) -> None:
        # Readers take files in the order of their names.
        name = f"events.out.tfevents.{time.time_ns() / 1e9:020.9f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("xb", buffering=0)
        self._last: int | None = None
        self._head = [Summary(value=[_layout()])]
        if hyperparameters:
            # Named by its directory, so that a restart is the same trial.
            self._head.append(
                hparams_summary.hparams_pb(dict(hyperparameters), trial_id=folder.name, start_time_secs=time.time())
            )

    def write(self, step: int, scalars: Mapping[str, float], distributions: Mapping[str, Distribution]) -> None:
        """Adds one event."""
        first = self._last is None
        events: list[dict[str, Any]] = [{"file_version": "brain.Event:2"}] if first else []
        if self._last is None or step < self._last:
            events.append({"session_log": SessionLog(status=SessionLog.START)})
        if first:
            events += [{"summary": summary} for summary in self._head]
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        values += [Summary.Value(tag=f"{name}/distribution", histo=_histogram(*of)) for name, of in distributions.items()]
        events.append({"summary": Summary(value=values)})
        self._append(step, events)
        self._last = step

    def _append(self, step: int, events: Sequence[Mapping[str, Any]]) -> None:
        """All of them, or none."""
        block = BytesIO()
        for event in events:
            RecordWriter(block).write(Event(wall_time=time.time(), step=step, **event).SerializeToString())
        whole, left = self._file.tell(), block.getbuffer()
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(whole)
            self._file.seek(whole)
            raise

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _histogram(values: np.ndarray, counts: np.ndarray) -> HistogramProto:
    heights, edges = histogram(values, counts)
    return HistogramProto(
        min=values[0],
        max=values[-1],
        num=float(counts.sum()),
        sum=float(values @ counts),
        sum_squares=float(values**2 @ counts),
        bucket_limit=[edges[0], *edges[1:]],
        bucket=[0.0, *heights],  # each is what lies below its limit, and above the one before
    )


def _layout() -> Summary.Value:
    """The custom-scalars page: all functions in one chart."""
    charts = [
        layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[pattern]))
        for title, pattern in _CHARTS.items()
    ]
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title="Rewards", chart=charts)])
    return Summary.Value(
        tag=custom_scalar.CONFIG_SUMMARY_TAG,
        metadata=custom_scalar.create_summary_metadata(),
        tensor=TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()]),
    )
