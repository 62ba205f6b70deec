"""Laws of the sketch: merging is exact in any order and can be undone; a value is kept to within 1/128."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reward_engine import sketch
from reward_engine.sketch import RELATIVE_ERROR, Sketch

from tests.engine import reference

pytestmark = pytest.mark.filterwarnings("error")

finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
usual = st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, -1.0, 3.0, 100.0, 0.1, 0.7])
columns = hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(0, 12)), elements=finite32 | usual)
SHARES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def of(values: np.ndarray, finite: np.ndarray | None = None) -> Sketch:
    finite = np.isfinite(values) if finite is None else finite
    return sketch.counted(np.arange(len(values)), values, finite)


def same(one: Sketch, other: Sketch) -> bool:
    return one.keys.tolist() == other.keys.tolist() and one.counts.tolist() == other.counts.tolist()


@given(st.lists(columns, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_merging_is_exact_in_any_order_and_grouping(parts: list[np.ndarray], random: object) -> None:
    sketches = [of(part) for part in parts]
    straight = sketch.merged(sketches)
    random.shuffle(sketches)
    assert same(sketch.merged(sketches), straight)
    cut = random.randint(0, len(sketches))
    assert same(sketch.merged([sketch.merged(sketches[:cut]), sketch.merged(sketches[cut:])]), straight)
    assert same(sketch.merged([Sketch(), straight, Sketch()]), straight)
    assert (np.diff(straight.keys.astype(np.int64)) > 0).all() and (straight.counts > 0).all()


@given(st.lists(columns, min_size=2, max_size=5), st.integers(0, 4))
def test_what_was_merged_can_be_taken_out_again(parts: list[np.ndarray], gone: int) -> None:
    sketches = [of(part) for part in parts]
    gone %= len(sketches)
    rest = sketches[:gone] + sketches[gone + 1 :]
    assert same(sketch.merged([sketch.merged(sketches)], [sketches[gone]]), sketch.merged(rest))


@given(columns)
def test_it_counts_each_rounded_value(values: np.ndarray) -> None:
    found = of(values)
    starts = found.starts(len(values))
    for k, row in enumerate(values):
        there = slice(starts[k], starts[k + 1])
        wanted: dict[float, int] = {}
        for value in row:
            wanted[reference.rounded(value)] = wanted.get(reference.rounded(value), 0) + 1
        assert dict(zip(found.values[there].tolist(), found.counts[there].tolist(), strict=True)) == wanted
        assert found.values[there].tolist() == sorted(wanted)
        assert (found.series[there] == k).all()


@given(finite32)
def test_a_value_is_kept_to_within_its_relative_error(value: float) -> None:
    near = float(sketch.rounded(np.array([value]))[0])
    assert abs(near - value) <= RELATIVE_ERROR * abs(value) + 2.0**-126
    assert sketch.rounded(np.array([near]))[0] == near
    assert near or not np.signbit(near)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.5, 0.25, 3.0, 100.0, 127.0, 2.0**-126, 2.0**127])
def test_few_digits_are_kept_exactly(value: float) -> None:
    assert sketch.rounded(np.array([value]))[0] == value


@given(st.lists(finite32, min_size=2, max_size=20))
def test_rounding_keeps_the_order(values: list[float]) -> None:
    assert (np.diff(sketch.rounded(np.sort(values))) >= 0).all()


def test_what_float32_cannot_hold_is_its_largest() -> None:
    near = sketch.rounded(np.array([1e300, -1e300, np.finfo(np.float32).max]))
    assert near.tolist() == [127 * 2.0**121, -127 * 2.0**121, 127 * 2.0**121]


@given(columns)
@settings(max_examples=300)
def test_quantiles_are_those_of_the_rounded_values(values: np.ndarray) -> None:
    got = sketch.quantiles(of(values), len(values) + 1, SHARES)
    assert np.isnan(got[-1]).all()  # a series that never came
    for row, found in zip(values, got, strict=False):
        if len(row):
            near = [reference.rounded(value) for value in row]
            wanted = [np.quantile(near, q - 1e-12, method="inverted_cdf") for q in SHARES]
            assert found.tolist() == wanted
        else:
            assert np.isnan(found).all()


@pytest.mark.parametrize("n", range(1, 401))
def test_a_quantile_is_a_rank_of_whole_numbers(n: int) -> None:
    found = sketch.quantiles(Sketch(np.arange(n, dtype=np.uint32) + (1 << 14), np.ones(n, np.uint32)), 1, SHARES)[0]
    ranks = [-(-n * percent // 100) for percent in (5, 25, 50, 75, 95)]
    assert found.tolist() == [sketch._values(np.array([(1 << 14) + rank - 1], np.uint32))[0] for rank in ranks]


@given(
    columns,
    st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (-0.5, 0.0), (0.1, 0.7), (float("nan"),) * 2, (0.0, float("nan")), (-1e38, 1e38)]),
)
@settings(max_examples=300)
def test_entropy_equals_a_plain_count_of_bins(values: np.ndarray, ends: tuple[float, float]) -> None:
    lo, hi = ([end] * len(values) for end in ends)
    for row, found in zip(values, sketch.entropies(of(values), lo, hi).tolist(), strict=True):
        wanted = reference.entropy(row.tolist(), *ends)
        assert found == pytest.approx(wanted, abs=1e-13, nan_ok=True)
        assert np.isnan(found) or 0 <= found <= 1


@pytest.mark.parametrize(
    ("lo", "hi"), [(0.0, 1.0), (-0.5, -0.0), (-1.0, 1.0), (0.1, 0.7), (-1e38, 1e-38), (-1e308, -1.0), (1.0, 1.01)]
)
def test_every_value_has_the_bin_of_a_plain_division(lo: float, hi: float) -> None:
    edges = sketch._edges_of(lo, hi)[1:]
    if reference.rounded(lo) >= reference.rounded(hi):
        assert not len(edges)
        return
    got = np.searchsorted(edges, sketch._ALL, side="right") - 1
    ends = reference.rounded(lo), reference.rounded(hi)
    places = {"below": -1, "above": 32}
    for code in range(0, len(sketch._ALL), 7):
        found = reference._bin(float(sketch._values(sketch._ALL[code : code + 1])[0]), *ends)
        assert got[code] == places.get(found, found)


def test_entropy_of_known_distributions() -> None:
    def entropy(values: list[float], lo: float = 0.0, hi: float = 1.0) -> float:
        return float(sketch.entropies(of(np.array([values])), [lo], [hi])[0])

    assert entropy([0.5] * 1000) == 0
    assert entropy([0.0, 1.0] * 50_000) == pytest.approx(np.log(2) / np.log(32), abs=1e-5)
    assert entropy(((np.arange(32) + 0.5) / 32).tolist() * 1000) == pytest.approx(1, abs=1e-2)
    assert entropy([0.7, 0.1] * 500, 0.1, 0.7) == entropy([1.0, 0.0] * 500)  # the ends of a range stay its ends
    assert np.isnan(entropy([0.5])) and np.isnan(entropy([]))


@given(columns, st.randoms(use_true_random=False))
def test_the_rows_may_come_in_any_order(values: np.ndarray, random: object) -> None:
    rows = list(range(len(values)))
    random.shuffle(rows)
    assert same(sketch.counted(np.array(rows), values[rows], np.isfinite(values)), of(values))


def test_absent_values_are_not_counted() -> None:
    values = np.array([[1.0, np.nan, np.inf, 2.0]])
    assert of(values).counts.tolist() == [1, 1]
    assert of(values, np.array([[True, False, False, False]])).values.tolist() == [1.0]
