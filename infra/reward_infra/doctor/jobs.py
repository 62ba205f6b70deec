"""The two jobs between a trainer's event and a row: whether each runs and keeps up, and what time the broker has."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from reward_engine.bounds import TICK_MS
from reward_producers.kafka import NEWEST, KafkaException, TopicPartition
from reward_schemas.topics import EVENTS

from reward_infra.errors import InfraError
from reward_infra.status import JobLag, job_lag

from .clock import compare
from .context import Context
from .finding import Check, Finding, error, ok, warning

_ANSWER_S = 4.0
_BEHIND_MANY = 1_000  # a second or two of many trainers: fewer are simply on their way
_BETWEEN_LOOKS_S = 2.0
_TICK_LATE_MS = 1_000  # between a tick's time and the one at which it can be seen
_CALLED = {"aggregate": "worker", "land": "lander"}
_WITHOUT = {
    "aggregate": "so events are kept by Kafka and never become steps",
    "land": "so nothing reaches ClickHouse",
}


def job(name: str, context: Context) -> Iterator[Finding]:
    """Whether one of a job runs, has lost nothing to retention, and is not left behind."""
    called, brokers = _CALLED[name], context.settings.kafka.brokers
    where = f"consumer group of {name} at {brokers}"
    lag = context.lags[name] = _lag(context, name)
    if lag.lost:
        yield error(
            f"{lag.lost:,} records were deleted by retention before the {called} had them.",
            where,
            f"look why it was away for so long ({_logs(context, name)}); raise retention.ms of the topic if that may come again",
        )
    if not lag.members:
        yield error(f"No {called} runs, {_WITHOUT[name]}: {lag.records:,} records wait.", where, _start(context, name))
    elif lag.records < _BEHIND_MANY:
        yield ok(f"{lag.members} run{'s' if lag.members == 1 else ''}, {lag.records:,} records behind")
    else:
        time.sleep(_BETWEEN_LOOKS_S)
        later = _lag(context, name)
        if later.records >= lag.records:
            yield warning(
                f"The {called} runs and falls behind: {lag.records:,} records, {later.records:,} after {_BETWEEN_LOOKS_S:.0f} s.",
                where,
                f"look what it says ({_logs(context, name)}); if it is only slow, start one more beside it",
            )
        else:
            yield ok(f"{lag.members} catch{'es' if lag.members == 1 else ''} up: {lag.records:,} records, then {later.records:,}")


def clock(context: Context) -> Iterator[Finding]:
    """The broker's clock, by the newest record that it has stamped.

    Kafka tells its time nowhere else. A stamp of the future shows for certain that its clock is ahead. That it is behind
    shows only while a worker writes a tick every few seconds: then the newest stamp is never much older than that.
    """
    partitions = [TopicPartition(EVENTS, p) for p in range(context.topics[0].partitions or 0)]
    before = context.now_s() * 1000
    answers = context.admin.list_offsets(dict.fromkeys(partitions, NEWEST), request_timeout=_ANSWER_S)
    newest = max(answer.result().timestamp for answer in answers.values())
    if newest <= 0:
        yield ok("there is no record yet that would tell it")
        return
    least = newest - context.now_s() * 1000
    ticking = "aggregate" in context.lags and context.lags["aggregate"].members > 0
    most = newest + TICK_MS + _TICK_LATE_MS - before if ticking else max(least, 0)
    yield from compare("Kafka", least, most, context.settings.kafka.brokers)


def _lag(context: Context, name: str) -> JobLag:
    brokers = context.settings.kafka.brokers
    try:
        return job_lag(context.admin, context.settings.kafka, name)
    except KafkaException as problem:
        raise InfraError(
            f"The consumer group can't be looked at: {problem.args[0].str()}.",
            where=f"Kafka at {brokers}",
            remedy="let this user describe consumer groups (an ACL: DESCRIBE on the group)",
        ) from problem


def _start(context: Context, name: str) -> str:
    if "kafka" in context.elsewhere:
        module = f"reward_jobs.{name}"
        return f"start it where the jobs run: `python -m {module}` with these settings, in compose `docker compose up -d {name}`"
    return f"look why it ended: `reward-monitor logs {name}`, and start the stack anew (`reward-monitor down`, `up`)"


def _logs(context: Context, name: str) -> str:
    return (
        f"`docker compose logs {name}`, or wherever it prints"
        if "kafka" in context.elsewhere
        else f"`reward-monitor logs {name}`"
    )


CHECKS = (
    Check("worker", partial(job, "aggregate"), ("topics",), limit_s=8.0),
    Check("lander", partial(job, "land"), ("topics",), limit_s=8.0),
    Check("Kafka's clock", clock, ("topics",)),
)
