"""What DashboardManager writes, read back by TensorBoard's own reader, and from W&B's own offline file."""

from __future__ import annotations

import json
import logging
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import wandb
from reward_producers.dashboard_manager import DashboardManager
from reward_producers.errors import RewardInputError
from reward_producers.metrics import StepMetrics
from reward_producers.metrics_tracker import RewardMetricsTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.util import tensor_util
from wandb.proto import wandb_internal_pb2

FUNCTIONS = {"accuracy": 1.0, "format": 0.2}


def training(steps: int, seed: int = 0) -> Iterator[tuple[StepMetrics, np.ndarray]]:
    """Metrics of a tracker, and the accuracies that they are of."""
    draw, tracker = np.random.default_rng(seed), RewardMetricsTracker(FUNCTIONS, window_size=5)
    for step in range(steps):
        accuracy = draw.random(32)
        rewards = {"accuracy": accuracy, "format": draw.integers(0, 2, 32)}
        groups = np.repeat(np.arange(8), 4)
        yield (
            tracker.track_step(step, rewards, kl_divergence=0.01 * step, groups=groups, lengths=draw.integers(9, 90, 32)),
            accuracy,
        )


def read(folder: Path) -> EventAccumulator:
    """Everything, as TensorBoard itself would show it."""
    found = EventAccumulator(str(folder), size_guidance=dict.fromkeys(("scalars", "histograms", "tensors"), 0))
    return found.Reload()


def scalars(of: EventAccumulator, name: str) -> dict[int, float]:
    """Values by step; each step once."""
    events = of.Scalars(name)
    assert len({event.step for event in events}) == len(events)
    return {event.step: event.value for event in events}


def test_tensorboard_reads_back_scalars_distributions_hyperparameters_and_a_layout(tmp_path: Path) -> None:
    with DashboardManager(
        "maths", run_id="a/b", log_dir=tmp_path, hyperparameters={"lr": 1e-3, "algorithm": "grpo"}
    ) as dashboards:
        for metrics, _ in training(12):
            dashboards.log_metrics(metrics.step, metrics)
    found = read(tmp_path / "maths" / "a%2Fb")
    for metrics, accuracy in training(12):
        assert scalars(found, "reward/accuracy/mean")[metrics.step] == np.float32(metrics["accuracy"].mean)
        assert scalars(found, "reward_window/total/std")[metrics.step] == np.float32(metrics.window.total.std)
        assert scalars(found, "trainer/kl")[metrics.step] == np.float32(metrics.kl_divergence)
        (told,) = (
            event.histogram_value for event in found.Histograms("reward/accuracy/distribution") if event.step == metrics.step
        )
        assert told.num == sum(told.bucket) == len(accuracy)
        assert told.sum == pytest.approx(accuracy.sum(), rel=1 / 128)
        edges = np.array([told.min, *told.bucket_limit[1:-1], np.inf])
        assert np.abs(np.array(told.bucket[1:]) - np.histogram(accuracy, edges)[0]).max() <= 2  # values are rounded to 1/128
    assert "completion/length/mean" in found.Tags()["scalars"]
    plugin = found.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    assert dict(hparams.parse_session_start_info_plugin_data(plugin).hparams)["algorithm"].string_value == "grpo"
    (layout,) = found.Tensors(custom_scalar.CONFIG_SUMMARY_TAG)
    charts = layout_pb2.Layout.FromString(tensor_util.make_ndarray(layout.tensor_proto).item()).category[0].chart
    assert [chart.title for chart in charts][:2] == ["Mean reward", "What drives the advantages"]


def test_a_restart_and_a_return_to_a_checkpoint_neither_double_nor_lose(tmp_path: Path) -> None:
    for steps, value in ((range(10), 0.0), (range(6, 9), 1.0), (range(7, 12), 2.0)):
        with DashboardManager("p", log_dir=tmp_path) as dashboards:
            for step in steps:
                dashboards.log_metrics(step, {"loss": value})
    assert scalars(read(tmp_path / "p"), "loss") == dict.fromkeys(range(6), 0.0) | {6: 1.0} | dict.fromkeys(range(7, 12), 2.0)
    with DashboardManager("again", log_dir=tmp_path) as dashboards:
        for step, value in ((0, 0.0), (1, 0.0), (2, 0.0), (1, 5.0), (2, 5.0)):
            dashboards.log_metrics(step, {"loss": value})
    assert scalars(read(tmp_path / "again"), "loss") == {0: 0.0, 1: 5.0, 2: 5.0}


def records(file: Path) -> list[wandb_internal_pb2.Record]:
    """What W&B's file holds: LevelDB's log format, of records in protobuf."""
    made, part, data, at = [], b"", file.read_bytes(), 7  # a head
    while at + 7 <= len(data):
        if (left := 32_768 - at % 32_768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        if at + 7 + size > len(data):
            break  # it is being written
        part += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            made.append(wandb_internal_pb2.Record.FromString(part))
            part = b""
    return made


def rows(folder: Path) -> list[dict[str, str]]:
    """The history of the run below a folder. W&B's own process may write its files' ends after `finish` has returned."""
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    deadline = time.monotonic() + 30
    while not all(any(record.HasField("exit") for record in records(file)) for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    histories = [record.history for file in files for record in records(file) if record.HasField("history")]
    return [{item.key or "/".join(item.nested_key): item.value_json for item in history.item} for history in histories]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """W&B without its service. Its settings are read once a process, unless it is taken down."""
    for name, value in (("MODE", "offline"), ("DIR", str(tmp_path)), ("SILENT", "true")):
        monkeypatch.setenv(f"WANDB_{name}", value)
    yield tmp_path
    wandb.teardown()


def test_wandb_gets_a_run_of_its_own_which_a_restart_goes_on_with(offline: Path) -> None:
    told = [metrics for metrics, _ in training(6)]
    for part in (told[:3], told[3:]):
        with DashboardManager("p", enable_wandb=True, enable_tensorboard=False, run_id="mine") as dashboards:
            for metrics in part:
                dashboards.log_metrics(metrics.step, metrics)
            assert wandb.run is not None and wandb.run.id == "mine"
        assert wandb.run is None and dashboards.failures == {}
        time.sleep(1)  # W&B names a directory by the second
    found = rows(offline)
    assert [int(row["reward_monitor/step"]) for row in found] == list(range(6))
    assert [float(row["reward_monitor/reward/accuracy/mean"]) for row in found] == [metrics["accuracy"].mean for metrics in told]
    assert found[0]["reward_monitor/reward/accuracy/distribution/_type"] == '"histogram"'


def test_wandb_without_a_login_is_told_before_the_training_begins(tmp_path: Path) -> None:
    program = "from reward_monitor import DashboardManager; DashboardManager('p', enable_wandb=True, enable_tensorboard=False)"
    here = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "enable_wandb: W&B begins no run" in done.stderr and "WANDB_MODE=offline" in done.stderr


@pytest.mark.parametrize("every", [1, 4])
def test_a_run_that_is_open_is_joined_and_none_of_the_trainers_rows_are_lost(offline: Path, every: int) -> None:
    with wandb.init(project="theirs") as run:
        dashboards = DashboardManager("p", enable_wandb=True, enable_tensorboard=False)
        for step in range(12):
            dashboards.log_metrics(step, {"reward": float(step)})
            if step % every == 0:
                run.log({"loss": step / 10}, step=step)
        dashboards.close()
        assert wandb.run is run  # the trainer's to finish
    found = rows(offline)
    assert [float(row["loss"]) for row in found if "loss" in row] == [step / 10 for step in range(0, 12, every)]
    ours = [
        (int(row["reward_monitor/step"]), float(row["reward_monitor/reward"])) for row in found if "reward_monitor/step" in row
    ]
    assert ours == [(step, float(step)) for step in range(12)]


def test_what_is_no_number_is_left_out_counted_and_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), DashboardManager("p", log_dir=tmp_path) as dashboards:
        for step in range(3):
            dashboards.log_metrics(step, {"loss": np.float32(step), "name": "text", "unknown": None, "inf": np.inf})  # type: ignore[dict-item]
        dashboards.log_metrics(-1, {"loss": 0.0})
    assert dashboards.failures == {"input": 4} and len(caplog.records) == 1 and "name" in caplog.text
    found = read(tmp_path / "p")
    assert found.Tags()["scalars"] == ["loss"] and scalars(found, "loss") == {0: 0.0, 1: 1.0, 2: 2.0}
    with (
        DashboardManager("p", log_dir=tmp_path, strict=True) as strict,
        pytest.raises(RewardInputError, match="a metric is a number"),
    ):
        strict.log_metrics(3, {"name": "text"})  # type: ignore[dict-item]


FULL = """
import json, pathlib, resource, sys
from reward_monitor import DashboardManager

dashboards = DashboardManager("p", log_dir=sys.argv[1])
dashboards.log_metrics(0, {"loss": 0.0})
(file,) = pathlib.Path(sys.argv[1], "p").iterdir()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 1000, hard))
for step in range(1, 200):
    dashboards.log_metrics(step, {"loss": float(step)})
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
for step in range(200, 210):
    dashboards.log_metrics(step, {"loss": float(step)})
dashboards.close()
print(json.dumps(dashboards.failures))
"""


def test_a_file_that_cannot_grow_never_raises_counts_what_is_lost_and_goes_on_when_it_can(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    lost = json.loads(done.stdout)["tensorboard"]
    found = scalars(read(tmp_path / "p"), "loss")
    assert lost > 100 and done.stderr.count("File too large") == 1
    assert found == {step: float(step) for step in (*range(200 - lost), *range(200, 210))}


def test_a_directory_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    tmp_path.joinpath("file").write_text("")
    with pytest.raises(RewardInputError, match="log_dir: .*file"):
        DashboardManager("p", log_dir=tmp_path / "file")
