"""What is said to whom and when, on a clock that the test sets. Most cases are one alert `r1` with a webhook `hook`."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_engine.rules.routes import Alertmanager, Match, Route, Slack, Webhook
from reward_jobs.notify.notice import Ended, Place
from reward_jobs.notify.state import FLOOD, LATE, OVER, Delivery

from tests.jobs.notify.alerts import CHAT, HOOK, PAGER, T0, URL, Bench, H, M, S, config, route, told

R1 = Match(run="r1")


def test_a_group_waits_then_speaks_no_oftener_than_its_interval() -> None:
    # r1 fires  r2 fires   10 s           r3 fires           2m10s   r1 resolved   4m10s
    #    |---------|-------▶ r1, r2 firing   |----------------▶ r3 firing |---------▶ r1 resolved
    bench = Bench(config(route(group_wait="10s", group_interval="2m")))
    bench.tell("firing", "r1")
    assert bench.wait(5 * S) == []
    bench.tell("firing", "r2")
    (first,) = bench.wait(5 * S)
    assert told([first]) == [("hook", "r1", "firing"), ("hook", "r2", "firing")]
    bench.tell("firing", "r3")
    assert bench.wait(119 * S) == []
    assert told(bench.wait(1 * S)) == [("hook", "r3", "firing")]
    bench.tell("resolved", "r1")
    assert bench.wait(119 * S) == []
    assert told(bench.wait(1 * S)) == [("hook", "r1", "resolved")]


def test_without_waiting_it_is_told_at_once() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    for state in ("pending", "firing", "recovering", "firing", "recovering", "resolved"):
        bench.tell(state)
        bench.wait(0)
    assert told(bench.sent) == [("hook", "r1", "firing"), ("hook", "r1", "resolved")]
    assert bench.core.state.problems == {}


def test_what_is_only_pending_is_never_told() -> None:
    bench = Bench(config(route()))
    bench.tell("pending")
    bench.tell("inactive")
    assert bench.wait(H) == []


def test_what_came_and_went_while_its_group_waited_is_told_in_one_message() -> None:
    bench = Bench(config(route(group_wait="10s")))
    bench.tell("firing")
    bench.tell("resolved", reason="run finished")
    (message,) = bench.wait(10 * S)
    assert told([message]) == [("hook", "r1", "firing"), ("hook", "r1", "resolved")]
    assert message.entries[1].notice.reason == "run finished"


def test_routes_are_tried_in_order_and_go_on_only_where_they_say_so() -> None:
    routes = (
        Route(to=("pager",), match=Match(severity="critical", labels={"team": "r*"}), go_on=True),
        Route(to=("pager", "chat"), match=Match(project="math*", rule="coll*")),
        Route(to=("hook",)),
    )
    bench = Bench(config(*routes, pager=PAGER, chat=CHAT, hook=HOOK))
    bench.tell("firing", "r1")
    bench.tell("firing", "r2", severity="warning")
    bench.tell("firing", "r3", rule="other", labels={})
    bench.tell("firing", "r4", labels={"team": "infra"}, project="code")
    assert sorted(told(bench.wait(H))) == [
        ("chat", "r1", "firing"),
        ("chat", "r2", "firing"),
        ("hook", "r3", "firing"),
        ("hook", "r4", "firing"),
        ("pager", "r1", "firing"),
        ("pager", "r2", "firing"),
    ]


def test_groups_are_made_of_what_the_route_names() -> None:
    bench = Bench(config(route(group_by=("labels.team", "severity"))))
    for run, team in (("r1", "a"), ("r2", "b"), ("r3", "a")):
        bench.tell("firing", run, labels={"team": team})
    assert [[entry.notice.run for entry in message.entries] for message in bench.wait(M)] == [["r1", "r3"], ["r2"]]


def test_what_still_fires_is_told_again_the_whole_group_together() -> None:
    bench = Bench(config(route(group_wait="0s", repeat_interval="4h")))
    bench.tell("firing", "r1")
    bench.wait(10 * M, M)
    bench.tell("firing", "r2")
    bench.wait(10 * M, M)
    assert bench.wait(3 * H + 39 * M, M) == []
    (again,) = bench.wait(M, M)
    assert told([again]) == [("hook", "r1", "firing"), ("hook", "r2", "firing")]
    assert [entry.repeats for entry in again.entries] == [1, 1]
    assert len({message.key for message in bench.sent}) == 3


def test_a_silence_until_a_time() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.silence(match=R1, until_ms=T0 + H)
    bench.tell("firing", "r1")
    bench.tell("firing", "r2")
    assert told(bench.wait(H - S)) == [("hook", "r2", "firing")]
    assert told(bench.wait(2 * S)) == [("hook", "r1", "firing")]


def test_what_still_fires_after_a_silence_is_told_again() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="2m")))
    bench.tell("firing")
    assert told(bench.wait(0)) == [("hook", "r1", "firing")]
    bench.silence(match=R1, until_ms=T0 + H)
    assert bench.wait(H - S) == []
    (message,) = bench.wait(2 * M + S)
    assert told([message]) == [("hook", "r1", "firing")] and message.entries[0].repeats == 1
    assert bench.wait(H) == []


def test_what_was_told_is_resolved_even_if_silenced() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.tell("firing")
    bench.wait(S)
    bench.silence(match=R1, until_ms=T0 + H)
    bench.tell("resolved")
    assert told(bench.wait(S)) == [("hook", "r1", "resolved")]


def test_what_was_silenced_from_beginning_to_end_is_not_told() -> None:
    bench = Bench(config(route()))
    bench.silence(match=R1, until_ms=T0 + H)
    bench.tell("firing")
    bench.wait(M)
    bench.tell("resolved")
    assert bench.wait(2 * H) == [] and bench.core.state.problems == {}


def test_a_silence_until_resolved_is_of_the_episode_that_fires() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.tell("firing")
    bench.wait(S)
    bench.silence(match=R1, bound=[*bench.core.state.problems])
    assert bench.wait(10 * H, M) == []
    bench.tell("resolved")
    bench.tell("firing", episode=2)
    assert told(bench.wait(S)) == [("hook", "r1", "resolved"), ("hook", "r1", "firing")]


def test_after_another_route_both_receivers_are_told_what_they_need() -> None:
    bench = Bench(config(route("chat", group_wait="0s"), hook=HOOK, chat=CHAT))
    bench.tell("firing")
    assert told(bench.wait(S)) == [("chat", "r1", "firing")]
    bench.restart(config(route("hook", group_wait="0s"), hook=HOOK, chat=CHAT))
    assert told(bench.wait(S)) == [("hook", "r1", "firing")]
    assert told(bench.wait(5 * H, M)) == [("hook", "r1", "firing")]  # what still fires is repeated to the new one alone
    bench.tell("resolved")
    assert sorted(told(bench.wait(H))) == [("chat", "r1", "resolved"), ("hook", "r1", "resolved")]


def test_a_restart_forgets_nothing_and_repeats_nothing() -> None:
    bench = Bench(config(route(group_wait="10s")))
    bench.tell("firing", "r1")
    bench.restart()
    assert told(bench.wait(M)) == [("hook", "r1", "firing")]
    bench.restart()
    assert bench.wait(H) == []
    bench.tell("resolved", "r1")
    bench.restart()
    assert told(bench.wait(M)) == [("hook", "r1", "resolved")]


def test_what_was_read_before_is_passed_over() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.tell("firing")
    bench.tell("resolved")
    bench.wait(S)
    bench.restart()
    bench._offsets = iter((1, 2))  # the worker goes on from an older snapshot, and says the same again
    bench.tell("firing")
    bench.tell("resolved")
    assert bench.wait(H) == []


def test_after_an_outage_there_is_one_message() -> None:
    bench = Bench(config(route(group_by=("run",)), hook=HOOK))
    for number in range(150):
        bench.tell("firing", f"r{number}", ago_ms=3 * H)
        if number % 3:
            bench.tell("resolved", f"r{number}", ago_ms=2 * H)
    bench.tell("firing", "now")
    messages = bench.wait(M)
    assert sorted((message.kind, -len(message.entries)) for message in messages) == [("", -1), (LATE, -200), (LATE, -50)]
    for number in range(150):
        bench.tell("resolved", f"r{number}")
    resolved = [run for _, run, status in told(bench.wait(2 * H)) if status == "resolved"]
    assert sorted(resolved) == sorted(f"r{number}" for number in range(0, 150, 3))


def test_what_was_silenced_when_the_digest_went_is_told_after_the_silence() -> None:
    bench = Bench(config(route(group_wait="0s")))
    bench.silence(match=R1, until_ms=T0 + H)
    bench.tell("firing", "r1", ago_ms=3 * H)
    bench.tell("firing", "r2", ago_ms=3 * H)
    assert told(bench.wait(M)) == [("hook", "r2", "firing")]
    assert told(bench.wait(H)) == [("hook", "r1", "firing")]


def test_a_digest_waits_for_the_rest_of_a_backlog_but_not_for_ever() -> None:
    bench = Bench(config(route()))
    for number in range(100):
        bench.tell("firing", f"r{number}", ago_ms=3 * H)
        bench.wait(4 * S)
    assert [(message.kind, len(message.entries)) for message in bench.sent] == [(LATE, 75)]


def test_beyond_the_messages_of_an_hour_the_rest_is_told_in_one() -> None:
    bench = Bench(config(route(group_by=("run",), group_wait="0s"), hook=Webhook(url=URL, max_per_hour=5)))
    for number in range(40):
        bench.tell("firing", f"r{number}")
        bench.wait(10 * S)
    assert [len(message.entries) for message in bench.sent] == [1] * 5
    assert [message.held_until_ms for message in bench.sent] == [None] * 4 + [T0 + H]
    bench.tell("resolved", "r0")
    bench.tell("resolved", "r39")
    messages = bench.wait(H)
    assert [(message.kind, len(message.entries)) for message in messages] == [(FLOOD, 37)]  # r39 twice: it came and went
    assert len({run for _, run, status in told(bench.sent) if status == "firing"}) == 40


def test_a_pager_has_an_incident_each_and_one_for_what_is_summed_up() -> None:
    pager = type(PAGER)(key=PAGER.key, max_per_hour=2)
    bench = Bench(config(route("pager", group_wait="0s", group_interval="0s"), pager=pager))
    for number in range(5):
        bench.tell("firing", f"r{number}")
    assert told(bench.wait(S)) == [("pager", "r0", "firing"), ("pager", "r1", "firing")]
    bench.tell("resolved", "r0")
    bench.tell("resolved", "r4")  # it came and went without a page
    assert told(bench.wait(S)) == [("pager", "r0", "resolved")]
    (incident,) = bench.wait(H)
    assert incident.kind == FLOOD and told([incident]) == [("pager", "r2", "firing"), ("pager", "r3", "firing")]
    bench.tell("resolved", "r2")
    assert bench.wait(S) == []
    bench.tell("resolved", "r3")
    (over,) = bench.wait(S)
    assert (over.kind, over.of) == (OVER, incident.key)
    bench.tell("resolved", "r1")
    assert told(bench.wait(S)) == [("pager", "r1", "resolved")] and bench.core.state.problems == {}


def test_after_an_outage_a_pager_rings_once() -> None:
    bench = Bench(config(route("pager", group_wait="0s", group_interval="0s"), pager=PAGER))
    bench.tell("firing", "told")
    bench.wait(S)
    bench.tell("resolved", "told", ago_ms=2 * H)
    for number in range(4):
        bench.tell("firing", f"r{number}", ago_ms=3 * H)
    bench.tell("resolved", "r3", ago_ms=2 * H)
    resolve, incident = bench.wait(M)
    assert told([resolve]) == [("pager", "told", "resolved")]
    assert incident.kind == LATE and [entry.notice.run for entry in incident.entries] == ["r0", "r1", "r2"]
    bench.wait(4 * H, M)  # what still fires is told again, each as an incident of its own: the one for all is over
    assert [(message.kind, message.of) for message in bench.sent[-4:]] == [("", "")] * 3 + [(OVER, incident.key)]


def test_an_alertmanager_hears_of_what_fires_every_minute_and_nothing_is_held_back() -> None:
    bench = Bench(config(route("am"), am=Alertmanager(url="https://am.example.org", resend="1m")))
    for number in range(3):
        bench.tell("firing", f"r{number}", ago_ms=5 * H)
    (first,) = bench.wait(S)
    assert len(first.entries) == 3 and first.expires_ms == first.created_ms + 24 * H
    again = bench.wait(H)
    assert [len(message.entries) for message in again] == [3] * 60
    assert {message.expires_ms - message.created_ms for message in again} == {M}
    bench.tell("resolved", "r1")
    assert told(bench.wait(0)) == [("am", "r1", "resolved")]


def test_a_rule_that_cant_be_computed_is_told_and_is_over_when_it_can_or_the_run_ends() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.tell("error", "r1", episode=0)
    bench.tell("error", "r2", episode=0)
    assert [(e.about, e.status) for m in bench.wait(S) for e in m.entries] == [("error", "firing")] * 2
    bench.tell("inactive", "r1", episode=0)
    assert [(e.about, e.notice.run, e.status) for m in bench.wait(S) for e in m.entries] == [("error", "r1", "resolved")]
    bench.core.read(Ended(0, Place(0, 99, 0), bench.now_ms, "r2", "run finished"), bench.now_ms)
    (message,) = bench.wait(S)
    assert told([message]) == [("hook", "r2", "resolved")] and message.entries[0].notice.reason == "run finished"


def test_an_error_leaves_the_alert_that_fires_as_it_is() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    for state in ("firing", "error", "firing", "resolved"):
        bench.tell(state)
        bench.wait(S)
    assert [(e.about, e.status) for m in bench.sent for e in m.entries] == [
        ("alert", "firing"),
        ("error", "firing"),
        ("error", "resolved"),
        ("alert", "resolved"),
    ]


@pytest.mark.parametrize("state", ["firing", "pending", "resolved", "inactive"])
def test_another_episode_ends_the_one_that_fires(state: str) -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.tell("firing", episode=7)
    bench.wait(S)
    bench.tell(state, episode=3)  # the fold was changed, and counts anew
    expected = [("hook", "r1", "resolved")] + [("hook", "r1", "firing")] * (state == "firing")
    assert told(bench.wait(S)) == expected


def test_of_a_topic_that_was_created_anew_everything_older_is_over() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.tell("firing", "r1")
    bench.tell("firing", "r2")
    bench.wait(S)
    bench.tell("pending", "r3", epoch=1)
    messages = bench.wait(S)
    assert told(messages) == [("hook", "r1", "resolved"), ("hook", "r2", "resolved")]
    assert "created anew" in messages[0].entries[0].notice.reason


def test_labels_of_an_alert_stay_those_that_it_fired_with() -> None:
    bench = Bench(config(route(group_wait="0s", group_interval="0s")))
    bench.tell("firing", labels={"team": "rl"})
    bench.wait(S)
    bench.tell("resolved", labels={"team": "other"}, severity="info", reason="rule changed")
    (message,) = bench.wait(S)
    assert (message.entries[0].notice.labels, message.entries[0].notice.severity) == ({"team": "rl"}, "critical")


# What may happen, in any order: three runs, three kinds of receivers, two configurations.
RECEIVERS = {
    "chat": Slack(url=CHAT.url, max_per_hour=3),
    "pager": type(PAGER)(key=PAGER.key, max_per_hour=2),
    "am": Alertmanager(url="https://am.example.org"),
}
CONFIGS = (
    config(Route(to=("chat", "pager", "am"), match=Match(run="r[01]")), Route(to=("chat",)), **RECEIVERS),
    config(Route(to=("pager",), match=Match(severity="info")), Route(to=("am",), group_by=("run",)), **RECEIVERS),
)
STATES = ("firing", "firing", "firing", "resolved", "pending", "recovering", "inactive", "error")
tells = st.tuples(st.just("tell"), st.sampled_from(STATES), st.integers(0, 2), st.integers(1, 2), st.sampled_from((0, 2 * H)))
events = st.one_of(
    tells,
    tells,
    tells,
    st.tuples(st.just("wait"), st.sampled_from((S, 20 * S, 3 * M, H, 5 * H))),
    st.tuples(st.just("silence"), st.integers(0, 2), st.booleans()),
    st.just(("unsilence",)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(events, max_size=40))
def test_what_was_told_to_fire_is_told_to_be_resolved(happened: list[tuple]) -> None:
    bench = Bench(CONFIGS[0])
    for what, *how in happened:
        if what == "tell":
            state, run, episode, ago_ms = how
            bench.tell(state, f"r{run}", episode=episode, ago_ms=ago_ms)
        elif what == "wait":
            bench.wait(how[0], max(how[0] // 40, S))
        elif what == "silence":
            run, timed = how
            fires = [*bench.core.state.problems]
            bench.silence(match=Match(run=f"r{run}"), **{"until_ms": bench.now_ms + H} if timed else {"bound": fires})
        elif what == "unsilence":
            bench.unsilence()
        else:
            bench.restart(CONFIGS[how[0]])
    for run in range(3):  # now everything ends
        bench.tell("resolved", f"r{run}", episode=9)
    bench.wait(3 * H, 5 * S)
    assert bench.core.state.problems == {}
    assert believed(bench.sent) == {"chat": set(), "pager": set(), "am": set()}
    assert len({message.key for message in bench.sent}) == len(bench.sent)


def believed(sent: list[Delivery]) -> dict[str, set[str]]:
    """What each receiver takes to fire after all these messages; at the pager, the incidents that are open."""
    open_: dict[str, set[str]] = {"chat": set(), "pager": set(), "am": set()}
    for message in sent:
        fires = open_[message.receiver]
        if message.receiver == "pager" and (message.kind or message.of):
            fires ^= {message.of or message.key}
        else:
            for entry in message.entries:
                (fires.add if entry.status == "firing" else fires.discard)(entry.id)
    return open_
