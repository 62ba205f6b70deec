"""The fold: `fold(partition, record) -> results`. It knows no Kafka, no clock, no file and no thread.

Everything that happens is a function of the log: the same records give the same results, wherever the fold is called
(the worker, a test, a backtest, the trainer's own process), and from whatever snapshot it goes on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from msgspec import Struct
from reward_schemas.events import Control, Event, Identity, InvalidEvent, RuleSwitch, RunEvent, RunState, Tick
from reward_schemas.results_pb2 import Result

from reward_engine import alerting, bounds, lanes
from reward_engine.alerting import Now
from reward_engine.emit import Emitter
from reward_engine.observe import admit, finish_if_ended, leave_front, observe
from reward_engine.refusal import Refusal
from reward_engine.rules import machine
from reward_engine.rules.ruleset import RuleSet
from reward_engine.state import Partition, Quarantined, Run
from reward_engine.watching import watch

__all__ = ["NO_RULES", "Record", "fold", "skip"]

NO_RULES = RuleSet()


class Record(Struct, frozen=True):
    """One record of the events topic as the fold sees it. payload: the message's bytes, for a dead letter."""

    offset: int
    append_time_ms: int
    event: Event | Control | InvalidEvent
    payload: bytes = b""


def fold(partition: Partition, record: Record, rules: RuleSet = NO_RULES) -> list[Result]:
    """Takes a record into the state, in place, and returns what follows from it.

    rules: the rule set that the log says is in force, `partition.rule_version`; or for a RuleSwitch the one that it names: nothing
    is looked up here. A switch without its rule set, or to an older one, is none.

    An error on the way quarantines the run that the record belongs to, and only that; errors of memory and the like
    are the process's and are raised.
    """
    out = Emitter(partition, record.offset, record.append_time_ms)
    partition.through = record.offset
    partition.clock_ms = max(partition.clock_ms, record.append_time_ms)
    event = record.event
    switched = isinstance(event, RuleSwitch) and rules.version == event.version > partition.rule_version
    if switched:
        partition.rule_version = rules.version
    judged = _Judged(partition, rules if rules.version == partition.rule_version else NO_RULES, out)
    if isinstance(event, Event):
        run_id = event.identity.run_id
        judged.guarded(run_id, lambda: _event(judged, event, record))
    elif isinstance(event, Tick):
        _tick(judged)
    elif isinstance(event, InvalidEvent):
        run_id = event.identity.run_id if event.identity else ""
        judged.guarded(run_id, lambda: _invalid(partition, event, out))
    elif switched:
        for run in list(partition.runs.values()):
            judged.guarded(run.run_id, partial(judged.judge, run))
    return out.results


def skip(partition: Partition, to_offset: int, reason: str) -> list[Result]:
    """Takes into the state that records (through, to_offset) are gone: a counted gap, flagged in the rows that it may touch."""
    out = Emitter(partition, to_offset - 1, partition.clock_ms)
    out.gap(partition.through + 1, to_offset, reason)
    partition.through = to_offset - 1
    for run in partition.runs.values():
        run.count("gaps")
        for lane in run.lanes:
            lane.flag_next = {*lane.flag_next, "gap"}
            for slot, pane in lane.open.items():
                pane.flags = {*pane.flags, "gap"}
                lane.dirty.add(slot)
    return out.results


@dataclass(frozen=True)
class _Judged:
    """A partition, the rules in force, and what is told of the record that is folded."""

    partition: Partition
    rules: RuleSet
    out: Emitter

    def judge(self, run: Run, *, ticked: bool = False) -> None:
        """Judges a run by the rules."""
        if self.rules.version == self.partition.rule_version:
            alerting.judge(run, self.rules, self._now(ticked), self.out)

    def end(self, run: Run, reason: str) -> None:
        """Ends the alerts of a run that is folded no longer."""
        alerting.end(run, self.rules, reason, self._now(), self.out)

    def _now(self, ticked: bool = False) -> Now:
        return Now(self.partition.clock_ms, self.partition.absence_ms, ticked)

    def guarded(self, run_id: str, work: Callable[[], None]) -> None:
        """Does what belongs to a run; an error in it quarantines that run."""
        already = len(self.out.results)
        try:
            work()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - any deterministic error is the run's alone: a replay meets it at the same record
            del self.out.results[already:]
            run = self.partition.runs.pop(run_id, None)
            quarantined = Quarantined(
                f"{type(error).__name__}: {error}", traceback.format_exc(), self.partition.through, run.attempt if run else 0
            )
            self.partition.quarantined[run_id] = quarantined
            self.out.quarantine(run_id, quarantined)
            if run:
                self.end(run, machine.QUARANTINED)


def _event(judged: _Judged, event: Event, record: Record) -> None:
    partition, out, run_id = judged.partition, judged.out, event.identity.run_id
    if run_id in partition.quarantined and not _released(partition, event, out):
        partition.quarantined[run_id].dropped += 1
        return
    try:
        run = partition.runs.get(run_id)
        new = run is None
        if run is None:
            run = _new_run(partition, event.identity, event.event_time_ms)
        observe(run, event, record.append_time_ms, partition.absence_ms, out)
        judged.judge(run)
        if new:
            out.run(run)
    except Refusal as refusal:
        if run := partition.runs.get(run_id):
            run.count("refused")
        out.dead_letter(refusal.field, refusal.reason, record.payload, event.identity)


def _new_run(partition: Partition, identity: Identity, started_ms: int) -> Run:
    run_id = identity.run_id
    if len(partition.runs) >= bounds.RUNS_MAX:
        raise Refusal("run_id", f"more than {bounds.RUNS_MAX} runs at once in one partition")
    run = partition.runs[run_id] = Run(run_id, partition.absence_ms, started_ms, identity.attempt)
    run.alerts.version = partition.rule_version  # it has no past that another rule set would have judged
    if partition.forgotten.pop(run_id, None) is not None:
        run.flags = {"reborn"}
    return run


def _released(partition: Partition, event: Event, out: Emitter) -> bool:
    if not (isinstance(event.body, RunEvent) and event.body.state is RunState.RELEASED):
        return False
    run_id = event.identity.run_id
    out.quarantine(run_id, partition.quarantined.pop(run_id), released=True)
    partition.forgotten[run_id] = partition.through  # what it was is lost: it starts afresh, and its rows say so
    return True


def _invalid(partition: Partition, event: InvalidEvent, out: Emitter) -> None:
    if (identity := event.identity) and identity.run_id not in partition.quarantined:
        try:
            run = partition.runs.get(identity.run_id) or _new_run(partition, identity, partition.clock_ms)
            if not admit(run, identity, partition.absence_ms):
                return  # the same message again: its dead letter stands already
            run.count("invalid")
        except Refusal:
            pass  # past a bound as well; the letter says what is wrong with the message itself
    out.dead_letter(event.field, event.reason, event.payload, event.identity)


def _tick(judged: _Judged) -> None:
    partition = judged.partition
    if partition.tick_ms:
        partition.absence_ms += min(max(partition.clock_ms - partition.tick_ms, 0), bounds.ABSENCE_PER_TICK_MAX_MS)
    partition.tick_ms = partition.clock_ms
    for run in list(partition.runs.values()):
        judged.guarded(run.run_id, partial(_tick_run, judged, run))


def _tick_run(judged: _Judged, run: Run) -> None:
    out, absence_ms = judged.out, judged.partition.absence_ms
    for sender in run.senders.values():
        if not sender.silent and not sender.finished and absence_ms - sender.heard_ms >= bounds.SENDER_SILENT_MS:
            leave_front(run, sender)
            sender.silent = run.dirty = True
    lanes.advance_watermark(run, out)
    for kind in run.series:
        lanes.close_complete(run, kind, out)
    lanes.close_timed_out(run, absence_ms, out)
    finish_if_ended(run, out)
    silence_ms = absence_ms - run.heard_ms
    if run.state == "live" and silence_ms >= bounds.RUN_LOST_MS:
        lanes.close_all(run, out)
        watch(run, out, ended=True)
        run.state, run.reason = "lost", "no sender spoke"
        out.run(run)
    elif run.state != "live":
        lanes.close_all(run, out)  # an ended run awaits nothing: what came late has its row at once
        if silence_ms >= bounds.RUN_FORGOTTEN_MS:
            judged.end(run, machine.FORGOTTEN)
            _forget(judged.partition, run, out)
            return
    lanes.emit_dirty(run, out)
    watch(run, out)
    judged.judge(run, ticked=True)
    if run.dirty:
        out.run(run)


def _forget(partition: Partition, run: Run, out: Emitter) -> None:
    out.run(run, state="forgotten")
    del partition.runs[run.run_id]
    partition.forgotten[run.run_id] = partition.through
    while len(partition.forgotten) > bounds.FORGOTTEN_MAX:
        del partition.forgotten[next(iter(partition.forgotten))]
