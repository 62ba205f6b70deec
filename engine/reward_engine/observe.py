"""What one trainer message does to its run: admit, place, add, close."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from reward_schemas.events import (
    TOTAL,
    Body,
    Event,
    Identity,
    RewardFunction,
    Role,
    Rollout,
    RunEvent,
    RunState,
    SenderReport,
    Status,
    TrainerStep,
)

from reward_engine import bounds, lanes, panes
from reward_engine.block import Block
from reward_engine.emit import Emitter
from reward_engine.groups import Groups
from reward_engine.lanes import Moment
from reward_engine.panes import Said
from reward_engine.senders import Report, Seen, Sender
from reward_engine.state import COMPLETION, REWARD, STEP, TIME, TRAINER, Run, Series, Waiting, senders_active


class Refusal(Exception):
    """An event past a bound of its run: `field` and `reason` of its dead letter."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason


def observe(run: Run, event: Event, append_ms: int, absence_ms: int, out: Emitter) -> None:
    """Folds an event of a run into it. Raises `Refusal` where the event is past a bound."""
    if not admit(run, event.identity, absence_ms):
        return
    event_ms = min(event.event_time_ms, append_ms + bounds.FUTURE_MAX_MS)
    if event_ms != event.event_time_ms:
        run.count("clamped")
    moment = Moment(event, event_ms, absence_ms)
    if event.identity.attempt < run.attempt:
        _superseded(run, moment, out)
        return
    if event.identity.attempt > run.attempt:
        _resume(run, event.identity.attempt, out)
    run.expected = max(run.expected, event.senders)
    run.last_event_ms = max(run.last_event_ms, event_ms)
    _hear(run, moment, out)
    _BODIES[type(event.body)](run, event.body, moment, out)
    lanes.advance_watermark(run, out)


def admit(run: Run, identity: Identity, absence_ms: int) -> bool:
    """Notes a message's identity; False for one that was seen before, which then has no other effect."""
    sender = run.senders.get(identity.rank)
    seen = sender.sessions.get(identity.session) if sender else None
    if seen is None:
        if sender is None and len(run.senders) >= bounds.SENDERS_MAX:
            raise Refusal("rank", f"more than {bounds.SENDERS_MAX} senders in one run")
        if sum(len(s.sessions) for s in run.senders.values()) >= bounds.SESSIONS_MAX:
            raise Refusal("session", f"more than {bounds.SESSIONS_MAX} sender sessions in one run")
        if sender is None:
            sender = run.senders[identity.rank] = Sender(heard_ms=absence_ms, event_ms=0, silent=True)
        seen = sender.sessions[identity.session] = Seen()
    try:
        new = seen.add(identity.seq)
    except OverflowError as error:
        raise Refusal("seq", str(error)) from None
    run.count("received" if new else "duplicates")
    return new


def _resume(run: Run, attempt: int, out: Emitter) -> None:
    """A later attempt: what the earlier one left open is closed as it is, and the axes start anew."""
    lanes.close_all(run, out)
    run.count("resumes")
    run.attempt = attempt
    run.state, run.top_step, run.expected, run.watermark_ms, run.reason = "live", -1, 0, 0, ""
    run.front.clear()
    for lane in run.lanes:
        lane.held.clear()
        lane.forget()
        lane.passed = lane.newest = -1
    for sender in run.senders.values():
        sender.finished, sender.trains, sender.silent = False, False, True  # until they speak in this attempt


def _superseded(run: Run, moment: Moment, out: Emitter) -> None:
    """An event of an attempt that a later one has replaced: kept raw."""
    body = moment.event.body
    if isinstance(body, Rollout | TrainerStep):
        kind = REWARD if isinstance(body, Rollout) else TRAINER
        lanes.late(run, run.lane(STEP, kind), body.step, moment, "raw only", out)


def _hear(run: Run, moment: Moment, out: Emitter) -> None:
    """The sender speaks: it holds the watermark from now on, at its largest event time."""
    sender = run.senders[moment.event.identity.rank]
    run.heard_ms = sender.heard_ms = moment.absence_ms
    if run.state == "lost":
        run.state, run.reason = "live", ""
        out.run(run)
    if sender.silent:
        sender.silent = False
    elif not sender.finished:
        leave_front(run, sender)
    sender.event_ms = max(sender.event_ms, moment.event_ms)
    if not sender.finished:
        front = _front(sender)
        run.front[front] = run.front.get(front, 0) + 1


def _front(sender: Sender) -> int:
    return (sender.event_ms - bounds.LATENESS_MS) // bounds.TIME_PANE_MS * bounds.TIME_PANE_MS


def leave_front(run: Run, sender: Sender) -> None:
    """The sender no longer holds the watermark."""
    front = _front(sender)
    if run.front[front] == 1:
        del run.front[front]
    else:
        run.front[front] -= 1


def _place(
    run: Run,
    kind: str,
    step: int,
    what: Said,
    moment: Moment,
    more: bool,
    out: Emitter,
    groups: Groups | None = None,
    waiting: Waiting | None = None,
) -> None:
    if moment.event_ms:  # without a time, which a tracker's messages lack, it stands on the axis of steps alone
        slot = moment.event_ms // bounds.TIME_PANE_MS * bounds.TIME_PANE_MS
        lanes.add(run, run.lane(TIME, kind), slot, what, moment, out)
    lane = run.lane(STEP, kind)
    pane = lanes.add(run, lane, step, what, moment, out)
    if groups is not None and step in lane.open and (split := panes.met(lane.open[step], groups.ids)):
        run.count("split_groups", split)
    if pane is not None and waiting is not None:
        for whole in panes.wait(pane, waiting, run.series[kind]):
            lanes.tell_groups(run, lane, pane, whole, moment.event_ms)
        if step not in lane.open:  # amended: nobody closes it again
            for rest in panes.give_up(pane, run.series[kind]):
                lanes.tell_groups(run, lane, pane, rest, moment.event_ms)
    if pane is not None and not more:
        pane.reported.add(moment.event.identity.rank)
        lanes.close_complete(run, kind, out, [step])
    lanes.advance_step(run, step, out)


def _rollout(run: Run, body: Rollout, moment: Moment, out: Emitter) -> None:
    series, columns = run.series[REWARD], body.of_completions
    _room(series, (TOTAL, *body.table.names), "functions", "reward functions")
    _room(run.series[COMPLETION], columns, "columns", "columns of completions")
    what, groups, waiting = said_of(series, body)
    _place(run, REWARD, body.step, what, moment, body.more, out, groups, waiting)
    if columns:
        what = said_of_completions(run.series[COMPLETION], columns)
        _place(run, COMPLETION, body.step, what, moment, body.more, out)


def said_of(series: Series, body: Rollout) -> tuple[Said, Groups | None, Waiting | None]:
    """What a rollout says of its rewards, and its groups or, where they need other messages, what waits for them.

    New series are noted. The audit makes a step's row again by this.
    """
    rows = np.array([series.row(*row) for row in _declared(body.table.functions)])
    values, status = with_total(body)
    weights = np.append(1.0, body.table.weights)
    lo, hi = np.array(series.lo)[rows], np.array(series.hi)[rows]
    groups = Groups(body.group)
    parts = bool((groups.sizes < body.group_size).any())
    waiting = Waiting(rows, body.group, body.group_size, values, status, body.length) if parts else None
    told = None if parts else groups
    what = panes.said(rows, Block(values, status, lo=lo, hi=hi, groups=told, lengths=body.length, weights=weights))
    return what, told, waiting


def said_of_completions(series: Series, columns: dict[str, np.ndarray]) -> Said:
    """What is known of the completions beside their rewards: length, advantage, truncated, ...; new series are noted."""
    rows = np.array([series.row(name, 1.0, "completion") for name in columns])
    return panes.said(rows, Block(np.array([*columns.values()], np.float64)))


def _room(series: Series, names: Iterable[str], field: str, what: str) -> None:
    if len(series.names) + sum(name not in series for name in names) > bounds.SERIES_MAX:
        raise Refusal(field, f"more than {bounds.SERIES_MAX} {what} in one run")


@lru_cache(maxsize=4096)
def _declared(functions: tuple[RewardFunction, ...]) -> tuple[tuple[str, float, str, float, float], ...]:
    """Name, weight, role and range of the total and of each function. The total has a range where all that enter it have."""
    ends = [_weighted(f) for f in functions if f.role is Role.TRAINED and f.weight]
    lo, hi = (_finite(sum(end)) for end in zip(*ends, strict=True)) if ends else (math.nan, math.nan)
    roles = {Role.TRAINED: "trained", Role.AUDIT: "audit"}
    return ((TOTAL, 1.0, "total", lo, hi), *((f.name, f.weight, roles[f.role], _end(f.lo), _end(f.hi)) for f in functions))


def _end(given: float | None) -> float:
    return math.nan if given is None else given


def _weighted(of: RewardFunction) -> tuple[float, float]:
    """The ends of what a function adds to the total: the other way round where it counts against it."""
    ends = of.weight * _end(of.lo), of.weight * _end(of.hi)
    return ends if of.weight > 0 else ends[::-1]


def _finite(end: float) -> float:
    return end if math.isfinite(end) else math.nan


@np.errstate(over="ignore", invalid="ignore")  # weights may be huge; a total that overflows is not finite, and counted so
def with_total(body: Rollout) -> tuple[np.ndarray, np.ndarray | None]:
    """Rewards with the weighted total as the first series: float64[1 + K, n], and their status or None.

    The total of a completion is the sum of weight x reward over the trained functions that scored it; where none did,
    it is missing, or not scored where nothing was to be trained.
    """
    k, n = body.rewards.shape
    values = np.empty((k + 1, n))
    values[1:] = body.rewards
    trained = np.flatnonzero(body.table.weights)
    weighted = values[1:][trained] * body.table.weights[trained, None]
    if body.status is None and len(trained):
        values[0] = weighted.sum(axis=0)
        return values, None
    status = np.zeros((k + 1, n), np.uint8)
    if body.status is not None:
        status[1:] = body.status
    scored = status[1:][trained] == Status.SCORED
    values[0] = np.where(scored, weighted, 0.0).sum(axis=0)
    missing = (status[1:][trained] == Status.MISSING).any(axis=0)
    status[0] = np.where(scored.any(axis=0), Status.SCORED, np.where(missing, Status.MISSING, Status.NOT_SCORED))
    return values, status


def _trainer_step(run: Run, body: TrainerStep, moment: Moment, out: Emitter) -> None:
    series = run.series[TRAINER]
    _room(series, body.scalars, "scalars", "trainer scalars")
    run.senders[moment.event.identity.rank].trains = True
    rows = np.array([series.row(name, 1.0, "trainer") for name in body.scalars])
    values = np.array([*body.scalars.values()], np.float64)[:, None]
    _place(run, TRAINER, body.step, panes.said(rows, Block(values)), moment, False, out)


def _run_event(run: Run, body: RunEvent, moment: Moment, out: Emitter) -> None:
    sender = run.senders[moment.event.identity.rank]
    if body.state in (RunState.STARTED, RunState.RESUMED):
        news = (body.project, body.tags, body.trainer, body.config_json)
        run.project, run.tags = body.project or run.project, body.tags or run.tags
        run.trainer, run.config_json = body.trainer or run.trainer, body.config_json or run.config_json
        if sender.finished:  # a new process of a rank that had ended
            sender.finished = False
            front = _front(sender)
            run.front[front] = run.front.get(front, 0) + 1
        if run.state != "live" or news != _told(run):
            run.dirty = True
        run.state = "live"
    elif body.state is RunState.FINISHED and not sender.finished:
        leave_front(run, sender)
        sender.finished = True
        run.reason = body.reason or run.reason
        for kind in run.series:
            lanes.close_complete(run, kind, out)
        finish_if_ended(run, out)


def _told(run: Run) -> tuple[str, dict[str, str], str, str]:
    return run.project, run.tags, run.trainer, run.config_json


def finish_if_ended(run: Run, out: Emitter) -> None:
    """Ends a run that a sender finished and in which none still speaks or is awaited."""
    finished = sum(sender.finished for sender in run.senders.values())
    silent = sum(sender.silent and not sender.finished for sender in run.senders.values())
    if run.state == "live" and finished and not senders_active(run) and finished + silent >= run.senders_expected():
        lanes.close_all(run, out)
        run.state = "finished"
        out.run(run)


def _sender_report(run: Run, body: SenderReport, moment: Moment, _: Emitter) -> None:
    identity = moment.event.identity
    run.senders[identity.rank].reports[identity.session] = Report(body.accepted, body.spooled, body.dropped)
    run.dirty = True


_BODIES: dict[type[Body], Callable[[Run, Any, Moment, Emitter], None]] = {
    Rollout: _rollout,
    TrainerStep: _trainer_step,
    RunEvent: _run_event,
    SenderReport: _sender_report,
}
