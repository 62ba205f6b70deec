"""Asks every detector, and weighs what they find: by the evidence gate, by how long it lasts, and by what else is found."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reward_engine.detectors.blocks import Standing, Watch
from reward_engine.detectors.catalogue import DETECTORS
from reward_engine.detectors.finding import ARMING, CRITICAL, INFO, OFF, QUIET, SIGNAL, WARNING, Detector, Finding
from reward_engine.detectors.view import BLOCKS_MIN, View, Window
from reward_engine.statistics.change import Change
from reward_engine.statistics.needs import Needs

GAINED = 3.5  # t of the total
QUIET_TIMES = 3  # in succession until a detector that had found something is quiet


@dataclass(frozen=True)
class Judged:
    """What a detector says after a block. needs: what it lacks, where it is off or arming. since: step of its level."""

    detector: Detector
    finding: Finding
    needs: str = ""
    since: int = 0

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


def judge(view: View, watch: Watch, steps_of_a_block: int) -> list[Judged]:
    """Every detector's finding, in the order of the catalogue; what they have said is noted in `watch`."""
    if len(view.blocks) < BLOCKS_MIN:
        needs = f"{BLOCKS_MIN * steps_of_a_block} steps"
        return [Judged(detector, Finding(ARMING), needs) for detector in DETECTORS]
    gained = gain(view) is not None
    found = [_asked(detector, view, gained) for detector in DETECTORS]
    lasting = [_lasting(judged, watch, view.blocks[-1].first) for judged in found]
    return _corroborated(lasting)


def _asked(detector: Detector, view: View, gained: bool) -> Judged:
    answer = detector.judge(view)
    if isinstance(answer, Needs):
        return Judged(detector, Finding(OFF), answer.what)
    if detector.gated and not gained and answer.level in (WARNING, CRITICAL):
        answer = replace(answer, level=INFO)
    return Judged(detector, answer)


def _lasting(judged: Judged, watch: Watch, step: int) -> Judged:
    """A level holds once it was found `times` in succession, and is left after `QUIET_TIMES`."""
    detector, level = judged.detector, judged.level
    standing = watch.standing.setdefault(detector.name, Standing(level if level in (OFF, QUIET) else QUIET, step))
    calm = standing.state in (WARNING, CRITICAL) and level not in (WARNING, CRITICAL)
    settle(standing, level, step, QUIET_TIMES if calm else detector.times if level in (WARNING, CRITICAL) else 1)
    if standing.state == level:
        standing.sentence = judged.finding.sentence
    else:  # not yet: what stands is told, for the reason that it had
        judged = replace(judged, finding=replace(judged.finding, level=standing.state, sentence=standing.sentence))
    return replace(judged, since=standing.since)


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
