"""Runs of the library as arrays, kept in a folder: training takes seconds, and what a detector sees can be looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from reward_schemas.encode import function_table
from reward_schemas.events import Role, Rollout, Status, TrainerStep

from reward_producers.numpy_grpo.library import Family
from reward_producers.numpy_grpo.library.labels import Label, label
from reward_producers.numpy_grpo.training import StepBatch, train

_SCALARS = ("kl", "entropy", "loss", "clip_fraction", "grad_norm")


@dataclass(frozen=True)
class Trace:
    """What one run did. rewards: float32[steps, K, n] (NaN: missing); lengths, truncated, advantages, duplicates: [steps, n];
    scalars: float64[steps, 5]; total, true: float64[steps]."""

    family: Family
    seed: int
    rewards: np.ndarray
    lengths: np.ndarray
    truncated: np.ndarray
    advantages: np.ndarray
    duplicates: np.ndarray
    scalars: np.ndarray
    total: np.ndarray
    true: np.ndarray

    @property
    def label(self) -> Label:
        """What became of it."""
        return label(self.total, self.true, self.family.since)

    def bodies(self, audited: float) -> Iterator[tuple[Rollout, TrainerStep]]:
        """What a trainer reports of each step. audited: the share of the groups that the audit function scores; 0: it has none."""
        config = self.family.config(self.seed)
        every = config.task.functions
        functions = tuple(f for f in every if audited or f.role is Role.TRAINED)
        table = function_table(functions)
        groups = np.repeat(np.arange(config.prompts_per_rank, dtype=np.int32), config.group_size)
        rng = np.random.default_rng([self.seed, 99])
        for step in range(len(self.total)):
            rewards = self.rewards[step, : len(functions)]
            chosen = rng.random(config.prompts_per_rank) < audited
            status = np.where(np.isnan(rewards), Status.MISSING, Status.SCORED).astype(np.uint8)
            for row, function in enumerate(functions):
                if function.role is Role.AUDIT:
                    status[row, ~chosen[groups]] = Status.NOT_SCORED
            rollout = Rollout(
                step,
                table,
                rewards,
                groups,
                status=status,
                length=self.lengths[step],
                advantage=self.advantages[step],
                truncated=self.truncated[step],
                columns={"duplicate": self.duplicates[step]},
            )
            yield rollout, TrainerStep(step, dict(zip(_SCALARS, self.scalars[step].tolist(), strict=True)))


def trace(family: Family, seed: int, folder: Path) -> Trace:
    """The trace of a run: from the folder, or trained now and kept there."""
    file = folder / f"{family.name.replace(' ', '-')}-{seed}.npz"
    if not file.exists():
        _train(family, seed, file)
    with np.load(file) as kept:
        return Trace(family, seed, **kept)


def _train(family: Family, seed: int, file: Path) -> None:
    batches: list[StepBatch] = []
    train(family.config(seed), on_step=batches.append)
    names = [f.name for f in family.config(seed).task.functions]
    partial = file.with_suffix(".tmp.npz")
    np.savez_compressed(
        partial,
        rewards=np.array([[batch.rewards[name] for name in names] for batch in batches], np.float32),
        lengths=np.array([batch.lengths for batch in batches]),
        truncated=np.array([batch.truncated for batch in batches], np.uint8),
        advantages=np.array([batch.advantages for batch in batches]),
        duplicates=np.array([_duplicates(batch) for batch in batches]),
        scalars=np.array([[getattr(batch, name) for name in _SCALARS] for batch in batches]),
        total=np.array([batch.total.mean(dtype=np.float64) for batch in batches]),
        true=np.array([batch.true_objective for batch in batches]),
    )
    partial.rename(file)  # a run that was killed leaves nothing that looks whole


def _duplicates(batch: StepBatch) -> np.ndarray:
    """float32[n]: 1 where an earlier completion of the group has the same text."""
    seen: set[tuple[int, bytes]] = set()
    found = np.zeros(len(batch.lengths), np.float32)
    for row, (group, tokens) in enumerate(zip(batch.groups.tolist(), batch.tokens, strict=True)):
        text = group, tokens.tobytes()
        found[row] = text in seen
        seen.add(text)
    return found
