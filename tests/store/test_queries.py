"""The five queries, asked of two real trainings with the same rewards: one that finds the judge's blind spot, and an honest one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from reward_infra.local_stack import LocalStack
from reward_producers.numpy_grpo import ENVIRONMENTS, StepBatch, TrainConfig, train
from reward_schemas.encode import function_table
from reward_schemas.events import Event, Rollout, RunEvent, RunState, TrainerStep
from reward_store.client import Client
from reward_store.migrate import migrate
from reward_store.queries import FIVE_QUERIES

from tests.store.logs import T0_MS, event, records
from tests.store.running import FOR_EVER, databases, land

pytestmark = pytest.mark.timeout(60)

STEPS, PHASE = 150, 25
SEEDS = {"hacked": 0, "honest": 3}
TABLE = function_table(ENVIRONMENTS["judge_blind_spot"].functions)
LEARNING, SIGNAL, VARIANCE, COST, TRUST = FIVE_QUERIES


@cache
def training(run: str) -> list[StepBatch]:
    batches: list[StepBatch] = []
    train(TrainConfig(seed=SEEDS[run], steps=STEPS), on_step=batches.append)
    return batches


def log_of(run: str) -> list[Event]:
    events = [event(run, 0, 0, RunEvent(RunState.STARTED, "demo"), senders=1)]
    for batch in training(run):
        rewards = np.stack([batch.rewards[name] for name in TABLE.names])
        told = {"length": batch.lengths, "advantage": batch.advantages, "truncated": batch.truncated.astype(np.uint8)}
        for body in (
            Rollout(step=batch.step, table=TABLE, rewards=rewards, group=batch.groups, **told),
            TrainerStep(batch.step, {"kl": batch.kl, "entropy": batch.entropy}),
        ):
            events.append(event(run, 0, len(events), body, senders=1, at_ms=T0_MS + 1000 * batch.step))
    return [*events, event(run, 0, len(events), RunEvent(RunState.FINISHED), senders=1)]


@pytest.fixture(scope="module")
def trained(stack: LocalStack) -> Iterator[Client]:
    with databases(stack, "five_queries") as client:
        migrate(client, retention=FOR_EVER)
        for partition, run in enumerate(SEEDS):
            land(client, records(log_of(run), partition))
        yield client


def ask(client: Client, query) -> list[dict]:
    return client.query_arrow(query.sql.replace("rewards.", f"{client.settings.views}.")).to_pylist()


def phase(run: str, start: int) -> list[StepBatch]:
    return training(run)[start : start + PHASE]


def in_groups(values: np.ndarray) -> np.ndarray:
    """[groups, completions of each], as float64."""
    return values.astype(np.float64).reshape(-1, TrainConfig.group_size)


def test_learning_or_cheating(trained: Client) -> None:
    found = {(row["run_id"], row["function"]): row for row in ask(trained, LEARNING)}
    assert len(found) == 2 * 5
    gains = {key: row["gain"] for key, row in found.items()}
    assert all(abs(row["gain"]) > 5 * row["error"] > 0 for row in found.values())
    assert gains["hacked", "total"] > gains["honest", "total"] > 0.5  # the rewards alone praise the cheat
    assert gains["hacked", "true_quality"] < -0.1 and gains["honest", "true_quality"] > 0.3
    for (run, function), row in found.items():
        assert row["gain_elsewhere"] == gains["honest" if run == "hacked" else "hacked", function]
        ends = [np.mean([b.total if function == "total" else b.rewards[function] for b in part])
                for part in (training(run)[:20], training(run)[-20:])]  # fmt: skip
        assert [row["at_start"], row["at_end"]] == pytest.approx(ends, abs=6e-4)


def test_which_function_carries_the_advantage_signal(trained: Client) -> None:
    leading: dict[tuple[str, int], dict] = {}
    for row in ask(trained, SIGNAL):
        leading.setdefault((row["run_id"], row["from_step"]), row)
    late = [(leading[run, 100]["function"], leading[run, 100]["carries"], leading[run, 100]["goes_with_audit"]) for run in SEEDS]
    (hacked, its_share, its_audit), (honest, _, audit) = late
    assert (hacked, honest) == ("helpfulness", "accuracy")
    assert its_share > 0.9 and its_audit < -0.3 and audit > 0.8  # what is learnt from goes against what nobody optimises
    shares, products, squares = [], [], [[], []]
    for b in phase("hacked", 100):
        total, judge, quality = (
            groups - groups.mean(axis=1, keepdims=True)
            for groups in map(in_groups, (b.total, b.rewards["helpfulness"], b.rewards["true_quality"]))
        )
        shares.append(3.4 * (judge * total).sum() / (total * total).sum())
        products.append((judge * quality).sum())
        squares[0].append((judge * judge).sum())
        squares[1].append((quality * quality).sum())
    assert its_share == pytest.approx(np.mean(shares), abs=6e-3)
    assert its_audit == pytest.approx(sum(products) / np.sqrt(sum(squares[0]) * sum(squares[1])), abs=6e-3)


def test_when_groups_stopped_having_variance(trained: Client) -> None:
    found = {(row["run_id"], row["function"], row["from_step"]): row for row in ask(trained, VARIANCE)}
    assert {function for _, function, _ in found} == {"total", "accuracy", "format", "helpfulness"}
    for (run, function, start), row in found.items():
        assert row["of_groups"] == PHASE * TrainConfig.prompts_per_rank
        if function != "accuracy":
            continue
        groups = np.concatenate([in_groups(b.rewards["accuracy"]) for b in phase(run, start)])
        low, high = (groups == 0).all(axis=1).mean(), (groups == 1).all(axis=1).mean()
        assert [row["all_equal"], row["all_low"], row["all_high"]] == pytest.approx([low + high, low, high], abs=6e-4)
        p = np.array([b.rewards["accuracy"].mean() for b in phase(run, start)], np.float64)
        assert row["by_chance"] == pytest.approx((p**8 + (1 - p) ** 8).mean(), abs=6e-4)
        assert row["all_equal"] > row["by_chance"]  # prompts are not equally hard
    assert found["hacked", "accuracy", 125]["all_low"] > 0.5 and found["honest", "accuracy", 125]["all_high"] > 0.5
    assert found["hacked", "helpfulness", 0]["by_chance"] is None  # it isn't binary


def test_what_the_reward_costs(trained: Client) -> None:
    found = {(row["run_id"], row["from_step"]): row for row in ask(trained, COST)}
    assert len(found) == 2 * STEPS // PHASE
    for (run, start), row in found.items():
        steps = phase(run, start)
        means = [
            np.mean([np.mean(getattr(b, name)) for b in steps]) for name in ("total", "kl", "entropy", "lengths", "truncated")
        ]
        assert [row[name] for name in ("reward", "kl", "entropy", "length", "cut_off")] == pytest.approx(means, abs=6e-3)
    first, last = found["hacked", 0], found["hacked", 125]
    assert last["kl"] > 4 * first["kl"] and last["entropy"] < first["entropy"] / 3 and last["cut_off"] > 0.5
    assert last["reward_with_length"] > 0.2 > abs(found["honest", 125]["reward_with_length"])


def test_whether_the_numbers_can_be_trusted(trained: Client) -> None:
    found = {row["run_id"]: row for row in ask(trained, TRUST)}
    for run in SEEDS:
        assert [found[run][name] for name in ("state", "received", "missing", "duplicates", "late")] == ["finished", 302, 0, 0, 0]
        assert (found[run]["least_coverage"], found[run]["open_steps"]) == (1.0, 0)


def test_each_answers_at_once(trained: Client) -> None:
    assert len({query.title for query in FIVE_QUERIES}) == 5
    for query in FIVE_QUERIES:
        assert "ORDER BY" in query.sql and "LIMIT" in query.sql
        took, tries = 1.0, 0
        while took >= 0.2 and (tries := tries + 1) <= 50:  # the best of some: the machine has other things to do
            began = time.perf_counter()
            ask(trained, query)
            took = min(took, time.perf_counter() - began)
        assert took < 0.2, query.title


def test_of_nothing_and_of_one_run(client: Client) -> None:
    for query in FIVE_QUERIES:
        assert ask(client, query) == []
    land(client, records(log_of("honest")))
    assert {row["gain_elsewhere"] for row in ask(client, LEARNING)} == {None}
    for query in FIVE_QUERIES[1:]:
        assert {row["run_id"] for row in ask(client, query)} == {"honest"}
