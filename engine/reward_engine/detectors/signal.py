"""Whether the rewards are sound, and whether they teach."""

from __future__ import annotations

import numpy as np

from reward_engine import sums
from reward_engine.detectors.finding import CRITICAL, INFO, QUIET, WARNING, Finding
from reward_engine.detectors.view import View, Window
from reward_engine.statistics.needs import Needs

MISSING = 0.05  # share of the rewards that should have been scored
STRAY = 0.01  # share that is not finite, or outside of the declared range
CONSTANT_BLOCKS = 2
ABRUPT = 0.05  # of its range was a function's standard deviation until it was constant
COLLAPSED, EXCESS, DEAD = 0.6, 0.2, 0.95  # shares of the groups that are flat
SOLVED = 0.5  # share of the flat groups that are at the upper end
_SAID = ("count", "missing", "non_finite")


def signal_integrity(view: View) -> Finding | Needs:
    """Rewards that are missing, not finite, out of range or constant, in the last block."""
    last = Window(len(view.blocks) - 1, len(view.blocks))
    table = view.reward.sums(last)
    said = table[:, [sums.INDEX[name] for name in _SAID]].sum(axis=1)
    ranged = np.maximum(table[:, sums.INDEX["limited"]], 1.0)
    shares = (
        ("missing", table[:, sums.INDEX["missing"]] / np.maximum(said, 1.0), MISSING),
        ("not finite", table[:, sums.INDEX["non_finite"]] / np.maximum(said, 1.0), STRAY),
        ("outside of the declared range", table[:, sums.INDEX["outside"]] / ranged, STRAY),
    )
    rows = np.concatenate([view.trained, view.audits])
    found = [
        _share(view.declared.names[row], what, float(share[row]), bound)
        for what, share, bound in shares
        for row in rows
        if share[row] > (bound if what == "missing" else 0.0)
    ]
    found += _constant(view)
    return max(found, key=lambda finding: finding.level == CRITICAL, default=Finding(QUIET))


def _share(name: str, what: str, share: float, bound: float) -> Finding:
    level = CRITICAL if share > bound else WARNING
    return Finding(level, f"{_percent(share)} of `{name}` rewards are {what}", series=name, statistic=share, threshold=bound)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g} %".replace(" ", "")


def _constant(view: View) -> list[Finding]:
    """Functions that give one value alone of late. A policy that settles gets there by and by; a scorer that fails, at once."""
    if len(view.blocks) <= CONSTANT_BLOCKS:
        return []
    low, high = view.reward.each("min")[-CONSTANT_BLOCKS:], view.reward.each("max")[-CONSTANT_BLOCKS:]
    still: np.ndarray = high.max(axis=0) == low.min(axis=0)  # of NaN, which equals nothing, it is no constant
    spread = np.nan_to_num(view.reward.each("std")[:-CONSTANT_BLOCKS])
    whole = Window(0, len(view.blocks))
    at_once = spread[-1] > ABRUPT * (view.reward.over("max", whole) - view.reward.over("min", whole))
    found = []
    for row in view.trained[still[view.trained]].tolist():
        name, steps = view.declared.names[row], view.steps(Window(len(view.blocks) - CONSTANT_BLOCKS, len(view.blocks)))
        level = CRITICAL if at_once[row] else INFO
        sentence = f"`{name}` has been {low[-1, row]:g} throughout since step {steps[0]}"
        found.append(Finding(level, sentence, series=name, statistic=float(low[-1, row])))
    return found


def advantage_collapse(view: View) -> Finding | Needs:
    """Groups without variance, of which nothing can be learned, more than chance makes."""
    flat = view.reward.over("zero_variance_groups", view.recent)[0]
    if np.isnan(flat):
        return Needs("groups of at least two completions")
    solved = view.reward.over("zero_variance_high", view.recent)[0]
    excess = flat - view.reward.over("zero_variance_expected", view.recent)[0]
    if not (flat > COLLAPSED or excess > EXCESS):
        return Finding(QUIET, statistic=float(flat), threshold=COLLAPSED)
    sentence = f"in {flat:.0%} of the groups all rewards are equal"
    if solved > SOLVED * flat:
        return Finding(INFO, f"{sentence}, at the upper end: solved, or exploited", "total", float(flat), COLLAPSED)
    return Finding(CRITICAL if flat > DEAD else WARNING, f"{sentence}: they teach nothing", "total", float(flat), COLLAPSED)
