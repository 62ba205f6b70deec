"""A detached stack as its user sees it, and what keeps one from starting."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pyarrow import parquet
from reward_infra import preflight
from reward_infra.data_dir import holder
from reward_infra.errors import Held, InfraError
from reward_infra.state_file import read

from tests.commands.conftest import PROGRAM, Command


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def landed(command: Command, data_dir: Path) -> bool:
    rows = json.loads(command("runs", "--json", "--data-dir", data_dir).stdout)
    return ("first", "finished", 2) in [(row["run_id"], row["state"], row["last_step"]) for row in rows]


def test_status_says_how_each_part_does(command: Command, running: Path) -> None:
    assert eventually(lambda: command("status", "--data-dir", running).returncode == 0)
    told = command("status", "--data-dir", running)
    for part in ("kafka", "clickhouse", "aggregate", "land"):
        assert any(line.startswith(part) and "up" in line and " MB" in line for line in told.stdout.splitlines()), told.stdout
    assert "records behind" in told.stdout and "none published" in told.stdout
    found = json.loads(command("status", "--json", "--data-dir", running).stdout)
    assert found["problems"] == [] and {lag["job"]: lag["members"] for lag in found["lags"]} == {"aggregate": 1, "land": 1}
    assert all(part["memory_bytes"] > 10_000_000 and part["uptime_s"] > 0 for part in found["parts"])


def test_a_second_up_on_the_directory_says_so(command: Command, running: Path) -> None:
    for arguments in (["up"], ["up", "--detach"], ["demo"]):
        told = command(*arguments, "--data-dir", running)
        assert told.returncode == 1
        assert f"held by process {holder(running)}" in told.stderr and "`reward-monitor down`" in told.stderr


def test_a_killed_part_comes_back_and_status_tells_its_end(command: Command, running: Path) -> None:
    def part() -> dict[str, object]:
        found = json.loads(command("status", "--json", "--data-dir", running).stdout)
        return next(part for part in found["parts"] if part["name"] == "land")

    before = part()
    os.kill(int(str(before["pid"])), signal.SIGKILL)
    assert eventually(lambda: part()["state"] == "up" and part()["pid"] != before["pid"])
    assert part()["restarts"] == 1 and "SIGKILL" in str(part()["last_error"])
    assert "land ended by itself with signal SIGKILL" in command("status", "--data-dir", running).stdout


def test_runs_and_sql_in_every_format(command: Command, running: Path, tmp_path: Path) -> None:
    assert eventually(lambda: landed(command, running))
    told = command("runs", "--data-dir", running).stdout
    assert "first" in told and "looked-at" in told and "0.75 ± 0.5" in told
    query = "SELECT step, mean, function AS f, [step] AS list FROM steps WHERE run_id = 'first' AND f = 'accuracy' ORDER BY step;"

    def sql(*arguments: object) -> str:
        done = command("sql", query, *arguments, "--data-dir", running)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert [line.split() for line in sql().splitlines()[2:]] == [[str(s), "0.75", "accuracy", f"[{s}]"] for s in range(3)]
    assert list(csv.reader(io.StringIO(sql("--format", "csv"))))[1:] == [[str(s), "0.75", "accuracy", f"[{s}]"] for s in range(3)]
    rows = [{"step": s, "mean": 0.75, "f": "accuracy", "list": [s]} for s in range(3)]
    assert [json.loads(line) for line in sql("--format", "json").splitlines()] == rows
    sql("--format", "parquet", "--output", tmp_path / "steps.parquet")
    assert parquet.read_table(tmp_path / "steps.parquet").to_pylist() == rows
    assert "2 of 3 rows" in sql("--rows", "2")
    assert command("sql", "-", "--format", "csv", "--data-dir", running, stdin="SELECT 7 AS x").stdout == '"x"\n7\n'


def test_sql_is_read_only_and_tells_what_it_refuses(command: Command, running: Path) -> None:
    for query, says in (
        ("selec 1", "Syntax error"),
        ("SELECT * FROM nowhere", "Unknown table expression identifier 'nowhere'"),
        ("DROP TABLE rewards_tables.pane_rows", "privileges"),
        ("INSERT INTO rewards_tables.gap_rows (epoch) VALUES (1)", "privileges"),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'x String')", "privileges"),
    ):
        told = command("sql", query, "--data-dir", running)
        assert told.returncode == 1 and says in told.stderr, told.stderr
        assert told.stderr.count("\n") == 1 and "Traceback" not in told.stderr


@pytest.mark.timeout(60)
def test_the_console_keeps_its_history(running: Path, tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb", "COLUMNS": "120"}
    process = subprocess.Popen(
        [PROGRAM, "sql", "--data-dir", str(running)], stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    seen = ""

    def until(text: str) -> None:  # the test's own time-out bounds it
        nonlocal seen
        while text not in seen:
            seen += os.read(master, 65536).decode()

    until("sql> ")
    os.write(master, b"SELECT 40 +\n")
    until("... ")
    os.write(master, b"2 AS answer;\n")
    until("1 rows in")
    assert "answer" in seen and "42" in seen
    os.write(master, b"nonsense;\n")
    until("Syntax error")
    os.write(master, b"\\d steps\n")
    until("coverage")
    os.write(master, b"\\q\n")
    assert process.wait(20) == 0
    os.close(master)
    history = (tmp_path / ".local/state/reward-monitor/sql_history").read_text().splitlines()
    assert "SELECT 40 +" in history and "2 AS answer;" in history


def test_topics_are_as_they_must_be(command: Command, running: Path) -> None:
    told = command("topics", "--data-dir", running)
    assert told.returncode == 0 and told.stdout.count("as it must be") == 4
    assert command("topics", "--create", "--data-dir", running).returncode == 0
    told = command("topics", "--data-dir", running, env={"REWARD_MONITOR_TOPICS_PARTITIONS": "64"})
    assert told.returncode == 1 and "partition count is 8, must be 64" in told.stdout
    told = command("topics", "--reset", "--data-dir", running)
    assert told.returncode == 1 and "1 workers run" in told.stderr


def test_logs_of_all_parts_and_of_one(command: Command, running: Path) -> None:
    told = command("logs", "--data-dir", running, "-n", "400").stdout
    assert {line.split()[0] for line in told.splitlines()} >= {"kafka", "aggregate", "land"}
    told = command("logs", "land", "-n", "3", "--data-dir", running).stdout
    assert len(told.splitlines()) == 3
    told = command("logs", "lend", "--data-dir", running)
    assert told.returncode == 1 and "did you mean `land`?" in told.stderr
    follow = subprocess.Popen(
        [PROGRAM, "logs", "land", "-n", "1000", "-f", "--data-dir", str(running)], stdout=subprocess.PIPE, text=True
    )
    with (running / "logs" / "land.log").open("a") as log:
        assert follow.stdout and follow.stdout.readline()
        log.write("a line that comes later\n")
        log.flush()
        assert "a line that comes later\n" in follow.stdout  # reads on until it comes
    follow.send_signal(signal.SIGINT)
    assert follow.wait(20) == 130


@pytest.mark.timeout(120)
def test_in_the_foreground_ctrl_c_ends_it_in_order_and_a_taken_port_is_told(command: Command, tmp_path: Path) -> None:
    def up() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PROGRAM, "up", "--data-dir", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    first = up()
    assert eventually(lambda: command("status", "--data-dir", tmp_path).returncode == 0, 60)
    ports = json.loads((tmp_path / "ports.json").read_text())
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    assert holder(tmp_path) is None
    state = read(tmp_path)
    assert state and {part.status for part in state.parts} == {"down"}

    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", ports["clickhouse_http"]))
        stranger.listen()
        second = up()
        assert eventually(lambda: command("status", "--data-dir", tmp_path).returncode == 0, 60)
        second.send_signal(signal.SIGTERM)
        text, _ = second.communicate(timeout=30)
    assert second.returncode == 130
    assert f"another program has port {ports['clickhouse_http']}: clickhouse_http listens on" in text
    assert "all parts stopped" in text and "Traceback" not in text


def test_what_would_hurt_later_is_named_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preflight.check(tmp_path)
    assert (tmp_path / "format").read_text() == "1\n"
    (tmp_path / "format").write_text("2\n")
    with pytest.raises(InfraError, match="format '2'.*reads 1 and older.*pip install -U"):
        preflight.check(tmp_path)
    (tmp_path / "format").write_text("1\n")
    monkeypatch.setattr(preflight, "DISK_BYTES_MIN", 1e18)
    with pytest.raises(InfraError, match=r"The disk is nearly full: [\d.]+ GB are free"):
        preflight.check(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(preflight, "MEMORY_BYTES_MIN", 1e18)
    with pytest.raises(InfraError, match=r"not enough memory: [\d.]+ GB are available"):
        preflight.check(tmp_path)


def test_a_directory_that_can_not_be_one(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = command("up", "--data-dir", tmp_path / "file" / "below")
    assert told.returncode == 1 and "The data directory can't be used: Not a directory" in told.stderr
    assert issubclass(Held, InfraError)
