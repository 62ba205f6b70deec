"""`doctor` on the whole of it: nothing to find where all is well, and the one cause where a part is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from reward_infra.doctor.context import Context
from reward_infra.fetch import Installed
from reward_infra.pipeline import AGGREGATE, LAND, Pipeline
from reward_jobs.settings import Settings
from reward_schemas.settings import PREFIX, load

from reward_monitor import start_run
from tests.infra.doctoring import one
from tests.infra.test_doctor_machine import doctor

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def monitor(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """All parts, and a run whose rows have landed."""
    with Pipeline(tmp_path_factory.mktemp("well"), installed=installed) as running:
        running.start()
        with start_run("a-project", functions={"accuracy": 1.0}, brokers=running.brokers) as run:
            for step in range(3):
                run.log_rollout(step, rewards={"accuracy": np.ones(4)}, groups=np.zeros(4, int))
        reader = running.reader()
        eventually(lambda: reader.query("SELECT state FROM runs") == [("finished",)])
        reader.close()
        yield running


def eventually(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def local(monitor: Pipeline) -> Context:
    directory = monitor.stack.data_dir
    return Context(directory, load(Settings, {f"{PREFIX}LOCAL_DIR": str(directory)}, beneath=monitor.stack.settings_file))


def secrets(monitor: Pipeline) -> list[str]:
    return [file.read_text() for file in (monitor.stack.data_dir / "clickhouse" / "passwords").iterdir()]


def test_where_all_is_well_nothing_is_found(monitor: Pipeline) -> None:
    done = doctor("--data-dir", monitor.stack.data_dir)
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert done.stdout.endswith("\nno errors, no warnings\n") and "not looked at" not in done.stdout, done.stdout
    for group in ("this machine", "local stack", "Kafka", "ClickHouse", "from event to row"):
        assert f"{group}\n  ✓ " in done.stdout
    assert "\x1b" not in done.stdout and not any(secret in done.stdout for secret in secrets(monitor))
    assert "✓ runs: 1 have reported, 0 live now" in done.stdout


def test_for_programs_and_by_settings_of_ones_own(monitor: Pipeline) -> None:
    """The settings of a running stack, named as one's own: then the local stack isn't looked at."""
    done = doctor("--config", monitor.stack.settings_file, "--data-dir", monitor.stack.data_dir / "none", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 0 and (told["errors"], told["warnings"]) == (0, 0), done.stdout
    levels = {finding["check"]: finding["level"] for finding in told["findings"]}
    assert (levels["programs"], levels["topics"], levels["audit"]) == ("unseen", "ok", "ok")
    assert {*told["findings"][0]} == {"level", "what", "where", "remedy", "group", "check"}
    assert not any(secret in done.stdout for secret in secrets(monitor))


def test_a_trainers_machine_needs_no_clickhouse(monitor: Pipeline) -> None:
    done = doctor("--data-dir", monitor.stack.data_dir / "none", REWARD_MONITOR_KAFKA_BROKERS=monitor.brokers)
    assert "✓ Kafka login" in done.stdout and "not looked at, since no clickhouse is set: ClickHouse address" in done.stdout
    # A cluster's topics have 64 partitions unless something else is set; how many these have is not a trainer's business.
    assert "· topics: The topics have 8 partitions; topics.partitions is not set here" in done.stdout
    assert done.returncode == 0 and done.stdout.endswith("\nno errors, no warnings\n"), done.stdout


def test_parts_that_do_not_run(monitor: Pipeline) -> None:
    """Events arrive: first without a lander, then without a worker too. They stay down: the next test is of nothing but the end."""
    supervisor = monitor.supervisor
    supervisor.stop(LAND)
    part = one(local(monitor), "parts")
    assert part.what == "land is down." and part.where.endswith("logs/land.log") and "reward-monitor logs land" in part.remedy
    supervisor.stop(AGGREGATE)
    worker = one(local(monitor), "worker")
    assert "No worker runs" in worker.what and "reward-monitor logs aggregate" in worker.remedy
    done = doctor("--data-dir", monitor.stack.data_dir)
    assert done.returncode == 1 and "✗ worker: No worker runs" in done.stdout


def test_a_stack_that_was_stopped(monitor: Pipeline) -> None:
    """The last: only the one cause is told, and everything else is named as not looked at."""
    monitor.stop()
    done = doctor("--data-dir", monitor.stack.data_dir)
    assert done.returncode == 1 and done.stdout.count("✗") == 1, done.stdout
    assert (
        "✗ running: Nothing runs in this directory" in done.stdout and "✓ ports: those of the last start are free" in done.stdout
    )
    assert "not looked at, since the local stack does not run: worker, lander" in done.stdout
