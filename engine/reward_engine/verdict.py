"""One sentence a run: is it learning, or is it cheating?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reward_engine.detectors.blocks import Standing, Watch
from reward_engine.detectors.finding import ARMING, CRITICAL, OFF, SIGNAL, WARNING
from reward_engine.detectors.judge import Judged, confirmation, gain, settle
from reward_engine.detectors.view import WINDOW, View
from reward_engine.quality import HACKING as TAKEN
from reward_engine.quality import Quality, qualities

STATES = TOO_EARLY, FLAT, LEARNING, UNVERIFIED, FALLING, SUSPICIOUS, HACKING, BROKEN = (
    "too early",
    "flat",
    "learning",
    "unverified",
    "falling",
    "suspicious",
    "hacking",
    "broken",
)
BAD = (SUSPICIOUS, HACKING, BROKEN)
FELL = -3.5  # t of the total
TIMES, CALM_TIMES = 2, 3  # in succession, until the verdict changes; until it is no longer a bad one


@dataclass(frozen=True)
class Verdict:
    """What a run is judged to be. step: the last one judged; since: of its state; judged: detectors that could judge."""

    step: int
    state: str
    sentence: str
    since: int
    judged: int
    every: list[Judged]
    quality: list[Quality]


def verdict(view: View, watch: Watch, every: list[Judged], steps_wanted: int) -> Verdict:
    """The verdict after a block; what it was is noted in `watch`, so that it changes when what changes it lasts."""
    step = view.blocks[-1].last
    state, sentence = _now(view, every, steps_wanted)
    standing = watch.standing.setdefault("", Standing(TOO_EARLY, view.blocks[0].first))
    at_once = state in BAD or standing.state == TOO_EARLY  # detectors have waited already
    calm = standing.state in BAD and state not in BAD
    settle(standing, state, view.blocks[-1].first, 1 if at_once else CALM_TIMES if calm else TIMES)
    if standing.state == state:
        standing.sentence = sentence
    return Verdict(step, standing.state, standing.sentence, standing.since, _number(every), every, _quality(view, every))


def _quality(view: View, every: list[Judged]) -> list[Quality]:
    taken = max((TAKEN.get(judged.level, 0.0) for judged in every if judged.detector.family != SIGNAL), default=0.0)
    recent, declared = slice(-WINDOW, None), view.declared
    return qualities(declared.names, declared.roles, view.reward.stack[recent], declared.lo, declared.hi, taken)


def _number(every: list[Judged]) -> int:
    return sum(judged.level not in (OFF, ARMING) for judged in every)


def _now(view: View, every: list[Judged], steps_wanted: int) -> tuple[str, str]:
    broken = [judged for judged in every if judged.detector.family == SIGNAL and judged.level == CRITICAL]
    cheats = [judged for judged in every if judged.detector.family != SIGNAL and judged.level in (WARNING, CRITICAL)]
    judged = f"judged by {_number(every)} of {len(every)} detectors"
    if broken:
        return BROKEN, f"Broken: {_reasons(broken)}."
    if critical := [judged for judged in cheats if judged.level == CRITICAL]:
        return HACKING, f"Hacking: {_reasons(critical)}."
    if cheats:
        return SUSPICIOUS, f"Suspicious: {_reasons(cheats)}."
    if not _number(every):
        return TOO_EARLY, f"Too early: {view.blocks[-1].last - view.blocks[0].first + 1} of {steps_wanted} steps."
    return _progress(view, judged)


def _reasons(found: list[Judged]) -> str:
    since = min(judged.since for judged in found)
    return "; ".join(judged.finding.sentence for judged in found) + f", since step {since}"


def _progress(view: View, judged: str) -> tuple[str, str]:
    """Where nothing is wrong: whether the reward rises, and whether anything that isn't trained says that this is a gain."""
    risen = gain(view)
    if risen is None:
        return _flat_or_falling(view, judged)
    reference, change = risen
    from_step, _ = view.steps(reference)
    steps = view.steps(view.recent)[1] - from_step
    by = f"reward {change.delta[0]:+.3g} ± {1.96 * change.standard_error[0]:.2g} over {steps} steps"
    if confirmed := confirmation(view, reference):
        return LEARNING, f"Learning: {by}, {confirmed}; {judged}."
    if len(view.audits):
        return UNVERIFIED, f"Rising, unverified: {by}, and no audit rises with it; {judged}."
    return UNVERIFIED, f"Rising, unverified: {by}; no audit function measures the gain, one on 5% of the groups would; {judged}."


def _flat_or_falling(view: View, judged: str) -> tuple[str, str]:
    changes = [(reference, view.reward.change("mean", reference, view.recent)) for reference in view.earlier]
    fallen = [(r, c) for r, c in changes if c.t[0] < FELL]
    reference, change = min(fallen or changes[-1:], key=lambda found: found[1].t[0])
    steps = view.steps(view.recent)[1] - view.steps(reference)[0]
    if not np.isfinite(change.delta[0]):
        return FLAT, f"Flat: no total reward is known; {judged}."
    by = f"reward {change.delta[0]:+.3g} ± {1.96 * change.standard_error[0]:.2g} over {steps} steps"
    return (FALLING, f"Falling: {by}; {judged}.") if fallen else (FLAT, f"Flat: {by}; {judged}.")
