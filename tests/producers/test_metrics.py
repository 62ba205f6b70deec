"""The measures as a trainer reads them: as a mapping, as a table, as flat names, and in another process."""

from __future__ import annotations

import doctest
import pickle

import numpy as np
import pytest
from reward_engine.measures import BY_NAME
from reward_producers import metrics_tracker
from reward_producers.metrics import Measures, StepMetrics
from reward_producers.metrics_tracker import RewardMetricsTracker

from tests.producers.batches import tracked


def test_the_docstrings_example() -> None:
    found = doctest.testmod(metrics_tracker)
    assert found.attempted and not found.failed


def shown() -> StepMetrics:
    tracker = RewardMetricsTracker(
        {"accuracy": 1.0, "a_name_that_is_too_long_for_its_column_of_the_table": 0.2, "judge": 1.0}, audit=["judge"]
    )
    for step in range(2):
        metrics = tracker.track_step(
            step,
            {
                "accuracy": [0, 1, 1, step],
                "a_name_that_is_too_long_for_its_column_of_the_table": [0.123456, None, float("nan"), 1e9],
                "judge": None,
            },
            kl_divergence=0.0512345,
            policy_entropy=1.25,
            groups=[0, 0, 1, 1],
            lengths=[100, 200, 300, 400],
        )
    return metrics


def test_it_prints_as_a_table() -> None:
    assert str(shown()) == repr(shown())
    assert str(shown()).splitlines() == [
        "step 1: 4 completions in 2 groups, kl 0.05123, entropy 1.25",
        "                                                    zero-var.  variance  100 steps",
        "                   mean        std      min    max     groups  contrib.       mean",
        "total         6.667e+07  1.155e+08  0.02469  2e+08          0         1  6.667e+07",
        "accuracy           0.75        0.5        0      1        0.5     1.025      0.625",
        "a_name…table      5e+08  7.071e+08   0.1235  1e+09                    0      5e+08",
        "judge                                                             audit",
        "",
        "length              250      129.1      100    400                             250",
        "a_name_that_is_too_long_for_its_column_of_the_table: 1 missing, 1 not finite",
    ]
    assert str(RewardMetricsTracker(["f"], 1).track_step(3, {"f": [None]})).splitlines() == [
        "step 3: 1 completion",
        "total",
        "f",
        "f: 1 missing",
    ]


def test_lines_fit_a_terminal_and_hold_no_escapes() -> None:
    tracker = RewardMetricsTracker([f"{'long' * 20}{i}" for i in range(3)] + ["\x1b[2J\n", "报酬"])
    names = [f.name for f in tracker._functions]
    for scale, width in ((1.0, 80), (1e-9, 96), (-1e30, 96)):
        rewards = {name: scale * np.random.default_rng(i).normal(size=8) for i, name in enumerate(names)}
        more = {f"scalar_number_{i}": -scale for i in range(20)}
        metrics = tracker.track_step(0, rewards, groups=[0, 0, 0, 0, 1, 1, 1, 1], **more)
        for text in (str(metrics), str(metrics.window), repr(metrics[names[0]])):
            lines = [line for line in text.splitlines() if not line.startswith("long")]  # a name alone may be longer
            assert "\x1b" not in text and max(map(len, lines)) <= width, text


def test_it_reads_as_a_mapping() -> None:
    metrics = tracked(range(2))[-1]
    assert list(metrics) == ["total", "accuracy", "format", "judge"] and "accuracy" in metrics and len(metrics) == 4
    assert metrics.get("nothing") is None
    with pytest.raises(KeyError, match="nothing"):
        metrics["nothing"]
    m = metrics["accuracy"]
    assert set(m) == set(BY_NAME) and len(m) == len(BY_NAME)
    assert m["mean"] == m.mean == dict(m)["mean"] and type(m.mean) is float and type(m.count) is int
    assert {"mean", "p95"} <= set(dir(m))
    with pytest.raises(KeyError, match="avg"):
        m["avg"]
    with pytest.raises(AttributeError, match="'avg' is no measure; there are count, missing"):
        m.avg  # noqa: B018 - read for its error
    assert not set(BY_NAME) & set(dir(Measures)), "a measure that its own attribute hides"


def test_flat_names_for_loggers() -> None:
    metrics = tracked(range(2))[-1]
    flat = metrics.as_dict()
    assert flat["reward/accuracy/mean"] == metrics["accuracy"].mean
    assert flat["reward/total/std"] == metrics.total.std
    assert flat["completion/length/max"] == metrics.lengths.max
    assert flat["trainer/kl"] == metrics.kl_divergence
    assert all(type(value) in (int, float) and np.isfinite(value) for value in flat.values())
    assert "reward/judge/variance_contribution" not in flat  # unknown: a gap
    window = metrics.window.as_dict(["mean", "std"])
    assert window["reward_window/accuracy/mean"] == metrics.window["accuracy"].mean
    assert sorted({name.split("/")[0] for name in window}) == ["completion_window", "reward_window", "trainer_window"]
    assert {name.split("/")[-1] for name in window if not name.startswith("trainer")} == {"mean", "std"}
    assert not flat.keys() & window.keys()


def test_measures_travel_between_processes() -> None:
    metrics = tracked(range(2))[-1]
    other = pickle.loads(pickle.dumps(metrics))
    assert (other.as_dict(), other.window.as_dict(), str(other)) == (metrics.as_dict(), metrics.window.as_dict(), str(metrics))
    assert dict(pickle.loads(pickle.dumps(metrics["accuracy"]))) == dict(metrics["accuracy"])


def test_measures_stay_as_they_were_returned() -> None:
    tracker = RewardMetricsTracker(["f"])
    first = tracker.track_step(0, {"f": [1.0, 2.0]})
    tracker.track_step(0, {"f": [9.0]})
    assert (first["f"].max, first.window["f"].max) == (2.0, 2.0)
