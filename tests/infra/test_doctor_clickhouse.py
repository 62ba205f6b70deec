"""`doctor` on the real ClickHouse: what can be wrong on the way to it, and in what has landed there."""

from __future__ import annotations

import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from reward_infra.doctor import clickhouse_inside, network
from reward_infra.doctor.context import Context
from reward_infra.local_stack import LocalStack
from reward_schemas.events import Tick
from reward_schemas.results_pb2 import Quarantine, Result
from reward_store.client import Client
from reward_store.landing import RESULTS, Batch
from reward_store.migrate import migrate
from reward_store.settings import Retention

from tests.infra.doctoring import closed_port, context, look, mute_port, one, silent_port, well
from tests.store.logs import as_records, event, folded, records, rollout, training
from tests.store.running import land

pytestmark = pytest.mark.timeout(60)
Of = Callable[..., Context]


@pytest.fixture
def of(stack: LocalStack) -> Of:
    """A context of the running stack's ClickHouse, with settings that differ."""
    return lambda **settings: context(stack.settings_file, **settings)


@pytest.fixture
def passwords(stack: LocalStack) -> Path:
    return stack.data_dir / "clickhouse" / "passwords"


class Database:
    """A pair of databases that are a test's own. The reader may not see them, so the writer reads too."""

    def __init__(self, stack: LocalStack, name: str, passwords: Path) -> None:
        self.settings = {
            "clickhouse_tables": f"{name}_tables",
            "clickhouse_views": name,
            "clickhouse_reader": "writer",
            "clickhouse_reader_password_file": passwords / "writer",
        }
        self.context = context(stack.settings_file, **self.settings)
        self.client: Client = context(stack.settings_file, **self.settings).settings.clickhouse.as_writer().connect()

    def migrate(self) -> Database:
        migrate(self.client, retention=Retention(raw_days=0, log_days=0))
        return self


@pytest.fixture
def database(stack: LocalStack, passwords: Path, request: pytest.FixtureRequest) -> Iterator[Database]:
    made = Database(stack, "doctor_" + re.sub(r"\W", "_", request.node.name)[:40], passwords)
    yield made
    for name in (made.settings["clickhouse_tables"], made.settings["clickhouse_views"]):
        made.client.command(f"DROP DATABASE IF EXISTS {name}")
    made.client.close()


def test_addresses_that_do_not_answer(of: Of, monkeypatch: pytest.MonkeyPatch) -> None:
    port = closed_port()
    refused = one(of(clickhouse_http_port=port), "ClickHouse address")
    assert f"Nothing listens at 127.0.0.1:{port}" in refused.what
    assert "environment REWARD_MONITOR_CLICKHOUSE_HTTP_PORT" in refused.where
    unknown = one(of(clickhouse_host="clickhouse.invalid"), "ClickHouse address")
    assert "The name clickhouse.invalid is unknown here" in unknown.what and "or change clickhouse.host" in unknown.remedy
    monkeypatch.setattr(network, "CONNECT_S", 0.3)  # for what answers nothing, however long one waits
    with mute_port() as mute:
        hangs = one(of(clickhouse_http_port=mute), "ClickHouse protocol")
    assert "takes connections and says nothing" in hangs.what and "the server hangs" in hangs.remedy
    with silent_port() as silent:
        assert "a firewall" in one(of(clickhouse_http_port=silent), "ClickHouse address").what
    url = one(of(clickhouse_host="https://me:hidden-word@db.example"), "ClickHouse address")
    assert "a host name or address is needed" in url.what and "clickhouse.secure" in url.remedy
    assert "hidden-word" not in str(url)


def test_the_native_port_given_as_http(stack: LocalStack, of: Of) -> None:
    found = one(of(clickhouse_http_port=stack.clickhouse.tcp_port), "ClickHouse protocol")
    assert f"Port {stack.clickhouse.tcp_port} is ClickHouse's native one" in found.what
    assert found.remedy == f"set clickhouse.http_port to {stack.clickhouse.http_port}"
    assert stack.supervisor.states()["clickhouse"].restarts == 0


class Ping(BaseHTTPRequestHandler):
    """What ClickHouse answers to /ping."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Ok.\n")

    def log_message(self, *_: object) -> None: ...


def test_http_and_https_mistaken_for_each_other(of: Of, tmp_path: Path) -> None:
    http = one(of(clickhouse_secure="true"), "ClickHouse protocol")
    assert "speaks plain HTTP, the settings say HTTPS" in http.what and "clickhouse.secure to false" in http.remedy
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
         "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "ca"],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "ca", tmp_path / "key")
    # The embedded engine serves no HTTPS: real TLS with the one answer that is asked for stands in for it.
    with ThreadingHTTPServer(("127.0.0.1", 0), Ping) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # who speaks plain HTTP to it is one of the cases
        Thread(target=server.serve_forever, daemon=True).start()
        port = {"clickhouse_http_port": server.server_port}
        https = one(of(**port), "ClickHouse protocol")
        wrong = one(of(**port, clickhouse_secure="true"), "ClickHouse protocol")
        right = well(of(**port, clickhouse_secure="true", clickhouse_ca_file=tmp_path / "ca"), "ClickHouse protocol")
        server.shutdown()
    assert "speaks HTTPS, the settings say HTTP" in https.what and "clickhouse.secure to true" in https.remedy
    assert "certificate is not trusted: self-signed certificate" in wrong.what and "clickhouse.ca_file" in wrong.remedy
    assert right == ["HTTPS with a trusted certificate"]


def test_something_else_on_the_port(stack: LocalStack, of: Of) -> None:
    found = one(of(clickhouse_http_port=stack.brokers.rpartition(":")[2]), "ClickHouse protocol")
    assert "is no ClickHouse" in found.what and "8123" in found.remedy


def test_users_that_are_not_let_in(of: Of, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not-the-password")
    for role in ("reader", "writer"):
        found = one(of(**{f"clickhouse_{role}_password_file": tmp_path / "wrong"}), f"ClickHouse {role}")
        assert f"does not let {role} in, with the password in {tmp_path / 'wrong'}" in found.what
        assert f"clickhouse.{role}_password_file" in found.remedy and "not-the-password" not in str(found)
        assert "does not let nobody in" in one(of(**{f"clickhouse_{role}": "nobody"}), f"ClickHouse {role}").what
    well(of(), "ClickHouse reader", "ClickHouse writer")


def test_rights_too_wide_and_too_narrow(of: Of, passwords: Path) -> None:
    well(of(), "reader's rights", "writer's rights")
    wide = one(of(clickhouse_reader="writer", clickhouse_reader_password_file=passwords / "writer"), "reader's rights", "warning")
    assert "writer may change what is stored: INSERT" in wide.what
    assert "GRANT SELECT, SHOW ON rewards.* alone" in wide.remedy and "clickhouse.reader, environment" in wide.where
    narrow = one(of(clickhouse_writer="reader", clickhouse_writer_password_file=passwords / "reader"), "writer's rights")
    assert narrow.what == "The writer reader may not write." and "INSERT" in narrow.remedy


def test_a_server_that_is_too_old(of: Of, monkeypatch: pytest.MonkeyPatch) -> None:
    assert well(of(), "ClickHouse version")[0].startswith("2")
    monkeypatch.setattr(clickhouse_inside, "VERSION_MIN", (99, 1))  # there is one engine here: it is made too old for us
    found = one(of(), "ClickHouse version")
    assert "is too old: 99.1 is needed" in found.what and found.remedy == "update the server"


def test_a_schema_that_is_not_there_not_complete_or_newer(database: Database) -> None:
    missing = one(database.context, "schema")
    assert "has no tables yet" in missing.what and "reward-monitor migrate" in missing.remedy
    views = one(database.context, "views")
    assert (
        {"dead_letters", "gaps", "steps"} <= set(re.findall(r"\w+", views.what))
        and "migrate" in views.remedy
        and "GRANT SELECT, SHOW" in views.remedy
    )
    database.migrate()
    well(database.context, "schema", "views")
    tables = database.settings["clickhouse_tables"]
    database.client.command(f"INSERT INTO {tables}.schema_migrations (version, name, sha256) VALUES (9999, 'later', 'x')")
    newer = one(database.context, "schema")
    assert "The database is at migration 9999_later" in newer.what and "update reward-monitor" in newer.remedy
    database.client.command(f"TRUNCATE TABLE {tables}.schema_migrations")
    assert "lacks migrations 0001_tables" in one(database.context, "schema").what


def test_a_clock_that_is_wrong(stack: LocalStack) -> None:
    """The clocks of one machine are one: the check is handed another."""
    ahead = one(context(stack.settings_file, now_s=lambda: time.time() - 30), "ClickHouse's clock", "warning")
    assert re.search(r"ClickHouse's clock is at least (29\.\d|30\.0) s ahead of this machine's", ahead.what)
    behind = one(context(stack.settings_file, now_s=lambda: time.time() + 300), "ClickHouse's clock")
    assert re.search(r"at least (299\.\d|300\.0) s behind", behind.what) and "chrony" in behind.remedy
    well(context(stack.settings_file), "ClickHouse's clock")


def test_before_any_run_has_reported(database: Database) -> None:
    found = one(database.migrate().context, "runs", "note")
    assert found.what == "No run has reported yet." and "start_run(…, brokers=…)" in found.remedy
    well(database.context, "dead letters", "quarantines", "gaps", "trainers' clocks", "audit")


def now(log: list, ago_s: float = 5.0) -> list:
    """A log of the tests, as if it had been appended just now."""
    first = int((time.time() - ago_s) * 1000)
    return [record._replace(append_time_ms=first + i) for i, record in enumerate(log)]


def test_dead_letters_alone_and_among_others(database: Database) -> None:
    database.migrate()
    land(database.client, now(records([b"\xff\x00 secret-payload", b"\xff\x01", Tick()])))
    found = one(database.context, "dead letters")
    assert "Events arrive, and none can be used: 2 dead letters" in found.what
    assert "2 × message: not a protobuf message of this schema" in found.what and "partition 0 offset" in found.what
    assert "secret-payload" not in found.what
    assert "pip install -U reward-monitor" in found.remedy and "SELECT * FROM dead_letters" in found.remedy
    land(database.client, now(records(training("good", 2), 1)))
    some = one(database.context, "dead letters", "warning")
    assert "2 messages of the last day could not be used" in some.what
    assert "1 have reported" in well(database.context, "runs")[0]


def test_a_run_in_quarantine(database: Database) -> None:
    database.migrate()
    results = [
        Result(run_id="poison", partition=0, offset=9, quarantine=Quarantine(error="ValueError: no", traceback="Traceback")),
        Result(run_id="freed", partition=0, offset=9, quarantine=Quarantine(error="x")),
        Result(run_id="freed", partition=0, offset=12, append_time_ms=1, quarantine=Quarantine(error="x", released=True)),
    ]
    batch = Batch()
    for record in as_records(results):
        batch.add(RESULTS, record)
    for table, rows in batch.tables():
        database.client.insert_arrow(table, rows)
    found = one(database.context, "quarantines")
    assert "The run poison is no longer aggregated" in found.what and "ValueError: no" in found.what
    assert "SELECT traceback FROM quarantines WHERE run_id = 'poison'" in found.remedy


def test_a_gap(database: Database) -> None:
    database.migrate()
    tables = database.settings["clickhouse_tables"]
    database.client.command(f"INSERT INTO {tables}.gap_rows (partition, from_offset, to_offset, version) VALUES (1, 5, 25, 1)")
    found = one(database.context, "gaps", "warning")
    assert "20 records were gone before they were aggregated" in found.what and "retention.ms" in found.remedy


def test_rows_that_do_not_agree_with_what_was_sent(database: Database) -> None:
    database.migrate()
    log = now(records(training("run", 6)))
    land(database.client, log)
    well(database.context, "audit")
    tables = database.settings["clickhouse_tables"]
    database.client.command(
        f"INSERT INTO {tables}.ingest_audit (topic, epoch, partition, from_offset, to_offset) VALUES ('events', 0, 0, {len(log) + 4}, 99)"
    )
    found = [finding for finding in look(database.context, "audit") if finding.level == "error"]
    assert any(f"records {len(log)} to {len(log) + 3} were never landed" in finding.what for finding in found)
    assert all("`reward-monitor topics --reset`" in finding.remedy for finding in found)


def test_a_trainer_whose_clock_is_ahead(database: Database) -> None:
    database.migrate()
    ahead_ms = int(time.time() * 1000) + 40_000
    sent = rollout("run", 3, 0, 1)
    log = now(records([event("run", 3, 0, sent.body, at_ms=ahead_ms)]))
    land(database.client, log, results=as_records(folded(log)))
    found = one(database.context, "trainers' clocks", "warning")
    assert re.search(r"the most that of run run rank 3: by at least 4\d\.\d s", found.what) and "chrony" in found.remedy
