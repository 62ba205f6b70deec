"""Steps of a training for the tests of the tracker."""

from __future__ import annotations

from typing import Any

import numpy as np
from reward_engine.snapshot import encode, joined
from reward_producers.metrics import StepMetrics
from reward_producers.metrics_tracker import RewardMetricsTracker
from reward_schemas.events import RewardFunction, Role

FUNCTIONS = [RewardFunction("accuracy", lo=0.0, hi=1.0), RewardFunction("format", 0.2), RewardFunction("judge", role=Role.AUDIT)]


def batch(seed: int, n: int = 24) -> dict[str, Any]:
    """A step's arguments: rewards that are hard on float32, groups that are not adjacent, some of everything unknown."""
    rng = np.random.default_rng(seed)
    judge = [None if x < 0.5 else float(x) for x in rng.random(n)]
    format_ = rng.normal(1e4, 1e-2, n).astype(np.float32)
    format_[seed % n] = np.nan
    return {
        "rewards_by_function": {"accuracy": rng.integers(0, 2, n), "format": format_, "judge": judge},
        "kl_divergence": rng.normal() if seed % 3 else None,
        "policy_entropy": float("nan") if seed % 5 == 0 else rng.random(),
        "advantages": rng.normal(size=n) if seed % 4 else None,
        "groups": [f"prompt {i}" for i in rng.integers(0, 5, n)],
        "lengths": rng.integers(1, 1000, n),
        "truncated": rng.random(n) < 0.2,
        "columns": {"logp": rng.normal(size=n)},
        "grad_norm": rng.random(),
    }


def tracked(steps: list[int] | range, window_size: int = 100) -> list[StepMetrics]:
    tracker = RewardMetricsTracker(FUNCTIONS, window_size)
    return [tracker.track_step(step, **batch(at)) for at, step in enumerate(steps)]


def state_of(tracker: RewardMetricsTracker) -> bytes:
    return joined(encode(tracker._partition))
