"""Faults in mid-stream: nothing is lost, nothing lands twice, and closed rows equal the fold over the whole log bit for bit.

Each test sends runs of its own through a pipeline that all share, breaks something meanwhile, and then compares.
"""

from __future__ import annotations

import signal
import time

from reward_infra.pipeline import AGGREGATE, LAND, Pipeline

from tests.jobs.oracle import await_finished, check_exact
from tests.jobs.traffic import Traffic


def through(monitor: Pipeline, name: str, fault, steps: int = 100, pause_s: float = 0.05) -> None:
    with Traffic(monitor.brokers, name, steps=steps, pause_s=pause_s) as traffic:
        time.sleep(1.0)
        fault()
    await_finished(monitor, traffic.run_ids)
    check_exact(monitor, traffic)


def test_undisturbed(monitor: Pipeline) -> None:
    through(monitor, "calm", lambda: None)


def test_kill_9_of_worker_and_lander(monitor: Pipeline) -> None:
    def fault() -> None:
        for name in (AGGREGATE, LAND, AGGREGATE, LAND):
            monitor.supervisor.kill(name)
            time.sleep(2.0)

    through(monitor, "killed", fault, steps=160)
    assert {r.part for r in monitor.supervisor.restarts()} >= {AGGREGATE, LAND}


def test_sigterm_of_worker_and_lander(monitor: Pipeline) -> None:
    def fault() -> None:
        for name in (AGGREGATE, LAND):
            monitor.supervisor.restart(name)
            assert monitor.supervisor.states()[name].last_exit == 0

    through(monitor, "terminated", fault)


def test_a_worker_that_sleeps_twelve_seconds(monitor: Pipeline) -> None:
    def fault() -> None:
        monitor.supervisor.signal(AGGREGATE, signal.SIGSTOP)
        time.sleep(12.0)
        monitor.supervisor.signal(AGGREGATE, signal.SIGCONT)

    through(monitor, "slept", fault, steps=240)


def test_a_second_worker_joins_and_leaves(monitor: Pipeline) -> None:
    def fault() -> None:
        monitor.stack.add(monitor.aggregate("aggregate-2"))
        time.sleep(6.0)
        monitor.supervisor.kill(AGGREGATE)  # the second goes on alone for a while
        time.sleep(3.0)
        monitor.supervisor.stop("aggregate-2")

    through(monitor, "joined", fault, steps=200)


def test_kill_9_of_the_broker(monitor: Pipeline) -> None:
    through(monitor, "brokerless", lambda: monitor.supervisor.kill("kafka"), steps=160)


def test_clickhouse_down_for_twenty_seconds(monitor: Pipeline) -> None:
    def fault() -> None:
        monitor.supervisor.stop("clickhouse")
        time.sleep(20.0)
        monitor.supervisor.start("clickhouse")

    through(monitor, "dry", fault)
