"""W&B: into the run that the trainer has open, or one of our own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import wandb

from reward_producers.exporters.destination import Distribution, histogram

_PREFIX = "reward_monitor"
_STEP = f"{_PREFIX}/step"


class WandbExporter:
    """Writes `reward_monitor/…` by a step of its own, so that it never meddles with the trainer's.

    Where a run is active in this process it is joined, and is left open at the end; else one is begun, offline or online as
    W&B's own settings say. run_id: a begun run of the same id and project is gone on with.
    """

    def __init__(
        self, project: str, run_id: str | None = None, hyperparameters: Mapping[str, str | float | bool] | None = None
    ) -> None:
        self._joined = wandb.run is not None
        self._run = wandb.run or wandb.init(
            project=project, id=_id(run_id) if run_id else None, name=run_id, resume="allow", config=dict(hyperparameters or {})
        )
        self._row = -1  # of the joined run's: the one that ours is waiting in
        self._run.define_metric(_STEP, hidden=True)
        self._run.define_metric(f"{_PREFIX}/*", step_metric=_STEP)

    def write(self, step: int, scalars: Mapping[str, float], distributions: Mapping[str, Distribution]) -> None:
        """Logs one row; in a joined run, into the row that the trainer logs next."""
        row: dict[str, object] = {f"{_PREFIX}/{name}": value for name, value in scalars.items()}
        for name, of in distributions.items():
            row[f"{_PREFIX}/{name}/distribution"] = wandb.Histogram(np_histogram=histogram(*of))
        if self._joined and self._run.step == self._row:
            self._run.log({}, commit=True)  # the trainer has logged nothing since: this row would replace ours
        # Never step=: W&B drops rows whose step is below one that it has seen, and the trainer's own would be among them.
        self._run.log(row | {_STEP: step}, commit=not self._joined)
        self._row = self._run.step

    def close(self) -> None:
        """Finishes a run of ours; one that was joined is the trainer's to finish."""
        if not self._joined:
            self._run.finish()


def _id(run_id: str) -> str:
    """W&B's ids have at most 128 characters, and not all of them."""
    plain = run_id.isascii() and all(c.isalnum() or c in "-_." for c in run_id) and len(run_id) <= 64
    return run_id if plain else hashlib.sha256(run_id.encode()).hexdigest()[:32]
