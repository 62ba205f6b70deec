"""What any command does with what it is given: help, and one clear line with exit code 2 for a mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reward_monitor.cli import COMMANDS
from tests.commands.conftest import Command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: Command, name: str) -> None:
    told = command(name, "--help")
    assert told.returncode == 0 and told.stderr == ""
    assert "example" in told.stdout and f"  reward-monitor {name}" in told.stdout


def test_the_help_names_every_command_and_imports_little() -> None:
    program = (
        "import sys\nfrom reward_monitor.cli import main\n"
        "try: main(['--help'])\nfinally: print('HEAVY', {'faust', 'pyarrow', 'numpy', 'rich', 'confluent_kafka'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert all(f"    {name}" in told.stdout for name in COMMANDS)
    assert "HEAVY set()" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dmo"], "there is no command 'dmo': did you mean `demo`?"),
        ([], "the following arguments are required: COMMAND"),
        (["demo", "--steps", "0"], "argument --steps: '0' is no whole number from 1 on"),
        (["demo", "--seed", "x"], "argument --seed: 'x' is no whole number from 0 on"),
        (["demo", "--stepps", "3"], "what is '--stepps'? see `reward-monitor demo --help`"),
        (["logs", "-n", "many"], "argument -n/--lines: 'many' is no whole number"),
        (["sql", "SELECT 1", "--format", "xml"], "argument --format: invalid choice: 'xml'"),
        (["sql", "SELECT 1", "more"], "what is 'more'?"),
        (["down", "--timeout", "soon"], "argument --timeout: invalid float value: 'soon'"),
        (["status", "--config", "/nowhere.yaml"], "/nowhere.yaml: there is no such file"),
        (["runs", "--config", "/tmp"], "/tmp: not a file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command: Command, arguments: list[str], says: str) -> None:
    told = command(*arguments)
    assert told.returncode == 2
    assert told.stdout == ""
    assert says in told.stderr and told.stderr.count("\n") == 1


def test_rubbish_in_the_settings_file_is_told_with_its_place(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    for raw, says in (
        (bytes(range(256)), "not YAML text"),
        (b"kafka: {brokers: [a]}\n", "settings.yaml:1:9: kafka.brokers is a list or a mapping"),
        (b"kafka:\n  brokrs: a:1\n", "settings.yaml:2:3: no such setting: kafka.brokrs: did you mean kafka.brokers?"),
        (b"x" * (1 << 21), "2097152 bytes long, 65536 are read"),
    ):
        file.write_bytes(raw)
        told = command("config", "--config", file)
        assert (told.returncode, told.stdout) == (2, "")
        assert says in told.stderr and told.stderr.count("\n") == 1, told.stderr


def test_what_needs_a_stack_says_how_to_start_one(command: Command, tmp_path: Path) -> None:
    for name in ("sql", "runs", "topics", "migrate"):
        told = command(name, *(["SELECT 1"] if name == "sql" else []), "--data-dir", tmp_path)
        assert told.returncode == 1 and "Nothing runs here" in told.stderr and "`reward-monitor up`" in told.stderr
    assert command("logs", "--data-dir", tmp_path).returncode == 1
    status = command("status", "--data-dir", tmp_path)
    assert status.returncode == 3 and "nothing runs in" in status.stdout
    down = command("down", "--data-dir", tmp_path)
    assert down.returncode == 0 and "nothing runs in" in down.stdout


def test_config_says_where_each_setting_came_from(command: Command, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("correct horse battery staple\n")
    file = tmp_path / "cluster.yaml"
    file.write_text(f"kafka:\n  brokers: b1:9092,b2:9092\nclickhouse:\n  host: ch\n  reader_password_file: {secret}\n")
    told = command("config", "--explain", "--config", file, env={"REWARD_MONITOR_KAFKA_BROKERS": "b3:9092"})
    assert told.returncode == 0, told.stderr
    lines = {line.split()[0]: line for line in told.stdout.splitlines() if "." in line}
    assert "b3:9092" in lines["kafka.brokers"] and "environment REWARD_MONITOR_KAFKA_BROKERS" in lines["kafka.brokers"]
    assert f"{file}:4:3" in lines["clickhouse.host"]
    assert "default" in lines["clickhouse.secure"] and "HTTPS" in lines["clickhouse.secure"]
    assert str(secret) in lines["clickhouse.reader_password_file"] and "horse" not in told.stdout
