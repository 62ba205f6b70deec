"""The real engine: who may do what, and that its tables outlive a stop and kill -9."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reward_infra.embedded_clickhouse import EmbeddedClickHouse
from reward_infra.errors import PartFailed, PortTaken
from reward_infra.fetch import Installed
from reward_infra.ports import Ports
from reward_infra.supervisor import Supervisor

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def server(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """A prepared server in a directory whose name XML, SQL and a file pattern could stumble over."""
    ports = Ports(None, installed.cache / "ports")
    chosen = ports.choose({"http": 28523, "tcp": 29500})
    home = tmp_path_factory.mktemp("clickhouse") / "a {b} '<c>' *é"
    made = EmbeddedClickHouse(installed.library, home, chosen["http"], chosen["tcp"])
    made.prepare()
    yield made
    ports.release()


@pytest.fixture(scope="module")
def running(server: EmbeddedClickHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    with Supervisor([server.part()], tmp_path_factory.mktemp("logs")) as supervisor:
        supervisor.start()
        yield supervisor


@pytest.fixture
def table(server: EmbeddedClickHouse, running: Supervisor, sql: Callable) -> str:
    """A table of the product's database with the numbers 0 to 9."""
    for statement in (
        "CREATE DATABASE IF NOT EXISTS rewards",
        "CREATE OR REPLACE TABLE rewards.t (x UInt64) ORDER BY x",
        "INSERT INTO rewards.t SELECT number FROM numbers(10)",
        "CREATE DATABASE IF NOT EXISTS other",
        "CREATE OR REPLACE TABLE other.t (x UInt64) ORDER BY x",
        "SYSTEM FLUSH LOGS",  # makes system.query_log
    ):
        sql(server.address, statement)
    return "rewards.t"


def test_the_reader_reads_the_products_database(server: EmbeddedClickHouse, table: str, sql: Callable) -> None:
    assert sql(server.address, f"SELECT sum(x) FROM {table}", "reader") == "45"
    assert sql(server.address, "SHOW DATABASES", "reader") == "rewards"
    assert sql(server.address, "SHOW TABLES FROM rewards", "reader") == "t"
    assert sql(server.address, "SELECT 1 SETTINGS max_execution_time = 65", "reader") == "1"  # as Grafana asks


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM other.t",
        "SELECT * FROM system.query_log",
        "SELECT * FROM system.users",
        "SELECT * FROM system.processes",
        "SELECT * FROM file('users.xml', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1:1', 'rewards.t')",
        "INSERT INTO rewards.t VALUES (1)",
        "CREATE TABLE rewards.mine (x Int8) ORDER BY x",
        "CREATE TEMPORARY TABLE mine (x Int8)",
        "ALTER TABLE rewards.t DELETE WHERE 1",
        "DROP TABLE rewards.t",
        "SYSTEM SHUTDOWN",
        "CREATE USER me",
    ],
)
def test_the_reader_can_do_nothing_else(
    server: EmbeddedClickHouse, table: str, sql: Callable, refused: type, statement: str
) -> None:
    with pytest.raises(refused, match="Code: 497"):
        sql(server.address, statement, "reader")


@pytest.mark.parametrize(
    "name",
    ["max_execution_time", "max_memory_usage", "max_memory_usage_for_user", "max_result_rows", "max_result_bytes"],
)
@pytest.mark.parametrize("value", ["0", "100000000000"])
def test_the_reader_cannot_lift_its_limits(
    server: EmbeddedClickHouse, running: Supervisor, sql: Callable, refused: type, name: str, value: str
) -> None:
    with pytest.raises(refused, match="Code: 452"):
        sql(server.address, f"SELECT 1 SETTINGS {name} = {value}", "reader")


def test_the_reader_stays_a_reader(server: EmbeddedClickHouse, running: Supervisor, sql: Callable, refused: type) -> None:
    with pytest.raises(refused, match="Code: 164"):
        sql(server.address, "SELECT 1 SETTINGS readonly = 0", "reader")
    assert sql(server.address, "SELECT getSetting('max_execution_time')", "reader") == "60"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM file('users.xml', 'LineAsString')",
        "SYSTEM STOP LISTEN TCP",
        "CREATE TEMPORARY TABLE mine (x Int8)",
    ],
)
def test_after_the_start_default_can_do_nothing(
    server: EmbeddedClickHouse, table: str, sql: Callable, refused: type, statement: str
) -> None:
    with pytest.raises(refused, match="QUOTA_EXCEEDED"):
        sql(server.address, statement, None)
    with pytest.raises(refused, match=r"ACCESS_DENIED|QUOTA_EXCEEDED"):
        sql(server.address, f"SELECT * FROM {table}", None)


@pytest.mark.parametrize(
    "statement",
    [
        "SYSTEM SHUTDOWN",
        "SELECT * FROM file('users.xml', 'LineAsString')",
        "INSERT INTO FUNCTION file('x.csv') SELECT 1",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "CREATE USER me",
    ],
)
def test_the_writer_touches_tables_only(
    server: EmbeddedClickHouse, running: Supervisor, sql: Callable, refused: type, statement: str
) -> None:
    with pytest.raises(refused, match="Code: 497"):
        sql(server.address, statement)


def test_passwords_are_random_and_stand_in_one_file(server: EmbeddedClickHouse, running: Supervisor) -> None:
    credentials = server.address.credentials
    assert len(credentials.writer) >= 32 and credentials.writer != credentials.reader
    assert server.home.stat().st_mode & 0o777 == 0o700
    for name in ("passwords/writer", "passwords/reader", "config.xml", "users.xml"):
        assert (server.home / name).stat().st_mode & 0o777 == 0o600
    log = running._log_dir / "clickhouse.log"
    command = Path(f"/proc/{running.pid('clickhouse')}/cmdline").read_text()
    environment = Path(f"/proc/{running.pid('clickhouse')}/environ").read_text()
    for text in (log.read_text(), command, environment, repr(server.address), (server.home / "users.xml").read_text()):
        assert credentials.writer not in text and credentials.reader not in text


def test_a_wrong_password_is_refused(server: EmbeddedClickHouse, running: Supervisor, sql: Callable, refused: type) -> None:
    from dataclasses import replace

    from reward_infra.embedded_clickhouse import Credentials

    stranger = replace(server.address, credentials=Credentials(writer="guess", reader="guess"))
    with pytest.raises(refused, match="AUTHENTICATION_FAILED"):
        sql(stranger, "SELECT 1")


def test_both_protocols_listen_on_the_loopback_address_only(server: EmbeddedClickHouse, running: Supervisor) -> None:
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        listening |= {local} if state == "0A" else set()
    for port in (server.http_port, server.tcp_port):
        assert f"0100007F:{port:04X}" in listening and f"00000000:{port:04X}" not in listening


def test_tables_and_passwords_outlive_a_stop_and_kill_9(
    server: EmbeddedClickHouse, running: Supervisor, table: str, sql: Callable
) -> None:
    before = server.address
    running.kill("clickhouse")
    running.wait_up("clickhouse", 20)
    assert sql(server.address, f"SELECT count() FROM {table}") == "10"
    running.stop("clickhouse")
    assert running.states()["clickhouse"].last_exit == 0
    server.prepare()
    running.start("clickhouse")
    assert server.address == before
    assert sql(server.address, f"SELECT count() FROM {table}", "reader") == "10"


def test_a_taken_port_is_named(server: EmbeddedClickHouse, running: Supervisor, tmp_path: Path) -> None:
    taken = server.tcp_port
    with pytest.raises(PortTaken, match=f"Port {taken} is taken"):
        EmbeddedClickHouse(server.library, tmp_path, 28999, taken).prepare()


def test_a_port_taken_in_the_meantime_ends_the_server_with_its_name(installed: Installed, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        late = EmbeddedClickHouse(installed.library, tmp_path / "home", 28998, port)
        late_part = late.part()
        other.close()
        late.prepare()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(PartFailed, match=f"exit code 1\n[\\s\\S]*Port {port} is taken"):
            Supervisor([late_part], tmp_path / "logs").start()


def test_a_stop_during_the_start_ends_it_too(installed: Installed, tmp_path: Path) -> None:
    import signal
    import subprocess
    import time

    ports = Ports(None, installed.cache / "ports")
    chosen = ports.choose({"http": 28524, "tcp": 29501})
    server = EmbeddedClickHouse(installed.library, tmp_path / "home", chosen["http"], chosen["tcp"])
    server.prepare()
    for after_s in (0.1, 0.2, 0.3, 0.4):
        process = subprocess.Popen(server.argv(), cwd=server.home, stderr=subprocess.DEVNULL)
        time.sleep(after_s)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)  # the latter: before Python had set its handler
    ports.release()
