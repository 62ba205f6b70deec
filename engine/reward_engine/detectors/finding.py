"""What a detector is, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Literal

from reward_engine.detectors.view import View, Window
from reward_engine.statistics.needs import Needs

OFF, ARMING, QUIET, INFO, WARNING, CRITICAL = ("off", "arming", "quiet", "info", "warning", "critical")


@dataclass(frozen=True)
class Finding:
    """What a detector found.

    sentence: for a person, with the numbers in it. series: the reward function that it is about, "" for the run. statistic,
    threshold, p, standard_error: NaN where there is none. reference: what the recent window was compared with.
    """

    level: str
    sentence: str = ""
    series: str = ""
    statistic: float = nan
    threshold: float = nan
    p: float = nan
    standard_error: float = nan
    reference: Window | None = None


@dataclass(frozen=True)
class Detector:
    """A question that is asked of a run after each block.

    family: "signal" (are the rewards sound, do they teach), or a way to cheat. gated: what it finds is no more than information
    while the total reward doesn't rise. times: so often in succession it has to be found to be believed. means: what it
    finds, not_means: what it must not be taken for. shown_by: groups that are examples of it have its function high, or are rewarded
    although it is low, or are flat. source: a reference.
    """

    name: str
    family: str
    judge: Callable[[View], Finding | Needs]
    means: str
    not_means: str = ""
    shown_by: Literal["high", "low", "flat"] = "high"
    gated: bool = False
    times: int = 1
    source: str = ""


SIGNAL, AUDIT = "signal", "audit"
