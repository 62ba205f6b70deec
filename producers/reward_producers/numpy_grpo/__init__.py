"""A small, real GRPO training in NumPy, whose reward can be hacked: for the demo, the examples and the tests.

    from reward_producers.numpy_grpo import TrainConfig, train
    train(TrainConfig(seed=7), on_step=lambda batch: print(batch.step, batch.total.mean(), batch.true_objective))

Reading order: `environment` (task and rewards), `policy`, `training`, `ranks` (several processes), `outcome`.
Nothing scripts a curve or looks at the step number: whether a seed learns the task or learns to please the judge comes
out of sampling and gradients.
"""

from .environment import ENVIRONMENTS, PROMPTS, WORDS, Completions, JudgeBlindSpot, Sums
from .outcome import Outcome
from .ranks import RankError, meet, run_rank
from .training import AllReduce, StepBatch, TrainConfig, identity, train

__all__ = [
    "ENVIRONMENTS",
    "PROMPTS",
    "WORDS",
    "AllReduce",
    "Completions",
    "JudgeBlindSpot",
    "Outcome",
    "RankError",
    "StepBatch",
    "Sums",
    "TrainConfig",
    "identity",
    "meet",
    "run_rank",
    "train",
]
