"""A reporter through fork, spawn, SIGTERM and the process's end. Each is a program of its own, into a directory."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from reward_schemas.events import Event, Rollout, RunEvent, RunState
from reward_schemas.parse import parse
from reward_schemas.segments import read, segments

pytestmark = pytest.mark.timeout(60)

BEGIN = """
import multiprocessing, os, signal, sys, threading, time
from reward_producers.reporter import start_run

def log(run, *steps):
    for step in steps:
        run.log_rollout(step, {"f": [float(step)]}, [0])

def child(run, *steps):
    log(run, *steps)

if __name__ == "__main__":
    BEFORE
    run = start_run("p", ["f"], run_id="run", **PLACE)
"""


def program(
    tmp_path: Path, text: str, place: dict | None = None, code: int = 0, before: str = "pass"
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, with this exit code."""
    file = tmp_path / "program.py"
    begin = BEGIN.replace("PLACE", repr({"data_dir": str(tmp_path), **(place or {})})).replace("BEFORE", before)
    file.write_text(begin + "".join(f"    {line}\n" for line in text.strip().splitlines()), encoding="utf-8")
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=40)
    assert done.returncode == code, done.stderr
    return done


def sessions(folder: Path) -> list[list[Event]]:
    """The events of each process, those of the run's start first."""
    found = [[parse(frame.key, frame.value) for frame in read(file)] for file in segments(folder)]
    for events in found:
        assert [event.identity.seq for event in events] == list(range(len(events)))
    return sorted(found, key=lambda events: not isinstance(events[0].body, RunEvent))


def steps(events: list[Event]) -> list[int]:
    return [event.body.step for event in events if isinstance(event.body, Rollout)]


def ends(events: list[Event]) -> list[str]:
    return [e.body.reason for e in events if isinstance(e.body, RunEvent) and e.body.state is RunState.FINISHED]


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [
        ("", 0, "the process ended"),
        ("sys.exit(3)", 3, "the process ended"),
        ("raise KeyError(1)", 1, "KeyError"),
        ("run.finish('done')", 0, "done"),
    ],
)
def test_a_process_that_ends_says_so_and_keeps_its_exit_code(end: str, code: int, reason: str, tmp_path: Path) -> None:
    told = program(tmp_path, f"log(run, *range(50))\n{end}", code=code)
    (events,) = sessions(tmp_path)
    assert steps(events) == list(range(50)) and ends(events) == [reason]
    assert told.stderr.count("Traceback") == (code == 1)


def test_a_forked_child_has_a_session_of_its_own_and_the_parents_is_untouched(tmp_path: Path) -> None:
    text = """
log(run, 0, 1)
before = run.counts
pid = os.fork()
if not pid:
    log(run, 10, 11)
    print(run.counts, threading.active_count(), flush=True)
    sys.exit(5)
log(run, 2)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
log(run, 3)
assert run.counts is before
"""
    told = program(tmp_path, text)
    assert told.stdout.startswith("2 accepted")
    parent, child = sessions(tmp_path)
    assert (steps(parent), steps(child)) == ([0, 1, 2, 3], [10, 11])
    assert (len(ends(parent)), ends(child)) == (1, [])  # the rank goes on
    assert parent[0].identity.session != child[0].identity.session


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_report_and_daemons_among_them_do_not(method: str, tmp_path: Path) -> None:
    text = f"""
log(run, 0)
context = multiprocessing.get_context({method!r})
for daemon, step in ((False, 1), (True, 2)):
    process = context.Process(target=child, args=(run, step), daemon=daemon)
    process.start()
    process.join()
    assert process.exitcode == 0
"""
    program(tmp_path, text)
    parent, other = sessions(tmp_path)
    assert (steps(parent), steps(other), ends(other)) == ([0], [1], [])


def test_a_forked_child_that_says_nothing_starts_nothing_and_ends_at_once(tmp_path: Path) -> None:
    """librdkafka's threads are the parent's: a child that destroyed the handle would wait for them for ever."""
    text = """
pid = os.fork()
if not pid:
    print(threading.active_count(), len(os.listdir("/proc/self/task")), flush=True)
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
run.finish(timeout_s=0.5)
pid = os.fork()
if not pid:
    log(run, 1)  # refused: it had ended
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    assert program(tmp_path, text, {"brokers": "127.0.0.1:1"}).stdout == "1 1\n"
    (spool,) = tmp_path.rglob("*.spool")
    assert len(list(read(spool))) == 3


SIGTERM = "log(run, *range(20))\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)"


def test_sigterm_ends_the_run_and_the_process_as_without_us(tmp_path: Path) -> None:
    program(tmp_path, SIGTERM, code=-signal.SIGTERM)
    (events,) = sessions(tmp_path)
    assert steps(events) == list(range(20)) and ends(events) == ["SIGTERM"]


@pytest.mark.parametrize(
    ("handler", "code", "reasons"),
    [
        ("lambda *_: os._exit(7)", 7, []),  # what was reported is safe all the same
        ("lambda *_: sys.exit(7)", 7, ["the process ended"]),
        ("lambda *_: (log(run, 20), run.finish('preempted'), sys.exit(7))", 7, ["preempted"]),
    ],
)
def test_the_trainers_own_handler_of_sigterm_decides(handler: str, code: int, reasons: list[str], tmp_path: Path) -> None:
    program(tmp_path, SIGTERM, code=code, before=f"signal.signal(signal.SIGTERM, {handler})")
    (events,) = sessions(tmp_path)
    assert steps(events)[:20] == list(range(20)) and ends(events) == reasons


def test_sigterm_in_the_midst_of_calls_neither_hangs_nor_loses(tmp_path: Path) -> None:
    text = """
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
for step in range(10**9):
    log(run, step)
"""
    program(tmp_path, text, code=-signal.SIGTERM)
    (events,) = sessions(tmp_path)
    assert ends(events) == ["SIGTERM"] and len(steps(events)) > 10


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    text = "os.kill(os.getpid(), signal.SIGTERM)\nlog(run, 1)"
    program(tmp_path, text, before="signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    (events,) = sessions(tmp_path)
    assert (steps(events), ends(events)) == ([1], ["the process ended"])


def test_many_ranks_of_one_node_have_a_spool_each(tmp_path: Path) -> None:
    text = "import sys; from reward_producers.reporter import start_run; rank = int(sys.argv[2])\nrun = start_run('p', ['f'], run_id='run', data_dir=sys.argv[1], brokers='127.0.0.1:1', rank=rank, world_size=4)\nrun.log_rollout(rank, {'f': [1.0]}, [0]); run.finish(timeout_s=0.5)"
    ranks = [subprocess.Popen([sys.executable, "-c", text, str(tmp_path), str(rank)]) for rank in range(4)]
    assert [process.wait(30) for process in ranks] == [0] * 4
    kept = [parse(f.key, f.value) for file in tmp_path.rglob("*.spool") for f in read(file)]
    assert Counter(event.identity.rank for event in kept) == dict.fromkeys(range(4), 4)
