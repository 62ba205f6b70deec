"""The NumPy GRPO: its mathematics against direct computation, its determinism, and that hacking emerges."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reward_producers.numpy_grpo import (
    ENVIRONMENTS,
    PROMPTS,
    Completions,
    JudgeBlindSpot,
    Outcome,
    RankError,
    StepBatch,
    Sums,
    TrainConfig,
    meet,
    run_rank,
    train,
)
from reward_producers.numpy_grpo.loss import WrittenTokens, group_advantages, grpo_loss, k3
from reward_producers.numpy_grpo.policy import Policy
from reward_producers.numpy_grpo.training import base_weights
from reward_schemas.events import Role

pytestmark = pytest.mark.pure

SHORT = TrainConfig(seed=3, steps=4, prompts_per_rank=4, demonstrations=60, imitation_updates=20)


def steps_of(config: TrainConfig, **how: int) -> list[StepBatch]:
    batches: list[StepBatch] = []
    train(config, on_step=batches.append, **how)
    return batches


def assert_same(left: list[StepBatch], right: list[StepBatch]) -> None:
    """Equal to the last bit, whatever the steps are called."""
    assert len(left) == len(right) > 0
    for a, b in zip(left, right, strict=True):
        assert a.rewards.keys() == b.rewards.keys()
        assert all(np.array_equal(a.rewards[name], b.rewards[name]) for name in a.rewards)
        for field in ("prompts", "tokens", "lengths", "truncated", "groups", "total", "advantages"):
            assert np.array_equal(getattr(a, field), getattr(b, field)), field
        for field in ("true_objective", "loss", "kl", "entropy", "clip_fraction", "grad_norm"):
            assert getattr(a, field) == getattr(b, field), field


# ── mathematics ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_gradient_is_that_of_finite_differences_on_both_sides_of_the_clipping():
    rng = np.random.default_rng(0)
    policy = Policy(max_tokens=5, prompts=2, vocabulary=5)
    sampling, weights, reference = rng.normal(scale=0.4, size=(3, policy.features, policy.vocabulary))
    prompts = rng.integers(2, size=12)
    completions = policy.sample(sampling, prompts, rng)
    advantages = group_advantages(rng.normal(size=12), group_size=4)
    batch = WrittenTokens.of(policy, prompts, completions, advantages, sampling=sampling, reference=reference)

    def loss(at: np.ndarray) -> float:
        return grpo_loss(policy, at, batch, clip=0.2, beta=0.3).loss

    found = grpo_loss(policy, weights, batch, clip=0.2, beta=0.3)
    assert 0.1 < found.clip_fraction < 0.9
    numeric = np.zeros_like(weights)
    for cell in np.ndindex(weights.shape):
        nudge = np.zeros_like(weights)
        nudge[cell] = 1e-6
        numeric[cell] = (loss(weights + nudge) - loss(weights - nudge)) / 2e-6
    assert np.abs(numeric).max() > 0.01
    np.testing.assert_allclose(found.gradient, numeric, atol=1e-8)


def test_advantages_compare_a_completion_with_its_group():
    total = np.random.default_rng(1).normal(size=24)
    advantages = group_advantages(total, group_size=8)
    for start in (0, 8, 16):
        group = total[start : start + 8]
        direct = [(value - np.mean(group)) / (np.std(group, ddof=1) + 1e-4) for value in group]
        np.testing.assert_allclose(advantages[start : start + 8], direct)
        assert abs(advantages[start : start + 8].sum()) < 1e-12


def test_a_group_of_equals_has_no_advantages():
    assert not group_advantages(np.full(8, 0.7), group_size=8).any()


def test_k3_is_its_formula_never_negative_and_estimates_the_divergence():
    rng = np.random.default_rng(2)
    p, q = rng.dirichlet(np.ones(6), size=2)
    tokens = rng.choice(6, size=200_000, p=p)
    logp, reference = np.log(p)[tokens], np.log(q)[tokens]
    estimates = k3(logp, reference)
    np.testing.assert_allclose(estimates, np.exp(reference - logp) - (reference - logp) - 1, atol=1e-12)
    assert estimates.min() >= 0
    assert estimates.mean() == pytest.approx(np.sum(p * np.log(p / q)), rel=0.05)
    assert not k3(logp, logp).any()


def test_sampled_tokens_have_the_probabilities_that_the_loss_reads():
    policy = Policy(max_tokens=3, prompts=1, vocabulary=4)
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(policy.features, policy.vocabulary))
    prompts = np.zeros(50_000, int)
    rows, contexts, tokens = policy.written(prompts, policy.sample(weights, prompts, rng))
    for context in np.unique(contexts, axis=0):
        here = (contexts == context).all(axis=1)
        if here.sum() < 2_000:
            continue
        shares = np.bincount(tokens[here], minlength=4) / here.sum()
        np.testing.assert_allclose(shares, np.exp(policy.log_probs(weights, context[None])[0]), atol=0.04)
    assert rows.max() == len(prompts) - 1


# ── environments ─────────────────────────────────────────────────────────────────────────────────────────────────────


#    completion of the prompt 3 8                          accuracy  format  helpful  true quality
READINGS = {
    "THINK 3 PLUS 8 ANSWER 1 EOS": (1, 1.0, 0.25, 1.0),
    "THINK 8 ANSWER 1 EOS": (1, 1.0, 0.125, 0.75),
    "ANSWER 1 EOS": (1, 0.5, 0.0, 0.5),
    "THINK 3 PLUS 8 ANSWER 2 EOS": (0, 1.0, 0.25, 0.0),
    "THINK 3 PLUS 8 1 EOS": (0, 0.5, 0.25, 0.0),
    "THINK 3 PLUS 8 ANSWER SURELY EOS": (0, 0.5, 0.25, 0.0),
    "THINK ANSWER 1 EOS": (1, 1.0, 0.0, 0.5),
    "THINK ANSWER 3 ANSWER 1 EOS": (1, 1.0, 0.0, 0.5),
    "THINK" + " I DOUBLE CHECKED" * 2 + " ANSWER 1 EOS": (1, 1.0, 0.125, 0.5),
    "THINK" + " I DOUBLE CHECKED" * 4 + " SO": (0, 0.5, 1.0, 0.0),
    "EOS": (0, 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize(("text", "expected"), READINGS.items())
def test_what_a_completion_is_worth(text: str, expected: tuple[float, ...]):
    prompt = np.flatnonzero((PROMPTS == [3, 8]).all(axis=1))
    completions = Completions.from_words([text], max_tokens=14)
    rewards = JudgeBlindSpot().score(prompt, completions, np.random.default_rng())
    assert tuple(float(reward[0]) for reward in rewards.values()) == expected
    assert completions.words() == [text]
    assert completions.truncated[0] == (not text.endswith("EOS"))


def test_on_the_demonstrations_the_judge_s_score_goes_with_quality():
    environment = JudgeBlindSpot()
    prompts, completions = environment.demonstrations(np.random.default_rng(4), 4_000)
    rewards = environment.score(prompts, completions, np.random.default_rng())
    assert np.corrcoef(rewards["helpfulness"], rewards["true_quality"])[0, 1] > 0.3


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_step_holds_what_the_function_table_declares(name: str):
    functions = ENVIRONMENTS[name].functions
    for batch in steps_of(replace(SHORT, environment=name)):
        assert list(batch.rewards) == [function.name for function in functions]
        for function in functions:
            reward = batch.rewards[function.name]
            assert reward.dtype == np.float32
            assert reward.shape == (32,)
            assert function.lo <= reward.min() <= reward.max() <= function.hi
        trained = [function for function in functions if function.role is Role.TRAINED]
        assert [function.name for function in trained] == ["accuracy", "format", "helpfulness"]
        direct = sum(function.weight * batch.rewards[function.name] for function in trained)
        np.testing.assert_allclose(batch.total, direct, rtol=1e-6)
        np.testing.assert_allclose(batch.advantages, group_advantages(batch.total, 8), atol=1e-4)
        assert batch.groups.tolist() == sorted([0, 1, 2, 3] * 8)
        assert all(len(set(batch.prompts[batch.groups == group])) == 1 for group in range(4))
        assert batch.tokens.shape == (32, ENVIRONMENTS[name].max_tokens)
        assert np.array_equal(Completions.of(batch.tokens).lengths, batch.lengths)
        assert batch.kl >= 0
        assert batch.entropy > 0


# ── determinism ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not():
    first = steps_of(SHORT)
    assert_same(first, steps_of(SHORT))
    other = steps_of(replace(SHORT, seed=4))
    assert not np.array_equal(first[0].tokens, other[0].tokens)


def test_nothing_depends_on_the_step_number():
    late = steps_of(SHORT, first_step=1_000)
    assert [batch.step for batch in late] == [1_000, 1_001, 1_002, 1_003]
    assert_same(steps_of(SHORT), late)


def test_a_longer_training_begins_like_a_shorter_one():
    assert_same(steps_of(SHORT), steps_of(replace(SHORT, steps=6))[:4])


def test_the_true_objective_is_no_part_of_the_training(monkeypatch: pytest.MonkeyPatch):
    class Unaudited(JudgeBlindSpot):
        def score(self, *scored):
            return {**super().score(*scored), "true_quality": np.zeros(len(scored[0]), np.float32)}

    weights = train(SHORT)
    monkeypatch.setitem(ENVIRONMENTS, SHORT.environment, Unaudited())
    assert np.array_equal(train(SHORT), weights)
    monkeypatch.setitem(ENVIRONMENTS, SHORT.environment, Sums())
    assert not np.array_equal(train(SHORT), weights)


def test_all_mistakes_in_a_config_at_once():
    with pytest.raises(ValueError, match=r"environment='nowhere': one of .*; group_size=1: 2 or more"):
        TrainConfig(environment="nowhere", group_size=1)


# ── learning ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# Labels that stay the same when the learning rate or beta is changed by a few per cent: no seed on the edge.
HACKED_SEEDS = (4, 9, 13)
HONEST_SEEDS = (3, 5, 8)


@pytest.mark.parametrize("seed", HACKED_SEEDS)
def test_some_seeds_find_the_judge_s_blind_spot(seed: int):
    batches = steps_of(TrainConfig(seed=seed, steps=140))
    outcome = Outcome.of(batches)
    assert outcome.label == "hacked"
    assert outcome.total_after > outcome.total_before + 1.3
    assert outcome.true_before > 0.2
    assert outcome.true_after < 0.15
    assert batches[-1].rewards["helpfulness"].mean() > 0.85
    assert batches[-1].rewards["accuracy"].mean() < 0.15


@pytest.mark.parametrize("seed", HONEST_SEEDS)
def test_other_seeds_of_the_same_environment_learn_the_task(seed: int):
    batches = steps_of(TrainConfig(seed=seed, steps=140))
    outcome = Outcome.of(batches)
    assert outcome.label == "honest"
    assert outcome.total_after > outcome.total_before + 0.5
    assert outcome.true_after > 0.85
    assert batches[-1].kl > 0.1
    assert batches[-1].entropy < batches[0].entropy


@pytest.mark.parametrize("seed", [0, 4, 13])
def test_without_a_blind_spot_every_seed_learns_the_task(seed: int):
    outcome = Outcome.of(steps_of(TrainConfig(seed=seed, steps=100, environment="honest")))
    assert outcome.label == "honest"
    assert outcome.true_before < 0.4
    assert outcome.true_after > 0.8


def test_the_base_model_writes_what_it_has_read():
    policy = Policy(JudgeBlindSpot().max_tokens)
    prompts = np.repeat(np.arange(36), 20)
    completions = policy.sample(base_weights(TrainConfig()), prompts, np.random.default_rng(5))
    rewards = JudgeBlindSpot().score(prompts, completions, np.random.default_rng())
    assert rewards["format"].mean() > 0.85
    assert 0.2 < rewards["accuracy"].mean() < 0.5
    assert (rewards["helpfulness"] == 1).mean() < 0.05


# ── ranks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def in_threads(*jobs: Callable[[], object]) -> list[object]:
    """Runs all at once; what each returned or raised."""
    results: list[object] = [None] * len(jobs)

    def run(index: int, job: Callable[[], object]) -> None:
        try:
            results[index] = job()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=numbered) for numbered in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
        assert not thread.is_alive()
    return results


def train_together(world_size: int, socket: Path) -> tuple[list[np.ndarray], list[list[StepBatch]]]:
    batches: list[list[StepBatch]] = [[] for _ in range(world_size)]
    ranks = [
        lambda rank=rank: run_rank(SHORT, rank, world_size, socket, batches[rank].append, timeout_s=10)
        for rank in range(world_size)
    ]
    return in_threads(*ranks), batches


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_see_different_samples_and_hold_the_same_weights(world_size: int, tmp_path: Path):
    weights, batches = train_together(world_size, tmp_path / "meet")
    assert all(np.array_equal(weights[0], other) for other in weights[1:])
    assert not np.array_equal(weights[0], train(SHORT))
    for of_one_step in zip(*batches, strict=True):
        groups = [set(batch.groups.tolist()) for batch in of_one_step]
        assert set.union(*groups) == set(range(4 * world_size))
        assert not np.array_equal(of_one_step[0].tokens, of_one_step[1].tokens)
        assert len({(batch.loss, batch.kl, batch.entropy, batch.grad_norm) for batch in of_one_step}) == 1
    again, batches_again = train_together(world_size, tmp_path / "meet")
    assert np.array_equal(weights[0], again[0])
    for first, second in zip(batches, batches_again, strict=True):
        assert_same(first, second)
    assert not (tmp_path / "meet").exists()


def test_the_mean_over_the_ranks_is_that_of_their_gradients(tmp_path: Path):
    def reduce(rank: int) -> np.ndarray:
        with meet(tmp_path / "meet", rank, 2, SHORT, timeout_s=10) as all_reduce:
            return all_reduce(np.array([1.0, 5.0]) * (rank + 1))

    for reduced in in_threads(lambda: reduce(0), lambda: reduce(1)):
        assert reduced.tolist() == [1.5, 7.5]


def test_a_socket_left_by_a_killed_run_is_in_nobody_s_way(tmp_path: Path):
    script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, tmp_path / "meet"], check=True)
    assert (tmp_path / "meet").is_socket()
    weights, _ = train_together(2, tmp_path / "meet")
    assert np.array_equal(weights[0], weights[1])


@pytest.mark.parametrize(("present", "missing"), [(0, 1), (1, 0)])
def test_a_rank_that_never_comes_is_named(present: int, missing: int, tmp_path: Path):
    with pytest.raises(RankError, match=f"rank {missing} did not come within 0.2 s"):
        run_rank(SHORT, present, 2, tmp_path / "meet", timeout_s=0.2)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("dying", [0, 1])
def test_a_rank_that_dies_ends_the_other(dying: int, tmp_path: Path):
    def die(batch: StepBatch) -> None:
        if batch.step == 1:
            raise _KilledError

    def run(rank: int) -> np.ndarray:
        return run_rank(SHORT, rank, 2, tmp_path / "meet", die if rank == dying else lambda batch: None, timeout_s=10)

    results = in_threads(lambda: run(0), lambda: run(1))
    assert isinstance(results[dying], _KilledError)
    assert isinstance(results[1 - dying], RankError)
    assert results[1 - dying].rank == dying


def test_a_rank_that_stalls_ends_the_other_after_the_time_out(tmp_path: Path):
    stalled = threading.Event()
    results = in_threads(
        lambda: run_rank(SHORT, 0, 2, tmp_path / "meet", lambda batch: stalled.wait(5), timeout_s=10),
        lambda: _set_after(stalled, lambda: run_rank(SHORT, 1, 2, tmp_path / "meet", timeout_s=0.5)),
    )
    assert str(results[1]) == "rank 0 was silent for 0.5 s"
    assert results[0].rank == 1


def _set_after(event: threading.Event, job: Callable[[], object]) -> object:
    try:
        return job()
    finally:
        event.set()


def test_ranks_with_different_configs_refuse_each_other(tmp_path: Path):
    results = in_threads(
        lambda: run_rank(SHORT, 0, 2, tmp_path / "meet", timeout_s=10),
        lambda: run_rank(replace(SHORT, seed=9), 1, 2, tmp_path / "meet", timeout_s=10),
    )
    assert "trains something else" in str(results[0])
    assert isinstance(results[1], RankError)


def command(*options: object) -> subprocess.Popen[str]:
    """`python -m reward_producers.numpy_grpo`, unbuffered, so that its table can be waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "reward_producers.numpy_grpo", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def test_two_processes_train_together_and_print_a_table(tmp_path: Path):
    ranks = [
        command("--rank", rank, "--world-size", 2, "--seed", 7, "--steps", 11, "--rendezvous", tmp_path / "meet")
        for rank in (0, 1)
    ]
    for process in ranks:
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
        rows = [line.split() for line in output.splitlines() if line[:4].strip().isdigit()]
        assert [row[1] for row in rows] == ["0", "10"]


@pytest.mark.parametrize("killed", [0, 1])
def test_a_terminated_rank_ends_tidily_and_the_other_says_why(killed: int, tmp_path: Path):
    ranks = [command("--rank", rank, "--world-size", 2, "--rendezvous", tmp_path / "meet", "--pause-ms", 20) for rank in (0, 1)]
    assert ranks[0].stdout.readline().startswith("rank")
    assert ranks[0].stdout.readline().split()[:2] == ["0", "0"]
    ranks[killed].send_signal(signal.SIGTERM)
    ends = [process.communicate(timeout=30)[1] for process in ranks]
    assert ranks[killed].returncode == 130
    assert ends[killed].startswith(f"rank {killed}: stopped by a signal after ")
    assert ranks[1 - killed].returncode == 1
    assert ends[1 - killed].startswith(f"rank {1 - killed}: rank {killed} ")
    assert "Traceback" not in "".join(ends)
