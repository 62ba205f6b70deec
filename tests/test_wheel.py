"""The wheel in an empty environment, outside the checkout: what a user has after `pip install`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
from reward_infra.fetch import fetch

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "reward_schemas",
    "reward_engine",
    "reward_store",
    "reward_producers",
    "reward_jobs",
    "reward_infra",
    "reward_monitor",
)

pytestmark = pytest.mark.timeout(300)


def run(*words: object, cwd: Path, expect: int = 0) -> str:
    """What a program prints, without the environment of the checkout's."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE", "VIRTUAL_ENV"))
    }
    done = subprocess.run([*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place, cwd=ROOT)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    place = tmp_path / "empty"
    place.mkdir()
    return place


def environment(place: Path, wheel: Path, extra: str = "") -> Path:
    """The programs of a new environment with the wheel and its dependencies in the locked versions, and nothing else."""
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place.parent)
    locked = place / "locked.txt"  # without the hashes: with them pip wants one of the wheel too, and `==` in what it requires
    locked.write_text("\n".join(re.findall(r"^[a-z].*(?= \\$)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)))
    pip = (sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "-q", "-c", locked)
    run(*pip, f"reward-monitor{extra} @ {wheel.as_uri()}", cwd=place)
    return place / "bin"


def committed() -> Iterator[str]:
    """The files of the packages, by their names in the wheel."""
    listed = subprocess.run(["git", "ls-files", *PACKAGES, "*/reward_*"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if found := re.search(rf"(^|/)(({'|'.join(PACKAGES)})/.+)", name):
            yield found[2]


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    names = set(committed())
    assert {"reward_schemas/topics.yaml", "reward_store/migrations/0001_tables.sql", "reward_monitor/cli.py"} <= names
    assert names - set(ZipFile(wheel).namelist()) == set()


def test_the_bare_wheel_serves_a_trainer_and_names_the_extra_that_the_demo_needs(
    wheel: Path, tmp_path: Path, empty: Path
) -> None:
    programs = environment(tmp_path / "trainer", wheel)
    run(programs / "python", "-c", "from reward_monitor import Reporter, RewardFunction, Role, start_run", cwd=empty)
    assert "pip install 'reward-monitor[local]'" in run(programs / "reward-monitor", "demo", cwd=empty, expect=2)


def test_the_demo_runs_from_the_wheel(wheel: Path, tmp_path: Path, empty: Path) -> None:
    fetch()  # into the cache that the demo shares
    programs = environment(tmp_path / "local", wheel, "[local]")
    where = run(programs / "python", "-c", f"import {', '.join(PACKAGES)} as last; print(last.__file__)", cwd=empty)
    assert str(tmp_path / "local") in where
    said = run(programs / "reward-monitor", "demo", "--steps", "12", "--pause-ms", "20", "--data-dir", "data", cwd=empty)
    assert re.search(r"^ *11 .* ± ", said, re.MULTILINE), said  # the row of the last step
    assert [path.name for path in empty.iterdir()] == ["data"]
