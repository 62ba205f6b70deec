"""The file that forgets nothing, and the threads that carry: in order, again where it failed, and nobody waits for another."""

from __future__ import annotations

import itertools
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from reward_engine.rules.routes import Match
from reward_jobs.notify.errors import Later, Refused
from reward_jobs.notify.outbox import Outbox, trouble
from reward_jobs.notify.state import Delivery, Entry, Silence
from reward_jobs.notify.store import FAILED, FILE, KEPT_MS, PENDING, SENT, Sent, Store
from reward_schemas.errors import MonitorError

from tests.jobs.notify.alerts import T0, Bench, H, M, S, config, notice, route


def message(run: str, receiver: str = "hook", sequence: int = 2, id_: str = "") -> Delivery:
    entry = Entry(id=id_ or run, about="alert", status="firing", notice=notice(run=run, sequence=sequence), fired_ms=T0)
    return Delivery(receiver=receiver, entries=[entry], created_ms=T0, expires_ms=T0 + H)


class Desk:
    """An outbox whose receiver does as it is told, and what became of its messages."""

    def __init__(self, *answers: Exception | None, **others: Callable[[Delivery], None]) -> None:
        self.answers, self.tried, self.records = list(answers), [], []
        self.outbox = Outbox({"hook": self.send, **others}, self.records.append)

    def send(self, message: Delivery) -> None:
        self.tried.append(message.entries[0].notice.run)
        if self.answers and (error := self.answers.pop(0)):
            raise error

    def work(self, now_ms: int) -> None:
        """Lets everything go that may at this time."""
        deadline = time.monotonic() + 5.0
        while self.outbox.work(now_ms):
            assert time.monotonic() < deadline
            time.sleep(0.001)

    @property
    def states(self) -> dict[str, str]:
        return {record.key: record.state for record in self.records}


@pytest.fixture(autouse=True)
def _every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "filters", [])


def test_what_fails_is_tried_again_ever_more_rarely() -> None:
    desk = Desk(*[Later("HTTP 500")] * 11)
    desk.outbox.add([message("r1")])
    times = []
    for now_ms in range(T0, T0 + H, S):
        before = len(desk.tried)
        desk.work(now_ms)
        times += [now_ms - T0] * (len(desk.tried) - before)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == [S, 2 * S, 4 * S, 8 * S, 16 * S, 32 * S, 64 * S, 128 * S, 256 * S, 300 * S, 300 * S]
    assert [record.state for record in desk.records] == [PENDING] * 11 + [SENT]


def test_a_receiver_that_asks_for_quiet_has_it() -> None:
    desk = Desk(Later("HTTP 429", 120.0))
    desk.outbox.add([message("r1"), message("r2")])
    desk.work(T0)
    desk.work(T0 + 119 * S)
    assert desk.tried == ["r1"]
    desk.work(T0 + 120 * S)
    assert desk.tried == ["r1", "r1", "r2"]


def test_others_go_past_but_no_end_before_its_beginning() -> None:
    desk = Desk(Later("HTTP 500"))
    first, its_end, other = message("fires", id_="e1"), message("ends", sequence=3, id_="e1"), message("other")
    desk.outbox.add([first, its_end, other])
    desk.work(T0)
    desk.work(T0 + S - 1)
    assert desk.tried == ["fires"]
    desk.outbox._queues["hook"].due_ms[first.key] = T0 + M
    desk.work(T0 + S)
    assert desk.tried == ["fires", "other"]
    desk.work(T0 + M)
    assert desk.tried == ["fires", "other", "fires", "ends"]


def test_what_is_refused_for_good_is_told_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(Refused("HTTP 404: no such hook"))
    with caplog.at_level(logging.ERROR, "reward_jobs.notify"):
        desk.outbox.add([message("r1"), message("r2", receiver="gone")])
        desk.work(T0)
    assert {(record.state, record.reason) for record in desk.records} == {
        (FAILED, "HTTP 404: no such hook"),
        (FAILED, "no receiver has this name any more"),
    }
    assert "failed for good: HTTP 404: no such hook" in caplog.text


def test_what_is_too_old_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(*[Later("HTTP 500")] * 100)
    desk.outbox.add([message("r1")])
    desk.work(T0)
    desk.work(T0 + H)
    assert desk.records[-1].state == FAILED and desk.records[-1].reason == "too old, after 1 attempts"
    assert desk.outbox.work(T0 + 2 * H) is False and desk.tried == ["r1"]


def test_a_mistake_of_ours_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(ZeroDivisionError("ours"))
    desk.outbox.add([message("r1")])
    desk.work(T0)
    desk.work(T0 + S)
    assert desk.tried == ["r1", "r1"] and [record.state for record in desk.records] == [PENDING, SENT]
    assert "ZeroDivisionError: ours" in caplog.text


def test_a_receiver_that_hangs_keeps_nobody_waiting() -> None:
    release = threading.Event()
    desk = Desk(slow=lambda _: release.wait(10) and None)
    desk.outbox.add([message("s1", receiver="slow"), message("r1"), message("r2")])
    deadline = time.monotonic() + 5
    while len(desk.tried) < 2:
        desk.outbox.work(T0)
        assert time.monotonic() < deadline
    assert len(desk.records) <= 2
    release.set()
    desk.work(T0)
    assert set(desk.states.values()) == {SENT} and len(desk.states) == 3


def stored(directory: Path, bench: Bench, made: list[Delivery]) -> Store:
    store = Store(directory)
    store.save(bench.core.state, bench.core.take_changed(), made)
    return store


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    bench = Bench(config(route(group_wait="0s")))
    bench.tell("firing", "r1")
    bench.tell("firing", "r2")
    made = bench.wait(S)
    stored(tmp_path, bench, made).close()
    store = Store(tmp_path)
    state = store.load(bench.now_ms)
    assert (state.problems, state.marks) == (bench.core.state.problems, bench.core.state.marks)
    assert state.sent == {"hook": [T0]} and store.pending() == made
    bench.tell("resolved", "r1")
    made += bench.wait(H)
    store.save(bench.core.state, bench.core.take_changed(), made[1:])
    store.record(Sent(made[0].key, SENT))
    assert [problem.opened.run for problem in store.firing()] == ["r2"] and store.pending() == made[1:]
    assert next(outcome[1:] for outcome in store.outcomes()) == (SENT, "", 1)


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    bench = Bench(config(route(group_wait="0s")))
    bench.tell("firing")
    (made,) = bench.wait(S)
    store = Store(tmp_path)
    with pytest.raises(sqlite3.IntegrityError):
        store.save(bench.core.state, bench.core.take_changed(), [made, made])
    assert store.load(T0).problems == {} and store.load(T0).marks == {} and store.pending() == []


def test_old_messages_and_silences_are_forgotten_pending_ones_never(tmp_path: Path) -> None:
    bench = Bench(config(route(group_wait="0s", group_by=("run",))))
    bench.tell("firing", "r1")
    bench.tell("firing", "r2")
    first, second = bench.wait(S)
    store = stored(tmp_path, bench, [first, second])
    store.record(Sent(first.key, SENT))
    for id_, until_ms in (("over", T0 - 1), ("holds", T0 + 9 * KEPT_MS)):
        store.add_silence(Silence(id=id_, match=Match(), until_ms=until_ms))
    store.add_silence(Silence(id="bound", match=Match()))
    store.prune(T0 + KEPT_MS + M)
    assert [key for key, *_ in store.outcomes()] == [second.key] and set(store.silences()) == {"holds", "bound"}
    for run in ("r1", "r2"):
        bench.tell("resolved", run)
    store.save(bench.core.state, bench.core.take_changed(), bench.wait(H))
    store.prune(T0)
    assert set(store.silences()) == {"holds"}


def test_another_process_sees_and_silences_but_only_one_notifies(tmp_path: Path) -> None:
    store, other = Store(tmp_path), Store(tmp_path)
    store.lock()
    with pytest.raises(MonitorError, match="Another notifier uses this directory"):
        other.lock()
    before = store.changes()
    with pytest.raises(MonitorError, match="Nothing that matches fires"):
        other.add_silence(Silence(id="a", match=Match()))
    other.add_silence(Silence(id="a", match=Match(), until_ms=T0))
    assert store.changes() != before and set(store.silences()) == {"a"}
    assert other.remove_silence("a") and not other.remove_silence("a")


def test_a_file_that_is_none_or_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "newer").close()
    with sqlite3.connect(tmp_path / "newer" / FILE) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(MonitorError, match="newer version"):
        Store(tmp_path / "newer")
    (tmp_path / FILE).write_bytes(b"rubbish" * 1000)
    with pytest.raises(MonitorError, match="can't be used: file is not a database"):
        Store(tmp_path)


def test_kill_9_in_the_middle_of_writing_loses_no_transaction(tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from tests.jobs.notify.alerts import Bench, config, route
from reward_jobs.notify.store import Store
store, bench = Store(Path({str(tmp_path)!r})), Bench(config(route(group_wait="0s", group_interval="0s", group_by=("run",))))
for number in range(100_000):
    bench.tell("firing", f"r{{number}}")
    store.save(bench.core.state, bench.core.take_changed(), bench.wait(0))
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        last = -1
        for line in process.stdout:
            last = int(line)
            if last == 20:
                process.kill()
        process.wait()
    store = Store(tmp_path)
    state = store.load(T0)
    assert len(state.problems) in (last + 1, last + 2)  # the last one may have been written and not said
    assert len(store.pending()) == len(state.problems) == state.marks[0].offset
