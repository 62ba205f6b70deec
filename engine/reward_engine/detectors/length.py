"""Cheating by length: reward that is paid for long completions, or for completions that are cut off."""

from __future__ import annotations

import numpy as np

from reward_engine.detectors.finding import INFO, QUIET, WARNING, Finding
from reward_engine.detectors.view import View
from reward_engine.statistics.needs import Needs
from reward_engine.sums import INDEX

CORRELATED = 0.3  # of reward and log length within groups, at least
NOISE = 4.0  # and so many of its standard errors, 1 / sqrt(completions - groups)
LENGTHENED = 4.0  # t of the length
UNEXPLAINED = 0.3  # of the gain is not by length: less is exploitation
CUT, CUTTING = 0.3, 0.2  # share of the completions that are truncated, and its rise


def length_exploitation(view: View) -> Finding | Needs:
    """Completions get longer, and what the reward pays for length explains what the total gained."""
    row = view.completion.row("length")
    if row is None:
        return Needs("lengths of completions")
    correlation = view.reward.over("length_correlation", view.recent)[0]
    table = view.reward.sums(view.recent)[0]
    error = 1 / np.sqrt(max(table[INDEX["grouped"]] - table[INDEX["groups"]], 1.0))
    bound = max(CORRELATED, NOISE * error)
    for reference in view.references:
        longer, gain = (kind.change("mean", reference, view.recent) for kind in (view.completion, view.reward))
        slope = view.reward.over("length_slope", reference)[0]
        before, after = (view.completion.over("mean", window)[row] for window in (reference, view.recent))
        rest = 1 - slope * np.log(after / before) / gain.delta[0] if after > 0 < before and gain.delta[0] > 0 else np.nan
        if correlation > bound and longer.t[row] > LENGTHENED and rest < UNEXPLAINED:
            return Finding(
                WARNING,
                f"completions grew from {before:.0f} to {after:.0f} tokens {reference.name}, which explains "
                f"{min(1 - rest, 1):.0%} of the gain (correlation within groups {correlation:+.2f})",
                series="total",
                statistic=float(correlation),
                threshold=bound,
                standard_error=float(error),
                reference=reference,
            )
    return Finding(QUIET, statistic=float(correlation), threshold=bound)


def truncation(view: View) -> Finding | Needs:
    """Many completions are cut off, or more than before."""
    row = view.completion.row("truncated")
    if row is None:
        return Needs("marks of truncated completions")
    cut = view.completion.over("mean", view.recent)[row]
    for reference in view.references:
        change = view.completion.change("mean", reference, view.recent)
        rise = change.delta[row]
        if cut > CUT and rise > CUTTING and change.t[row] > LENGTHENED:
            return Finding(
                WARNING,
                f"{cut:.0%} of the completions are cut off, {rise:+.0%} {reference.name}",
                statistic=float(cut),
                threshold=CUT,
                p=float(change.p[row]),
                standard_error=float(change.standard_error[row]),
                reference=reference,
            )
    return Finding(INFO if cut > CUT else QUIET, f"{cut:.0%} of the completions are cut off", statistic=float(cut), threshold=CUT)
