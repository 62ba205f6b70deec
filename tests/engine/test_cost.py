"""What a run costs: bytes of its state, and work a message, neither of which grows with the length of the run."""

from __future__ import annotations

import numpy as np
import pytest
from reward_engine import sums
from reward_engine.bounds import PRODUCTS_MAX
from reward_engine.detectors.blocks import FIRST, LAST
from reward_engine.fold import Record, fold
from reward_engine.snapshot import encode
from reward_engine.state import STEP, TIME, Partition
from reward_schemas.encode import function_table
from reward_schemas.events import Event, Identity, RewardFunction, Rollout

from tests.engine.logs import T0

FUNCTIONS, COMPLETIONS = 8, 512
TABLE = function_table(tuple(RewardFunction(f"f{k}", lo=0.0, hi=1.0) for k in range(FUNCTIONS)))
GROUP = np.arange(COMPLETIONS, dtype=np.int32) // 8

# What a run of one message a step of 5 s may occupy in the state: a ring of 100 steps and of 30 slots of two steps each.
PANES = STEP.held + TIME.held
FIXED = (FUNCTIONS + 1) * len(sums.SUMS) * 8 + (FUNCTIONS + 1) ** 2 * 8  # sums and products of a pane
BLOCK = (FUNCTIONS + 1) * len(sums.SUMS) * 8 + 200  # sums of a block, without a sketch
ENTRY = 5  # of a value in a sketch: its key, and a byte for its count


def event(step: int, values: np.ndarray) -> Event:
    return Event(Identity("r", 1, 0, 7, step), T0 + 5_000 * step, 1, Rollout(step, TABLE, values.astype(np.float32), GROUP))


def after(steps: int, draw: object) -> Partition:
    state, rng = Partition(0), np.random.default_rng(0)
    for step in range(steps):
        fold(state, Record(step, T0 + 5_000 * step, event(step, draw(rng))))
    return state


def run_bytes(state: Partition) -> int:
    return len(list(encode(state))[1])


SHAPE = (FUNCTIONS, COMPLETIONS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "draw", "most"),
    [
        ("binary", lambda rng: rng.integers(0, 2, SHAPE), 675_000),
        ("real, 0 to 1", lambda rng: rng.random(SHAPE), 2_675_000),
        ("normal", lambda rng: rng.normal(size=SHAPE), 3_100_000),
        ("all over float32", lambda rng: rng.choice([-1, 1], SHAPE) * np.exp(rng.uniform(-80, 80, SHAPE)), 4_320_000),
    ],
)
def test_bytes_of_a_run_after_200_steps(name: str, draw: object, most: int) -> None:
    """8 functions x 512 completions; the bound counts every value of a pane as one that no other has."""
    size = run_bytes(after(200, draw))
    distinct = STEP.held * COMPLETIONS + TIME.held * 2 * COMPLETIONS
    bound = PANES * FIXED + (FUNCTIONS + 1) * distinct * ENTRY + (FIRST + LAST) * BLOCK + 20_000
    assert size <= most <= bound, (name, size, bound)


@pytest.mark.slow
def test_a_run_that_is_longer_occupies_no_more() -> None:
    lengths = 260, 500  # all blocks that are kept are there
    short, long = (run_bytes(after(steps, lambda rng: rng.random(SHAPE))) for steps in lengths)
    assert abs(long - short) < 0.01 * short


def test_a_message_costs_no_more_in_a_longer_run() -> None:
    """Counted in calls of Python and numpy functions: time would depend on what else the machine does."""
    import cProfile

    state, rng, calls = Partition(0), np.random.default_rng(0), []
    for step in range(520):
        record = Record(step, T0 + 5_000 * step, event(step, rng.random(SHAPE)))
        if step in (260, 261, 510, 511):  # with and without a slot of time that closes; all blocks that are kept are there
            profile = cProfile.Profile()
            profile.runcall(fold, state, record)
            calls.append(sum(entry.callcount for entry in profile.getstats()))
        else:
            fold(state, record)
    assert sum(calls[2:]) <= 1.02 * sum(calls[:2])


def test_products_are_bounded() -> None:
    many = function_table(tuple(RewardFunction(f"f{k}") for k in range(60)))
    state = Partition(0)
    body = Rollout(0, many, np.zeros((60, 4), np.float32), np.zeros(4, np.int32))
    fold(state, Record(0, T0, Event(Identity("r", 1, 0, 7, 0), T0, 2, body)))
    (pane,) = state.runs["r"].lane(STEP, "reward").open.values()
    assert pane.products.shape == (PRODUCTS_MAX, PRODUCTS_MAX)
