"""The supervisor with small programs: order, restarts, stops, and that nothing outlives it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from reward_infra import runner
from reward_infra.errors import InfraError, PartFailed
from reward_infra.part import Part, PartState
from reward_infra.supervisor import Supervisor

pytestmark = pytest.mark.timeout(30)

SLEEP = ("sleep", "1000")


def ended(pid: int) -> bool:
    """Whether no process of this number runs (a zombie does not run)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def test_starts_in_order_and_stops_in_reverse(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    marks = {name: tmp_path / name for name in "abc"}

    def part(name: str, *after: str) -> Part:
        argv = ("sh", "-c", f"sleep 0.2; touch {marks[name]}; exec sleep 1000")
        return Part(name, argv, ready=marks[name].exists, after=after)

    def note(state: PartState) -> None:
        seen.append((state.name, state.status))

    with Supervisor([part("a"), part("b", "a"), part("c", "b")], tmp_path / "logs", on_change=note) as supervisor:
        supervisor.start()
        assert [state.status for state in supervisor.states().values()] == ["up"] * 3
        started = [name for name, status in seen if status in ("starting", "up")]
        assert started == ["a", "a", "b", "b", "c", "c"]
        seen.clear()
    assert seen == [(name, status) for name in "cba" for status in ("stopping", "down")]


def test_restarts_what_ends_after_a_growing_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_FIRST_S", 0.1)
    monkeypatch.setattr(runner, "BACKOFF_LAST_S", 0.4)
    part = Part("brief", ("sh", "-c", "echo the reason; sleep 0.1; exit 3"))
    with Supervisor([part], tmp_path) as supervisor:
        supervisor.start()
        assert eventually(lambda: len(supervisor.restarts()) >= 5)
        state = supervisor.states()["brief"]
    restarts = supervisor.restarts()[:5]
    assert [restart.pause_s for restart in restarts] == [0.1, 0.2, 0.4, 0.4, 0.4]
    for before, after in itertools.pairwise(restarts):
        assert after.at_s - before.at_s > before.pause_s
    first = restarts[0]
    assert (first.part, first.exit_code, first.log_tail) == ("brief", 3, "the reason")
    assert first.ran_s >= 0.1
    assert state.restarts >= 5 and state.last_exit == 3
    assert state.last_error == "brief ended by itself with exit code 3\nthe reason"


def test_back_off_is_forgotten_after_a_steady_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_FIRST_S", 0.05)
    monkeypatch.setattr(runner, "STEADY_S", 0.2)
    with Supervisor([Part("steady", ("sh", "-c", "sleep 0.3; exit 1"))], tmp_path) as supervisor:
        supervisor.start()
        assert eventually(lambda: len(supervisor.restarts()) >= 4)
    assert {restart.pause_s for restart in supervisor.restarts()} == {0.05}


def test_a_killed_part_comes_back_and_a_stopped_one_stays_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKOFF_FIRST_S", 0.1)
    with Supervisor([Part("a", SLEEP), Part("b", SLEEP)], tmp_path) as supervisor:
        supervisor.start()
        before = supervisor.pid("a")
        supervisor.kill("a")
        state = supervisor.wait_up("a", 5)
        assert state.pid not in (None, before) and state.last_exit == -signal.SIGKILL and state.restarts == 1
        supervisor.stop("a")
        time.sleep(0.4)
        assert supervisor.states()["a"].status == "down" and supervisor.pid("a") is None
        assert supervisor.states()["b"].status == "up"
        with pytest.raises(InfraError, match="does not run"):
            supervisor.signal("a", signal.SIGTERM)
        supervisor.start("a")
        assert supervisor.states()["a"].status == "up"
        supervisor.restart("a")
        assert supervisor.states()["a"].restarts == 1  # asked for, so not counted


def test_what_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    argv = ("sh", "-c", "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.05; done")
    supervisor = Supervisor([Part("stubborn", argv, grace_s=0.5)], tmp_path)
    supervisor.start()
    log = tmp_path / "stubborn.log"
    assert eventually(lambda: log.read_text().splitlines()[-1].isdigit())
    pid, child = supervisor.pid("stubborn"), int(log.read_text().splitlines()[-1])
    assert pid and not ended(pid) and not ended(child)
    began = time.monotonic()
    supervisor.stop()
    assert 0.5 <= time.monotonic() - began < 3
    assert ended(pid) and eventually(lambda: ended(child))
    assert "did not end within 0.5 s" in (supervisor.states()["stubborn"].last_error or "")


def test_a_paused_part_ends_in_order(tmp_path: Path, scripts: Callable) -> None:
    argv = scripts("import signal, sys\nsignal.signal(15, lambda *_: sys.exit(0))\nprint('on')\nwhile True: signal.pause()\n")
    log = tmp_path / "paused.log"
    supervisor = Supervisor([Part("paused", argv, ready=lambda: "on\n" in log.read_text())], tmp_path)
    supervisor.start()
    supervisor.signal("paused", signal.SIGSTOP)
    supervisor.stop()
    assert supervisor.states()["paused"].last_exit == 0


def test_a_part_that_ends_at_its_start_is_an_error_with_its_words(tmp_path: Path) -> None:
    parts = [Part("good", SLEEP), Part("bad", ("sh", "-c", "echo no such setting >&2; exit 7"), ready=lambda: False)]
    supervisor = Supervisor(parts, tmp_path)
    with pytest.raises(PartFailed, match="exit code 7\nno such setting") as caught:
        supervisor.start()
    assert (caught.value.part, caught.value.exit_code) == ("bad", 7)
    assert str(tmp_path / "bad.log") in str(caught.value)
    assert supervisor.states()["good"].status == "down"  # what had started was stopped


def test_a_part_that_is_never_ready_is_an_error_with_its_words(tmp_path: Path) -> None:
    def probe() -> bool:
        raise RuntimeError("wrong password")

    part = Part("slow", ("sh", "-c", "echo loading; exec sleep 1000"), ready=probe, ready_timeout_s=0.4)
    supervisor = Supervisor([part], tmp_path)
    with pytest.raises(PartFailed, match=r"not ready after 0.4 s \(the probe said: wrong password\)\nloading"):
        supervisor.start()


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(PartFailed, match="/no/such/program: No such file") as caught:
        Supervisor([Part("x", ("/no/such/program",), ready=lambda: False)], tmp_path).start()
    assert caught.value.exit_code == 127


def test_one_more_part_while_it_runs(tmp_path: Path) -> None:
    with Supervisor([Part("a", SLEEP)], tmp_path) as supervisor:
        supervisor.start()
        supervisor.add(Part("b", SLEEP, after=("a",)))
        assert supervisor.states()["b"].status == "up"
        with pytest.raises(ValueError, match="given twice"):
            supervisor.add(Part("b", SLEEP))
        with pytest.raises(PartFailed):
            supervisor.add(Part("c", ("sh", "-c", "exit 1"), ready=lambda: False))
        assert supervisor.states()["a"].status == "up"  # one bad part stops none of the others


def run_supervisor(tmp_path: Path, body: str) -> subprocess.Popen:
    program = tmp_path / "supervising.py"
    program.write_text(
        "import sys, time\nfrom pathlib import Path\n"
        "from reward_infra.part import Part\nfrom reward_infra.signals import until_signal\n"
        "from reward_infra.supervisor import Supervisor\n"
        f"logs = Path({str(tmp_path / 'logs')!r})\n{body}"
    )
    return subprocess.Popen([sys.executable, "-u", program], stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_no_part_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    body = """
stubborn = ("sh", "-c", "trap '' TERM INT HUP; while :; do sleep 0.05; done")
supervisor = Supervisor([Part("a", ("sleep", "1000")), Part("b", stubborn)], logs)
supervisor.start()
print(supervisor.pid("a"), supervisor.pid("b"))
time.sleep(1000)
"""
    process = run_supervisor(tmp_path, body)
    assert process.stdout
    pids = [int(word) for word in process.stdout.readline().split()]
    assert len(pids) == 2 and not any(map(ended, pids))
    process.kill()
    process.wait()
    assert eventually(lambda: all(map(ended, pids)), 2)


def test_ctrl_c_reaches_the_supervisor_alone_and_ends_all_in_order(tmp_path: Path, scripts: Callable) -> None:
    part = scripts(
        "import signal, sys, time\n"
        "def end(number, _):\n    print('got', number)\n    sys.exit(0)\n"
        "signal.signal(2, end); signal.signal(15, end)\nprint('ready')\n"
        "while True: time.sleep(0.05)\n"
    )
    body = f"""
log = logs / "a.log"
with Supervisor([Part("a", {part!r}, ready=lambda: "ready" in log.read_text())], logs) as supervisor:
    supervisor.start()
    print("up")
    print("signal", until_signal())
"""
    process = run_supervisor(tmp_path, body)
    assert process.stdout and process.stdout.readline() == "up\n"
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    assert process.stdout.read() == "signal 2\n"
    assert process.wait(10) == 0
    assert (tmp_path / "logs" / "a.log").read_text().splitlines()[-2:] == ["ready", "got 15"]


def test_an_exception_in_the_main_thread_ends_the_parts_in_order(tmp_path: Path) -> None:
    body = """
part = Part("a", ("sh", "-c", "trap 'echo ended in order; exit 0' TERM; echo on; while :; do sleep 0.05; done"),
            ready=lambda: "on\\n" in (logs / "a.log").read_text())
Supervisor([part], logs).start()
raise SystemExit(5)
"""
    assert run_supervisor(tmp_path, body).wait(10) == 5
    assert (tmp_path / "logs" / "a.log").read_text().endswith("ended in order\n")
