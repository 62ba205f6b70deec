"""`Seen` against a plain set of numbers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from reward_engine import bounds
from reward_engine.senders import Seen
from reward_schemas.events import SEQ_MAX


class SeenIsASet(RuleBasedStateMachine):
    """Numbers arrive in order, late, twice, far ahead; after each the intervals say what the set says."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.model = Seen(), set()

    def _add(self, number: int) -> None:
        new = number not in self.model
        holes = len(_intervals(self.model | {number})) > bounds.HOLES_MAX
        if new and holes:
            before = msgspec.structs.asdict(self.seen) | {"intervals": list(self.seen.intervals)}
            with pytest.raises(OverflowError, match=f"more than {bounds.HOLES_MAX} holes"):
                self.seen.add(number)
            assert msgspec.structs.asdict(self.seen) == before
        else:
            assert self.seen.add(number) is new
            self.model.add(number)

    @rule()
    def next_one(self) -> None:
        self._add(max(self.model, default=-1) + 1)

    @rule(ahead=st.integers(1, 5))
    def ahead(self, ahead: int) -> None:
        self._add(max(self.model, default=-1) + 1 + ahead)

    @rule(number=st.integers(0, 40))
    def anywhere(self, number: int) -> None:
        self._add(number)

    @rule(number=st.integers(SEQ_MAX - 3, SEQ_MAX))
    def at_the_end(self, number: int) -> None:
        self._add(number)

    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        if self.model:
            self._add(data.draw(st.sampled_from(sorted(self.model))))

    @invariant()
    def says_what_the_set_says(self) -> None:
        edges = self.seen.intervals
        assert edges == sorted(set(edges)), "sorted, disjoint, no two that touch"
        assert list(zip(edges[::2], edges[1::2], strict=True)) == _intervals(self.model)
        assert self.seen.missing == (max(self.model) + 1 - len(self.model) if self.model else 0)

    @invariant()
    def survives_a_snapshot(self) -> None:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(self.seen), type=Seen) == self.seen


def _intervals(numbers: set[int]) -> list[tuple[int, int]]:
    made: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if made and made[-1][1] == number:
            made[-1] = (made[-1][0], number + 1)
        else:
            made.append((number, number + 1))
    return made


TestSeenIsASet = SeenIsASet.TestCase
TestSeenIsASet.settings = settings(max_examples=100, stateful_step_count=40)


class SeenWithFewHoles(SeenIsASet):
    """The same within reach of the bound."""

    def __init__(self) -> None:
        super().__init__()
        self._bound, bounds.HOLES_MAX = bounds.HOLES_MAX, 4

    def teardown(self) -> None:
        bounds.HOLES_MAX = self._bound


TestSeenWithFewHoles = SeenWithFewHoles.TestCase
TestSeenWithFewHoles.settings = settings(max_examples=100, stateful_step_count=40)


@given(st.permutations(range(30)))
def test_any_order_of_all_numbers_ends_in_one_interval(order: list[int]) -> None:
    seen = Seen()
    assert all(seen.add(number) for number in order)
    assert (seen.intervals, seen.missing) == ([0, 30], 0)


def test_the_bound_of_holes() -> None:
    seen = Seen()
    for number in range(bounds.HOLES_MAX):
        assert seen.add(2 * number)
    last = 2 * bounds.HOLES_MAX
    with pytest.raises(OverflowError, match="more than 1024 holes in the sequence of one session"):
        seen.add(last)
    assert seen.missing == bounds.HOLES_MAX - 1
    assert not seen.add(0)  # a repeat is known all the same
    assert seen.add(last - 1)  # the next one makes no hole
    assert seen.add(1)  # a hole is filled, and there is room for one more
    assert seen.add(10**9)
