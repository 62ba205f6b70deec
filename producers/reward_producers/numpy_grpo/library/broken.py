"""Trainings whose rewards break: from a step on the scorer doesn't do what it should."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reward_producers.numpy_grpo.environment import Completions, Sums


@dataclass(frozen=True)
class Breaks(Sums):
    """A sound environment until `since`."""

    since: int = 150
    broken: bool = False

    def at(self, step: int) -> Sums:
        return replace(self, broken=step >= self.since)

    def score(self, prompts: np.ndarray, completions: Completions, rng: np.random.Generator) -> dict[str, np.ndarray]:
        rewards = super().score(prompts, completions, rng)
        return self.spoilt(rewards, prompts, rng) if self.broken else rewards

    def spoilt(self, rewards: dict[str, np.ndarray], prompts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The rewards as the broken scorer gives them."""
        raise NotImplementedError


@dataclass(frozen=True)
class TimesOut(Breaks):
    """Some of the accuracy rewards are missing (NaN here, reported as missing); the trainer takes 0 for them."""

    share: float = 0.2

    def spoilt(self, rewards: dict[str, np.ndarray], prompts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        lost = rng.random(len(prompts)) < self.share
        return rewards | {"accuracy": np.where(lost, np.float32(np.nan), rewards["accuracy"])}


@dataclass(frozen=True)
class Overflows(Breaks):
    """Some of the judge's rewards are infinite."""

    share: float = 0.05

    def spoilt(self, rewards: dict[str, np.ndarray], prompts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        lost = rng.random(len(prompts)) < self.share
        return rewards | {"helpfulness": np.where(lost, np.float32(np.inf), rewards["helpfulness"])}


@dataclass(frozen=True)
class Sticks(Breaks):
    """The judge answers with one number."""

    def spoilt(self, rewards: dict[str, np.ndarray], prompts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return rewards | {"helpfulness": np.full_like(rewards["helpfulness"], 0.37)}


@dataclass(frozen=True)
class Rescaled(Breaks):
    """The judge answers in percent."""

    def spoilt(self, rewards: dict[str, np.ndarray], prompts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return rewards | {"helpfulness": 100 * rewards["helpfulness"]}


@dataclass(frozen=True)
class Cached(Breaks):
    """Scores are cached by prompt: all completions of a group get the first one's."""

    group_size: int = 4

    def spoilt(self, rewards: dict[str, np.ndarray], prompts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        first = np.arange(len(prompts)) // self.group_size * self.group_size
        return {name: values if name == "true_quality" else values[first] for name, values in rewards.items()}


@dataclass(frozen=True)
class Zeroed(Breaks):
    """The scorer of answers fails and gives 0."""

    def spoilt(self, rewards: dict[str, np.ndarray], prompts: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        return rewards | {"accuracy": np.zeros_like(rewards["accuracy"])}
