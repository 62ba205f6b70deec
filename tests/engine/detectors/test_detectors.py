"""Each detector finds what it is for, stays quiet where nothing is, and says what it lacks."""

from __future__ import annotations

import numpy as np
import pytest
from reward_engine.detectors.catalogue import BY_NAME, DETECTORS
from reward_engine.detectors.finding import AUDIT, SIGNAL

from tests.engine.detectors.runs import GROUP, GROUPS, N, Step, judged, noisy, solved, worst


def learning(step: int, rng: np.random.Generator) -> Step:
    """Everything is reported, and nothing is wrong."""
    share = 0.2 + 0.6 * (1 - np.exp(-step / 80))
    accuracy = solved(rng, share)
    audited = np.isin(GROUP, rng.choice(GROUPS, 4, replace=False))
    return Step(
        {"accuracy": accuracy, "style": noisy(rng, 0.5), "audit": np.where(rng.random(N) < 0.1, 1 - accuracy, accuracy)},
        lengths=rng.integers(40, 400, N),
        truncated=rng.random(N) < 0.02,
        columns={"duplicate": rng.random(N) < 0.02, "importance": rng.lognormal(0, 0.2, N)},
        scalars={
            "kl": 0.1 + rng.normal(0, 0.01),
            "entropy": 1.0 + rng.normal(0, 0.02),
            "eval_reward": share + 0.5 + rng.normal(0, 0.01),
        },
        not_scored={"audit": ~audited},
    )


def test_an_honest_training_is_learning_by_all_detectors() -> None:
    verdicts = judged(learning, 300)
    assert [v.state for v in verdicts[:3]] == ["too early"] * 3 and {v.state for v in verdicts[3:]} <= {"flat", "learning"}
    last = verdicts[-1]
    assert last.state == "learning" and last.judged == len(DETECTORS) == len(last.detections)
    assert last.sentence.startswith("Learning: reward +") and "`audit` +" in last.sentence
    assert {d.level for v in verdicts[3:] for d in v.detections} == {"quiet"}
    assert [(q.series, q.coverage) for q in last.quality] == [
        ("total", pytest.approx(0.9)),
        ("accuracy", pytest.approx(0.9)),
        ("style", pytest.approx(0.9)),
    ]
    assert all(0 <= q.low <= q.score <= q.high <= 100 for q in last.quality)


# What goes on, and from which step: (detector, level at least, function, what changes)
def _with(**changes) -> object:
    def make(step: int, rng: np.random.Generator) -> Step:
        told = learning(step, rng)
        for name, change in changes.items():
            setattr(told, name, change(step, rng, getattr(told, name), told))
        if told.not_scored["audit"].all():
            told.scalars.pop("eval_reward")
        return told

    return make


def unconfirmed(detector: str) -> dict:
    """For what an audit or an evaluation that rises would dismiss: neither is there."""
    if BY_NAME[detector].family in (SIGNAL, AUDIT):
        return {}
    return {"not_scored": lambda s, rng, now, told: {"audit": np.ones(N, bool)}}


def rewards(**functions) -> object:
    """The rewards with some functions changed from step 100 on."""

    def change(step: int, rng: np.random.Generator, now: dict, told: Step) -> dict:
        return now | (
            {name: of(step - 100, rng, now).astype(np.float32) for name, of in functions.items()} if step >= 100 else {}
        )

    return change


def column(name: str, of) -> object:
    return lambda step, rng, now, told: now | ({name: of(step - 100, rng)} if step >= 100 else {})


GONE_ON = {
    "signal integrity": [
        ("critical", "accuracy", {"missing": lambda s, rng, now, told: {"accuracy": rng.random(N) < 0.2 * (s >= 100)}}),
        ("critical", "style", {"rewards": rewards(style=lambda s, rng, now: np.where(rng.random(N) < 0.1, np.nan, now["style"]))}),
        ("warning", "style", {"rewards": rewards(style=lambda s, rng, now: np.where(np.arange(N) == 0, np.inf, now["style"]))}),
        ("critical", "style", {"rewards": rewards(style=lambda s, rng, now: 100 * now["style"])}),
        ("critical", "style", {"rewards": rewards(style=lambda s, rng, now: np.full(N, 0.37))}),
        ("critical", "accuracy", {"rewards": rewards(accuracy=lambda s, rng, now: np.zeros(N))}),
    ],
    "advantage collapse": [
        ("critical", "total", {"rewards": rewards(**{n: (lambda s, rng, now, n=n: now[n][GROUP * 8]) for n in ("accuracy", "style")})}),
    ],
    "off-policy": [("warning", "", {"columns": column("importance", lambda s, rng: rng.lognormal(0, 2, N))})],
    "trained-audit split": [
        ("warning", "audit", {"rewards": rewards(
            style=lambda s, rng, now: noisy(rng, min(0.5 + s / 100, 0.9)),
            audit=lambda s, rng, now: now["audit"] * (rng.random(N) > s / 100),
        )}),
        ("warning", "audit", {"rewards": rewards(audit=lambda s, rng, now: 1 - now["accuracy"])}),
        ("warning", "audit", {"rewards": rewards(audit=lambda s, rng, now: solved(rng, 0.6))}),
    ],
    "train-eval gap": [
        ("warning", "", {"scalars": column("eval_reward", lambda s, rng: 1.1 - 0.002 * s + rng.normal(0, 0.01))}),
    ],
    "component divergence": [
        ("warning", "accuracy", {"rewards": rewards(
            accuracy=lambda s, rng, now: solved(rng, max(0.6 - s / 200, 0.05)),
            style=lambda s, rng, now: noisy(rng, min(0.4 + s / 100, 0.95), 0.05),
        )}),
    ],
    "takeover": [
        ("info", "style", {"rewards": rewards(style=lambda s, rng, now: (rng.random(N) < 0.5) * 1.0, accuracy=lambda s, rng, now: np.ones(N) * (np.arange(N) > 3))}),
    ],
    "length exploitation": [
        ("warning", "total", {
            "lengths": lambda s, rng, now, told: (now * (1 + max(s - 100, 0) / 40)).astype(int),
            "rewards": lambda s, rng, now, told: {
                **now, "accuracy": noisy(rng, 0.5, 0.05), "style": np.clip(0.15 * np.log(told.lengths / 40), 0, 1).astype(np.float32)
            },
        }),
    ],
    "truncation": [("warning", "", {"truncated": lambda s, rng, now, told: rng.random(N) < (0.5 if s >= 100 else 0.02)})],
    "mode collapse": [("warning", "", {"columns": column("duplicate", lambda s, rng: rng.random(N) < 0.5)})],
    "saturation": [
        ("info", "style", {
            "rewards": rewards(style=lambda s, rng, now: np.ones(N) * (np.arange(N) > 3)),
            "scalars": column("entropy", lambda s, rng: 0.1),
        }),
    ],
    "over-optimisation": [
        ("info", "", {
            "rewards": lambda s, rng, now, told: now | {"accuracy": solved(rng, 0.5)},
            "scalars": column("kl", lambda s, rng: 0.1 + s / 50 + rng.normal(0, 0.01)),
        }),
    ],
    "sudden jump": [("info", "style", {"rewards": rewards(style=lambda s, rng, now: noisy(rng, 0.8))})],
    "new mode": [("info", "style", {"rewards": rewards(style=lambda s, rng, now: noisy(rng, 0.1, 0.05) + 0.8 * (rng.random(N) < 0.5))})],
}  # fmt: skip
CASES = [(name, *case) for name, cases in GONE_ON.items() for case in cases]
ORDER = ("quiet", "info", "warning", "critical")


def test_every_detector_is_tried() -> None:
    assert set(GONE_ON) == set(BY_NAME)


@pytest.mark.parametrize(("detector", "level", "function", "changes"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_what_goes_on_is_found_and_told(detector: str, level: str, function: str, changes: dict) -> None:
    found = worst(verdicts := judged(_with(**changes, **unconfirmed(detector)), 240), detector)
    assert found.level in ORDER[ORDER.index(level) :], [(v.step, v.state, v.sentence) for v in verdicts]
    assert found.series in (function, "total") and found.sentence.strip()
    assert 80 <= found.since_step <= 230
    assert np.isfinite(found.statistic) and found.recent_to > found.recent_from and found.groups > 0
    assert len(found.examples) == 3 and set(found.examples) <= set(range(GROUPS))
    bad = {v.state for v in verdicts} & {"suspicious", "hacking", "broken"}
    if BY_NAME[detector].family == SIGNAL:
        assert level != "critical" or "broken" in bad
    elif level != "info":
        assert bad


def bare(step: int, rng: np.random.Generator) -> Step:
    return Step({"accuracy": solved(rng, 0.3 + step / 1000)})


def test_what_is_lacking_is_said() -> None:
    verdict = judged(bare, 200)[-1]
    needs = {d.detector: d.needs for d in verdict.detections if d.level == "off"}
    assert needs == {
        "off-policy": "importance weights of completions",
        "trained-audit split": "an audit function",
        "train-eval gap": "the scalar eval_reward from the trainer",
        "component divergence": "two trained functions",
        "takeover": "two trained functions",
        "length exploitation": "lengths of completions",
        "truncation": "marks of truncated completions",
        "mode collapse": "the column duplicate",
        "saturation": "entropy from the trainer",
        "over-optimisation": "kl from the trainer",
    }
    assert verdict.judged == len(DETECTORS) - len(needs)
    assert verdict.sentence.startswith("Rising, unverified") and "one on 5% of the groups would" in verdict.sentence


def test_a_gate_keeps_symptoms_without_a_gain_from_being_warnings() -> None:
    """Truncation rises and the reward doesn't: nobody is paid for it."""

    def cut(step: int, rng: np.random.Generator) -> Step:
        return Step({"accuracy": solved(rng, 0.5)}, truncated=rng.random(N) < (0.5 if step >= 100 else 0.02))

    verdicts = judged(cut, 240)
    assert worst(verdicts, "truncation").level == "info" and {v.state for v in verdicts} == {"too early", "flat"}


@pytest.mark.parametrize(("over", "bad"), [(1, set()), (60, {"suspicious"})])
def test_a_drop_at_once_is_another_task_and_what_was_before_it_no_reference(over: int, bad: set[str]) -> None:
    """From step 100 the prompts are harder: accuracy falls at once and the total with it. Where it falls bit by bit, as another
    function rises, that is what cheating looks like."""

    def make(step: int, rng: np.random.Generator) -> Step:
        gone = min(max((step - 99) / over, 0), 1)
        return Step(
            {"accuracy": solved(rng, 0.7 - 0.4 * gone), "style": noisy(rng, 0.1 + 0.8 * min(max((step - 100) / 60, 0), 1))}
        )

    verdicts = judged(make, 240)
    assert {v.state for v in verdicts} & {"suspicious", "hacking"} == bad
    assert ("unverified" in {v.state for v in verdicts if v.step > 160}) == (over == 1)
