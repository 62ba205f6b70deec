"""`sync` with a real broker: left-over spools, progress, and what keeps it from publishing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reward_producers import sync as sync_module
from reward_producers.kafka import entered as kafka_entered
from reward_producers.kafka_errors import KafkaUnreachable
from reward_producers.reporter import start_run
from reward_producers.sync import NotSynced, Progress, sync
from reward_schemas.events import Event
from reward_schemas.segments import Damaged

pytestmark = pytest.mark.timeout(60)
Arrived = Callable[[str], list[Event]]
NOBODY = "127.0.0.1:1"


def reported(folder: Path, run_id: str, **more: object) -> None:
    with start_run("p", ["f"], data_dir=folder, run_id=run_id, **more) as run:
        for step in range(5):
            run.log_rollout(step, {"f": [1.0]}, [0])
        run.finish(timeout_s=0.2)


def synced(folder: Path, brokers: str) -> list[tuple[str, int]]:
    """Run and messages of every last word of a run."""
    told: dict[str, int] = {}

    def tell(progress: Progress) -> None:
        told[progress.folder.name] = progress.messages

    sync(folder, brokers, tell)
    return list(told.items())


def test_the_spool_of_a_dead_process_is_published_and_goes(brokers: str, arrived: Arrived, tmp_path: Path) -> None:
    for rank in range(2):
        reported(tmp_path, "left", brokers=NOBODY, rank=rank, world_size=2)
    assert len(list(tmp_path.rglob("*.spool"))) == 2
    assert synced(tmp_path, brokers) == [("left", 16)]
    assert [(e.identity.rank, e.identity.seq) for e in arrived("left")] == [(rank, seq) for rank in range(2) for seq in range(8)]
    assert list(tmp_path.rglob("*.spool")) == []


def test_the_spool_of_a_process_that_lives_stays_its_own(brokers: str, arrived: Arrived, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from reward_producers.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]) / 'lives', 'a', 10**6); spool.append(b'lives', b'x'); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert synced(tmp_path, brokers) == [("lives", 1)]
        assert (tmp_path / "lives" / "a.spool").exists()
        process.stdin.close()
    assert synced(tmp_path, brokers) == [("lives", 0)]  # dead now
    assert not (tmp_path / "lives" / "a.spool").exists()


def test_a_run_that_goes_on_is_synced_as_far_as_it_is(brokers: str, arrived: Arrived, tmp_path: Path) -> None:
    with start_run("p", ["f"], mode="offline", run_id="goes-on") as run:
        run.flush(5)
        assert synced(tmp_path, brokers) == [("goes-on", 1)]
        run.log_rollout(0, {"f": [1.0]}, [0])
    assert synced(tmp_path, brokers) == [("goes-on", 3)]
    assert [event.identity.seq for event in arrived("goes-on")] == [0, 1, 2, 3]


def test_progress_is_of_a_cluster(brokers: str, arrived: Arrived, tmp_path: Path) -> None:
    reported(tmp_path, "progress", mode="offline")
    file = tmp_path / "progress" / "synced.json"
    file.write_text('{"another cluster": {"a.events": 100}}')
    assert synced(tmp_path, brokers) == [("progress", 8)]
    another, (_, at) = json.loads(file.read_text()).items()
    (segment,) = (tmp_path / "progress").glob("*.events")
    assert another == ("another cluster", {"a.events": 100}) and at == {segment.name: segment.stat().st_size}
    file.write_text("rubbish")
    assert synced(tmp_path / "progress", brokers) == [("progress", 8)]
    assert len(arrived("progress")) == 16


def test_a_damaged_file_is_told_at_the_end_and_the_rest_is_published(brokers: str, arrived: Arrived, tmp_path: Path) -> None:
    for run_id in ("damaged-1", "damaged-2"):
        reported(tmp_path, run_id, mode="offline")
    (file,) = (tmp_path / "damaged-1").glob("*.events")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(Damaged, match=f"is damaged.*{file.name}"):
        synced(tmp_path, brokers)
    first = arrived("damaged-1")
    assert 1 < len(first) < 8 and [event.identity.seq for event in first] == list(range(len(first)))
    assert len(arrived("damaged-2")) == 8


def test_what_keeps_it_from_publishing_is_said_with_a_remedy(
    brokers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotSynced, match="There are no runs here.*nowhere.*REWARD_MONITOR_DATA_DIR"):
        synced(tmp_path / "nowhere", brokers)
    reported(tmp_path, "kept", mode="offline")
    monkeypatch.setattr("reward_producers.kafka._PATIENCE_S", 0.1)
    monkeypatch.setattr(sync_module, "entered", lambda kafka: kafka_entered(kafka, 0.2))
    with pytest.raises(KafkaUnreachable, match="gives no answer"):
        synced(tmp_path, NOBODY)
    monkeypatch.setattr(sync_module, "EVENTS", "no.such.topic")
    with pytest.raises(NotSynced, match="no topic no.such.topic.*reward-monitor topics --create"):
        synced(tmp_path, brokers)


def test_a_directory_that_cannot_be_written_is_told_after_the_first_chunk(brokers: str, tmp_path: Path) -> None:
    reported(tmp_path, "read-only", mode="offline")
    (tmp_path / "read-only" / "synced.json.new").mkdir()
    with pytest.raises(NotSynced, match="progress can't be noted: Is a directory"):
        synced(tmp_path, brokers)
