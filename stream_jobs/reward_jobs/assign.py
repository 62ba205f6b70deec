"""Where a newly assigned partition goes on: which snapshot, from which offset, and when it must not go on at all."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from reward_engine.bounds import FOLD_GENERATION
from reward_engine.fold import skip
from reward_engine.snapshot import STATE_SCHEMA, decode
from reward_engine.state import Partition
from reward_schemas.errors import MonitorError
from reward_schemas.results_pb2 import Result
from reward_schemas.topics import EVENTS

from reward_jobs.snapshots import Candidate, Commit

log = logging.getLogger(__name__)


class Refused(MonitorError):
    """The log is not the one that the snapshots are of. A restart doesn't mend it."""

    def __init__(self, what: str, partition: int) -> None:
        super().__init__(what, where=f"{EVENTS} partition {partition}", remedy=_REMEDY)


@dataclass(frozen=True)
class LogFacts:
    """The events topic as the broker has it: its id and partition count, and one partition's offsets [start, end)."""

    topic_id: str
    partitions: int
    start: int
    end: int


def resume(partition: int, candidates: list[Candidate], facts: LogFacts) -> tuple[Partition, list[Result]]:
    """The state to go on from, at `through + 1`, and the results of a gap where the log no longer reaches back to it.

    candidates: the partition's snapshots as `snapshots.read` gives them, newest first. Raises `Refused` where the topic was re-created or
    resized, or where every snapshot is ahead of the log.
    """
    usable = [c for c in candidates if (c.commit.generation, c.commit.schema) == (FOLD_GENERATION, STATE_SCHEMA)]
    for candidate in candidates:
        if candidate not in usable:
            log.warning(
                "partition %d: the snapshot through %d is of generation %d, this fold is of %d: replaying from the log's start",
                partition, candidate.commit.through, candidate.commit.generation, FOLD_GENERATION,
            )  # fmt: skip
    newest = usable[0].commit if usable else None
    if newest:
        require_same_log(partition, newest, facts)
    state = _newest_valid(partition, [c for c in usable if newest and c.commit.epoch == newest.epoch]) or Partition(partition)
    require_within(partition, state.through, facts)
    if state.through + 1 < facts.start:
        lost = f"{facts.start - state.through - 1} records were deleted by retention before they were folded"
        log.error("partition %d: a gap: %s; going on from offset %d", partition, lost, facts.start)
        return state, skip(state, facts.start, lost)
    return state, []


def require_same_log(partition: int, newest: Commit, facts: LogFacts) -> None:
    """`Refused` where the topic is another one than the snapshot's, or has another number of partitions."""
    if newest.topic_id != facts.topic_id:
        raise Refused(
            f"The snapshots are of another topic of this name (id {newest.topic_id}, now {facts.topic_id}): it was deleted "
            "and created again.",
            partition,
        )
    if newest.partitions != facts.partitions:
        raise Refused(
            f"The topic has {facts.partitions} partitions, the snapshots are of {newest.partitions}: runs now lie on other "
            f"partitions, and their state can't follow. Create the topic with {newest.partitions} partitions.",
            partition,
        )


def require_within(partition: int, through: int, facts: LogFacts) -> None:
    """`Refused` where a snapshot reaches further than the log."""
    if through + 1 > facts.end:
        raise Refused(
            f"The log ends at offset {facts.end}, the snapshot reaches through {through}: the log has lost its end.", partition
        )


def _newest_valid(partition: int, candidates: list[Candidate]) -> Partition | None:
    for candidate in candidates:
        if not candidate.commit.chunks:  # a reset: the empty state of a new epoch
            return Partition(partition, epoch=candidate.commit.epoch)
        try:
            return decode(candidate.state())
        except ValueError as error:
            log.error("partition %d: the snapshot through %d is unusable (%s); taking the one before",
                      partition, candidate.commit.through, error)  # fmt: skip
    return None


_REMEDY = (
    "if that was meant, start the fold afresh with `reward-monitor topics --reset`; rows that have landed stay, "
    "and rows of the new topic replace those of the same keys"
)
