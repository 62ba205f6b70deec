"""Panes along an axis: where sums are added, when a pane closes, what is late.

    held (closed, amendable)            open                     not yet seen
    |--12--|--13--|--15--|      |--14--|--16--|--17--|
    ^passed = 11: stored raw only                    ^ the run is here

A step closes when every expected sender has reported it, when its run is `STEPS_AHEAD` ahead of it, or after a time-out
by ticks. A time slot closes when the watermark has passed its end. What comes later amends the held pane, whose row is
emitted anew at the next tick; rows of windows and past transitions stay as they were judged.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from reward_schemas.events import Event

from reward_engine import bounds, panes
from reward_engine.emit import Emitter
from reward_engine.kinds import COMPLETION, TRAINER
from reward_engine.panes import Said
from reward_engine.state import STEP, TIME, Lane, Pane, Run


@dataclass(frozen=True)
class Moment:
    """When and of whom an event is: the fold's view of it. event_ms: clamped; absence_ms: the partition's clock of silence."""

    event: Event
    event_ms: int
    absence_ms: int


def add(run: Run, lane: Lane, slot: int, what: Said, moment: Moment, out: Emitter) -> Pane | None:
    """Adds what was said to the pane of a slot, wherever that is; None where it has left the ring and is stored raw only."""
    pane = lane.open.get(slot)
    if pane is None:
        closed = slot in lane.held or _is_past(run, lane, slot)
        gone = slot <= lane.passed or (closed and len(lane.held) >= lane.axis.held and slot < min(lane.held))
        if (closed or gone) and lane.kind != COMPLETION:  # the rewards of the same message have told it
            late(run, lane, slot, moment, "raw only" if gone else "amended", out)
        if gone:
            return None
        pane = lane.held.get(slot)
        if pane is None:
            pane = Pane(slot, [], moment.absence_ms, flags=lane.flag_next)
            lane.flag_next = set()
            if closed:
                lane.held[slot] = pane
                _evict(run, lane, out)
            else:
                lane.open[slot] = pane
    amend(run, lane, pane, what)
    pane.touched_ms = moment.absence_ms
    pane.event_ms = max(pane.event_ms, moment.event_ms)
    if len(lane.open) > bounds.OPEN_PANES_MAX:
        close(run, lane, min(lane.open), out)
    return pane


def amend(run: Run, lane: Lane, pane: Pane, what: Said) -> None:
    """Adds to a pane of a lane, open or closed."""
    panes.take(pane, what, len(run.series[lane.kind].names))
    lane.dirty.add(pane.slot)
    if pane.slot in lane.held:
        pane.settle()
        lane.forget()


def late(run: Run, lane: Lane, slot: int, moment: Moment, fate: str, out: Emitter) -> None:
    """Counts an event as late and says so in a row."""
    run.count("late")
    out.late(lane, moment.event.identity, slot, max(lane.newest - slot, 0), fate)


def close(run: Run, lane: Lane, slot: int, out: Emitter) -> None:
    """Closes an open pane: its row, the rows of the windows that end with it, and its place in the ring."""
    pane = lane.open.pop(slot)
    for what in panes.give_up(pane, run.series[lane.kind]):
        tell_groups(run, lane, pane, what, pane.event_ms)
    pane.settle()
    pane.groups = set()
    lane.held[slot] = pane
    lane.newest = max(lane.newest, slot)
    lane.dirty.discard(slot)
    out.pane(run, lane, pane, closed=True)
    slots = sorted(lane.held)
    for window in lane.axis.windows:
        inside = slots[bisect_right(slots, slot - window.width) : bisect_right(slots, slot)]
        out.window(run, lane, pane, window.name, {s: lane.held[s] for s in inside})
    _evict(run, lane, out)


def tell_groups(run: Run, lane: Lane, pane: Pane, what: Said, event_ms: int) -> None:
    """Adds what groups of a step say that have become whole, or never will, to its pane and to the slot of time."""
    amend(run, lane, pane, what)
    time = run.lane(TIME, lane.kind)
    slot = event_ms // bounds.TIME_PANE_MS * bounds.TIME_PANE_MS
    if in_time := time.open.get(slot) or time.held.get(slot):
        amend(run, time, in_time, what)


def close_all(run: Run, out: Emitter) -> None:
    """Closes every open pane and emits every amended one: nothing more is awaited."""
    for lane in run.lanes:
        for slot in sorted(lane.open):
            close(run, lane, slot, out)
    emit_dirty(run, out)


def close_complete(run: Run, kind: str, out: Emitter, slots: list[int] | None = None) -> None:
    """Closes the steps (of `slots`, or all open) that every sender who is still awaited has reported."""
    lane = run.lane(STEP, kind)
    for slot in sorted(lane.open) if slots is None else slots:
        if slot in lane.open and _complete(run, kind, lane.open[slot]):
            close(run, lane, slot, out)


def advance_step(run: Run, step: int, out: Emitter) -> None:
    """Notes that the run has reached a step, and closes the steps that are now too far behind it."""
    if step <= run.top_step:
        return
    run.top_step = step
    for lane in run.lanes:
        if lane.axis is STEP:
            for slot in sorted(s for s in lane.open if _is_past(run, lane, s)):
                close(run, lane, slot, out)


def advance_watermark(run: Run, out: Emitter) -> None:
    """Closes the time slots that every sender who still speaks has left behind."""
    if not run.front or min(run.front) <= run.watermark_ms:
        return
    run.watermark_ms = min(run.front)
    for lane in run.lanes:
        if lane.axis is TIME:
            for slot in sorted(s for s in lane.open if _is_past(run, lane, s)):
                close(run, lane, slot, out)


def close_timed_out(run: Run, absence_ms: int, out: Emitter) -> None:
    """Closes the steps that nothing was added to for long."""
    for lane in run.lanes:
        if lane.axis is STEP:
            for slot in sorted(lane.open):
                if absence_ms - lane.open[slot].touched_ms >= bounds.STEP_TIMEOUT_MS:
                    close(run, lane, slot, out)


def emit_dirty(run: Run, out: Emitter) -> None:
    """Rows of the panes that changed since their last one: partial ones of open panes, amended ones of closed panes."""
    for lane in run.lanes:
        for slot in sorted(lane.dirty):
            closed = slot in lane.held
            out.pane(run, lane, lane.held[slot] if closed else lane.open[slot], closed=closed)
        lane.dirty.clear()


def _is_past(run: Run, lane: Lane, slot: int) -> bool:
    if lane.axis is STEP:
        return slot + bounds.STEPS_AHEAD <= run.top_step
    return slot + bounds.TIME_PANE_MS <= run.watermark_ms


def _complete(run: Run, kind: str, pane: Pane) -> bool:
    if kind == TRAINER:  # by the ranks that are known to send trainer steps: often rank 0 alone
        return all(rank in pane.reported for rank, s in run.senders.items() if s.trains and not s.silent and not s.finished)
    if len(pane.reported) >= run.senders_expected():
        return True
    gone = sum(rank not in pane.reported and (s.silent or s.finished) for rank, s in run.senders.items())
    return len(pane.reported) + gone >= run.senders_expected()


def _evict(run: Run, lane: Lane, out: Emitter) -> None:
    while len(lane.held) > lane.axis.held:
        slot = min(lane.held)
        if slot in lane.dirty:
            out.pane(run, lane, lane.held[slot], closed=True)
            lane.dirty.discard(slot)
        del lane.held[slot]
        lane.passed = max(lane.passed, slot)
