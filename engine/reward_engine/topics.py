"""The measures by topic, as people look them up: in docs/METRICS.md and `reward-monitor measures`."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf

from reward_engine.formula import Measure


@dataclass(frozen=True)
class Topic:
    """Measures that are told together, and what to know of all of them."""

    title: str
    about: str
    names: tuple[str, ...]


TOPICS = (
    Topic(
        "How many",
        "A reward is finite, missing, not scored, or not finite, and counted once. Only finite ones enter any other measure.",
        ("count", "missing", "not_scored", "non_finite"),
    ),
    Topic(
        "Values",
        "Mean, std, variance, min, max and total of the rewards themselves, and the shape of their distribution.",
        ("mean", "std", "variance", "min", "max", "total", "skewness", "kurtosis", "positive_share", "zero_share",
         "effective_samples", "effective_share"),
    ),
    Topic(
        "Certainty",
        "How sure a mean is, and how large it is beside its noise: the signal-to-noise ratio.",
        ("standard_error", "signal_to_noise", "signal_to_noise_db"),
    ),
    Topic(
        "Distribution",
        "Quantiles and entropy, from a sketch that keeps each value to within 0.8 %.",
        ("p05", "p25", "p50", "p75", "p95", "entropy"),
    ),
    Topic(
        "Range",
        "Of functions with a declared range (`lo` and `hi`), and unknown of others.",
        ("saturation_low", "saturation_high", "out_of_range"),
    ),
    Topic(
        "Groups",
        "Group-relative training learns from differences within groups (the completions of one prompt) and from nothing else.",
        ("groups", "within_variance", "between_variance", "group_std", "intraclass_correlation", "effective_groups",
         "zero_variance_groups", "zero_variance_low", "zero_variance_high", "zero_variance_expected"),
    ),
    Topic(
        "Contributions",
        "What each function gives to the total and to the advantages. An audit function contributes nothing: unknown.",
        ("mean_contribution", "variance_contribution", "total_correlation"),
    ),
    Topic(
        "Length",
        "Reward against the completion's length, within groups; unknown where lengths are not reported.",
        ("length_correlation", "length_slope"),
    ),
    Topic(
        "Solving",
        "Of functions with a declared range: a completion is solved at its upper end.",
        ("pass_at_2", "pass_at_4", "pass_at_8", "learnability"),
    ),
)  # fmt: skip


def range_of(measure: Measure) -> str:
    """Where a measure's values can lie, in words; empty: anywhere."""
    if isinf(measure.low):
        return "" if isinf(measure.high) else f"≤ {measure.high:g}"
    return f"≥ {measure.low:g}" if isinf(measure.high) else f"{measure.low:g} to {measure.high:g}"
