"""The fold's judge of rules: after each message and tick, every pane that has closed since is judged by the rules of its axis.

A pane is judged once, in the order of the axis. What is amended later, or closes after a later one was judged, is in the windows
to come, and changes no transition that has happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isnan

from reward_schemas.results_pb2 import Alert

from reward_engine.detectors.blocks import Told
from reward_engine.emit import Emitter
from reward_engine.evidence import Evidence, of_row
from reward_engine.kinds import REWARD, TRAINER
from reward_engine.rules import machine
from reward_engine.rules.expression import Unknown
from reward_engine.rules.machine import AlertState, Outcome
from reward_engine.rules.ruleset import AxisName, Chosen, Condition, Rule, RuleSet
from reward_engine.rules.vocabulary import DetectorOf, MeasureOf
from reward_engine.state import AXES, Run

RUN = ""  # the series of a rule that is judged for the run
_AXES: tuple[AxisName, ...] = ("step", "time")
_ENDS = {"finished": machine.FINISHED, "lost": machine.LOST}


@dataclass(frozen=True)
class Now:
    """The partition's clocks: of the log, and of absence. ticked: a tick is folded, when the run as it is gets judged."""

    clock_ms: int
    absence_ms: int
    ticked: bool = False


def judge(run: Run, rules: RuleSet, now: Now, out: Emitter) -> None:
    """Judges what there is to judge in a run, and tells what changed."""
    if not rules.rules and not run.alerts.states:
        return
    chosen = rules.of(run.run_id, run.project, run.tags)
    judging = _Judging(run, chosen, rules.version, now, out)
    if run.alerts.attempt != run.attempt:
        judging.end(machine.RESUMED)
        judging.begin()
    judging.reconcile()
    judging.closed_panes()
    if run.state in _ENDS:
        # That a run is lost is judged on: until it speaks again, or is forgotten.
        judging.end(_ENDS[run.state], {"step", "time"} if run.state == "lost" else None)
    if now.ticked and run.state != "finished":
        judging.run_as_it_is()


def end(run: Run, rules: RuleSet, reason: str, now: Now, out: Emitter) -> None:
    """Ends every alert of a run: it is forgotten, or its events can't be folded."""
    _Judging(run, rules.of(run.run_id, run.project, run.tags), rules.version, now, out).end(reason)


class _Judging:
    """One judging of a run."""

    def __init__(self, run: Run, chosen: Chosen, version: int, now: Now, out: Emitter) -> None:
        self._run, self._chosen, self._version, self._now, self._out = run, chosen, version, now, out
        self._alerts = run.alerts

    def closed_panes(self) -> None:
        """Judges the panes that have closed, each axis in its order."""
        for axis in _AXES:
            lane = self._run.lane(AXES[axis], REWARD)
            for waits in (False, True):
                if rules := self._chosen.by_axis.get((axis, waits)):
                    key = f"{axis}+" if waits else axis
                    through = self._alerts.through.get(key, -1)
                    if lane.newest <= through:
                        continue
                    for slot in sorted(
                        slot for slot in lane.held if slot > through and (not waits or self._complete(axis, slot))
                    ):
                        evidence = Evidence(self._run, axis, slot)
                        for rule in rules:
                            self._judge(rule, slot, evidence)
                        self._alerts.through[key] = slot

    def _complete(self, axis: str, slot: int) -> bool:
        """Whether the trainer's own numbers of a slot are there, which come after the rewards, or are awaited no longer."""
        newest = self._run.lane(AXES[axis], REWARD).newest
        trainer = self._run.lane(AXES[axis], TRAINER)
        return trainer.newest >= slot or newest > slot or self._run.state in _ENDS

    def run_as_it_is(self) -> None:
        """Judges the rules without a window, and what has had no data for long."""
        evidence = Evidence(self._run)
        for rule in self._chosen.by_axis.get(("clock", False), ()):
            self._judge(rule, self._now.absence_ms, evidence)
        if self._run.state != "live":
            return
        for rule in self._chosen.by_uid.values():
            if rule.no_data != "keep":
                if not rule.by_reward:
                    self._alerts.states.setdefault(rule.uid, {}).setdefault(RUN, self._fresh(self._point(rule)))
                for series, alert in self._alerts.states.get(rule.uid, {}).items():
                    if self._now.absence_ms - alert.heard_ms >= rule.absent_ms:
                        state = machine.absent(alert, self._point(rule), rule.no_data == "alert")
                        self._tell(rule, series, alert, state, machine.NO_DATA)

    def reconcile(self) -> None:
        """Follows the rule set: what is gone is ended, what has changed is judged anew at its newest point."""
        alerts = self._alerts
        for uid in [uid for uid in alerts.states if uid not in self._chosen.by_uid]:
            self._end_rule(uid, machine.REMOVED)
            del alerts.states[uid]
        if alerts.version == self._version:
            return
        alerts.version = self._version
        self._skip_the_past()
        for uid, rule in self._chosen.by_uid.items():
            if uid in alerts.states and alerts.fingerprints.get(uid) != rule.fingerprint:
                evidence, judged = self._newest(rule), {series for series, _ in self._series(rule)}
                for series in [series for series in alerts.states[uid] if series not in judged]:
                    alert = alerts.states[uid].pop(series)
                    self._tell(rule, series, alert, machine.end(alert), machine.CHANGED)
                for series, alert in alerts.states[uid].items():
                    outcome, _ = _outcome(rule, self._row(series), evidence)
                    state = machine.changed(alert, self._point(rule), outcome, rule.timing)
                    self._tell(rule, series, alert, state, machine.CHANGED, evidence)
        alerts.fingerprints = {uid: rule.fingerprint for uid, rule in self._chosen.by_uid.items()}

    def begin(self) -> None:
        """The axes begin anew, with another attempt."""
        self._alerts.attempt = self._run.attempt
        self._alerts.through.clear()
        for states in self._alerts.states.values():
            for alert in states.values():
                alert.first = machine.NOT_YET

    def _skip_the_past(self) -> None:
        """A rule set is judged from its switch on: what closed before it was judged by those before it, or by none."""
        for name in _AXES:
            axis, through = AXES[name], self._alerts.through
            newest = self._run.lane(axis, REWARD).newest
            through[name] = max(through.get(name, -1), newest)
            through[f"{name}+"] = max(through.get(f"{name}+", -1), newest - axis.pane)  # the newest may still be waited for

    def end(self, reason: str, axes: set[str] | None = None) -> None:
        """Ends the alerts, of these axes or all."""
        for uid in self._alerts.states:
            rule = self._chosen.by_uid.get(uid)
            if axes is None or rule is None or rule.axis in axes:
                self._end_rule(uid, reason)

    def _end_rule(self, uid: str, reason: str) -> None:
        rule = self._chosen.by_uid.get(uid)
        for series, alert in self._alerts.states[uid].items():
            self._tell(rule or uid, series, alert, machine.end(alert), reason)

    def _judge(self, rule: Rule, at: int, evidence: Evidence) -> None:
        states = self._alerts.states.get(rule.uid, {})
        kept = bool(rule.delay) or rule.no_data != "keep"  # also of an alert that has never been one
        for series, row in self._series(rule):
            alert = states.get(series)
            outcome, recovered = _outcome(rule, row, evidence)
            if alert is None:
                if not kept and outcome in (Outcome.FALSE, Outcome.UNKNOWN):
                    continue
                alert = self._fresh(at)
            if alert.first == machine.NOT_YET:
                alert.first = at
            if at - alert.first >= rule.delay:
                if outcome is not Outcome.UNKNOWN:
                    alert.heard_ms = self._now.absence_ms
                self._tell(rule, series, alert, machine.advance(alert, at, outcome, recovered, rule.timing), "", evidence)
            if series not in states:
                states = self._alerts.states.setdefault(rule.uid, states)
                states[series] = alert
                self._alerts.fingerprints[rule.uid] = rule.fingerprint

    def _fresh(self, at: int) -> AlertState:
        return AlertState(at, self._now.absence_ms)

    def _series(self, rule: Rule) -> list[tuple[str, int]]:
        """What a rule is judged for, and its row among the reward functions; the run's is the total's."""
        if not rule.by_reward:
            return [(RUN, 0)]
        pattern = rule.select.reward
        every = enumerate(self._run.series[REWARD].names[1:], 1)
        return [(name, row) for row, name in every if pattern == "*" or fnmatchcase(name, pattern)]

    def _row(self, series: str) -> int:
        return self._run.series[REWARD].rows.get(series, 0)

    def _newest(self, rule: Rule) -> Evidence:
        return Evidence(self._run) if rule.axis == "clock" else Evidence(self._run, rule.axis, self._point(rule))

    def _point(self, rule: Rule) -> int:
        """The newest point of a rule's axis."""
        if rule.axis == "clock":
            return self._now.absence_ms
        newest = self._run.lane(AXES[rule.axis], REWARD).newest
        return max(newest, self._alerts.through.get(rule.axis, 0), self._alerts.through.get(f"{rule.axis}+", 0))

    def _tell(
        self, of: Rule | str, series: str, alert: AlertState, state: str | None, reason: str, evidence: Evidence | None = None
    ) -> None:
        """Tells a change of state. of: the rule, or the uid of one that is gone."""
        if state is None:
            return
        if isinstance(of, str):
            said = Alert(rule=of)
        else:
            said = self._told(of, series, alert, state, reason, evidence or self._newest(of))
        said.attempt, said.rule_version, said.project = self._run.attempt, self._version, self._run.project
        said.series, said.state, said.reason, said.episode, said.sequence = series, state, reason, alert.episode, alert.sequence
        self._out.alert(self._run.run_id, said)

    def _told(self, rule: Rule, series: str, alert: AlertState, state: str, reason: str, evidence: Evidence) -> Alert:
        names, row = rule.condition.expression.names, self._row(series)
        values = {name: evidence.value(of, row, rule.width) for name, of in zip(names, rule.condition.sources, strict=True)}
        extra = {name: evidence.value(of, row, rule.width) for name, of in rule.told.items() if name not in values}
        detected = self._detected(rule)
        at, since = self._point(rule) if rule.axis == "clock" else evidence.slot, alert.since
        if rule.axis == "clock":  # timed on the clock of absence, told on the log's
            at, since = self._now.clock_ms, self._now.clock_ms - (at - since)
        first, last = evidence.slots(rule.width) if rule.axis != "clock" else (0, 0)
        groups = 0.0 if rule.axis == "clock" else evidence.value(MeasureOf("groups"), row, rule.width)
        texts = {
            "rule": rule.uid, "run": self._run.run_id, "project": self._run.project, "reward": series, "step": str(self._run.top_step),
            "at": str(at), "since": str(since), "window": rule.window, "severity": rule.severity,
            "expr": rule.condition.expression.text, "sentence": detected.sentence, "reason": reason,
        }  # fmt: skip
        if rule.axis == "step":
            texts["step"] = str(at)
        return Alert(
            rule=rule.uid,
            axis=rule.axis,
            at=at,
            since=since,
            severity=rule.severity,
            labels=rule.labels,
            annotations={name: each.filled(texts, values | extra) for name, each in rule.annotations.items()},
            expr=rule.condition.expression.text,
            window=rule.window,
            window_from=first,
            window_to=last,
            groups=0 if isnan(groups) else int(groups),
            names=names,
            values=values.values(),
            examples=detected.examples,
            sentence=detected.sentence,
        )

    def _detected(self, rule: Rule) -> Told:
        """What the loudest detector says that the condition names."""
        told = self._run.watch.told
        named = [told[of.name] for of in rule.condition.sources if isinstance(of, DetectorOf) and of.name in told]
        return next((each for each in named if each.sentence), Told(""))


def _outcome(rule: Rule, row: int, evidence: Evidence) -> tuple[Outcome, bool]:
    """What the condition gives, and whether what recovery wants is there."""
    try:
        holds = _holds(rule.condition, row, rule.width, evidence)
    except Unknown:
        return Outcome.UNKNOWN, False
    except ArithmeticError:
        return Outcome.FAILED, False
    if holds or rule.recover is None:
        return (Outcome.TRUE if holds else Outcome.FALSE), True
    try:
        return Outcome.FALSE, _holds(rule.recover, row, rule.width, evidence)
    except (Unknown, ArithmeticError):
        return Outcome.FALSE, False  # that it is well again is not known


def _holds(condition: Condition, row: int, width: int, evidence: Evidence) -> bool:
    return condition.expression([of_row(evidence.column(of, width), row) for of in condition.sources])
