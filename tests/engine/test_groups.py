"""Laws of every sum, those of groups too, over messages as trainers send them; and groups that do not stand together."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reward_engine import sums
from reward_engine.block import Block
from reward_engine.groups import Groups
from reward_engine.sums import INDEX, SUMS
from reward_schemas.events import Rollout

from tests.engine.closeness import EXACT, assert_close
from tests.engine.raw import Shape, block, messages, said, shapes, table_of

pytestmark = pytest.mark.filterwarnings("error")


def joined(bodies: list[Rollout]) -> Rollout:
    """One message of all of them; a group is one of its message's alone. Their weights are the first one's."""
    status = [np.zeros(body.rewards.shape, np.uint8) if body.status is None else body.status for body in bodies]
    return Rollout(
        0,
        bodies[0].table,
        np.concatenate([body.rewards for body in bodies], axis=1),
        np.concatenate([body.group + 100 * place for place, body in enumerate(bodies)]),
        np.concatenate(status, axis=1),
        None if bodies[0].length is None else np.concatenate([body.length for body in bodies]),
    )


def of_one_weight(shape: Shape) -> list[Rollout]:
    """Messages of one function table: what a total is made of is the same in all."""
    bodies = messages(shape)
    return [Rollout(b.step, bodies[0].table, b.rewards, b.group, b.status, b.length) for b in bodies]


@given(shapes())
@settings(deadline=None)
def test_empty_is_neutral_bit_for_bit(shape: Shape) -> None:
    for body in messages(shape):
        table = table_of(body)
        none = sums.empty(len(table))
        for merged in (sums.merged([table]), sums.merged([none, table]), sums.merged([none, table, none])):
            np.testing.assert_array_equal(merged, table)


@pytest.mark.slow
@given(shapes(), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_merging_is_commutative_associative_and_equal_to_streaming(shape: Shape, seed: int) -> None:
    tables = [table_of(body) for body in messages(shape)]
    straight = sums.merged(tables)
    into = tables[0]
    for table in tables[1:]:
        into = sums.merged([into, table])
    assert_close(into, straight)
    mixed = random.Random(seed).sample(tables, len(tables))
    assert_close(sums.merged(mixed), straight)
    cut = seed % (len(tables) + 1)
    assert_close(sums.merged([sums.merged(half) for half in (tables[:cut], tables[cut:]) if half]), straight)


@pytest.mark.slow
@given(shapes())
@settings(max_examples=200, deadline=None)
def test_merged_equals_one_message_of_all_groups(shape: Shape) -> None:
    bodies = of_one_weight(shape)
    assert_close(sums.merged([table_of(body) for body in bodies]), table_of(joined(bodies)))


@given(shapes(adjacent=True), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_where_the_completions_of_a_group_stand_changes_no_sum(shape: Shape, seed: int) -> None:
    body = joined(of_one_weight(shape))
    mixed = np.random.default_rng(seed).permutation(len(body.group))
    length = None if body.length is None else body.length[mixed]
    other = Rollout(0, body.table, body.rewards[:, mixed], body.group[mixed], body.status[:, mixed], length)
    assert_close(table_of(other), table_of(body))


@given(shapes())
@settings(max_examples=100, deadline=None)
def test_products_are_the_within_sums_of_every_pair(shape: Shape) -> None:
    for body in messages(shape):
        what, seen = said(body), block(body)
        table = what.table
        assert what.products is not None and (what.products == what.products.T).all()
        with np.errstate(over="ignore"):
            scale = np.sqrt(np.outer(table[:, INDEX["within"]], table[:, INDEX["within"]]))
        np.testing.assert_allclose(np.diag(what.products), table[:, INDEX["within"]], rtol=1e-12)
        np.testing.assert_allclose(what.products[0], table[:, INDEX["total_product"]], rtol=1e-12, atol=1e-12 * scale.max())
        assert (np.abs(what.products) <= scale * (1 + 1e-9)).all()  # Cauchy and Schwarz
        assert len(what.products) == len(seen.values)


def test_sums_of_groups_alone_are_those_of_the_whole() -> None:
    body = messages(Shape(3, ("normal", "binary"), ((0.0, 1.0),) * 2, ((4, 1, 3),), absent=0.2))[0]
    whole, alone = table_of(body), sums.reduce(block(body), values=False)
    ungrouped = block(body)
    ungrouped.groups = None
    np.testing.assert_array_equal(sums.merged([sums.reduce(ungrouped), alone]), whole)


def test_a_block_of_huge_numbers_warns_of_nothing() -> None:
    values = np.array([[1e300, -1e300, 1e308, np.nan], [1e200, 1e200, 1e200, 1e200]])
    seen = Block(values, groups=Groups(np.array([0, 0, 1, 1])), weights=np.array([1.0, 1e308]), lengths=np.ones(4, np.int32))
    table = sums.reduce(seen)
    table = sums.merged([table, table, sums.empty(2)])
    assert table[1, INDEX["squares"]] == table[1, INDEX["within"]] == 0  # equal values, though their squares overflow
    assert table[0, INDEX["count"]] == 6


def test_an_empty_message_between_huge_equal_values_changes_nothing() -> None:
    equal, none = sums.reduce(Block(np.full((1, 3), 1e200))), sums.reduce(Block(np.full((1, 2), np.nan)))
    for table in (sums.merged([equal, none, equal]), sums.merged([none, equal])):
        assert table[0, INDEX["squares"]] == table[0, INDEX["fourths"]] == 0
    into = equal
    for more in (none, equal, none):
        into = sums.merged([into, more])
    assert (into[0, INDEX["squares"]], into[0, INDEX["centre"]], into[0, INDEX["non_finite"]]) == (0, 1e200, 4)


def test_equal_values_after_a_missing_one_have_exactly_no_variance() -> None:
    values = np.array([[np.nan, 0.1, 0.1, 0.1], [5.0, 0.1, 0.1, 0.1]])
    status = np.array([[0, 0, 0, 0], [1, 0, 0, 0]], np.uint8)
    table = sums.reduce(Block(values, status, groups=Groups(np.zeros(4, np.int32))))
    for name in ("squares", "cubes", "fourths", "within", "group_squares", "between"):
        assert table[:, INDEX[name]].tolist() == [0, 0], name
    assert table[:, INDEX["centre"]].tolist() == table[:, INDEX["group_centre"]].tolist() == [0.1, 0.1]


@pytest.mark.parametrize(
    ("low", "high", "flat"), [(1.0, 1.0, True), (0.3, 0.1 + 0.2, True), (1e8, 1e8 + 0.3, False), (0.0, 1e-9, False)]
)
def test_a_group_is_flat_where_its_values_are_equal_but_for_rounding(low: float, high: float, flat: bool) -> None:
    table = sums.reduce(Block(np.array([[low, high, low]]), groups=Groups(np.zeros(3, np.int32))))
    assert (table[0, INDEX["flat"]], table[0, INDEX["within"]] == 0) == (flat, flat)


def test_a_range_without_a_finite_width_is_none() -> None:
    ends = {"lo": np.array([-1e308, np.nan, 0.0]), "hi": np.array([1e308, 1.0, np.nan])}
    table = sums.reduce(Block(np.ones((3, 2)), groups=Groups(np.zeros(2, np.int32)), **ends))
    for name in ("ranged", "at_low", "at_high", "flat_low", "flat_high", "tried_2", "pass_2", "learnability"):
        assert table[:, INDEX[name]].tolist() == [0, 0, 0], name


def test_every_sum_has_a_stated_tolerance() -> None:
    names = {s.name for s in SUMS}
    assert names >= EXACT
    counted = {s.name for s in SUMS if s.comment.startswith(("values", "groups", "finite values", "of these"))}
    assert counted <= EXACT | {"grouped"}


# ---- groups -------------------------------------------------------------------------------------------------------


@given(hnp.arrays(np.int32, st.integers(1, 40), elements=st.integers(-3, 6) | st.sampled_from([-(2**31), 2**31 - 1])))
def test_groups_are_those_of_a_dictionary(ids: np.ndarray) -> None:
    found: dict[int, list[int]] = {}
    for column, group in enumerate(ids.tolist()):
        found.setdefault(group, []).append(column)
    groups = Groups(ids)
    columns = groups.ordered(np.arange(len(ids)))
    parts = np.split(columns, groups.starts[1:])
    assert {int(i): part.tolist() for i, part in zip(groups.ids, parts, strict=True)} == found
    assert groups.sizes.tolist() == [len(found[int(i)]) for i in groups.ids]
    assert groups.sums(np.ones(len(ids))).tolist() == groups.sizes.tolist()
    assert (groups.spread(groups.ids) == groups.ordered(ids)).all()
    assert (groups.order is None) == (list(found) == [i for at, i in enumerate(ids.tolist()) if not at or i != ids[at - 1]])
