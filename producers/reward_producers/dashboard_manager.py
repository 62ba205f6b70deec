"""Measures into TensorBoard and W&B, from the trainer's own process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from math import isfinite, nan
from pathlib import Path
from types import TracebackType
from typing import Any

from reward_schemas.events import STEP_MAX
from reward_schemas.parse import Refused

from reward_producers.columns import whole_number
from reward_producers.errors import RewardInputError
from reward_producers.exporters.destination import Exporter
from reward_producers.files import folder_name
from reward_producers.metrics import Metrics, StepMetrics

logger = logging.getLogger(__name__)

MEASURES = (
    "mean",
    "std",
    "min",
    "max",
    "p05",
    "p50",
    "p95",
    "signal_to_noise",
    "entropy",
    "zero_variance_groups",
    "variance_contribution",
    "length_correlation",
    "total_correlation",
    "missing",
    "non_finite",
)
Numbers = Mapping[str, "float | int | None"]


class DashboardManager:
    """Writes what `RewardMetricsTracker.track_step` returns, or a mapping of names to numbers, to TensorBoard and W&B.

    enable_tensorboard: event files below log_dir/project_name/run_id (log_dir/project_name without one). enable_wandb: into the
    active W&B run, else into one of its own, which a restart with the same run_id goes on with. measures: those of rewards and
    completions that are written; by default fifteen of them. hyperparameters: for TensorBoard's HParams page and W&B's config.

    >>> dashboards = DashboardManager("math-grpo", enable_wandb=False, enable_tensorboard=True, log_dir=folder)
    >>> dashboards.log_metrics(0, {"loss": 0.5})
    >>> dashboards.close()

    Nothing raises into the training: a step that a place to write to fails in ("tensorboard", "wandb"), and a step or metric that
    is no number ("input"), is logged once and counted in `failures`, and the next one is tried. strict: the latter raise
    `RewardInputError` instead. What is unknown or not finite is left out, a gap in the chart. Raises `RewardInputError` where it
    can't be set up. Calls are to come from one thread at a time.
    """

    def __init__(
        self,
        project_name: str,
        enable_wandb: bool = False,
        enable_tensorboard: bool = True,
        *,
        run_id: str | None = None,
        log_dir: Path | str = "tensorboard",
        measures: Collection[str] = MEASURES,
        hyperparameters: Mapping[str, str | float | bool] | None = None,
        strict: bool = False,
    ) -> None:
        self.failures: dict[str, int] = {}
        self._measures, self._strict = measures, strict
        self._exporters: dict[str, Exporter] = {}
        if enable_tensorboard:
            folder = Path(log_dir).joinpath(*(folder_name(part) for part in (project_name, run_id) if part))
            self._exporters["tensorboard"] = _tensorboard(folder, hyperparameters)
        if enable_wandb:
            self._exporters["wandb"] = _wandb(project_name, run_id, hyperparameters)

    def log_metrics(self, step: int, metrics: Metrics | Numbers) -> None:
        """Writes them at a step. Of a tracker's metrics also the window's, and the distributions of rewards and completions."""
        try:
            at = whole_number("step", step, STEP_MAX)
        except Refused as refused:
            self._refused(RewardInputError(refused.field, refused.reason))
            return
        scalars = self._scalars(metrics)
        distributions = metrics.distributions if isinstance(metrics, Metrics) else {}
        for name, exporter in self._exporters.items():
            self._tried(name, partial(exporter.write, at, scalars, distributions))

    def _scalars(self, metrics: Metrics | Numbers) -> dict[str, float]:
        if not isinstance(metrics, Metrics):
            return {str(name): number for name, value in metrics.items() if isfinite(number := self._number(str(name), value))}
        flat = metrics.as_dict(self._measures)
        return flat | metrics.window.as_dict(self._measures) if isinstance(metrics, StepMetrics) else flat

    def _number(self, name: str, value: Any) -> float:
        """NaN: it is unknown, or none."""
        if value is None:
            return nan
        if not isinstance(value, (str, bytes)):  # of which float() takes some
            try:
                return float(value)  # of a tensor on another device too
            except (TypeError, ValueError, RuntimeError):  # the last one of a tensor with several
                pass
        self._refused(RewardInputError(name, f"a metric is a number or None, {value!r:.40} isn't"))
        return nan

    def _refused(self, error: RewardInputError) -> None:
        if self._strict:
            raise error
        self._failed("input", error)

    def _tried(self, name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # of a library that isn't ours, in a training that costs money
            self._failed(name, error)

    def _failed(self, name: str, error: Exception) -> None:
        self.failures[name] = self.failures.get(name, 0) + 1
        if self.failures[name] == 1:
            logger.warning("%s: %s: %s. The training goes on; this is said once.", name, type(error).__name__, error)

    def close(self) -> None:
        """Writes what is left. A W&B run that was joined stays open. It may be called again."""
        for name, exporter in self._exporters.items():
            self._tried(name, exporter.close)
        self._exporters = {}

    def __enter__(self) -> DashboardManager:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _tensorboard(folder: Path, hyperparameters: Mapping[str, str | float | bool] | None) -> Exporter:
    try:
        from reward_producers.exporters.tensorboard import TensorBoardExporter
    except ImportError as error:
        raise _missing("enable_tensorboard", error) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return TensorBoardExporter(folder, hyperparameters)
    except OSError as error:
        raise RewardInputError("log_dir", f"{folder} can't be written to: {error.strerror}") from error


def _wandb(project: str, run_id: str | None, hyperparameters: Mapping[str, str | float | bool] | None) -> Exporter:
    try:
        from reward_producers.exporters.weights_and_biases import WandbExporter
    except ImportError as error:
        raise _missing("enable_wandb", error) from error
    try:
        return WandbExporter(project, run_id, hyperparameters)
    except Exception as error:  # W&B has many, and this is before the training begins
        reason = f"W&B begins no run: {error}. `wandb login`, or WANDB_MODE=offline and `wandb sync` later"
        raise RewardInputError("enable_wandb", reason) from error


def _missing(argument: str, error: ImportError) -> RewardInputError:
    return RewardInputError(argument, f"{error.name} isn't installed: pip install 'reward-monitor[export]'")
