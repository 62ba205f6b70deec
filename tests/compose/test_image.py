"""The image, as far as it can be checked without Docker: what goes in, that locks fit, and that the command runs from them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.compose.project import DOCKERFILE, ROOT, image_environment, image_health_command, instructions, last_stage

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
LOCKS = ROOT / "requirements"


def locked(name: str) -> dict[str, tuple[str, int]]:
    """By package and marker, the version of a lock and how many hashes it has."""
    found = {}
    for entry in re.findall(r"(?m)^(\S+==.*(?:\n[ ]{4}.*)*)", (LOCKS / name).read_text()):
        requirement = Requirement(entry.split("\\")[0])
        marker = str(requirement.marker or "")
        found[f"{canonicalize_name(requirement.name)} {marker}".strip()] = (
            str(requirement.specifier),
            entry.count("--hash=sha256:"),
        )
    return found


def here(lock: dict[str, tuple[str, int]]) -> set[str]:
    """The packages of a lock that this Python and platform take."""
    taken = (key.partition(" ") for key in lock)
    return {name for name, _, marker in taken if not marker or Requirement(f"{name}; {marker}").marker.evaluate()}


def closure(requirements: list[str]) -> set[str]:
    """Packages with all that they need, by what is installed here."""
    found: set[str] = set()
    todo = [(Requirement(text), "") for text in requirements]
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({**default_environment(), "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        new = name not in found
        found.add(name)
        for wanted in [*requirement.extras, *([""] if new else [])]:
            todo += [(Requirement(text), wanted) for text in importlib.metadata.requires(name) or []]
    return found


def test_the_lock_of_the_image_is_what_the_jobs_need_and_no_more() -> None:
    wanted = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["project"]["optional-dependencies"]["jobs"]]
    assert here(locked("jobs.txt")) == closure(wanted)


def test_the_image_is_built_by_what_builds_the_wheel() -> None:
    assert here(locked("build.txt")) == closure(PYPROJECT["build-system"]["requires"])
    assert PYPROJECT["build-system"]["requires"] == [
        line for line in (LOCKS / "build.in").read_text().splitlines() if line[0] != "#"
    ]


@pytest.mark.parametrize("name", ["jobs.txt", "build.txt"])
def test_what_is_in_the_image_is_what_is_tested(name: str) -> None:
    tested = locked("dev.txt")
    for package, (version, hashes) in locked(name).items():
        assert hashes and tested[package] == (version, hashes), package


def test_everything_is_installed_by_hash() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install ([^&]*)", "\n".join(rest for _, rest in instructions()))
    assert len(installs) == 3
    assert all(
        "--require-hashes" in install or "--no-index --no-deps" in install or "--no-deps --no-index" in install
        for install in installs
    )


def test_the_base_images_have_a_version_that_the_package_is_for() -> None:
    bases = {rest.split()[0] for word, rest in instructions() if word == "FROM"}
    assert len(bases) == 1
    (found,) = re.findall(r"^python:(3\.\d+)-slim-\w+$", *bases)
    from packaging.specifiers import SpecifierSet

    assert found in SpecifierSet(PYPROJECT["project"]["requires-python"])
    assert set(re.findall(r"python(\d\.\d+)", DOCKERFILE.read_text())) == {found}  # paths in it


def test_only_what_the_wheel_needs_can_come_in() -> None:
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert first == "*"
    let_in = {line[1:] for line in rest if line[0] == "!"}
    assert {line for line in rest if line[0] != "!"} == {"**/__pycache__"}
    assert let_in == {*PACKAGES, "LICENSE", "README.md", "pyproject.toml", "requirements/jobs.txt", "requirements/build.txt"}
    copied = {path for word, text in instructions() if word == "COPY" and "--from" not in text for path in text.split()[:-1]}
    for path in let_in | copied:
        assert (ROOT / path).exists(), path
    for path in copied - {"."}:
        assert path in let_in, path


def test_it_runs_as_nobody_who_can_log_in() -> None:
    steps = dict(last_stage())
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", steps["USER"])
    assert re.search(rf"useradd --uid {steps['USER'].partition(':')[0]} .*--shell /usr/sbin/nologin", steps["RUN"])
    assert [word for word, _ in last_stage()].index("USER") > [word for word, _ in last_stage()].index("COPY")
    assert not [word for word, _ in instructions() if word == "ADD"]


def test_its_health_check_asks_where_the_job_writes() -> None:
    *command, directory = image_health_command()
    assert command == ["python", "-m", "reward_jobs.health"]
    assert image_environment()["REWARD_MONITOR_JOBS_DATA_DIR"] == directory


# Runs the command where nothing can be imported but the standard library, our packages and those of the lock.
PROGRAM = """
import importlib.metadata, json, sys
allowed = set(json.loads(sys.argv[1]))
names = importlib.metadata.packages_distributions()
class Locked:
    def find_spec(self, name, path=None, target=None):
        of = {d.lower().replace("_", "-") for d in names.get(name.partition(".")[0], [])}
        if of and not of & allowed and "reward-monitor" not in of:
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Locked())
from reward_monitor.cli import main
sys.exit(main(sys.argv[2:]))
"""


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REWARD_MONITOR_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(sorted(here(locked("jobs.txt")))), *arguments],
        cwd=cwd,
        env={**clean, "COLUMNS": "300", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["topics", "migrate", "config", "status", "runs", "sql", "logs", "down", "up", "demo", "fetch"])
def test_each_command_knows_its_arguments(name: str, tmp_path: Path) -> None:
    done = command(name, "--help", cwd=tmp_path)
    assert done.returncode == 0 and "example" in done.stdout, done.stderr


def test_what_a_container_runs_needs_no_more_than_the_lock(tmp_path: Path) -> None:
    nowhere = {"REWARD_MONITOR_KAFKA_BROKERS": "127.0.0.1:1", "REWARD_MONITOR_CLICKHOUSE_HTTP_PORT": "1"}
    assert "127.0.0.1:1" in command("config", cwd=tmp_path, **nowhere).stdout
    for arguments, code, words in (
        (["topics", "--create"], 1, "Kafka gives no answer"),
        (["migrate"], 1, "ClickHouse gave no answer"),
        (["runs"], 1, "ClickHouse gave no answer"),
        (["status"], 1, "can't be asked"),
        (["fetch"], 1, "reward-monitor[local]"),  # the embedded stack has an extra of its own
    ):
        done = command(*arguments, cwd=tmp_path, **nowhere, XDG_CACHE_HOME=str(tmp_path))
        assert (done.returncode, words in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
        assert "Traceback" not in done.stderr
