"""Group-relative policy optimisation (GRPO; Shao et al., 2402.03300), data-parallel over ranks.

One step: draw prompts, sample G completions of each, score them, compare each with its group, and follow the clipped
policy gradient with a penalty for leaving the reference. Every rank samples for itself and averages its gradients with
the others', so that all hold the same weights. Everything is a function of (config, rank, world size).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from reward_schemas.events import Role

from .environment import ENVIRONMENTS, Sums
from .loss import WrittenTokens, group_advantages, grpo_loss
from .policy import Adam, Policy

PROMPTS_MAX = 4_096

AllReduce = Callable[[np.ndarray], np.ndarray]
"""Takes this rank's vector, returns the mean of all ranks' vectors, the same on every rank."""


@dataclass(frozen=True)
class TrainConfig:
    """What a training depends on, besides rank and world size. Raises ValueError with all that is wrong."""

    seed: int = 0
    steps: int = 300
    environment: str | Sums = "judge_blind_spot"
    """a name in `ENVIRONMENTS`, or an environment"""
    prompts_per_rank: int = 16
    group_size: int = 8
    inner_epochs: int = 2
    """updates per batch; from the second on the importance ratio leaves 1"""
    learning_rate: float = 0.03
    clip: float = 0.1
    beta: float = 0.02
    """weight of the KL penalty"""
    demonstrations: int = 400
    """how many the base model has read"""
    imitation_updates: int = 80
    """how long it has read them: fewer leave it less sure of what it read"""

    def __post_init__(self) -> None:
        wrong = [
            f"{name}={getattr(self, name)!r}: {remedy}"
            for name, fine, remedy in (
                ("seed", self.seed >= 0, "0 or more"),
                (
                    "environment",
                    isinstance(self.environment, Sums) or self.environment in ENVIRONMENTS,
                    f"one of {sorted(ENVIRONMENTS)}",
                ),
                ("prompts_per_rank", 1 <= self.prompts_per_rank <= PROMPTS_MAX, f"1 to {PROMPTS_MAX}"),
                ("group_size", self.group_size >= 2, "2 or more, since advantages compare within a group"),
                ("inner_epochs", self.inner_epochs >= 1, "1 or more"),
                ("demonstrations", self.demonstrations >= 1, "1 or more"),
            )
            if not fine
        ]
        if wrong:
            raise ValueError("; ".join(wrong))

    @property
    def task(self) -> Sums:
        """The environment."""
        return self.environment if isinstance(self.environment, Sums) else ENVIRONMENTS[self.environment]


@dataclass(frozen=True)
class StepBatch:
    """What one rank did in one step: n completions of T tokens at most, by the weights before the step's updates."""

    step: int
    prompts: np.ndarray
    """int32 (n,), rows of `environment.PROMPTS`"""
    tokens: np.ndarray
    """int32 (n, T), EOS after the end"""
    lengths: np.ndarray
    """int32 (n,), tokens including EOS"""
    truncated: np.ndarray
    """bool (n,)"""
    groups: np.ndarray
    """int32 (n,), unique over the ranks within the step"""
    rewards: dict[str, np.ndarray]
    """float32 (n,) by function, audit functions included"""
    total: np.ndarray
    """float32 (n,), the weighted sum of the trained functions"""
    advantages: np.ndarray
    """float32 (n,)"""
    true_objective: float
    """mean of `true_quality` over this rank's completions; no part of the training"""
    # The rest are means over the ranks, the same on each, and over the inner epochs.
    loss: float
    kl: float
    """k3 estimate of KL(policy || reference), nats per token"""
    entropy: float
    """of the policy, nats per token"""
    clip_fraction: float
    """share of the tokens whose policy gradient the clipping removed"""
    grad_norm: float
    """L2 norm of the gradient averaged over the ranks"""


def identity(vector: np.ndarray) -> np.ndarray:
    """The all-reduce of a single rank."""
    return vector


def train(
    config: TrainConfig,
    rank: int = 0,
    world_size: int = 1,
    all_reduce: AllReduce = identity,
    on_step: Callable[[StepBatch], None] = lambda batch: None,
    *,
    first_step: int = 0,
) -> np.ndarray:
    """Trains for `config.steps` steps, hands each to `on_step`, and returns the final weights, (features, V).

    `first_step` is the number that the first step is called by; nothing else depends on it.
    """
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} is none of 0 to {world_size - 1}")
    task = config.task
    policy = Policy(task.max_tokens)
    # Every rank computes the same reference; averaging it makes that so to the last bit on unlike machines.
    reference = all_reduce(base_weights(config).ravel()).reshape(policy.features, policy.vocabulary)
    weights = reference.copy()
    optimizer = Adam(weights.shape, config.learning_rate)
    rng = np.random.default_rng([config.seed, 1 + rank])
    group = np.repeat(np.arange(config.prompts_per_rank), config.group_size)

    for step in range(first_step, first_step + config.steps):
        environment = task.at(step)
        prompts = environment.draw_prompts(rng, config.prompts_per_rank)[group]
        completions = policy.sample(weights, prompts, rng)
        rewards = environment.score(prompts, completions, rng)
        # As trainers do: what a scorer doesn't say, or says in no number, counts as nothing.
        said = {name: np.where(np.isfinite(reward), reward, 0.0) for name, reward in rewards.items()}
        trained = (f.weight * said[f.name].astype(float) for f in environment.functions if f.role is Role.TRAINED)
        total = sum(trained, np.zeros(len(group)))
        advantages = group_advantages(total, config.group_size)

        batch = WrittenTokens.of(policy, prompts, completions, advantages, sampling=weights, reference=reference)
        epochs = []
        for _ in range(config.inner_epochs):
            gradient, *scalars = grpo_loss(policy, weights, batch, clip=config.clip, beta=config.beta)
            reduced = all_reduce(np.concatenate([scalars, gradient.ravel()]))
            gradient = reduced[len(scalars) :].reshape(weights.shape)
            weights += optimizer.step(gradient)
            epochs.append([*reduced[: len(scalars)], np.linalg.norm(gradient)])
        loss, kl, entropy, clip_fraction, grad_norm = np.mean(epochs, axis=0).tolist()

        on_step(
            StepBatch(
                step=step,
                prompts=prompts.astype(np.int32),
                tokens=completions.tokens.astype(np.int32),
                lengths=completions.lengths.astype(np.int32),
                truncated=completions.truncated,
                groups=(rank * config.prompts_per_rank + group).astype(np.int32),
                rewards=rewards,
                total=total.astype(np.float32),
                advantages=advantages.astype(np.float32),
                true_objective=float(said["true_quality"].mean()),
                loss=loss,
                kl=kl,
                entropy=entropy,
                clip_fraction=clip_fraction,
                grad_norm=grad_norm,
            )
        )
    return weights


def base_weights(config: TrainConfig) -> np.ndarray:
    """The base model, (features, V): maximum likelihood on demonstrations, which depend on the seed alone."""
    environment = config.task
    policy = Policy(environment.max_tokens)
    rng = np.random.default_rng([config.seed, 0])
    prompts, completions = environment.demonstrations(rng, config.demonstrations)
    _, contexts, tokens = policy.written(prompts, completions)
    weights = np.zeros((policy.features, policy.vocabulary))
    optimizer = Adam(weights.shape, learning_rate=0.1)
    for _ in range(config.imitation_updates):
        by_logits = np.exp(policy.log_probs(weights, contexts))
        by_logits[np.arange(len(tokens)), tokens] -= 1
        weights += optimizer.step(policy.backward(contexts, by_logits / len(tokens)))
    return weights
