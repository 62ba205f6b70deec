"""The programs that people copy from, as they run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reward_dashboards.runs import of_directory
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).parents[1]
LIGHT = "import sys, reward_monitor; import threading; print(threading.active_count(), *sorted(sys.modules))"


def run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs one in a folder of its own."""
    command = [sys.executable, str(ROOT / program), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_the_demo_without_services_says_what_it_found_and_what_to_open(tmp_path: Path) -> None:
    done = run(tmp_path, "examples/monitoring_demo.py", "--steps", "80")
    assert "hacking" in done.stdout.lower() and "reward-monitor web --data-dir runs" in done.stdout
    assert "firing at step" in done.stderr and "critical hacking" in done.stderr
    (found,) = of_directory(tmp_path / "runs")
    assert len(found.steps) == 80 and found.verdicts[-1].state == "hacking"
    (written,) = (tmp_path / "tensorboard").glob("*/*/events*")
    assert len(EventAccumulator(str(written.parent)).Reload().Scalars("reward/total/mean")) == 80


def test_the_monitored_training_reports_and_judges(tmp_path: Path) -> None:
    asked = ["--num-steps", "60", "--enable-alerts", "--log-distributions", "--run-id", "mine", "--backend", "numpy"]
    done = run(tmp_path, "scripts/train_grpo_monitored.py", *asked)
    assert "critical hacking" in done.stderr and "0 dropped" in done.stderr
    (found,) = of_directory(tmp_path / "runs")
    assert found.run_id == "mine" and len(found.steps) == 60 and "loss" in found.scalars
    (written,) = (tmp_path / "tensorboard").glob("*/mine/events*")
    assert "reward/accuracy/distribution" in EventAccumulator(str(written.parent)).Reload().Tags()["histograms"]


def test_an_import_starts_nothing_and_brings_nothing_along() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    threads, *modules = done.stdout.split()
    assert threads == "1"
    heavy = {
        "numpy",
        "scipy",
        "confluent_kafka",
        "google.protobuf",
        "msgspec",
        "torch",
        "transformers",
        "tensorboard",
        "wandb",
        "streamlit",
    }
    assert heavy.isdisjoint(modules)
