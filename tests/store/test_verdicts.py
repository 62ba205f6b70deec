"""Verdicts, detections and quality scores as people read them."""

from __future__ import annotations

import numpy as np
from reward_schemas.events import RewardFunction, Role
from reward_store.client import Client

from tests.store.logs import records, training
from tests.store.running import land, rows

FUNCTIONS = (
    RewardFunction("correct", 1.0, lo=-10.0, hi=10.0),
    RewardFunction("format", 2.0, lo=-10.0, hi=10.0),
    RewardFunction("audit", 0.0, Role.AUDIT),
)


def test_a_run_is_judged_in_one_sentence(client: Client) -> None:
    land(client, records(training("run-a", steps=64, functions=FUNCTIONS)))
    history = rows(client, "SELECT step, state, sentence, judged, detectors FROM {views}.verdicts ORDER BY step")
    assert [step for step, *_ in history] == [9, 19, 29, 39, 49, 59]
    assert history[0][1:3] == ("too early", "Too early: 10 of 40 steps.") and history[0][3] == 0
    assert history[-1][1] == "flat" and history[-1][2].startswith("Flat: reward ") and history[-1][3] > 5
    shown = rows(client, "SELECT verdict, verdict_sentence, verdict_since_step FROM {views}.runs")
    assert shown == [(history[-1][1], history[-1][2], 30)]
    assert rows(client, "SELECT sum(detectors) FROM {views}.verdicts") == rows(client, "SELECT count() FROM {views}.detections")


def test_a_detection_has_its_evidence_and_a_lack_is_null(client: Client) -> None:
    rewards = np.ones((3, 8), np.float32)
    rewards[0, :4] = np.nan
    land(client, records(training("run-b", steps=64, functions=FUNCTIONS, rewards=rewards)))
    found = rows(
        client,
        "SELECT function, sentence, statistic, threshold, recent_from, recent_to, reference_from, groups FROM {views}.detections"
        " WHERE level = 'critical' AND detector = 'signal integrity' ORDER BY step DESC LIMIT 1",
    )
    function, sentence, statistic, threshold, from_step, to_step, reference, groups = found[0]
    assert (function, sentence) == ("correct", "50% of `correct` rewards are not finite")
    assert (statistic, threshold, from_step, to_step, reference) == (0.5, 0.01, 30, 60, None) and groups > 0
    assert rows(
        client, "SELECT DISTINCT level, statistic, p FROM {views}.detections WHERE detector = 'over-optimisation' AND needs != ''"
    )
    assert rows(client, "SELECT verdict FROM {views}.runs") == [("broken",)]


def test_the_quality_has_its_interval_and_components(client: Client) -> None:
    land(client, records(training("run-c", steps=64, functions=FUNCTIONS)))
    got = rows(
        client,
        "SELECT function, score, low, high, coverage, components, hacking FROM {views}.quality WHERE step = 59 ORDER BY function",
    )
    assert [row[0] for row in got] == ["correct", "format", "total"]
    for _, score, low, high, coverage, components, hacking in got:
        assert 0 <= low <= score <= high <= 100 and 0.89 < coverage < 0.91 and hacking == 0
        assert components["integrity"] == 1 and components["reliability"] is None


def test_a_run_that_is_not_judged_yet_has_no_verdict(client: Client) -> None:
    land(client, records(training("run-d", steps=3)))
    assert rows(client, "SELECT verdict, verdict_sentence, verdict_since_step FROM {views}.runs") == [("", "", None)]
