"""What a condition can name: the measures of the catalogue, the detectors, the verdict, and what is known of a run.

mean, std, p95, ...                    of the reward function that is judged, or of the total where the rule is one a run
kl_mean, entropy_mean, length_p95      of what a trainer reports beside rewards: its scalars, or columns of its completions
truncation, truncation.statistic       what a detector says, as a level or by its number
verdict                                as in `verdict >= suspicious`
run.lost, run.silent_ranks, ...        of the run as it is
fmt.mean                               of an own name, which the rule's `uses` explains
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reward_engine.detectors.catalogue import DETECTORS
from reward_engine.detectors.finding import CRITICAL, INFO, QUIET, WARNING
from reward_engine.kinds import COMPLETION, REWARD, TRAINER
from reward_engine.measures import BY_NAME, SKETCHED
from reward_engine.reported import COLUMN, REPORTED, SCALAR
from reward_engine.rules.converting import nearest
from reward_engine.rules.language import Use
from reward_engine.verdict import BROKEN, FALLING, FLAT, HACKING, LEARNING, SUSPICIOUS, UNVERIFIED

LEVELS = {QUIET: 0.0, INFO: 1.0, WARNING: 2.0, CRITICAL: 3.0}
VERDICTS = {
    state: float(i) for i, state in enumerate((FLAT, LEARNING, UNVERIFIED, FALLING, SUSPICIOUS, HACKING, BROKEN))
}  # in order of how much a person wants to know of it
CONSTANTS = LEVELS | VERDICTS
RUN = {
    "run.lost": "1 where no sender spoke for five minutes",
    "run.silent_ranks": "senders that said nothing for a minute",
    "run.senders": "senders that speak",
    "run.expected": "senders that are expected",
    "run.step": "the last step",
    "run.late": "messages that came after their step was closed",
    "run.missing": "messages that senders numbered and that did not come",
    "run.invalid": "messages that can't be read",
    "run.refused": "messages past a bound",
    "run.dropped": "events that senders dropped, by their own count",
    "run.gaps": "gaps of the log that may touch it",
    "run.resumes": "times that it was resumed",
}
_LISTED = "`reward-monitor rules words` lists what there is"
_WAYS = {SCALAR: TRAINER, COLUMN: COMPLETION}


def flat(detector: str) -> str:
    """A detector's name in conditions."""
    return detector.replace(" ", "_").replace("-", "_")


_DETECTORS = {flat(detector.name): detector.name for detector in DETECTORS}
_REPORTED = {each.name: tuple((_WAYS[way], each.name) for way in each.ways) for each in REPORTED}


@dataclass(frozen=True)
class MeasureOf:
    """A measure of a series; of the first of `where`, (kind, name) each, that is known. Empty: of the one that is judged."""

    measure: str
    where: tuple[tuple[str, str], ...] = ()

    @property
    def sketched(self) -> bool:
        return self.measure in SKETCHED


@dataclass(frozen=True)
class DetectorOf:
    """A detector's level, or its statistic; "": the verdict."""

    name: str
    statistic: bool = False


@dataclass(frozen=True)
class RunOf:
    """What is known of the run, by its name in RUN."""

    what: str


Source = MeasureOf | DetectorOf | RunOf


def source(name: str, uses: Mapping[str, Use]) -> Source:
    """What a name stands for. Raises LookupError with a remedy where there is no such name."""
    if name in BY_NAME:
        return MeasureOf(name)
    if name == "verdict":
        return DetectorOf("")
    if name in _DETECTORS:
        return DetectorOf(_DETECTORS[name])
    if name in RUN:
        return RunOf(name)
    owner, _, part = name.partition(".")
    if owner in uses and part in BY_NAME:
        return MeasureOf(part, _used(uses[owner]))
    if owner in _DETECTORS and part == "statistic":
        return DetectorOf(_DETECTORS[owner], statistic=True)
    for reported, where in _REPORTED.items():
        if name.startswith(reported + "_") and (measure := name[len(reported) + 1 :]) in BY_NAME:
            return MeasureOf(measure, where)
    raise LookupError(_remedy(name, owner, part, uses))


def _used(use: Use) -> tuple[tuple[str, str], ...]:
    said = ((REWARD, use.reward), (TRAINER, use.scalar), (COMPLETION, use.column))
    return tuple((kind, name) for kind, name in said if name is not None)


def _remedy(name: str, owner: str, part: str, uses: Mapping[str, Use]) -> str:
    if part and owner in uses:
        return nearest(part, BY_NAME, _LISTED)
    if part and owner != "run":
        return f"`{owner}` is explained by the rule's uses: {{{owner}: {{reward: ...}}}}"
    reported = next((each for each in _REPORTED if name == each or name.startswith(each + "_")), None)
    if reported:
        return f"write a measure of it, as `{reported}_mean`"
    return nearest(name, [*BY_NAME, *_DETECTORS, *RUN, "verdict", *CONSTANTS, *uses], _LISTED)
