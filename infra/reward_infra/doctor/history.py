"""Whether snapshots, log and rows are of one history: the topic may have been created again, or a copy restored."""

from __future__ import annotations

from collections.abc import Iterator

from reward_jobs import snapshots
from reward_jobs.assign import require_same_log, require_within
from reward_jobs.log_facts import log_facts
from reward_producers.kafka import KafkaException
from reward_schemas import topics
from reward_schemas.errors import MonitorError
from reward_store.audit import landed_ends

from reward_infra.errors import InfraError
from reward_infra.topics import offsets

from .context import Context
from .finding import Check, Finding, error, ok

_ANSWER_S = 4.0
_STALLED_S = 60.0
_NAMES = {"events": topics.EVENTS, "results": topics.RESULTS}


def stored_state(context: Context) -> Iterator[Finding]:
    """The snapshot that was written last of each partition, held against the log as a worker would at its start."""
    kafka = context.settings.kafka
    partitions = range(next(found.partitions or 0 for found in context.topics if found.topic.name == topics.EVENTS))
    reader = snapshots.reader(kafka)
    try:
        facts = log_facts(kafka, reader, partitions, _ANSWER_S)
        commits = snapshots.last_commits(reader, partitions, _ANSWER_S)
    except (KafkaException, TimeoutError) as problem:
        raise InfraError(f"The snapshots can't be read: {problem}.", where=topics.SNAPSHOTS, remedy="look again") from problem
    finally:
        reader.close()
    for partition, commit in commits.items():
        try:
            require_same_log(partition, commit, facts[partition])
            require_within(partition, commit.through, facts[partition])
        except MonitorError as refused:
            yield error(refused.what, refused.where, refused.remedy)
            return  # the others are of the same topic
    context.epoch = max((commit.epoch for commit in commits.values()), default=None)
    yield ok(f"{len(commits)} of {len(partitions)} partitions have one, of this log")


def landed(context: Context) -> Iterator[Finding]:
    """What has landed, held against the log: of one epoch, not beyond its end, and not too long ago."""
    tables = context.settings.clickhouse.tables
    ((rows, epoch, silent_s, behind_s),) = context.writer.query(
        "SELECT count(), argMax(epoch, landed_at), dateDiff('second', max(landed_at), now64(3)), "
        f"dateDiff('second', max(append_time), now64(3)) FROM {tables}.ingest_audit"
    )
    where = context.writer.settings.where
    if not rows:
        yield ok("nothing has landed yet")
        return
    if context.epoch is not None and epoch != context.epoch:
        yield error(
            f"Rows land under epoch {epoch}, the fold is in epoch {context.epoch}: rows of two logs would replace each other.",
            f"{where}; {context.setting('jobs.epoch')}",
            f"start the lander with REWARD_MONITOR_JOBS_EPOCH={context.epoch}",
        )
    ends = {short: offsets(context.admin, name, context.settings.kafka.brokers) for short, name in _NAMES.items()}
    for (topic, partition), end in sorted(landed_ends(context.writer, epoch).items()):
        if end > (there := ends[topic].get(partition, (0, 0))[1]):
            yield error(
                f"{_NAMES[topic]} partition {partition} ends at offset {there}, {end} were landed: it was created anew.",
                f"{where}; {context.setting('jobs.epoch')}",
                f"start the lander with REWARD_MONITOR_JOBS_EPOCH={epoch + 1}, so that its rows stand beside the old ones",
            )
            return
    lag = context.lags["land"].records
    if lag and silent_s > _STALLED_S:
        kept_s = min(f.retention_ms or 0 for f in context.topics if f.topic.name in _NAMES.values()) / 1000
        lost = f"; what is older than {kept_s / 86_400:g} d is deleted" if kept_s > 0 else ""
        yield error(
            f"The lander has landed nothing for {_told(silent_s)}, and {lag:,} records wait, the oldest for {_told(behind_s)}{lost}.",
            where,
            "look what it says (`reward-monitor logs land`): ClickHouse may be short of disk or memory; Kafka keeps what comes",
        )
    else:
        yield ok(f"the last batch landed {_told(silent_s)} ago, under epoch {epoch}")


def _told(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


CHECKS = (
    Check("snapshots", stored_state, ("topics",)),
    Check("landed", landed, ("lander", "schema")),
)
