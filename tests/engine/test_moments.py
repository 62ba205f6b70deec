"""Laws of the sums of single values, of any bits: neutral, associative, commutative, one block or many, equal to numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reward_engine import sums
from reward_engine.measuring import measured
from reward_engine.sums import INDEX, NAMES, SUMS, Block

from tests.engine.closeness import assert_close

pytestmark = pytest.mark.filterwarnings("error")  # numpy's, too: an overflow or an invalid value fails a test

F32_MAX = float(np.finfo(np.float32).max)
COUNTS = [INDEX[name] for name in ("count", "missing", "not_scored", "non_finite")]

# Rewards as trainers send them: float32, any of them.
float32 = st.one_of(
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e8, -1e8, F32_MAX, -F32_MAX, 1e-45, np.nan, np.inf, -np.inf]),
    st.floats(-2, 2, width=32),
)


@st.composite
def chunks(draw: st.DrawFn) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Messages of the same K series: values float64[K, n], status uint8[K, n] or None."""
    k = draw(st.integers(1, 3))
    made = []
    for n in draw(st.lists(st.integers(1, 8), min_size=1, max_size=4)):
        values = draw(hnp.arrays(np.float32, (k, n), elements=float32)).astype(np.float64)
        made.append((values, draw(st.none() | hnp.arrays(np.uint8, (k, n), elements=st.integers(0, 2)))))
    return made


def table_of(values: np.ndarray, status: np.ndarray | None = None) -> np.ndarray:
    return sums.reduce(Block(values, status))


def status_of(values: np.ndarray, status: np.ndarray | None) -> np.ndarray:
    return np.zeros(values.shape, np.uint8) if status is None else status


def joined(parts: list[tuple[np.ndarray, np.ndarray | None]]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([v for v, _ in parts], axis=1), np.concatenate([status_of(v, s) for v, s in parts], axis=1)


# ---- laws ---------------------------------------------------------------------------------------------------------


@given(chunks())
def test_empty_is_neutral_bit_for_bit(parts: list) -> None:
    for table in (table_of(*part) for part in parts):
        none = sums.empty(len(table))
        for merged in (
            sums.merged([table]),
            sums.merged([none, table]),
            sums.merged([table, none]),
            sums.merged([none, table, none]),
        ):
            np.testing.assert_array_equal(merged, table)


def test_a_series_of_no_values_is_empty() -> None:
    status = np.array([[1, 1, 2], [0, 0, 0]], np.uint8)
    table = table_of(np.array([[5.0, 6.0, 7.0], [np.nan, np.inf, -np.inf]]), status)
    neutral = sums.empty(1)[0]
    others = [i for i in range(len(SUMS)) if i not in COUNTS]
    np.testing.assert_array_equal(table[:, others], np.tile(neutral[others], (2, 1)))
    assert [dict(zip(NAMES, row, strict=True))["count"] for row in table.tolist()] == [0, 0]
    assert table[:, COUNTS].tolist() == [[0, 2, 1, 0], [0, 0, 0, 3]]


@given(chunks(), st.randoms(use_true_random=False))
def test_merge_is_commutative_and_associative(parts: list, random: object) -> None:
    tables = [table_of(*part) for part in parts]
    straight = sums.merged(tables)
    random.shuffle(tables)
    assert_close(sums.merged(tables), straight)
    cut = random.randint(0, len(tables))
    halves = [sums.merged(half) for half in (tables[:cut], tables[cut:]) if half]
    assert_close(sums.merged(halves), straight)


@given(chunks())
def test_merged_equals_one_block_over_all_values(parts: list) -> None:
    assert_close(sums.merged([table_of(*part) for part in parts]), table_of(*joined(parts)))


@given(chunks())
def test_merged_equals_streamed(parts: list) -> None:
    """A window of one pane that took all messages equals a window of panes that took one each."""
    tables = [table_of(*part) for part in parts]
    into = tables[0].copy()
    for table in tables[1:]:
        into = sums.merged([into, table])
    assert_close(into, sums.merged(tables))


def test_a_long_window_is_added_in_order() -> None:
    """The order of the additions is stated, so numpy's pairwise or blocked summation may not slip in."""
    rng = np.random.default_rng(1)
    squares = INDEX["squares"]
    for series in (1, 2, 300):
        tables = [table_of(np.zeros((series, 1))) for _ in range(300)]
        for table in tables:
            table[:, squares] = rng.lognormal(0, 20, size=series)
        in_order = tables[0][:, squares].copy()
        for table in tables[1:]:
            in_order += table[:, squares]
        np.testing.assert_array_equal(sums.merged(tables)[:, squares], in_order)


@given(chunks(), st.integers(0, 4))
def test_a_table_grows_by_empty_series(parts: list, more: int) -> None:
    table = table_of(*parts[0])
    grown = sums.grown(table, len(table) + more)
    np.testing.assert_array_equal(grown[: len(table)], table)
    np.testing.assert_array_equal(grown[len(table) :], sums.empty(more))
    assert sums.grown(grown, len(table)) is grown  # never shrinks


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any))
def test_tables_of_unequal_height_merge_as_if_they_had_grown_before(heights: list[int]) -> None:
    tables = [table_of(np.arange(3.0 * k).reshape(k, 3) + i) if k else sums.empty(0) for i, k in enumerate(heights)]
    top = max(heights)
    np.testing.assert_array_equal(sums.merged(tables), sums.merged([sums.grown(t, top) for t in tables]))


# ---- numpy --------------------------------------------------------------------------------------------------------


@given(chunks())
@settings(max_examples=300)
def test_measures_equal_numpy_over_the_raw_values(parts: list) -> None:
    got = measured(sums.merged([table_of(*part) for part in parts]))
    values, status = joined(parts)
    for row, (series, state) in enumerate(zip(values, status, strict=True)):
        scored = series[state == 0]
        finite = scored[np.isfinite(scored)]
        assert got["count"][row] == len(finite)
        assert got["missing"][row] == (state == 1).sum()
        assert got["not_scored"][row] == (state == 2).sum()
        assert got["non_finite"][row] == len(scored) - len(finite)
        if not len(finite):
            assert all(np.isnan(got[name][row]) for name in ("mean", "variance", "std", "min", "max", "total"))
            continue
        assert (got["min"][row], got["max"][row]) == (finite.min(), finite.max())
        largest = np.abs(finite).max()
        assert abs(got["mean"][row] - finite.mean()) <= 1e-14 * largest
        assert abs(got["total"][row] - finite.sum()) <= 1e-13 * largest * len(finite)
        if len(finite) == 1:
            assert np.isnan(got["variance"][row]) and np.isnan(got["std"][row])
            continue
        wanted = finite.var(ddof=1)
        assert abs(got["variance"][row] - wanted) <= 1e-12 * wanted + (1e-14 * largest) ** 2
        assert got["std"][row] == np.sqrt(got["variance"][row])


@given(st.integers(0, 2**32 - 1), st.integers(2, 5_000), st.integers(1, 9))
@settings(max_examples=30)
def test_1e8_and_three_tenths(seed: int, n: int, messages: int) -> None:
    """Where a plain sum of squares has no digit left. A merged mean is rounded to 1.5e-8 there: that bounds the variance."""
    values = 1e8 + np.random.default_rng(seed).uniform(-0.3, 0.3, size=n)
    parts = [part[None] for part in np.array_split(values, messages) if len(part)]
    got = measured(sums.merged([table_of(part) for part in parts]))
    exact = values - 1e8  # exact, by Sterbenz
    np.testing.assert_allclose(got["variance"], [exact.var(ddof=1)], rtol=1e-7)
    np.testing.assert_allclose(got["mean"] - 1e8, [exact.mean()], atol=3e-8)


@pytest.mark.parametrize("first", [1e5, -1e12])
def test_a_function_that_changes_its_scale_keeps_its_variance(first: float) -> None:
    """Measured: relative to a shift frozen at the first values the second variance was wrong by half a percent and more."""
    small = np.random.default_rng(5).normal(0, 1e-3, size=(1, 64))
    table = sums.merged([sums.empty(1), table_of(small[:, :32]), table_of(small[:, 32:])])
    np.testing.assert_allclose(measured(table)["variance"], [small.var(ddof=1)], rtol=1e-12)
    both = measured(sums.merged([table_of(np.array([[first]])), table]))
    np.testing.assert_allclose(both["variance"], [np.append(small, first).var(ddof=1)], rtol=1e-12)


@given(st.sampled_from([0.1, 1 / 3, -1e8 / 7]) | st.floats(-1e100, 1e100), st.lists(st.integers(2, 300), min_size=1, max_size=5))
def test_equal_values_have_exactly_no_variance(value: float, sizes: list[int]) -> None:
    got = measured(sums.merged([table_of(np.full((1, n), value)) for n in sizes]))
    assert (got["count"][0], got["mean"][0], got["variance"][0], got["std"][0]) == (sum(sizes), value, 0.0, 0.0)
    assert (got["min"][0], got["max"][0]) == (value, value)


def test_one_value() -> None:
    got = {name: column[0] for name, column in measured(table_of(np.array([[2.5]]))).items()}
    assert (got["count"], got["mean"], got["min"], got["max"], got["total"]) == (1, 2.5, 2.5, 2.5, 2.5)
    assert np.isnan(got["variance"]) and np.isnan(got["std"])


def test_what_overflows_is_unknown() -> None:
    got = measured(sums.merged([table_of(np.array([[1e300, -1e300]])), table_of(np.array([[1.7e308]]))]))
    assert np.isnan(got["variance"][0]) and got["count"][0] == 3 and got["max"][0] == 1.7e308


def test_the_largest_float32_of_either_sign() -> None:
    parts = [(np.array([[F32_MAX, -F32_MAX, F32_MAX, np.nan, np.inf]]), None), (np.array([[-F32_MAX] * 5]), None)]
    got = measured(sums.merged([table_of(*part) for part in parts]))
    finite = np.array([F32_MAX, -F32_MAX, F32_MAX] + [-F32_MAX] * 5)
    np.testing.assert_allclose(
        [got[name][0] for name in ("count", "non_finite", "mean", "variance", "min", "max")],
        [8, 2, finite.mean(), finite.var(ddof=1), -F32_MAX, F32_MAX],
        rtol=1e-14,
    )


def test_a_block_does_not_change_what_it_is_given() -> None:
    values, status = np.array([[1.0, np.nan]]), np.array([[0, 1]], np.uint8)
    values.flags.writeable = status.flags.writeable = False  # as they come from the door
    table_of(values, status)


def test_the_catalogue_is_consistent() -> None:
    assert len(set(NAMES)) == len(SUMS) == len(sums.NEUTRAL)
    assert all(s.comment for s in SUMS)
    assert sums.empty(0).shape == (0, len(SUMS))
