"""The verdict: steady, the same from any snapshot, silent on any input, and bounded in what it keeps."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from reward_engine.detectors.blocks import FIRST, LAST, SERIES_MAX, planned_steps, steps_of_a_block
from reward_engine.fold import fold
from reward_engine.snapshot import decode, encode, joined
from reward_engine.state import Partition
from reward_engine.verdict import STATES

from tests.engine.detectors.runs import GROUP, N, Step, judged, log_of, noisy, solved, verdicts_of, worst
from tests.engine.logs import Log, Trainer


def rising(step: int, rng: np.random.Generator) -> Step:
    return Step({"accuracy": solved(rng, min(0.2 + step / 200, 0.9)), "style": noisy(rng, 0.5)})


def flat(step: int, rng: np.random.Generator) -> Step:
    return Step({"accuracy": solved(rng, 0.5), "style": noisy(rng, 0.5)})


def falling(step: int, rng: np.random.Generator) -> Step:
    return Step({"accuracy": solved(rng, max(0.8 - step / 200, 0.1)), "style": noisy(rng, 0.5)})


@pytest.mark.parametrize(("make", "state"), [(rising, "unverified"), (flat, "flat"), (falling, "falling")])
def test_the_way_of_the_reward(make: object, state: str) -> None:
    verdicts = judged(make, 160)
    assert verdicts[-1].state == state and {v.state for v in verdicts} <= {"too early", "flat", state}
    assert verdicts[2].sentence == "Too early: 30 of 40 steps."


def test_a_short_run_is_judged_more_often_and_a_long_one_every_ten_steps() -> None:
    assert [v.step for v in judged(flat, 16, planned=160)] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert [v.step for v in judged(flat, 36, planned=10_000)] == [9, 19, 29, 35]  # the end is judged as it is
    assert [v.step for v in judged(flat, 33, planned=None)] == [9, 19, 29]  # of less than half a block nothing is said


@pytest.mark.parametrize(
    ("config", "steps"),
    [('{"max_steps": 500}', 500), ('{"planned_steps": 7, "steps": 9}', 7), ("[1]", 0), ("not JSON", 0), ("", 0),
     ('{"steps": "many"}', 0), ('{"steps": -1}', 0), ('{"steps": 1e300}', 0), ('{"num_steps": true}', 0)],
)  # fmt: skip
def test_what_is_planned_is_read_from_the_configuration(config: str, steps: int) -> None:
    assert planned_steps(config) == steps
    assert 2 <= steps_of_a_block(steps) <= 10


def test_the_same_from_any_snapshot_and_in_any_process() -> None:
    log = log_of(rising, 120)
    whole = verdicts_of(log)
    state, halves = Partition(0), []
    for record in log.records:
        if record.offset % 37 == 0:
            state = decode(joined(encode(state)))
        halves += [result.verdict for result in fold(state, record) if result.HasField("verdict")]
    assert [v.SerializeToString(deterministic=True) for v in halves] == [v.SerializeToString(deterministic=True) for v in whole]


def test_a_verdict_that_wavers_does_not_flicker() -> None:
    """Truncation goes up and down at the edge of what is a warning: one episode, not ten."""

    def wavering(step: int, rng: np.random.Generator) -> Step:
        cut = 0.0 if step < 60 else 0.9 if step // 10 % 4 else 0.3
        return Step({"accuracy": solved(rng, min(0.2 + step / 300, 0.9))}, truncated=rng.random(N) < cut)

    states = [v.state for v in judged(wavering, 240)]
    changes = sum(now != before for before, now in pairwise(states))
    assert "suspicious" in states and changes <= 4, states


def test_since_when_stays_while_the_state_does() -> None:
    verdicts = judged(rising, 200)
    since = {v.since_step for v in verdicts if v.state == "unverified"}
    assert len(since) == 1 and verdicts[0].step < since.pop() < 100


def test_a_resumed_run_goes_on_from_its_checkpoint() -> None:
    """
    attempt 1   0 ............ 99
    attempt 2          50 ............. 149      blocks of 50 to 99 are judged anew
    """
    rng, log, one, two = np.random.default_rng(0), Log(), Trainer(), Trainer(attempt=2, session=8)
    for trainer, steps, at in ((one, range(100), 0), (two, range(50, 150), 1_000_000)):
        for step in steps:
            values = [solved(rng, min(0.2 + step / 200, 0.9)), noisy(rng, 0.5)]
            log.append(trainer.rollout(step, at + 5_000 * step, values, group=GROUP))
    verdicts = verdicts_of(log)
    assert [(v.attempt, v.step) for v in verdicts] == [
        *((1, step) for step in range(9, 99, 10)), *((2, step) for step in range(59, 149, 10))
    ]  # fmt: skip
    assert verdicts[-1].state == "unverified"


def nothing(step: int, rng: np.random.Generator) -> Step:
    return Step({"accuracy": np.full(N, np.nan)}, missing={"accuracy": np.ones(N, bool)})


BAD_INPUT = {
    "constant": lambda s, rng: Step({"accuracy": np.full(N, 0.5)}),
    "constant at the upper end": lambda s, rng: Step({"accuracy": np.ones(N)}),
    "one group": lambda s, rng: Step({"accuracy": rng.random(8)}),
    "groups of one": lambda s, rng: Step({"accuracy": rng.random(1)}),
    "all missing": nothing,
    "NaN": lambda s, rng: Step({"accuracy": np.full(N, np.nan)}),
    "infinite": lambda s, rng: Step({"accuracy": np.where(np.arange(N) % 2, np.inf, -np.inf)}),
    "float32's largest": lambda s, rng: Step({"accuracy": rng.choice([-3.4e38, 3.4e38], N)}),
    "functions come and go": lambda s, rng: Step({f"f{s // 7 % 5}": rng.random(N), "accuracy": solved(rng, 0.5)}),
    "an audit alone": lambda s, rng: Step({"audit": rng.random(N)}),
    "an audit that scores nothing": lambda s, rng: Step(
        {"accuracy": rng.random(N), "audit": np.zeros(N)}, not_scored={"audit": np.ones(N, bool)}
    ),
    "lengths of nothing": lambda s, rng: Step({"accuracy": rng.random(N)}, lengths=np.zeros(N)),
    "scalars that are no numbers": lambda s, rng: Step({"accuracy": rng.random(N)}, scalars={"kl": np.nan, "entropy": np.inf}),
    "scalars that come and go": lambda s, rng: Step(
        {"accuracy": rng.random(N)}, scalars={"kl": 1e300} if s // 10 % 2 else {"entropy": 0.0, "eval_reward": -1e300}
    ),
}


@pytest.mark.parametrize("kind", BAD_INPUT)
def test_bad_input_has_an_answer_and_no_warning(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdicts = judged(BAD_INPUT[kind], 120)
    assert len(verdicts) == 12 and all(v.state in STATES and v.sentence.endswith(".") for v in verdicts)
    for verdict in verdicts:
        assert "nan" not in verdict.sentence.lower() and "inf " not in verdict.sentence
        assert all(d.needs or d.level in ("quiet", "info", "warning", "critical") for d in verdict.detections)


def test_missing_and_broken_rewards_are_broken() -> None:
    for kind in ("all missing", "NaN", "infinite"):
        last = judged(BAD_INPUT[kind], 80)[-1]
        assert last.state == "broken" and "100% of `accuracy`" in last.sentence, (kind, last.sentence)


def test_three_steps_are_too_few_and_say_so() -> None:
    verdicts = judged(flat, 3, planned=160)
    assert verdicts[-1].state == "too early" and verdicts[-1].sentence == "Too early: 3 of 8 steps."
    assert worst(verdicts, "takeover").needs == "8 steps"


def test_what_is_kept_is_bounded_in_steps_and_series() -> None:
    def many(step: int, rng: np.random.Generator) -> Step:
        return Step({f"f{k}": rng.random(4) for k in range(100)})

    state = Partition(0)
    verdicts = verdicts_of(log_of(many, 320, planned=160, finish=False), state)
    watch = state.runs["r"].watch
    assert watch.number == 160 - 1 and (len(watch.first), len(watch.last)) == (FIRST, LAST)
    assert {len(block.tables["reward"]) for block in watch.blocks} == {SERIES_MAX}
    assert watch.shift.table.shape[1] == SERIES_MAX and len(verdicts[-1].quality) == SERIES_MAX


def test_lost_and_finished_runs_are_judged_to_their_end() -> None:
    log = log_of(rising, 57)
    assert [v.step for v in verdicts_of(log)][-2:] == [49, 56]
    lost = log_of(rising, 57, finish=False).ticks(285_000, 900_000)
    assert [v.step for v in verdicts_of(lost)][-2:] == [49, 56]
