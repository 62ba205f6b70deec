"""Asks every detector, and weighs what they find: by the evidence gate, by how long it lasts, and by what else is found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reward_engine.detectors.blocks import Shown, Standing, Watch
from reward_engine.detectors.catalogue import DETECTORS
from reward_engine.detectors.finding import ARMING, AUDIT, CRITICAL, INFO, OFF, QUIET, SIGNAL, WARNING, Detector, Finding
from reward_engine.detectors.view import BLOCKS_MIN, View, Window
from reward_engine.statistics.change import Change
from reward_engine.statistics.needs import Needs

GAINED = 3.5  # t of the total
EXAMPLES = 3  # groups
CONFIRMED = 2.0  # t of an audit or of an evaluation that rises as well
LOUD = (WARNING, CRITICAL)
QUIET_TIMES = 3  # in succession until a detector that had found something is quiet


@dataclass(frozen=True)
class Judged:
    """What a detector says after a block. needs: what it lacks, where it is off or arming. since: step of its level."""

    detector: Detector
    finding: Finding
    needs: str = ""
    since: int = 0
    examples: tuple[int, ...] = ()

    @property
    def level(self) -> str:
        return self.finding.level


def gain(view: View) -> tuple[Window, Change] | None:
    """A window since which the total has risen, and by how much; the clearest one. None: it has not."""
    risen = []
    for reference in view.references:
        change = view.reward.change("mean", reference, view.recent)
        if change.t[0] > GAINED:
            risen.append((reference, change))
    return max(risen, key=lambda found: found[1].t[0], default=None)


def confirmation(view: View, reference: Window) -> str:
    """What rose since then and isn't trained, an audit or an evaluation, with by how much; empty: nothing did."""
    for kind, rows in ((view.reward, view.audits.tolist()), (view.trainer, [view.trainer.row("eval_reward")])):
        for row in rows:
            if row is not None and (change := kind.change("mean", reference, view.recent)).t[row] > CONFIRMED:
                return f"`{kind.names[row]}` {change.delta[row]:+.3g}"
    return ""


def judge(view: View, watch: Watch, steps_of_a_block: int) -> list[Judged]:
    """Every detector's finding, in the order of the catalogue; what they have said is noted in `watch`."""
    if len(view.blocks) < BLOCKS_MIN:
        needs = f"{BLOCKS_MIN * steps_of_a_block} steps"
        return [Judged(detector, Finding(ARMING), needs) for detector in DETECTORS]
    found = _weighed([Judged(d, *_asked(d, view)) for d in DETECTORS], view)
    lasting = [_lasting(judged, watch, view.blocks[-1].first) for judged in found]
    return [_shown(judged, view, watch.shown) for judged in _corroborated(lasting)]


def _asked(detector: Detector, view: View) -> tuple[Finding, str]:
    answer = detector.judge(view)
    return (Finding(OFF), answer.what) if isinstance(answer, Needs) else (answer, "")


def _weighed(every: list[Judged], view: View) -> list[Judged]:
    """What is gated warns while the total gains, and nothing that isn't trained confirms the gain. Of that the audit's own
    detectors are not dismissed: what an audit gained before it began to fall confirms nothing."""
    gained = gain(view)
    audit_found = any(judged.detector.family == AUDIT and judged.level in LOUD for judged in every)
    confirmed = gained is not None and not audit_found and confirmation(view, gained[0])
    return [
        replace(judged, finding=replace(judged.finding, level=INFO))
        if judged.detector.gated and judged.level in LOUD and (gained is None or confirmed)
        else judged
        for judged in every
    ]


def _lasting(judged: Judged, watch: Watch, step: int) -> Judged:
    """A level holds once it was found `times` in succession, and is left after `QUIET_TIMES`."""
    detector, level = judged.detector, judged.level
    standing = watch.standing.setdefault(detector.name, Standing(level if level in (OFF, QUIET) else QUIET, step))
    calm = standing.state in LOUD and level not in LOUD
    settle(standing, level, step, QUIET_TIMES if calm else detector.times if level in LOUD else 1)
    if standing.state == level:
        standing.sentence = judged.finding.sentence
    else:  # not yet: what stands is told, for the reason that it had
        judged = replace(judged, finding=replace(judged.finding, level=standing.state, sentence=standing.sentence))
    return replace(judged, since=standing.since)


def _shown(judged: Judged, view: View, shown: Shown | None) -> Judged:
    """With groups of the last step that show it."""
    if shown is None or judged.level not in (INFO, *LOUD) or not len(shown.means):
        return judged
    row = view.reward.row(judged.finding.series) or 0
    of = shown.means[min(row, len(shown.means) - 1)]
    how = judged.detector.shown_by
    if how == "flat":
        score = np.where(shown.flat > 0, shown.means[0], np.nan)
    else:
        score = of if how == "high" or row == 0 else _ranks(shown.means[0]) - _ranks(of)
    known = np.flatnonzero(np.isfinite(score))
    best = known[np.argsort(-score[known], kind="stable")][:EXAMPLES]
    return replace(judged, examples=tuple(shown.ids[best].tolist()))


def _ranks(values: np.ndarray) -> np.ndarray:
    """float64[P]: places in ascending order; NaN stays."""
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(len(values))
    return np.where(np.isfinite(values), ranks, np.nan)


def settle(standing: Standing, state: str, step: int, times: int) -> None:
    """Moves a standing to a state once it has been judged so `times` in succession."""
    if state == standing.state:
        standing.next_state, standing.times = "", 0
        return
    if state != standing.next_state:
        standing.next_state, standing.next_since, standing.times = state, step, 0
    standing.times += 1
    if standing.times >= times:
        standing.state, standing.since = state, standing.next_since
        standing.next_state, standing.times = "", 0


def _corroborated(every: list[Judged]) -> list[Judged]:
    """Warnings of two families make each other critical: they are of different evidence."""
    warned = {judged.detector.family for judged in every if judged.level == WARNING and judged.detector.family != SIGNAL}
    if len(warned) < 2:
        return every
    return [
        replace(judged, finding=replace(judged.finding, level=CRITICAL))
        if judged.level == WARNING and judged.detector.family != SIGNAL
        else judged
        for judged in every
    ]
