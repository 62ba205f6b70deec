"""What one trainer message does to its run: admit, place, add, close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from reward_schemas.events import (
    Body,
    Event,
    Identity,
    Rollout,
    RunEvent,
    RunState,
    SenderReport,
    TrainerStep,
)

from reward_engine import bounds, lanes, panes
from reward_engine.block import Block
from reward_engine.emit import Emitter
from reward_engine.groups import Groups
from reward_engine.kinds import COMPLETION, REWARD, TRAINER
from reward_engine.lanes import Moment
from reward_engine.panes import Said
from reward_engine.refusal import Refusal, room
from reward_engine.rollouts import said_of, said_of_completions
from reward_engine.senders import Report, Seen, Sender
from reward_engine.state import STEP, TIME, Run, Waiting, senders_active
from reward_engine.watching import watch


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
    watch(run, out)


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
    run.watch.restarted = True
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
    columns = body.of_completions
    room(run.series[COMPLETION], columns, "columns", "columns of completions")
    what, groups, waiting = said_of(run.series[REWARD], body)
    if what.shown is not None:
        run.watch.shown = what.shown
    _place(run, REWARD, body.step, what, moment, body.more, out, groups, waiting)
    if columns:
        what = said_of_completions(run.series[COMPLETION], columns)
        _place(run, COMPLETION, body.step, what, moment, body.more, out)


def _trainer_step(run: Run, body: TrainerStep, moment: Moment, out: Emitter) -> None:
    series = run.series[TRAINER]
    room(series, body.scalars, "scalars", "trainer scalars")
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
        watch(run, out, ended=True)
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
