"""What has become of the events: rows of runs, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Iterator

from reward_engine.bounds import LATENESS_MS
from reward_store.audit import audit

from .context import Context
from .finding import Check, Finding, error, note, ok, warning

_SHOWN = 3
_AUDITED_STEPS = 50
_FIRST_EVENT = (
    "a first one: `reward-monitor demo` here; in a trainer start_run(…, brokers=…) of reward_monitor, "
    "with log_rollout at each step (README, In a trainer)"
)


def first_run(context: Context) -> Iterator[Finding]:
    """Whether any run has ever reported."""
    ((runs, live),) = _ask(context, "SELECT count(), countIf(state = 'live') FROM {views}.runs")
    if runs:
        yield ok(f"{runs} have reported, {live} live now")
    else:
        yield note("No run has reported yet.", context.reader.settings.where, _FIRST_EVENT)


def dead_letters(context: Context) -> Iterator[Finding]:
    """Messages of the last day that could not be used, by reason; whether any could."""
    recent = "FROM {views}.dead_letters WHERE source = 'events' AND append_time > now64(3) - INTERVAL 1 DAY"
    reasons = _ask(
        context,
        "SELECT field, reason, count() AS letters, argMax((partition, offset, run_id), append_time) AS newest "
        f"{recent} GROUP BY field, reason ORDER BY letters DESC LIMIT {_SHOWN}",
    )
    if not reasons:
        yield ok("none in the last day")
        return
    ((letters,),) = _ask(context, f"SELECT count() {recent}")
    ((usable,),) = _ask(context, "SELECT sum(received) FROM {views}.runs WHERE landed_at > now64(3) - INTERVAL 1 DAY")
    told = "; ".join(
        f"{count} × {field}: {reason[:120]} (such as partition {partition} offset {offset}, run {run or 'unknown'})"
        for field, reason, count, (partition, offset, run) in reasons
    )
    remedy = (
        "mend the sender; a wrong version of it: pip install -U reward-monitor there; see them all: "
        '`reward-monitor sql "SELECT * FROM dead_letters ORDER BY append_time DESC"`'
    )
    if usable:
        yield warning(f"{letters:,} messages of the last day could not be used. {told}.", context.reader.settings.where, remedy)
    else:
        yield error(
            f"Events arrive, and none can be used: {letters:,} dead letters. {told}.", context.reader.settings.where, remedy
        )


def quarantines(context: Context) -> Iterator[Finding]:
    """Runs that are out of aggregation after an error of ours."""
    runs = _ask(
        context,
        "SELECT run_id, argMax(released, append_time) AS free, argMax(error, append_time) AS why "
        "FROM {views}.quarantines GROUP BY run_id HAVING NOT free ORDER BY run_id",
    )
    for run, _, why in runs[:_SHOWN]:
        yield error(
            f"The run {run} is no longer aggregated, since the fold failed on it: {why[:200]}.",
            context.reader.settings.where,
            "its raw rewards still land, and other runs are not touched; report it with its traceback: "
            f"`reward-monitor sql \"SELECT traceback FROM quarantines WHERE run_id = '{run}'\"`",
        )
    if len(runs) > _SHOWN:
        yield error(f"{len(runs) - _SHOWN} more runs are quarantined.", context.reader.settings.where, "as above")
    if not runs:
        yield ok("none")


def gaps(context: Context) -> Iterator[Finding]:
    """Records that were deleted before a worker saw them."""
    ((count, records),) = _ask(context, "SELECT count(), sum(to_offset - from_offset) FROM {views}.gaps")
    if count:
        yield warning(
            f"{records:,} records were gone before they were aggregated, in {count} places; their steps are flagged gap.",
            context.reader.settings.where,
            'keep the worker running, or raise retention.ms of the events topic; see `reward-monitor sql "SELECT * FROM gaps"`',
        )
    else:
        yield ok("none: every record was aggregated")


def trainers_clocks(context: Context) -> Iterator[Finding]:
    """Senders whose events of the last hour are from later than the broker's time: their clocks are ahead for certain.

    A clock that is behind can't be told from events that waited on their way.
    """
    ahead = context.writer.query(
        "SELECT run_id, rank, max(dateDiff('millisecond', append_time, event_time)) AS ahead_ms "
        f"FROM {context.settings.clickhouse.tables}.rollouts WHERE append_time > now64(3) - INTERVAL 1 HOUR "
        f"GROUP BY run_id, rank HAVING ahead_ms > {LATENESS_MS} ORDER BY ahead_ms DESC"
    )
    if ahead:
        run, rank, ahead_ms = ahead[0]
        yield warning(
            f"The clocks of {len(ahead)} sender{'s' if len(ahead) > 1 else ''} are ahead of the broker's, the most that of run "
            f"{run} rank {rank}: by at least {ahead_ms / 1000:.1f} s.",
            f"rank {rank} of {run}",
            "let that machine follow a time server (chrony, systemd-timesyncd)",
        )
    else:
        yield ok("none is ahead of the broker's, as far as the last hour's events tell")


def audited(context: Context) -> Iterator[Finding]:
    """The proof of `reward_store.audit`: no hole in what landed, and sums that are those of the raw rewards."""
    problems = audit(context.writer, steps=_AUDITED_STEPS)
    for problem in problems[:_SHOWN]:
        yield error(
            f"{problem.place}: {problem.what}.",
            context.writer.settings.where,
            "report it with the lander's log; while Kafka still has the records, `reward-monitor topics --reset` folds them again",
        )
    if len(problems) > _SHOWN:
        yield error(f"{len(problems) - _SHOWN} more places do not agree.", context.writer.settings.where, "as above")
    if not problems:
        yield ok(f"no hole, and the sums of the last {_AUDITED_STEPS} steps are those of their raw rewards")


def _ask(context: Context, sql: str) -> list[tuple]:  # type: ignore[type-arg]  # rows of any columns
    return context.reader.query(sql.replace("{views}", context.settings.clickhouse.views))


CHECKS = (
    Check("runs", first_run, ("views",)),
    Check("dead letters", dead_letters, ("views",)),
    Check("quarantines", quarantines, ("views",)),
    Check("gaps", gaps, ("views",)),
    Check("trainers' clocks", trainers_clocks, ("schema",)),
    Check("audit", audited, ("schema",), limit_s=10.0),
)
