"""What a run is judged to be, as a trainer gets it: one sentence, and what each detector has to say."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

from reward_schemas.results_pb2 import Detection as _Detection
from reward_schemas.results_pb2 import Verdict as _Verdict

_WIDTH = 80
_LOUD = ("critical", "warning", "info")


@dataclass(frozen=True)
class Detection:
    """One detector's part in a verdict.

    level: off, arming, quiet, info, warning or critical. needs: what it lacks, where it is off or arming. function: that it is
    about, None for the run. statistic, threshold, p, standard_error: None where there is none. reference, recent: the steps
    that were compared, half-open. groups: in the recent ones. examples: groups of the last step that show it.
    """

    detector: str
    level: str
    needs: str
    function: str | None
    sentence: str
    since_step: int
    statistic: float | None
    threshold: float | None
    p: float | None
    standard_error: float | None
    reference: tuple[int, int] | None
    recent: tuple[int, int]
    groups: int
    examples: tuple[int, ...]

    @classmethod
    def of(cls, said: _Detection) -> Detection:
        """Of a result."""
        return cls(
            said.detector,
            said.level,
            said.needs,
            said.series or None,
            said.sentence,
            said.since_step,
            _known(said.statistic),
            _known(said.threshold),
            _known(said.p),
            _known(said.standard_error),
            (said.reference_from, said.reference_to) if said.reference_to > said.reference_from else None,
            (said.recent_from, said.recent_to),
            said.groups,
            tuple(said.examples),
        )


@dataclass(frozen=True, repr=False)
class Verdict:
    """Is it learning, or is it cheating? `str()` is one sentence with its reason, `repr()` adds the detectors.

    state: too early, flat, learning, unverified (it rises, and nothing independent measures the gain), falling, suspicious,
    hacking or broken. step: the last one judged; since_step: of this state.
    """

    state: str
    sentence: str
    step: int
    since_step: int
    detections: tuple[Detection, ...]

    @classmethod
    def of(cls, said: _Verdict) -> Verdict:
        """Of a result."""
        return cls(said.state, said.sentence, said.step, said.since_step, tuple(map(Detection.of, said.detections)))

    @property
    def judged(self) -> int:
        """How many detectors could judge."""
        return sum(found.level not in ("off", "arming") for found in self.detections)

    def __str__(self) -> str:
        return self.sentence

    def __repr__(self) -> str:
        loud = sorted((found for found in self.detections if found.level in _LOUD), key=lambda found: _LOUD.index(found.level))
        lines = [textwrap.fill(self.sentence, _WIDTH), *(f"  {d.level:8} {d.detector}: {d.sentence}" for d in loud)]
        return "\n".join([*lines, *filter(None, map(self._line, ("quiet", "arming", "off")))])

    def _line(self, level: str) -> str:
        """The detectors of a level that have nothing to say."""
        some = [f"{d.detector} (needs {d.needs})" if d.needs else d.detector for d in self.detections if d.level == level]
        title = f"  {level:8} "
        return textwrap.fill(title + ", ".join(some), _WIDTH, subsequent_indent=" " * len(title)) if some else ""


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
