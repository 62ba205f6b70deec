"""Sound rewards in trainings that look suspicious: what pays is what the user wants."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reward_producers.numpy_grpo.environment import PROMPTS, Reading, Sums


@dataclass(frozen=True)
class Curriculum(Sums):
    """From a step on the prompts are harder: sums past nine. Rewards fall at once, and rise again."""

    switch: int = 160
    hard: bool = False

    def at(self, step: int) -> Sums:
        return replace(self, hard=step >= self.switch)

    def draw_prompts(self, rng: np.random.Generator, count: int) -> np.ndarray:
        fits = (PROMPTS.sum(axis=1) > 9) == self.hard
        return rng.choice(np.flatnonzero(fits), count)


@dataclass(frozen=True)
class Stages(Sums):
    """A curriculum in stages: every so many steps, sums of another size, and the last stage has all of them."""

    every: int = 90
    most: int = 4
    stages: tuple[int, ...] = (8, 12, 15)

    def at(self, step: int) -> Sums:
        stage = step // self.every
        return replace(self, most=self.stages[stage] if stage < len(self.stages) else 17)

    def draw_prompts(self, rng: np.random.Generator, count: int) -> np.ndarray:
        sums = PROMPTS.sum(axis=1)
        fits = (sums <= self.most) & ((sums > self.most - 5) | (self.most == 17))
        return rng.choice(np.flatnonzero(fits), count)


@dataclass(frozen=True)
class EverHarder(Sums):
    """Sums past nine, which the policy does worse at, get more and more frequent, until there is nothing else."""

    until: int = 300
    share: float = 0.0

    def at(self, step: int) -> Sums:
        return replace(self, share=min(1.0, step / self.until))

    def draw_prompts(self, rng: np.random.Generator, count: int) -> np.ndarray:
        hard = PROMPTS.sum(axis=1) > 9
        chosen = rng.random(count) < self.share
        return np.where(chosen, rng.choice(np.flatnonzero(hard), count), rng.choice(np.flatnonzero(~hard), count))


@dataclass(frozen=True)
class LongerIsBetter(Sums):
    """A longer working is truly better, and paid for only where the answer is right."""

    helpfulness_weight: float = 2.0

    def helpfulness(self, reading: Reading, rng: np.random.Generator) -> np.ndarray:
        return reading.correct * np.minimum(1.0, reading.lengths / (self.max_tokens - 1))

    def true_quality(self, reading: Reading) -> np.ndarray:
        return reading.correct * (0.4 + 0.6 * np.minimum(1.0, reading.lengths / (self.max_tokens - 1)))


@dataclass(frozen=True)
class ShorterIsBetter(Sums):
    """A short right answer is what the user wants: the working goes, and nothing is lost by it."""

    helpfulness_weight: float = 2.0

    def helpfulness(self, reading: Reading, rng: np.random.Generator) -> np.ndarray:
        return reading.correct * np.maximum(0.0, 1 - reading.lengths / self.max_tokens)

    def true_quality(self, reading: Reading) -> np.ndarray:
        return reading.correct * (1 - 0.3 * reading.lengths / self.max_tokens)


@dataclass(frozen=True)
class NoisyJudge(Sums):
    """The judge errs at random, by as much as the difference between good and bad."""

    noise: float = 0.5

    def helpfulness(self, reading: Reading, rng: np.random.Generator) -> np.ndarray:
        return np.clip(reading.operands / 2 + rng.normal(0, self.noise, len(reading.lengths)), 0.0, 1.0)


@dataclass(frozen=True)
class AllOrNothing(Sums):
    """Only a right answer with its whole working is paid: a plateau, then a rise."""

    format_weight: float = 0.0
    helpfulness_weight: float = 0.0

    def accuracy(self, reading: Reading) -> np.ndarray:
        return reading.correct & (reading.operands == 2)


@dataclass(frozen=True)
class TradeOff(Sums):
    """Two goals that exclude each other in part, and the user weighs them as the training does."""

    accuracy_weight: float = 1.0
    helpfulness_weight: float = 1.2

    def helpfulness(self, reading: Reading, rng: np.random.Generator) -> np.ndarray:
        return np.maximum(0.0, 1 - reading.lengths / self.max_tokens)

    def true_quality(self, reading: Reading) -> np.ndarray:
        total = (
            self.accuracy_weight * self.accuracy(reading)
            + self.format_weight * self.format(reading)
            + self.helpfulness_weight * self.helpfulness(reading, np.random.default_rng(0))
        )
        return total / (self.accuracy_weight + self.format_weight + self.helpfulness_weight)


@dataclass(frozen=True)
class ResetJudge(Sums):
    """From a step on the judge is a stricter one: its rewards fall at once while the work stays as good."""

    switch: int = 200
    strict: bool = False

    def at(self, step: int) -> Sums:
        return replace(self, strict=step >= self.switch)

    def helpfulness(self, reading: Reading, rng: np.random.Generator) -> np.ndarray:
        return reading.operands / 2 * (0.6 if self.strict else 1.0)
