"""Every measure against the raw vectors: a slow reference, scipy and numpy say the same, and unknown is never a number."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reward_engine import sums
from reward_engine.formula import Measure, value
from reward_engine.measures import BY_NAME, MEASURES, SKETCHED
from reward_engine.measuring import AUDIT, COLUMNS, measured
from reward_engine.sketch import RELATIVE_ERROR
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Rollout

from tests.engine.raw import F32_MAX, Shape, measures_of, messages, pane_of, shapes
from tests.engine.reference import reference

pytestmark = pytest.mark.filterwarnings("error")  # numpy's, too: an overflow or an invalid value fails a test

QUANTILES = {m.name for m in MEASURES if m.quantile is not None}
# Shares of counts and functions of counts: right to the last digits whatever the values.
COUNTED = {
    "count", "missing", "not_scored", "non_finite", "groups", "positive_share", "zero_share", "saturation_high",
    "saturation_low", "out_of_range", "zero_variance_groups", "zero_variance_low", "zero_variance_high",
    "zero_variance_expected", "pass_at_2", "pass_at_4", "pass_at_8", "learnability", "min", "max",
}  # fmt: skip
ROUNDING = 2e-15  # of a series' largest value: nine units in the last place
RTOL = 1e-10


def tolerances(shape: Shape, wanted: dict[str, list[float]]) -> dict[str, np.ndarray]:
    """How far a measure may be from the reference: eight times what changes of the values by `ROUNDING` make of it.

    That is the promise of a stable algorithm: the exact measure of nearly the same values. Where a measure is badly
    conditioned, as the skewness at 1e8 ± 0.3, it says so; elsewhere it is 1e-10 of the value.
    """
    rng = np.random.default_rng(shape.seed)
    out = {name: RTOL * np.abs(found) for name, found in wanted.items()}
    for _ in range(8):
        near = reference(messages(shape), ROUNDING, rng)
        for name, found in near.items():
            if name not in COUNTED:
                with np.errstate(invalid="ignore"):
                    apart = np.abs(np.array(found) - wanted[name])
                unlike = np.isnan(found) != np.isnan(wanted[name])
                out[name] = np.fmax(out[name], np.where(unlike, np.inf, 8 * apart))
    return out


def assert_equals(got: dict[str, np.ndarray], wanted: dict[str, list[float]], apart: dict[str, np.ndarray]) -> None:
    assert got.keys() == wanted.keys() == BY_NAME.keys()
    for name, values in wanted.items():
        for series, (one, other) in enumerate(zip(got[name].tolist(), values, strict=True)):
            where = (name, series, one, other)
            if math.isnan(other) or math.isnan(one):  # both, unless the values' last digits decide
                assert math.isnan(other) == math.isnan(one) or not apart[name][series] < abs(other), where
            elif name in QUANTILES:
                near = max(min(other, F32_MAX), -F32_MAX)  # a total may be larger; a sketch has float32's range
                assert abs(one - near) <= RELATIVE_ERROR * abs(near) + 2.0**-126, where
            elif name == "entropy":
                assert abs(one - other) <= 1e-12, where
            else:
                assert abs(one - other) <= max(apart[name][series], RTOL * abs(other)), where


@pytest.mark.slow
@given(shapes())
@settings(max_examples=150, deadline=None)
@example(Shape(1, ("1e8 ± 0.3", "normal"), ((None, None), (0.0, 1.0)), ((4, 4, 4), (4, 4, 4))))
@example(Shape(2, ("binary",), ((0.0, 1.0),), ((8,) * 8,)))
@example(Shape(3, ("extremes", "extremes"), ((None, None),) * 2, ((3, 2), (1, 5)), adjacent=False, absent=0.2))
@example(Shape(4, ("normal",), ((None, None),), ((1,),)))
@example(Shape(5, ("equal", "equal in a group", "as its neighbour"), ((0.1, 0.7),) * 3, ((1, 1, 4),), absent=0.7))
def test_every_measure_equals_the_reference(shape: Shape) -> None:
    """Of one pane that took all messages, and of a window of panes that took one each."""
    bodies = messages(shape)
    wanted = reference(bodies)
    apart = tolerances(shape, wanted)
    assert_equals(measures_of([pane_of(bodies)], bodies[-1]), wanted, apart)
    assert_equals(measures_of([pane_of([body]) for body in bodies], bodies[-1]), wanted, apart)


@given(shapes())
@settings(max_examples=150, deadline=None)
def test_no_measure_leaves_its_range(shape: Shape) -> None:
    bodies = messages(shape)
    got = measures_of([pane_of([body]) for body in bodies], bodies[-1])
    for m in MEASURES:
        known = got[m.name][~np.isnan(got[m.name])]
        assert np.isfinite(known).all(), m.name
        assert ((known >= m.low - 1e-9) & (known <= m.high + 1e-9)).all(), (m.name, known)
        assert not m.whole or (known == np.floor(known)).all(), m.name


@pytest.mark.slow
@given(shapes(absent=0.0), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_panes_changes_nothing_beyond_the_tolerance(shape: Shape, random: object) -> None:
    bodies = messages(shape)
    pieces = [pane_of([body]) for body in bodies]
    straight = {name: found.tolist() for name, found in measures_of(pieces, bodies[-1]).items()}
    apart = tolerances(shape, reference(bodies))
    random.shuffle(pieces)
    assert_equals(measures_of(pieces, bodies[-1]), straight, {name: 2 * found for name, found in apart.items()})


# ---- unknown ------------------------------------------------------------------------------------------------------

ALL_KNOWN = Shape(11, ("mostly solved", "levels"), ((0.0, 1.0), (0.0, 1.0)), ((8,) * 8, (8,) * 8), audit=0.0, weights=(1.0, 0.2))
COUNTS = ["count", "missing", "not_scored", "non_finite", "groups"]


def measures_of_shape(shape: Shape) -> dict[str, np.ndarray]:
    bodies = messages(shape)
    return measures_of([pane_of(bodies)], bodies[-1])


def test_every_measure_is_known_of_a_usual_step() -> None:
    got = measures_of_shape(ALL_KNOWN)
    assert [m.name for m in MEASURES if np.isnan(got[m.name][1])] == []


def test_of_nothing_everything_but_counts_is_unknown() -> None:
    series = np.concatenate([sums.empty(1), np.full((1, len(SKETCHED)), np.nan)], axis=1)
    got = {name: float(found[0]) for name, found in measured(series).items()}
    assert {name: found for name, found in got.items() if not math.isnan(found)} == dict.fromkeys(COUNTS, 0.0)


@pytest.mark.parametrize(
    ("shape", "unknown"),
    [
        pytest.param(
            replace(ALL_KNOWN, kinds=("normal",), sizes=((1,),)),
            """variance std standard_error signal_to_noise signal_to_noise_db skewness kurtosis entropy within_variance
            between_variance intraclass_correlation zero_variance_groups zero_variance_low zero_variance_high
            zero_variance_expected effective_groups group_std variance_contribution total_correlation length_correlation
            length_slope pass_at_2 pass_at_4 pass_at_8 learnability""",
            id="one value",
        ),
        pytest.param(
            replace(ALL_KNOWN, kinds=("equal",), ranges=((None, None),)),
            """signal_to_noise signal_to_noise_db skewness kurtosis saturation_high saturation_low out_of_range
            intraclass_correlation zero_variance_low zero_variance_high zero_variance_expected effective_groups
            variance_contribution total_correlation length_correlation pass_at_2 pass_at_4 pass_at_8 learnability""",
            id="all equal, no range",
        ),
        pytest.param(
            replace(ALL_KNOWN, kinds=("levels",), lengths=False, sizes=((3, 3),)),
            "zero_variance_expected length_correlation length_slope pass_at_4 pass_at_8",
            id="not binary, no lengths, small groups",
        ),
        pytest.param(
            replace(ALL_KNOWN, kinds=("normal",), sizes=((8,),), ranges=((None, 1.0),)),
            """standard_error saturation_high saturation_low between_variance intraclass_correlation zero_variance_low
            zero_variance_high zero_variance_expected pass_at_2 pass_at_4 pass_at_8 learnability""",
            id="one group, half a range",
        ),
    ],
)
def test_what_cannot_be_known_is_unknown_and_nothing_else(shape: Shape, unknown: str) -> None:
    got = measures_of_shape(shape)
    assert {name for name, found in got.items() if np.isnan(found[1])} == set(unknown.split())


def test_a_function_outside_of_the_total_has_no_share_of_it() -> None:
    bodies = messages(ALL_KNOWN)
    table = np.concatenate([pane_of(bodies).table, np.zeros((3, len(SKETCHED)))], axis=1)
    got = measured(table, ["total", "trained", AUDIT])
    for name in ("mean_contribution", "variance_contribution"):
        assert np.isnan(got[name]).tolist() == [False, False, True]
    assert not np.isnan(got["total_correlation"]).any()


def test_contributions_keep_the_weight_of_their_time() -> None:
    """A weight that rises during a window: the latest one would say 133 %."""
    bodies = []
    for step, weight in enumerate((1.0, 2.0)):
        table = function_table((RewardFunction("f", weight),))
        bodies.append(Rollout(step, table, np.ones((1, 2)), np.zeros(2, np.int32)))
    got = measures_of([pane_of([body]) for body in bodies], bodies[-1])
    assert got["mean_contribution"].tolist() == [1.0, 1.0]


@given(shapes(absent=0.0))
@settings(max_examples=50, deadline=None)
def test_variance_contributions_sum_to_one(shape: Shape) -> None:
    bodies = messages(replace(shape, kinds=("normal", "levels", "binary")))
    got = measures_of([pane_of([body]) for body in bodies], bodies[-1])["variance_contribution"][1:]
    if not np.isnan(got).all():
        np.testing.assert_allclose(np.nansum(got), 1.0, rtol=1e-9)


# ---- the catalogue ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", MEASURES, ids=lambda m: m.name)
def test_a_measure_says_what_it_is(m: Measure) -> None:
    assert m.means and m.unit and m.low < m.high
    assert m.formula or m.name in SKETCHED
    assert not m.formula or m.needs
    assert set(re.findall(r"[a-z_]\w*", m.formula)) <= {*m.needs, "sqrt", "abs", "log10", "pow"}  # nothing but sums
    assert m.means[0].islower() or m.means.startswith(("ICC", "Fisher")) or not m.means[0].isalpha()


def test_the_columns_of_a_row_are_named_once() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS) and len(BY_NAME) == len(MEASURES)


def test_a_formula_reads_no_built_in() -> None:
    with pytest.raises(NameError):
        value(Measure("x", "", "open('x')", ""), {})
