"""The tracker: the measures of a training in its own process, by the fold that the stream runs, without any service."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from reward_engine.emit import Emitter
from reward_engine.fold import NO_RULES, Record, fold
from reward_engine.kinds import KINDS, REWARD
from reward_engine.rules.ruleset import RuleSet
from reward_engine.state import STEP, Lane, Pane, Partition
from reward_schemas.events import STEP_MAX, Event, Identity, Rollout, RunEvent, RunState, TrainerStep
from reward_schemas.parse import Refused
from reward_schemas.results_pb2 import PaneRow, Result

from reward_producers.alerts import Alert, OnAlert, hand_over, to_terminal
from reward_producers.columns import Functions, Ranges, declared, each_alone, functions_of, rollout, trainer_step, whole_number
from reward_producers.errors import RewardInputError
from reward_producers.metrics import StepMetrics, WindowMetrics
from reward_producers.rule_files import rule_set
from reward_producers.vectors import Vector
from reward_producers.verdicts import Verdict

WINDOW_MAX = 10_000  # each step in it keeps its sums and its sketch: about 22 kB for 8 functions of 512 completions
_RUN = "tracked"


class RewardMetricsTracker:
    """Measures of rewards, step by step and over the last `window_size` steps.

    reward_function_names: names, or a mapping of names to weights in the total, or `RewardFunction`s. By name, further:
    weights; audit, the functions that are measured and never trained, and have no part in the total; ranges, (lo, hi) of
    a function's rewards, for what needs to know what a solved completion gets: saturation, pass@k, learnability.
    planned_steps: how long the training is to be: one of fewer than 400 steps is judged more often. rules: alert rules, as a
    file, a directory or a loaded set, which are judged after every step (those over windows of time are not: a tracker's
    messages have none); on_alert: called with each `Alert` that changes state, by default a line on stderr for what fires.

    >>> tracker = RewardMetricsTracker(["accuracy", "format"], weights={"format": 0.2}, ranges={"accuracy": (0, 1)})
    >>> metrics = tracker.track_step(
    ...     step=42,
    ...     rewards_by_function={"accuracy": [1, 0, 1, 1], "format": [0.5, 0.5, 1.0, None]},
    ...     kl_divergence=0.05,
    ...     groups=["sum", "sum", "product", "product"],
    ... )
    >>> metrics["accuracy"]["mean"], metrics.total.max, metrics.kl_divergence
    (0.75, 1.2, 0.05)
    >>> print(metrics.policy_entropy, metrics["format"].missing, metrics.window.steps)
    None 1 1

    Nothing is computed here: each call is a message, folded into the state of a stream of its own, and the measures are
    those of the rows that the fold emits. So they are the same bits that ClickHouse has of a run that was reported. The
    state does not grow with the number of steps. Calls are to come from one thread at a time.

    Raises `RewardInputError` where functions, names or the window can't be used, `RulesRefused` where the rules can't.
    """

    def __init__(
        self,
        reward_function_names: Functions,
        window_size: int = 100,
        *,
        weights: Mapping[str, float] | None = None,
        audit: Iterable[str] = (),
        ranges: Ranges | None = None,
        planned_steps: int | None = None,
        rules: Path | str | RuleSet | None = None,
        on_alert: OnAlert = to_terminal,
    ) -> None:
        try:
            self._functions = declared(functions_of(reward_function_names), weights, audit, ranges)
            self.window_size = whole_number("window_size", window_size, WINDOW_MAX, least=1)
            planned = None if planned_steps is None else whole_number("planned_steps", planned_steps, STEP_MAX, least=1)
        except Refused as refused:
            raise RewardInputError(refused.field, refused.reason) from None
        self._window = f"{self.window_size} steps"
        self._partition = Partition(0)
        self._panes: dict[str, dict[int, Pane]] = {kind: {} for kind in KINDS}
        self._verdict: Verdict | None = None
        self._rules = NO_RULES if rules is None else rules if isinstance(rules, RuleSet) else rule_set(rules)
        self._on_alert = on_alert
        self._alerts: dict[tuple[str, str], Alert] = {}
        self.changed: list[Alert] = []  # the alerts that the last call changed
        if planned:
            self._fold(RunEvent(RunState.STARTED, config_json=json.dumps({"planned_steps": planned})))

    @property
    def verdict(self) -> Verdict | None:
        """Is it learning, or is it cheating? Judged anew after every ten steps, or fewer of a short training; None before.

        >>> tracker = RewardMetricsTracker(["accuracy"], planned_steps=100)
        >>> for step in range(4):
        ...     metrics = tracker.track_step(step, {"accuracy": [0, 1, 1, 0]})
        >>> print(tracker.verdict)
        Too early: 2 of 8 steps.
        """
        return self._verdict

    @property
    def firing(self) -> list[Alert]:
        """The alerts that fire now, those that wait for recovery among them."""
        return [alert for alert in self._alerts.values() if alert.state in ("firing", "recovering")]

    def finish(self) -> list[Alert]:
        """Ends the run: the last steps are judged, and what still fires is resolved. Returns the alerts that changed."""
        self.changed = []
        self._fold(RunEvent(RunState.FINISHED))
        return self.changed

    @property
    def counts(self) -> dict[str, int]:
        """What was counted of the calls: messages received, and late ones, which came after a later step."""
        run = self._partition.runs.get(_RUN)
        return dict(run.counts) if run else {}

    def track_step(
        self,
        step: int,
        rewards_by_function: Mapping[str, Vector],
        kl_divergence: float | None = None,
        policy_entropy: float | None = None,
        advantages: Vector | None = None,
        groups: Vector | None = None,
        lengths: Vector | None = None,
        truncated: Vector | None = None,
        columns: Mapping[str, Vector | None] | None = None,
        loss: float | None = None,
        **scalars: float | None,
    ) -> StepMetrics:
        """Takes the completions of a step and returns the measures of the step and of the window that ends with it.

        rewards_by_function: for each function n numbers as lists, numpy arrays, tensors or series, kept as float32. None is
        a missing reward (of an audit function: one that was not scored), NaN and infinity are counted as `non_finite`;
        neither enters a mean. kl_divergence in nats, policy_entropy in nats a token. groups: n numbers or texts, the same
        for the completions of one prompt; without them every completion is its own group, and what compares within groups
        is unknown. lengths: in tokens. columns: further numbers of each completion by name; scalars: of the step.

        A step that comes again, or after later ones, is amended, as on the stream: its measures, and those of this window
        and of later ones, are of all that was said of it, and `counts["late"]` rises. One that has left the last 100 steps
        is refused.

        Raises `RewardInputError` with `field` and `reason` where the arguments don't fit, and takes nothing of such a call.
        (Only of one that brings a training past 512 different scalars, the rewards are in.)
        """
        named = {"kl": kl_divergence, "entropy": policy_entropy, "loss": loss}
        try:
            if twice := [name for name in scalars if named.get(name) is not None]:
                raise Refused(f"scalars[{twice[0]!r}]", "given twice")
            groups = each_alone(rewards_by_function) if groups is None else groups
            bodies: list[Rollout | TrainerStep] = [
                rollout(self._functions, step, rewards_by_function, groups, lengths, advantages, truncated, columns=columns)
            ]
            if given := {name: value for name, value in (named | scalars).items() if value is not None}:
                bodies.append(trainer_step(step, given))
        except Refused as refused:
            raise RewardInputError(refused.field, refused.reason) from None
        self._refuse_if_too_old(bodies[0].step)
        self.changed = []
        return self._measures(bodies[0].step, [result for body in bodies for result in self._fold(body)])

    def _refuse_if_too_old(self, step: int) -> None:
        """The stream keeps such a message raw; here nothing could be said of it."""
        if run := self._partition.runs.get(_RUN):
            lane = run.lane(STEP, REWARD)
            if len(lane.held) == STEP.held and step < (oldest := min(lane.held)):
                raise RewardInputError("step", f"{step} is too old: of the last {STEP.held} steps the oldest is {oldest}")

    def _fold(self, body: Rollout | TrainerStep | RunEvent) -> list[Result]:
        offset = self._partition.through + 1
        # One sender, whose messages have no time: they stand on the axis of steps alone.
        event = Event(Identity(_RUN, attempt=1, rank=0, session=0, seq=offset), event_time_ms=0, senders=1, body=body)
        results = fold(self._partition, Record(offset, 0, event), self._rules)
        for result in results:
            if result.HasField("dead_letter"):
                raise RewardInputError(result.dead_letter.field, result.dead_letter.reason)
            if result.HasField("quarantine"):
                raise RuntimeError(f"an error of reward-monitor's own: {result.quarantine.traceback}")
            if result.HasField("verdict"):
                self._verdict = Verdict.of(result.verdict)
            if result.HasField("alert"):
                self._tell(Alert.of(result.alert))
        return results

    def _tell(self, alert: Alert) -> None:
        self.changed.append(alert)
        if alert.state in ("resolved", "inactive"):
            self._alerts.pop((alert.rule, alert.function), None)
        elif alert.state != "error":  # of one that can't be judged what was stays
            self._alerts[alert.rule, alert.function] = alert
        hand_over(alert, self._on_alert)

    def _measures(self, step: int, results: list[Result]) -> StepMetrics:
        """Those of the rows that the fold emitted, and of the rows that it had no cause to emit: of a step that was
        amended, of a window of another size."""
        run = self._partition.runs[_RUN]
        rows = {(r.pane.kind, r.pane.window): r.pane for r in results if r.HasField("pane") and r.pane.slot == step}
        further = Emitter(self._partition, self._partition.through, 0)
        for lane in (run.lane(STEP, kind) for kind in KINDS):
            inside = self._inside(lane, step)
            if step in inside and (lane.kind, STEP.row) not in rows:
                further.pane(run, lane, inside[step], closed=True)
            if inside and (lane.kind, self._window) not in rows:
                further.window(run, lane, inside[max(inside)], self._window, inside)
        rows |= {(r.pane.kind, r.pane.window): r.pane for r in further.results}

        def of(window: str) -> dict[str, PaneRow]:
            return {kind: rows[kind, window] for kind in KINDS if (kind, window) in rows}

        return StepMetrics(step, of(STEP.row), WindowMetrics(step, of(self._window), self.window_size))

    def _inside(self, lane: Lane, step: int) -> dict[int, Pane]:
        """The panes of the window that ends with the step. They are the lane's own, kept on where the window is longer."""
        kept = self._panes[lane.kind]
        if pane := lane.held.get(step):
            kept[step] = pane
        while len(kept) > max(self.window_size, STEP.held):
            del kept[min(kept)]
        return {slot: kept[slot] for slot in sorted(kept) if step - self.window_size < slot <= step}
