"""What a mean of many steps hides: a second mode that appears, and a jump from one step to the next."""

from __future__ import annotations

import numpy as np

from reward_engine.detectors.finding import INFO, QUIET, Finding
from reward_engine.detectors.view import View, Window
from reward_engine.statistics.needs import Needs
from reward_engine.statistics.shift import ALARM, WARM_UP

BIMODAL = 5 / 9  # Sarle's coefficient of a uniform distribution: above it there may be two modes
CLEAR = 0.1  # past it, by so much


def new_mode(view: View) -> Finding | Needs:
    """Two modes where there was one; binary functions have had two from the start, and don't count."""
    if not len(view.trained):
        return Needs("a trained function")
    now = _bimodality(view, view.recent)
    for reference in view.references:
        rise = now - _bimodality(view, reference)
        split = (now > BIMODAL + CLEAR) & (now - rise < BIMODAL)
        for row in view.trained[split[view.trained]].tolist():
            name = view.declared.names[row]
            sentence = f"the rewards of `{name}` have split into two modes {reference.name}"
            return Finding(INFO, sentence, name, float(now[row]), BIMODAL + CLEAR, reference=reference)
    return Finding(QUIET)


def sudden_jump(view: View) -> Finding | Needs:
    """A function whose rewards jumped within the recent window."""
    from_step, to_step = view.steps(view.recent)
    if to_step - view.blocks[0].first < WARM_UP:
        return Needs(f"{WARM_UP} steps")
    for name in (view.declared.names[row] for row in (0, *view.trained.tolist(), *view.audits.tolist())):
        jump = view.jumps.get(name)
        if jump and from_step <= jump.step < to_step:
            way = "up" if jump.direction > 0 else "down"
            return Finding(INFO, f"`{name}` jumped {way} at step {jump.step}", name, statistic=ALARM, threshold=ALARM)
    return Finding(QUIET, threshold=ALARM)


def _bimodality(view: View, window: Window) -> np.ndarray:
    skewness, kurtosis = (view.reward.over(name, window) for name in ("skewness", "kurtosis"))
    found: np.ndarray = (skewness**2 + 1) / (kurtosis + 3)
    return found
