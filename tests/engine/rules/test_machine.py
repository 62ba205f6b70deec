"""When an alert is pending, fires, recovers and is resolved. The cases of Prometheus' compliance suite come first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_engine.rules.machine import (
    ERROR,
    FIRING,
    INACTIVE,
    PENDING,
    RECOVERING,
    RESOLVED,
    AlertState,
    Outcome,
    Timing,
    absent,
    advance,
    changed,
    end,
)

Told = list[tuple[int, str]]
SAMPLE_S, EVERY_S = 15, 30  # as there: a sample every 15 s, judged every 30 s


def judged(outcomes: Iterator[tuple[int, Outcome]] | list[tuple[int, Outcome]], timing: Timing, recovered: bool = True) -> Told:
    alert = AlertState(0, 0)
    told = [(at, advance(alert, at, outcome, recovered, timing)) for at, outcome in outcomes]
    return [(at, state) for at, state in told if state]


def of_values(above: float, *blocks: tuple[float, int]) -> Iterator[tuple[int, Outcome]]:
    """Blocks of (value, number of samples), compared with a limit whenever the rule is judged."""
    values = [value for value, number in blocks for _ in range(number)]
    for at in range(0, len(values) * SAMPLE_S, EVERY_S):
        yield at, Outcome.TRUE if values[at // SAMPLE_S] > above else Outcome.FALSE


# ---- Prometheus' cases --------------------------------------------------------------------------------------------


def test_pending_firing_resolved() -> None:
    # 11 from 2m on; `for` of 3m; 9 from 8m15s on.
    values = ((3, 1), (5, 3), (9, 4), (11, 25), (9, 72))
    assert judged(of_values(10, *values), Timing(hold=180)) == [(120, PENDING), (300, FIRING), (510, RESOLVED)]


def test_pending_and_inactive_again() -> None:
    # 11 from 2m to 4m45s; it would fire at 5m.
    values = ((3, 1), (5, 3), (9, 4), (11, 11), (9, 41))
    assert judged(of_values(10, *values), Timing(hold=180)) == [(120, PENDING), (300, INACTIVE)]


def test_always_inactive() -> None:
    assert judged(of_values(99, (3, 8), (11, 11), (9, 41)), Timing(hold=180)) == []


ZERO_AND_SMALL = ((3, 1), (5, 3), (9, 4), (15, 13), (9, 72), (11, 13), (9, 21))


def test_no_for_fires_at_once_and_again() -> None:
    told = judged(of_values(10, *ZERO_AND_SMALL), Timing())
    assert told == [(120, FIRING), (330, RESOLVED), (1410, FIRING), (1590, RESOLVED)]


def test_a_for_shorter_than_the_interval_fires_at_the_second_judging() -> None:
    told = judged(of_values(13, *ZERO_AND_SMALL), Timing(hold=EVERY_S // 2))
    assert told == [(120, PENDING), (150, FIRING), (330, RESOLVED)]


def test_a_new_series_while_another_fires() -> None:
    one = judged(of_values(10, (1, 8), (11, 65), (9, 21)), Timing(hold=180))
    two = judged(of_values(10, (1, 32), (11, 33), (9, 21)), Timing(hold=180))
    assert one == [(120, PENDING), (300, FIRING), (1110, RESOLVED)]
    assert two == [(480, PENDING), (660, FIRING), (990, RESOLVED)]


# ---- ours ---------------------------------------------------------------------------------------------------------

_LETTERS = {"t": Outcome.TRUE, "f": Outcome.FALSE, "?": Outcome.UNKNOWN, "!": Outcome.FAILED}


def of_text(text: str) -> list[tuple[int, Outcome]]:
    return [(at, _LETTERS[letter]) for at, letter in enumerate(text)]


@pytest.mark.parametrize(
    ("outcomes", "timing", "told"),
    [
        ("ttttf", Timing(hold=3), [(0, PENDING), (3, FIRING), (4, RESOLVED)]),
        ("tffff", Timing(keep=3), [(0, FIRING), (1, RECOVERING), (3, RESOLVED)]),
        ("tftff", Timing(keep=2), [(0, FIRING), (1, RECOVERING), (2, FIRING), (3, RECOVERING), (4, RESOLVED)]),
        ("t??t", Timing(hold=3), [(0, PENDING), (3, FIRING)]),  # what is unknown keeps what was, and its time
        ("t????f", Timing(), [(0, FIRING), (5, RESOLVED)]),
        ("?f?f", Timing(), []),
        ("t!!f", Timing(), [(0, FIRING), (3, RESOLVED)]),  # two errors are told to nobody
        ("t!!!!f", Timing(), [(0, FIRING), (3, ERROR), (5, RESOLVED)]),  # frozen meanwhile
        ("t!!!t", Timing(hold=9), [(0, PENDING), (3, ERROR), (4, PENDING)]),
        ("!!!f", Timing(), [(2, ERROR), (3, INACTIVE)]),
        ("!!!!!!", Timing(), [(2, ERROR)]),
    ],
)
def test_what_is_told(outcomes: str, timing: Timing, told: Told) -> None:
    assert judged(of_text(outcomes), timing) == told


def test_a_dead_band_keeps_it_firing() -> None:
    alert, told = AlertState(0, 0), []
    for at, (outcome, recovered) in enumerate([("t", False), ("f", False), ("f", False), ("f", True)]):
        if state := advance(alert, at, _LETTERS[outcome], recovered, Timing()):
            told.append((at, state))
    assert told == [(0, FIRING), (3, RESOLVED)]


def after(outcomes: str, timing: Timing) -> AlertState:
    alert = AlertState(0, 0)
    for at, outcome in of_text(outcomes):
        advance(alert, at, outcome, True, timing)
    return alert


@pytest.mark.parametrize(
    ("outcomes", "timing", "told"),
    [("f", Timing(), None), ("t", Timing(hold=2), INACTIVE), ("t", Timing(), RESOLVED), ("tf", Timing(keep=5), RESOLVED)],
)
def test_the_end_of_a_run(outcomes: str, timing: Timing, told: str | None) -> None:
    assert end(after(outcomes, timing)) == told


@pytest.mark.parametrize(
    ("outcomes", "before", "outcome", "now", "told"),
    [
        ("t", Timing(), Outcome.TRUE, Timing(), None),  # the same episode
        ("t", Timing(), Outcome.FALSE, Timing(keep=9), RESOLVED),
        ("t", Timing(), Outcome.UNKNOWN, Timing(), RESOLVED),
        ("tf", Timing(keep=9), Outcome.TRUE, Timing(), FIRING),
        ("tt", Timing(hold=5), Outcome.TRUE, Timing(hold=5), None),
        ("tt", Timing(hold=5), Outcome.TRUE, Timing(), FIRING),
        ("tt", Timing(hold=5), Outcome.FALSE, Timing(hold=5), INACTIVE),
        ("f", Timing(), Outcome.TRUE, Timing(hold=5), PENDING),
        ("f", Timing(), Outcome.FALSE, Timing(), None),
    ],
)
def test_an_edited_rule(outcomes: str, before: Timing, outcome: Outcome, now: Timing, told: str | None) -> None:
    alert = after(outcomes, before)
    episode = alert.episode
    assert changed(alert, 9, outcome, now) == told
    assert alert.state != PENDING or alert.since == 9
    assert alert.episode == episode + (outcomes == "f" and outcome is Outcome.TRUE)


def test_an_edited_rule_that_pends_begins_anew() -> None:
    alert, timing = after("ttt", Timing(hold=5)), Timing(hold=5)
    changed(alert, 3, Outcome.TRUE, timing)
    assert [advance(alert, at, Outcome.TRUE, True, timing) for at in range(4, 9)] == [None] * 4 + [FIRING]


def test_no_data() -> None:
    alert = after("f", Timing())
    assert [absent(alert, at, fire=True) for at in (7, 8)] == [FIRING, None]
    assert (alert.since, alert.episode) == (7, 1)
    assert advance(alert, 9, Outcome.FALSE, True, Timing()) == RESOLVED
    pending = after("t", Timing(hold=9))
    assert absent(pending, 7, fire=True) == FIRING and pending.since == 0
    firing = after("t", Timing())
    assert absent(firing, 7, fire=True) is None  # it fires already
    assert absent(after("t", Timing()), 7, fire=False) == RESOLVED
    assert absent(after("f", Timing()), 7, fire=False) is None


@given(
    st.lists(st.sampled_from(["t", "f", "?", "!", "end", "absent", "well", "changed"]), max_size=60),
    st.integers(0, 4),
    st.integers(0, 4),
    st.booleans(),
)
def test_every_episode_that_fired_is_resolved_once(what: list[str], hold: int, keep: int, recovered: bool) -> None:
    alert, told, timing = AlertState(0, 0), [], Timing(hold, keep)
    for at, each in enumerate([*what, "end"]):
        if each == "end":
            state = end(alert)
        elif each in ("absent", "well"):
            state = absent(alert, at, fire=each == "absent")
        elif each == "changed":
            state = changed(alert, at, Outcome.TRUE, timing)
        else:
            state = advance(alert, at, _LETTERS[each], recovered, timing)
        if state:
            told.append((alert.episode, alert.sequence, state))
    assert alert.state == INACTIVE
    assert [sequence for _, sequence, _ in told] == list(range(1, len(told) + 1))
    for episode in range(1, alert.episode + 1):
        states = [state for of, _, state in told if of == episode and state != ERROR]
        assert states.count(RESOLVED) == (FIRING in states)
        if FIRING in states:
            assert states.index(RESOLVED) > states.index(FIRING)
