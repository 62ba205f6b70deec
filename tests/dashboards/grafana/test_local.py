"""A Grafana of this machine beside the stack. None is here: a stand-in checks what it is given as strictly as Grafana does."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

import pytest
from reward_infra.errors import InfraError
from reward_infra.local_grafana import GRAFANA, LocalGrafana, Program, find
from reward_infra.local_stack import LocalStack

from tests.commands.conftest import command

pytestmark = pytest.mark.timeout(180)
STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A Grafana as it is unpacked."""
    return unpacked(tmp_path / "grafana", f"#!{sys.executable}\n{STAND_IN.read_text()}")


def unpacked(home: Path, program: str) -> Path:
    for folder in ("bin", "public"):
        (home / folder).mkdir(parents=True)
    executable = home / "bin" / "grafana"
    executable.write_text(program)
    executable.chmod(0o755)
    return home


def test_it_is_found_in_its_directory_or_on_the_path(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() is None
    program = find(home)
    assert program == Program((str(home / "bin/grafana"), "server"), home)
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert find() == program
    (home / "bin/grafana").rename(home / "bin/grafana-server")  # as older ones are called
    assert find() == Program((str(home / "bin/grafana-server"),), home)
    with pytest.raises(InfraError, match="no Grafana in this directory"):
        find(tmp_path)


def test_it_runs_beside_the_stack_and_keeps_its_port_and_password(
    stack: LocalStack, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GF_SERVER_ROOT_URL", "https://other.example")  # of another Grafana
    program = find(home)
    assert program is not None
    grafana = LocalGrafana(program, stack)
    stack.add(grafana.part())
    try:
        with urllib.request.urlopen(f"{grafana.url}/api/health", timeout=5) as answer:
            assert json.load(answer) == {"database": "ok"}
        assert f"{home}/bin/grafana cli --pluginsDir {grafana.home}/plugins plugins install" in grafana.lacks
        password = grafana.password_file.read_text()
        assert password not in " ".join([*grafana.part().argv, *(grafana.part().env or {}).values()])
    finally:
        stack.supervisor.stop(GRAFANA)
    again = LocalGrafana(program, stack)
    again.part()
    assert again.password_file.read_text() == password
    (home / "data/plugins/grafana-clickhouse-datasource").mkdir(parents=True)
    assert again.lacks == ""


def test_up_runs_it_and_says_where(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = command("up", "--detach", "--data-dir", data, "--grafana-home", home)
    try:
        assert up.returncode == 0, up.stderr
        assert "user admin, password in" in up.stdout and "Grafana lacks the ClickHouse plugin: " in up.stdout
        told = json.loads(command("status", "--json", "--data-dir", data).stdout)
        assert {part["name"]: part["state"] for part in told["parts"]}["grafana"] == "up"
    finally:
        assert command("down", "--data-dir", data).returncode == 0


def test_one_that_does_not_start_is_told_and_the_rest_runs(tmp_path: Path) -> None:
    home = unpacked(tmp_path / "grafana", "#!/bin/sh\necho 'cannot open the database'\nexit 3\n")
    data = tmp_path / "data"
    up = command("up", "--detach", "--data-dir", data, "--grafana-home", home)
    try:
        assert up.returncode == 0, up.stderr
        assert "Grafana does not run, all else does" in up.stdout and "cannot open the database" in up.stdout
    finally:
        assert command("down", "--data-dir", data).returncode == 0
    assert command("up", "--data-dir", data, "--grafana-home", tmp_path).returncode == 1
