"""`reward-monitor measures`: everything that is computed or known by name, and each explained."""

from __future__ import annotations

import subprocess
import sys

import pytest
from reward_engine.detectors.catalogue import DETECTORS
from reward_engine.measures import BY_NAME
from reward_engine.reported import REPORTED

from tests.commands.conftest import Command


def test_all_are_listed_by_topic(command: Command) -> None:
    told = command("measures")
    assert told.returncode == 0 and told.stderr == ""
    listed = [line[2:26].strip() for line in told.stdout.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted([*BY_NAME, *(each.name for each in (*REPORTED, *DETECTORS))])
    assert "Contributions. What each function gives" in told.stdout


def test_one_is_explained(command: Command) -> None:
    told = command("measures", "variance_contribution").stdout
    assert told.startswith("variance_contribution [share]\n")
    for part in ("advantages' variance", "formula   weighted_product / total_within", "total_within: sum of", "of an audit function",
                 "2601.05242", "SELECT step, variance_contribution FROM steps"):  # fmt: skip
        assert part in told
    assert "mean of the views steps, windows and completions" in command("measures", "mean").stdout


def test_a_name_of_the_trainers_is_explained_and_one_of_both(command: Command) -> None:
    told = command("measures", "kl").stdout
    assert "kl_estimator" in told and "k3 = exp(d) - d - 1" in told and "trainer_steps" in told and "completions" in told
    told = command("measures", "Entropy").stdout
    assert "entropy [share]" in told and "entropy [nats a token], reported by the trainer" in told


def test_a_detector_is_explained(command: Command) -> None:
    told = command("measures", "Trained-audit split").stdout
    assert told.startswith("trained-audit split, a detector\n")
    for part in ("worse by the audit", "family    audit", "while the total rises", "Price 1970", "FROM detections WHERE"):
        assert part in told


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("varance", "there is no measure or detector 'varance': did you mean `variance` or"),
        ("zzzz", "there is no measure or detector 'zzzz': `reward-monitor measures` lists them"),
    ],
)
def test_a_wrong_name_is_one_line(command: Command, name: str, says: str) -> None:
    told = command("measures", name)
    assert (told.returncode, told.stdout) == (2, "")
    assert says in told.stderr and told.stderr.count("\n") == 1


def test_it_needs_no_extra() -> None:
    """In a trainer's environment, which has numpy and little else."""
    program = (
        "import sys\n"
        "for name in ('rich', 'pyarrow', 'clickhouse_connect', 'faust'): sys.modules[name] = None\n"
        "from reward_monitor.cli import main\n"
        "sys.exit(main(['measures', 'Signal-to-noise']) or main(['measures']))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0 and "20 * log10" not in told.stdout and "signal_to_noise_db" in told.stdout, told.stderr
