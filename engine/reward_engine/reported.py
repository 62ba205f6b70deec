"""The catalogue of what trainers report beside rewards: scalars of a step, and columns with a number of each completion.

Any other name is kept and measured as well; these are the ones that the monitor knows the meaning of.
"""

from __future__ import annotations

from dataclasses import dataclass

SCALAR, COLUMN = "scalar", "column"


@dataclass(frozen=True)
class Reported:
    """A name with a meaning. ways: as a scalar of the step (`trainer_steps`), as a column of its completions (`completions`)."""

    name: str
    unit: str
    ways: tuple[str, ...]
    means: str
    not_means: str = ""
    source: str = ""


REPORTED: tuple[Reported, ...] = (
    Reported(
        "kl",
        "nats",
        (SCALAR, COLUMN),
        "KL divergence of the policy from its reference. Estimator and reduction are the trainer's, and told in the run's config "
        'as `kl_estimator`, as "k3, mean of tokens": with d = log p_reference - log p_policy, k1 = -d, k2 = d^2 / 2, '
        "k3 = exp(d) - d - 1",
        "comparable between trainers with another estimator or reduction. Where the trainer has no KL term (TRL's beta = 0) "
        "there is none, and it is unknown",
        "Schulman 2020, Approximating KL Divergence",
    ),
    Reported(
        "entropy",
        "nats a token",
        (SCALAR, COLUMN),
        "policy entropy: how undecided the policy is about its next token. It falls as a policy settles, and collapses when it "
        "finds one way to be rewarded",
        "the measure `entropy`, which is of the rewards",
        "Cui et al. 2505.22617",
    ),
    Reported(
        "eval_reward",
        "reward",
        (SCALAR,),
        "mean reward of an evaluation on prompts that are not trained on; reported in the steps in which there was one",
    ),
    Reported("loss", "loss", (SCALAR,), "what the optimizer minimised", "progress: in policy gradients its value says little"),
    Reported("grad_norm", "norm", (SCALAR,), "length of the gradient, before it was clipped"),
    Reported("lr", "1", (SCALAR,), "learning rate"),
    Reported(
        "clip_fraction",
        "share",
        (SCALAR,),
        "share of the tokens whose importance ratio was clipped: that the update left out",
        source="Schulman et al. 1707.06347",
    ),
    Reported("clip_low", "share", (SCALAR,), "of these, the tokens that became too improbable"),
    Reported("clip_high", "share", (SCALAR,), "of these, the tokens that became too probable"),
    Reported(
        "advantage",
        "1",
        (COLUMN,),
        "advantages as the trainer used them: in GRPO the reward less its group's mean, mostly divided by the group's std. Their "
        "mean, std, kurtosis, `positive_share`, `zero_share` and `effective_samples` say how much of a step teaches",
        "rewards: within a group their mean is 0",
        "Shao et al. 2402.03300",
    ),
    Reported(
        "length",
        "tokens",
        (COLUMN,),
        "of the completion; its relation to the reward is `length_correlation`",
        "quality: longer is not better by itself",
    ),
    Reported(
        "truncated",
        "0 or 1",
        (COLUMN,),
        "1 where the completion was cut off at its greatest length, so the mean is the share of these",
        source="DAPO 2503.14476",
    ),
    Reported(
        "importance",
        "ratio",
        (SCALAR, COLUMN),
        "importance weight p_trained / p_generated; 1 where the policy that learns is the one that wrote. Of the column "
        "`effective_share` is the effective sample size as a share of the completions",
        source="Kish 1965",
    ),
    Reported(
        "staleness",
        "versions",
        (SCALAR, COLUMN),
        "version of the policy that learns less that of the policy that wrote the completion; 0 on-policy",
    ),
    Reported(
        "duplicate",
        "0 or 1",
        (COLUMN,),
        "1 where another completion of the group, before it, has the same text, so the mean is 1 - different texts / completions",
        "mode collapse where answers are short: they are alike without it",
    ),
)
