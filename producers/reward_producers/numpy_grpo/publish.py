"""Reports a training's steps: the few lines that any training loop needs."""

from __future__ import annotations

from collections.abc import Callable

from reward_producers.reporter import Reporter

from .training import StepBatch


def publish(run: Reporter) -> Callable[[StepBatch], None]:
    """An `on_step` that reports each batch; rank 0 adds the trainer's scalars."""

    def on_step(batch: StepBatch) -> None:
        run.log_rollout(
            batch.step,
            rewards=batch.rewards,
            groups=batch.groups,
            lengths=batch.lengths,
            advantages=batch.advantages,
            truncated=batch.truncated,
        )
        if run.rank == 0:
            run.log_trainer(
                batch.step,
                kl=batch.kl,
                entropy=batch.entropy,
                loss=batch.loss,
                grad_norm=batch.grad_norm,
                clip_fraction=batch.clip_fraction,
            )

    return on_step
