"""What the tracker is given: of any make, counted where it says nothing, refused with field and reason where it doesn't fit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from reward_producers.errors import RewardInputError
from reward_producers.metrics_tracker import RewardMetricsTracker
from reward_schemas.events import RewardFunction, Role

from tests.producers.batches import state_of
from tests.producers.test_reporter import Tensor


class Series:
    """What the tracker may ask of a pandas series. Of a nullable type numpy makes NaN of NA, unless it makes objects."""

    def __init__(self, values: list, dtype: str) -> None:
        self.values, self.dtype = values, Nullable(dtype[1:]) if dtype[0] == "?" else np.dtype(dtype)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if isinstance(self.dtype, Nullable) and dtype is None:
            return np.array([np.nan if isinstance(value, NAType) else value for value in self.values])
        return np.array(self.values, dtype or self.dtype)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:  # names the test, which must be the same in every worker
        return f"Series({self.values}, {self.dtype})"


class Nullable:
    """pandas' extension dtypes"""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __repr__(self) -> str:
        return self.kind


class NAType:
    """pandas.NA"""

    def __repr__(self) -> str:
        return "NA"


@pytest.mark.parametrize(
    "given",
    [
        [0.5, 2, -3],
        (0.5, 2.0, np.float64(-3)),
        np.array([0.5, 2, -3]),
        np.array([0.5, 2, -3], np.float16),
        np.array([0.5, 2, -3], object),
        np.array([-3, 9, 2, 9, 0.5])[::-2],
        Tensor([0.5, 2, -3], "bfloat16"),
        Tensor([0.5, 2, -3], "float32"),
        Series([0.5, 2, -3], "f8"),
        Series([0.5, 2, -3], "O"),
        Series([0.5, 2, -3], "?f"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_vectors_of_any_make(given: Any) -> None:
    tracker = RewardMetricsTracker(["f"])
    metrics = tracker.track_step(np.int64(3), {"f": given}, advantages=given, columns={"x": given})
    for m in (metrics["f"], metrics.total, metrics.advantages, metrics.columns["x"]):
        assert (m.count, m.mean, m.min, m.max) == (3, pytest.approx(-1 / 6), -3, 2)


def test_groups_of_any_make_are_the_same_groups() -> None:
    rewards = {"f": [1.0, 2.0, 5.0, 9.0]}
    made = [
        RewardMetricsTracker(["f"]).track_step(0, rewards, groups=groups)
        for groups in (
            [0, 0, 1, 1],
            np.array([7.0, 7.0, -2.0, -2.0]),
            Tensor([5, 5, 6, 6], "int64"),
            ["a", "a", "b", "b"],
            np.array(["a", "a", "b", "b"]),
            Series(["a", "a", "b", "b"], "O"),
            Series(["a", "a", "b", "b"], "?O"),
            Series([1, 1, 2, 2], "i8"),
            Series([1, 1, 2, 2], "?i"),
        )
    ]
    for metrics in made:
        assert (metrics["f"].groups, metrics["f"].within_variance) == (2, 4.25)
        assert dict(metrics["f"]) == dict(made[0]["f"])


def test_without_groups_what_compares_within_them_is_unknown() -> None:
    metrics = RewardMetricsTracker(["f", "g"]).track_step(0, {"f": [1.0, 2.0, 3.0], "g": [0, 0, 0]})
    m = metrics["f"]
    assert (m.zero_variance_groups, m.variance_contribution, m.within_variance, m.intraclass_correlation) == (None,) * 4
    assert m.standard_error == pytest.approx(1 / np.sqrt(3))
    alone = RewardMetricsTracker(["f", "g"]).track_step(0, {"f": [1.0, 2.0, 3.0], "g": [0, 0, 0]}, groups=[0, 1, 2])
    assert dict(alone["f"]) == dict(m)  # groups of one: the same


@pytest.mark.parametrize(
    ("rewards", "counted"),
    [
        ([1.0, None, 3.0], {"count": 2, "missing": 1, "non_finite": 0, "mean": 2.0}),
        ([None, None], {"count": 0, "missing": 2, "mean": None, "std": None, "min": None}),
        (np.array([1.0, None], object), {"count": 1, "missing": 1}),
        (Series([1.0, NAType()], "O"), {"count": 1, "missing": 1}),
        (Series([1.0, NAType(), float("nan")], "?f"), {"count": 1, "missing": 1, "non_finite": 1}),
        ([1.0, float("nan"), 3.0], {"count": 2, "missing": 0, "non_finite": 1, "mean": 2.0, "std": pytest.approx(2**0.5)}),
        ([float("inf"), -float("inf")], {"count": 0, "non_finite": 2, "mean": None, "max": None}),
        ([1e300, 1.0], {"count": 1, "non_finite": 1, "max": 1.0}),  # rewards are float32
        ([2**70, 0], {"count": 2, "max": 2.0**70}),
        ([True, False, True], {"count": 3, "mean": pytest.approx(2 / 3)}),
        ([0.25], {"count": 1, "mean": 0.25, "std": None, "variance": None, "min": 0.25}),
        ([-0.0, 0.0], {"zero_share": 1.0, "mean": 0.0}),
    ],
    ids=str,
)
def test_what_is_counted(rewards: Any, counted: dict) -> None:
    metrics = RewardMetricsTracker(["f"]).track_step(0, {"f": rewards})
    assert {name: metrics["f"][name] for name in counted} == counted


def test_what_is_unknown_is_none() -> None:
    metrics = RewardMetricsTracker({"f": 1.0}, audit=["f"]).track_step(0, {"f": None}, groups=["p"])
    assert (metrics["f"].count, metrics["f"].not_scored, metrics["f"].mean, metrics.total.mean) == (0, 1, None, None)
    assert (metrics.kl_divergence, metrics.policy_entropy, metrics.window.kl_divergence, metrics.scalars) == (
        None,
        None,
        None,
        {},
    )
    assert (metrics.advantages.mean, metrics.advantages.count, metrics.columns) == (None, 0, {})
    scalars = RewardMetricsTracker(["f"]).track_step(0, {"f": [1]}, kl_divergence=float("inf"), loss=None).scalars
    assert scalars == {"kl": None}


GOOD: dict[str, Any] = {"step": 7, "rewards_by_function": {"a": [1, 2], "b": [3, 4]}}
BAD = {
    "lengths that differ": ({"rewards_by_function": {"a": [1, 2], "b": [3]}}, "rewards['b']", "1 values, 2 are needed: one a"),
    "too few for the groups": ({"groups": [0, 0, 1]}, "rewards['a']", "2 values, 3 are needed: one a completion"),
    "unknown function": (
        {"rewards_by_function": {"a": [1], "b": [1], "c": [1]}},
        "rewards",
        "unknown function 'c'; the run declared a, b",
    ),
    "the total": ({"rewards_by_function": {"a": [1], "b": [1], "total": [1]}}, "rewards", "unknown function 'total'"),
    "lacking function": ({"rewards_by_function": {"a": [1, 2]}}, "rewards", "'b' is lacking; give None for a completion"),
    "None for a function": ({"rewards_by_function": {"a": [1], "b": None}}, "rewards", "'b' is lacking"),
    "no function": ({"rewards_by_function": {}}, "groups", "no completions"),
    "no mapping": (
        {"rewards_by_function": [[1, 2], [3, 4]]},
        "rewards",
        "list, a mapping of function names to numbers is needed",
    ),
    "None": ({"rewards_by_function": None}, "rewards", "NoneType, a mapping"),
    "empty lists": ({"rewards_by_function": {"a": [], "b": []}}, "groups", "no completions"),
    "empty groups": ({"rewards_by_function": {"a": [], "b": []}, "groups": []}, "groups", "no completions"),
    "texts": ({"rewards_by_function": {"a": ["1", "2"], "b": [3, 4]}}, "rewards['a']", "not numbers: values of type <U1"),
    "a text": ({"rewards_by_function": {"a": "12", "b": [3, 4]}}, "rewards['a']", "not numbers: values of type <U2"),
    "a number": ({"rewards_by_function": {"a": 1.0, "b": 2.0}}, "rewards['a']", "of shape (), one value a completion is needed"),
    "two dimensions": (
        {"rewards_by_function": {"a": np.ones((2, 2)), "b": [3, 4]}},
        "rewards['a']",
        "of shape (2, 2), one value",
    ),
    "a column vector": ({"rewards_by_function": {"a": [[1], [2]], "b": [3, 4]}}, "rewards['a']", "of shape (2, 1), one value"),
    "ragged": ({"rewards_by_function": {"a": [[1], [2, 3]], "b": [3, 4]}}, "rewards['a']", "not numbers: "),
    "a generator": ({"rewards_by_function": {"a": (x for x in "12"), "b": [3, 4]}}, "rewards['a']", "not numbers: "),
    "past every float": ({"rewards_by_function": {"a": [10**400, 2], "b": [3, 4]}}, "rewards['a']", "not numbers: "),
    "complex": ({"rewards_by_function": {"a": [1j, 2], "b": [3, 4]}}, "rewards['a']", "not numbers: values of type complex128"),
    "one group for all": ({"groups": 3}, "groups", "of shape (), one value a completion is needed"),
    "a group of None": ({"groups": ["p", None]}, "groups", "not numbers: "),
    "half a group": ({"groups": [0, 0.5]}, "groups", "whole numbers of type int32 are needed"),
    "a group past int32": ({"groups": [0, 2**31]}, "groups", "whole numbers of type int32 are needed"),
    "a huge group": ({"groups": [0, 2**70]}, "groups", "not numbers: "),
    "negative length": ({"lengths": [5, -1]}, "lengths", "-1, 0 to 2147483647 is taken"),
    "half a token": ({"lengths": [5, 1.5]}, "lengths", "whole numbers of type int32 are needed"),
    "a length too few": ({"lengths": [5]}, "lengths", "1 values, 2 are needed"),
    "truncated thrice": ({"truncated": [0, 3]}, "truncated", "3, 0 to 1 is taken"),
    "an advantage too many": ({"advantages": [1, 2, 3]}, "advantages", "3 values, 2 are needed"),
    "texts as advantages": ({"advantages": ["1", "2"]}, "advantages", "not numbers: values of type <U1"),
    "a column of another length": ({"columns": {"x": [1]}}, "columns['x']", "1 values, 2 are needed"),
    "a column of the name": ({"columns": {"advantage": [1, 2]}}, "columns.name", "'advantage' has a column already"),
    "a text as KL": ({"kl_divergence": "0.1"}, "scalars['kl']", "'0.1', a number is needed"),
    "KL of each completion": ({"kl_divergence": np.ones(2)}, "scalars['kl']", ""),
    "KL twice": ({"kl_divergence": 0.1, "kl": 0.2}, "scalars['kl']", "given twice"),
    "a huge loss": ({"loss": 10**400}, "scalars['loss']", "int too large"),
    "no step": ({"step": None}, "step", "None is not a number"),
    "a text as a step": ({"step": "7"}, "step", "'7', a whole number from 0"),
    "half a step": ({"step": 7.5}, "step", "7.5, a whole number from 0"),
    "negative step": ({"step": -1}, "step", "-1, a whole number from 0"),
    "a huge step": ({"step": 2**60}, "step", "1152921504606846976, a whole number from 0 to 9007199254740992 is needed"),
    "NaN step": ({"step": float("nan")}, "step", "nan is not a number"),
}


@pytest.mark.parametrize(("wrong", "field", "reason"), BAD.values(), ids=BAD.keys())
def test_a_call_that_does_not_fit_is_refused_and_changes_nothing(wrong: dict, field: str, reason: str) -> None:
    tracker, other = RewardMetricsTracker(["a", "b"]), RewardMetricsTracker(["a", "b"])
    for each in (tracker, other):
        each.track_step(**GOOD | {"step": 6})
    with pytest.raises(RewardInputError) as caught:
        tracker.track_step(**GOOD | wrong)
    assert (caught.value.field, caught.value.reason[: len(reason)]) == (field, reason) and caught.value.reason
    assert str(caught.value) == f"{field}: {caught.value.reason}"
    assert isinstance(caught.value, ValueError)
    assert (again := pickle.loads(pickle.dumps(caught.value))).args == caught.value.args and again.field == field
    assert state_of(tracker) == state_of(other)
    assert dict(tracker.track_step(**GOOD)["a"]) == dict(other.track_step(**GOOD)["a"])


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"reward_function_names": []}, "functions", "0 reward functions, 1 to 256 are taken"),
        ({"reward_function_names": "accuracy"}, "functions", "str 'accuracy'; a list of names"),
        ({"reward_function_names": 5}, "functions", "int 5; a list of names"),
        ({"reward_function_names": None}, "functions", "NoneType None; a list of names"),
        ({"reward_function_names": ["a", "a"]}, "functions.name", "'a' stands twice"),
        ({"reward_function_names": ["total"]}, "functions.name", "'total' is the name of the weighted sum"),
        ({"reward_function_names": [5]}, "functions.name", "5, text"),
        ({"reward_function_names": {"a": float("inf")}}, "functions.weight", "inf for 'a', a finite number is needed"),
        ({"weights": {"b": 1.0}}, "weights", "unknown function 'b'; there are a"),
        ({"weights": {"a": "much"}}, "weights", "'much' for 'a', a finite number is needed"),
        ({"weights": {"a": float("nan")}}, "functions.weight", "nan for 'a', a finite number is needed"),
        ({"weights": [1.0]}, "weights", "[1.0], a mapping by the functions' names is needed"),
        ({"audit": ["b"]}, "audit", "unknown function 'b'; there are a"),
        ({"audit": "b"}, "audit", "unknown function 'b'; there are a"),
        ({"ranges": {"b": (0, 1)}}, "ranges", "unknown function 'b'; there are a"),
        ({"ranges": {"a": (1, 0)}}, "functions.lo", "range 1.0 to 0.0 for 'a', lo < hi is needed"),
        ({"ranges": {"a": 1}}, "ranges", "1 for 'a', the two ends (lo, hi) are needed"),
        ({"ranges": {"a": ("low", 1)}}, "ranges", "'low' for 'a', a finite number is needed"),
        ({"window_size": 0}, "window_size", "0, a whole number from 1 to 10000 is needed"),
        ({"window_size": 10_001}, "window_size", "10001, a whole number from 1 to 10000 is needed"),
        ({"window_size": "100"}, "window_size", "'100', a whole number"),
        ({"window_size": 1.5}, "window_size", "1.5, a whole number"),
        ({"window_size": None}, "window_size", "None is not a number"),
    ],
)
def test_a_tracker_that_cannot_be_made(given: dict, field: str, reason: str) -> None:
    with pytest.raises(RewardInputError) as caught:
        RewardMetricsTracker(**{"reward_function_names": ["a"]} | given)
    assert (caught.value.field, caught.value.reason[: len(reason)]) == (field, reason)


def test_functions_may_be_named_in_three_ways() -> None:
    made = [
        RewardMetricsTracker(["a", "b"], weights={"b": 0.5}, audit="a", ranges={"b": (0, None)}),
        RewardMetricsTracker({"a": 1.0, "b": 0.5}, audit=["a"], ranges={"b": (0, None)}),
        RewardMetricsTracker([RewardFunction("a", role=Role.AUDIT), RewardFunction("b", 0.5, lo=0.0)]),
    ]
    for tracker in made:
        metrics = tracker.track_step(0, {"a": [1.0, 3.0], "b": [2.0, 4.0]})
        assert tracker._functions == made[2]._functions
        assert [(m.name, m.role, m.weight, m.mean) for m in metrics.values()] == [
            ("total", "total", 1.0, 1.5), ("a", "audit", 1.0, 2.0), ("b", "trained", 0.5, 3.0)
        ]  # fmt: skip
        assert (metrics["a"].mean_contribution, metrics["b"].mean_contribution) == (None, 1.0)
