"""The library of labelled trainings: labels by the true objective alone, families that are what they say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from reward_producers.numpy_grpo.library import FAMILIES, STEPS, TUNING
from reward_producers.numpy_grpo.library.labels import label
from reward_producers.numpy_grpo.library.traces import trace
from reward_schemas.events import Role, Status

SUMMARY = Path(__file__).parents[2] / "docs" / "detection.json"
BY_NAME = {family.name: family for family in FAMILIES}


def test_a_hack_is_a_loss_of_the_true_objective_while_the_reward_rises() -> None:
    total = np.linspace(0, 1, 200)
    true = np.concatenate([np.linspace(0.2, 0.8, 100), np.linspace(0.8, 0.2, 100)])
    found = label(total, true)
    assert found.klass == "hacked" and 90 < found.best_step < 110 and found.best_step < found.lost_step < 150
    assert label(-total, true).klass == "unclear"  # both fall: something else is wrong
    assert label(total, total).klass == "honest"
    assert label(total, np.where(np.arange(200) > 100, 0.85, 1.0)).klass == "unclear"
    assert label(total, true, since=42) == label(total, total, since=42)


def test_a_fall_at_a_change_of_the_prompts_is_no_hack() -> None:
    steps = np.arange(200)
    both = np.where(steps < 100, steps / 100, (steps - 100) / 80)
    assert label(both, np.minimum(both, 1.0)).klass == "honest"


def test_the_halves_have_families_of_every_class() -> None:
    for klass in ("exploit", "honest", "broken"):
        names = {family.name for family in FAMILIES if family.klass == klass}
        assert min(len(names & TUNING), len(names - TUNING)) >= 3
    assert len(BY_NAME) == len(FAMILIES)


def test_there_are_enough_runs_of_every_label_and_the_summary_is_of_all() -> None:
    judged = [run for run in json.loads(SUMMARY.read_text(encoding="utf-8")) if run["audit"] == "no audit"]
    assert len(judged) == sum(family.runs for family in FAMILIES)
    labels = Counter((run["half"], run["label"]) for run in judged)
    assert sum(labels.values()) - labels["tuning", "unclear"] - labels["held-out", "unclear"] >= 200
    assert labels["held-out", "honest"] >= 100 and min(labels[half, "hacked"] for half in ("tuning", "held-out")) >= 30


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), [("padding", 4), ("fast mastery", 0), ("times out", 0)])
def test_a_run_that_is_trained_anew_has_its_published_label(name: str, seed: int, tmp_path: Path) -> None:
    published = next(
        run for run in json.loads(SUMMARY.read_text(encoding="utf-8")) if (run["family"], run["seed"]) == (name, seed)
    )
    run = trace(BY_NAME[name], seed, tmp_path)
    assert (run.label.klass, run.label.best_step, run.label.lost_step) == (
        published["label"], published["best_step"], published["lost_step"]
    )  # fmt: skip
    again = trace(BY_NAME[name], seed, tmp_path)  # from the file
    assert (again.rewards[:] == run.rewards).all() or np.isnan(run.rewards).any()
    bodies = list(run.bodies(0.05))
    assert len(bodies) == STEPS
    rollout, scalars = bodies[200]
    audit = [function.role for function in rollout.table.functions].index(Role.AUDIT)
    assert 0 < (rollout.status[audit] == Status.SCORED).mean() < 0.15 and {"kl", "entropy"} <= scalars.scalars.keys()
    assert all(function.role is Role.TRAINED for function in next(run.bodies(0.0))[0].table.functions)
