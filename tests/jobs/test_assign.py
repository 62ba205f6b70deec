"""Where a partition goes on, decided from its snapshots and the log's facts: no broker needed."""

from __future__ import annotations

import msgspec
import pytest
from reward_engine.snapshot import encode, joined
from reward_engine.state import Partition
from reward_jobs.assign import LogFacts, Refused, resume
from reward_jobs.snapshots import Candidate, pack

from tests.engine.logs import Log, Trainer, folded

TOPIC = "topic-a"


def state_through(offset: int) -> Partition:
    trainer = Trainer()
    log = Log()
    for step in range(offset + 1):
        log.append(trainer.rollout(step, 1000 * step))
    return folded(log.records)[0]


def candidate(through: int, epoch: int = 0, **commit: object) -> Candidate:
    state = state_through(through)
    state.epoch = epoch
    made, chunks = pack(joined(encode(state)), through, TOPIC, 8, epoch)
    return Candidate(msgspec.structs.replace(made, **commit), dict(enumerate(chunks)))


def facts(start: int = 0, end: int = 100, **changed: object) -> LogFacts:
    return LogFacts(**{"topic_id": TOPIC, "partitions": 8, "start": start, "end": end, **changed})


def test_without_snapshots_the_log_is_replayed() -> None:
    state, results = resume(3, [], facts())
    assert (state.partition, state.through, results) == (3, -1, [])


def test_without_snapshots_a_log_that_has_lost_its_start_is_a_gap() -> None:
    state, results = resume(3, [], facts(start=40))
    assert state.through == 39
    assert [(r.gap.from_offset, r.gap.to_offset) for r in results] == [(0, 40)]


def test_the_newest_valid_snapshot_is_taken() -> None:
    state, _ = resume(0, [candidate(9), candidate(4)], facts())
    assert joined(encode(state)) == joined(encode(state_through(9)))


def damaged(c: Candidate) -> Candidate:
    raw = c.chunks[0]
    return Candidate(c.commit, {0: raw[:-1] + bytes([raw[-1] ^ 1])})


@pytest.mark.parametrize(
    "bad",
    [damaged(candidate(9)), Candidate(candidate(9).commit, {}), candidate(9, sha256="0" * 64)],
    ids=["flipped", "lost", "sha"],
)
def test_a_corrupt_newest_falls_back_to_the_one_before(bad: Candidate, caplog: pytest.LogCaptureFixture) -> None:
    state, _ = resume(0, [bad, candidate(4)], facts())
    assert state.through == 4
    assert "the snapshot through 9 is unusable" in caplog.text


def test_an_older_generation_is_refused_and_the_log_replayed(caplog: pytest.LogCaptureFixture) -> None:
    state, _ = resume(0, [candidate(9, generation=0)], facts())
    assert state.through == -1
    assert "generation 0" in caplog.text


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"topic_id": "topic-b"}, "deleted and created again"),
        ({"partitions": 16}, "has 16 partitions, the snapshots are of 8"),
        ({"end": 5}, "ends at offset 5, the snapshot reaches through 9"),
    ],
)
def test_another_log_is_refused_with_what_to_do(changed: dict, says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        resume(0, [candidate(9)], facts(**changed))
    assert "reward-monitor topics --reset" in refused.value.remedy


def test_after_a_reset_the_old_epochs_snapshots_count_no_more() -> None:
    reset, _ = pack(b"", -1, "topic-b", 8, 1)
    reset.chunks = 0
    state, _ = resume(0, [Candidate(reset, {}), candidate(9)], facts(topic_id="topic-b"))
    assert (state.through, state.epoch, state.runs) == (-1, 1, {})
    later, chunks = pack(joined(encode(Partition(0, epoch=1, through=3))), 3, "topic-b", 8, 1)
    state, _ = resume(
        0, [Candidate(later, dict(enumerate(chunks))), Candidate(reset, {}), candidate(9)], facts(topic_id="topic-b")
    )
    assert (state.through, state.epoch) == (3, 1)


def test_retention_past_the_snapshot_is_a_counted_gap() -> None:
    state, results = resume(0, [candidate(9)], facts(start=30))
    assert state.through == 29
    assert [(r.gap.from_offset, r.gap.to_offset, r.offset) for r in results if r.WhichOneof("kind") == "gap"] == [(10, 30, 29)]
    assert state.runs["r"].counts["gaps"] == 1
