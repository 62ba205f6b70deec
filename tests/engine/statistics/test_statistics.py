"""The statistics: equal to scipy's on plain input, silent on any, and never sure of what they can't know."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from reward_engine.statistics.change import change
from reward_engine.statistics.change_points import change_points
from reward_engine.statistics.distribution import Difference, difference
from reward_engine.statistics.multiple import adjusted
from reward_engine.statistics.needs import Needs
from reward_engine.statistics.outlier import outliers, scores
from reward_engine.statistics.shift import Shift
from reward_engine.statistics.trend import Trend, trend
from scipy import stats

NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e300, -1e300, 1e-300, 1e8 + 0.3, np.nan]),
)
ANY = arrays(np.float64, array_shapes(max_dims=1, min_side=0, max_side=40), elements=NUMBERS)


@given(values=ANY, other=ANY)
@settings(max_examples=200)
def test_no_input_makes_a_warning(values: np.ndarray, other: np.ndarray) -> None:
    finite, rest = values[np.isfinite(values)], other[np.isfinite(other)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trend(values)
        change(values[:, None], other[:, None])
        scores(values)
        outliers(values, 1.0)
        adjusted(np.clip(np.abs(values), 0, 1))
        change_points(values)
        difference(finite, np.ones(len(finite)), rest, np.ones(len(rest)), (len(finite), len(rest)))
        state = Shift()
        for value in values:
            state.update(np.array([value, 0.5]))


def test_a_change_of_independent_blocks_is_students() -> None:
    rng = np.random.default_rng(0)
    ts = []
    for _ in range(400):
        before, after = rng.normal(size=(5, 1)), rng.normal(size=(5, 1))
        found = change(before, after)
        assert found.delta[0] == pytest.approx(after.mean() - before.mean())
        assert found.p[0] == pytest.approx(2 * stats.t.sf(abs(found.t[0]), 8))
        ts.append(found.t[0])
    assert 0.6 < np.std(ts) < 1.1  # less than 1.15, Student's: the error allows for neighbours that are alike


def test_a_drift_within_the_windows_is_no_noise() -> None:
    rise = np.linspace(0, 1, 10)[:, None] + np.random.default_rng(1).normal(0, 0.01, (10, 1))
    assert change(rise[:5], rise[5:]).t[0] > 5


def test_errors_from_within_are_a_floor() -> None:
    before, after = np.full((4, 1), 1.0), np.full((4, 1), 1.2)
    error = np.full((4, 1), 0.2)
    assert change(before, after, error, error).standard_error[0] == pytest.approx(0.2 / np.sqrt(4) * np.sqrt(2))
    assert change(before, after).t[0] == np.inf  # nothing varies at all
    assert change(before, before).t[0] == 0


@pytest.mark.parametrize(("before", "after"), [([1.0], [2.0, 3.0]), ([np.nan, np.nan, 1.0], [1.0, 2.0]), ([], [])])
def test_a_change_that_cannot_be_known_is_unknown(before: list, after: list) -> None:
    found = change(np.array(before, float).reshape(-1, 1), np.array(after, float).reshape(-1, 1))
    assert all(np.isnan(part[0]) for part in (found.delta, found.standard_error, found.t, found.p))


def test_series_do_not_touch_each_other() -> None:
    rng = np.random.default_rng(2)
    before, after = rng.normal(size=(5, 4)), rng.normal(size=(3, 4))
    together = change(before, after)
    for k in range(4):
        alone = change(before[:, [k]], after[:, [k]])
        assert (alone.t[0], alone.p[0]) == pytest.approx((together.t[k], together.p[k]), rel=1e-12)


def test_a_trend_is_kendalls_and_theils() -> None:
    values = np.random.default_rng(3).normal(size=20) + np.arange(20) / 4
    found = trend(values)
    assert isinstance(found, Trend) and found.direction == 1
    at = np.arange(20)
    tau, p = stats.kendalltau(at, values)
    slope, _, low, high = stats.theilslopes(values, at, alpha=0.95)
    assert (found.tau, found.p) == pytest.approx((tau, p))
    assert (found.slope, found.low, found.high) == pytest.approx((slope, low, high))
    assert trend(-values).direction == -1 and trend(values[::-1]).direction == -1
    assert isinstance(gap := trend(np.where(at % 3 == 0, np.nan, values)), Trend) and gap.direction == 1


def test_what_lacks_values_says_how_many_it_needs() -> None:
    assert str(trend(np.arange(5.0))) == "cannot judge: needs 6 values, has 5"
    assert str(change_points(np.full(20, np.nan))) == "cannot judge: needs 12 values, has 0"
    assert isinstance(difference(np.ones(1), np.ones(1), np.ones(3), np.ones(3), (1, 3)), Needs)
    assert trend(np.ones(9)) == Trend(0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_a_jump_is_called_once_and_a_learning_curve_is_none() -> None:
    rng = np.random.default_rng(4)
    state, alarms = Shift(), []
    for step in range(300):
        values = np.array([1 - np.exp(-step / 60), 4.0 * (step >= 150), np.nan]) + rng.normal(0, [0.05, 1, 1])
        alarms += [(step, row, way) for row, way in enumerate(state.update(values)) if way]
    assert [(row, way) for _, row, way in alarms] == [(1, 1)]
    assert 150 <= alarms[0][0] < 160


def test_a_shift_goes_on_from_its_state_and_takes_new_series() -> None:
    rng = np.random.default_rng(5)
    whole, halves = Shift(), Shift()
    for step in range(100):
        values = rng.normal(size=3 if step < 50 else 4) + 5 * (step > 80)
        expected = whole.update(values)
        if step == 60:
            halves = Shift(halves.table.copy())
        assert (halves.update(values) == expected).all()
    assert whole.table.shape[1] == 4 and (whole.table == halves.table).all()


def test_outliers_by_the_median() -> None:
    values = np.array([1.0, 1.1, 0.9, 1.05, 0.95, 9.0, np.nan])
    assert outliers(values).tolist() == [5]
    assert np.isnan(scores(values)[-1])
    assert outliers(np.array([1.0] * 9 + [1.04]), span=1.0).tolist() == []  # in a range of 1 that is little
    assert outliers(np.array([1.0] * 9 + [1.04])).tolist() == [9]
    assert len(scores(np.array([]))) == 0


def test_distances_of_distributions_are_scipys() -> None:
    rng = np.random.default_rng(6)
    one, other = rng.normal(size=300), rng.normal(0.8, 1, size=200)
    found = difference(one, np.ones(300), other, np.ones(200), (300, 200))
    assert isinstance(found, Difference) and found.clear
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(one, other) / one.std())
    assert found.ks == pytest.approx(stats.ks_2samp(one, other).statistic)
    exact = stats.ks_2samp(one, other, method="asymp").pvalue
    assert np.log10(found.p) == pytest.approx(np.log10(exact), abs=0.3)
    counted = difference(np.array([0.0, 1.0]), np.array([30.0, 10.0]), np.array([0.0, 1.0]), np.array([10.0, 30.0]), (40, 40))
    repeated = difference(np.repeat([0.0, 1.0], [30, 10]), np.ones(40), np.repeat([0.0, 1.0], [10, 30]), np.ones(40), (40, 40))
    assert isinstance(counted, Difference) and isinstance(repeated, Difference)
    assert (counted.wasserstein, counted.ks, counted.p) == pytest.approx((repeated.wasserstein, repeated.ks, repeated.p))
    assert counted.stability == pytest.approx(
        2 * (30.5 - 10.5) / 41.5 * np.log(30.5 / 10.5)
    )  # half an observation in each of three bins
    same = difference(one, np.ones(300), one, np.ones(300), (300, 300))
    assert same == Difference(0.0, 0.0, 1.0, 0.0)


def test_adjusted_p_values_are_benjamini_and_hochbergs() -> None:
    p = np.random.default_rng(7).random(30) ** 2
    assert adjusted(p) == pytest.approx(stats.false_discovery_control(p))
    holed = np.insert(p, 3, np.nan)
    assert np.isnan(adjusted(holed)[3]) and np.delete(adjusted(holed), 3) == pytest.approx(adjusted(p))


def test_change_points_are_where_levels_change() -> None:
    rng = np.random.default_rng(8)
    values = rng.normal(0, 0.2, 60) + np.repeat([0, 1, 0.2], 20)
    assert change_points(values).tolist() == [20, 40]
    holed = np.where(np.arange(60) == 5, np.nan, values)
    assert change_points(holed).tolist() == [20, 40]
    assert len(change_points(np.ones(30))) == 0


def test_scipy_is_not_imported_by_who_does_not_judge() -> None:
    code = "import sys, reward_monitor, reward_producers.reporter, reward_engine.fold; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
