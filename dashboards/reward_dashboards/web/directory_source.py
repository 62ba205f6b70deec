"""The pages' questions, answered by a directory of offline runs: folded in this process, with the rules that come along."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from heapq import merge
from importlib.resources import files
from itertools import islice
from math import isnan
from pathlib import Path

import numpy as np
from reward_engine.bounds import ABSENCE_PER_TICK_MAX_MS, RUN_LOST_MS
from reward_engine.fold import Record, fold
from reward_engine.kinds import COMPLETION, REWARD, TRAINER
from reward_engine.measures import BY_NAME
from reward_engine.measuring import measured
from reward_engine.rules.ruleset import RuleSet, load
from reward_engine.state import STEP, Partition
from reward_schemas.errors import MonitorError
from reward_schemas.events import TOTAL, Control, Event, InvalidEvent, Tick
from reward_schemas.parse import parse
from reward_schemas.results_pb2 import Detection, PaneRow, Quality, Result, RunRow, Verdict
from reward_schemas.segments import Frame, read, segments

from reward_dashboards.backtest import Backtest, of_directory
from reward_dashboards.runs import NoRun
from reward_dashboards.web.source import POINTS, AlertCard, Curve, Health, Reading, Rules, RunCard, Span, bucketed

_LOOK_S = 1.0
_PLACES = {measure: place for place, measure in enumerate(BY_NAME)}
_FIRES = ("firing", "recovering")


@dataclass
class _Run:
    """What is known of a run: measures of its panes by kind and step, computed once each, verdicts, its last row."""

    row: RunRow = field(default_factory=RunRow)
    heard_ms: int = 0
    panes: dict[str, dict[int, _Pane]] = field(default_factory=dict)
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    def told(self) -> list[Verdict]:
        """Verdicts by step."""
        return [self.verdicts[step] for step in sorted(self.verdicts)]


class _Pane:
    """The measures of a pane's series, by name."""

    def __init__(self, pane: PaneRow) -> None:
        table = np.frombuffer(pane.values, "<f8").reshape(len(pane.series), len(pane.sums))
        self.time_ms = pane.event_time_ms
        self.rows = {name: row for row, name in enumerate(pane.series)}
        self.roles = dict(zip(pane.series, pane.roles, strict=True))
        found = measured(table, pane.roles)
        self._table = np.array([found[measure] for measure in BY_NAME])  # one array: there are thousands of panes

    def value(self, name: str, measure: str) -> float:
        """A measure of a series, NaN where it is unknown."""
        row = self.rows.get(name)
        return np.nan if row is None else float(self._table[_PLACES[measure], row])


class DirectorySource:
    """Of the runs below a folder. They are folded by a thread of its own, and what is appended is folded on: a page never waits."""

    live = True

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = str(folder), folder
        self._taken: dict[Path, int] = {}  # frames by segment
        self._state, self._offset, self._at_ms = Partition(0), 0, 0
        self._runs: dict[str, _Run] = {}
        self._alerts: dict[tuple[str, str, str, int], AlertCard] = {}
        self._failed: MonitorError | None = None
        self._whole = threading.Event()  # everything that was there was read once
        threading.Thread(target=self._follow, name="reward-monitor-folder", daemon=True).start()

    def runs(self) -> list[RunCard]:
        self._ready()
        return sorted((self._card(run_id, run) for run_id, run in list(self._runs.items())), key=lambda card: card.rank)

    def functions(self, run_id: str) -> dict[str, str]:
        self._ready()
        found: dict[str, str] = {}
        for pane in list(self._panes(run_id, REWARD).values()):
            found |= pane.roles
        return found

    def reported(self, run_id: str) -> list[tuple[str, str]]:
        names = {
            (kind, name)
            for kind in (TRAINER, COMPLETION)
            for pane in list(self._panes(run_id, kind).values())
            for name in pane.rows
        }
        return sorted(names, key=lambda each: (each[0] != TRAINER, each[1]))

    def curve(self, run_id: str, kind: str, name: str, measure: str, span: Span | None = None, points: int = POINTS) -> Curve:
        panes = self._panes(run_id, kind)
        steps = sorted(step for step, pane in panes.items() if name in pane.rows)
        of = measure if kind == REWARD else "mean"
        values = np.array([panes[step].value(name, of) for step in steps], np.float64)
        return bucketed(
            np.array(steps, np.int64), np.array([panes[step].time_ms for step in steps], np.int64), values, span, points
        )

    def verdicts(self, run_id: str) -> list[Verdict]:
        return self._runs[run_id].told() if run_id in self._runs else []

    def detections(self, run_id: str) -> list[Detection]:
        told = self.verdicts(run_id)
        return list(told[-1].detections) if told else []

    def quality(self, run_id: str) -> list[Quality]:
        told = self.verdicts(run_id)
        return list(told[-1].quality) if told else []

    def alerts(self, run_ids: Sequence[str] = ()) -> list[AlertCard]:
        self._ready()
        found = [alert for alert in list(self._alerts.values()) if not run_ids or alert.run_id in run_ids]
        return sorted(
            found, key=lambda a: (a.state not in _FIRES, a.severity != "critical", -(a.fired.timestamp() if a.fired else 0))
        )

    def rules(self) -> Rules:
        return Rules(self._rules)

    def backtest(self, rules: RuleSet, run_ids: Sequence[str]) -> Backtest:
        return of_directory(rules, self._folder, run_ids)

    def health(self) -> Health:
        self._ready()
        return Health(
            {
                "runs": str(len(self._runs)),
                "segments": str(len(self._taken)),
                "messages": f"{self._offset:,}",
                "directory": self.name,
            }
        )

    @cached_property
    def _rules(self) -> RuleSet:
        text = files("reward_engine.rules").joinpath("packs", "grpo.yaml").read_text(encoding="utf-8")
        found, mistakes = load({"grpo.yaml": text})
        assert found is not None, mistakes
        return found

    def _panes(self, run_id: str, kind: str) -> dict[int, _Pane]:
        run = self._runs.get(run_id)
        return dict(run.panes.get(kind, {})) if run else {}

    def _card(self, run_id: str, run: _Run) -> RunCard:
        told, rewards = run.told(), self._panes(run_id, REWARD)
        last, firing = max(rewards, default=None), Counter[str]()
        for alert in list(self._alerts.values()):
            if alert.run_id == run_id and alert.state in _FIRES:
                firing[alert.severity] += 1
        mean = np.nan if last is None else rewards[last].value(TOTAL, "mean")
        verdict = told[-1] if told else Verdict()
        return RunCard(
            run_id, run.row.project, run.row.state, verdict.state, verdict.sentence, verdict.since_step if told else None, last,
            mean if np.isfinite(mean) else None, _time(run.row.started_ms), _time(run.heard_ms), dict(firing),
        )  # fmt: skip

    def _ready(self) -> None:
        """Raises what keeps the directory from being read; Reading as long as it is for the first time."""
        self._whole.wait(1.0)
        if self._failed:
            raise self._failed
        if not self._whole.is_set():
            raise Reading(f"The runs are being read: {self._offset:,} messages so far.", where=self.name)

    def _follow(self) -> None:
        while True:
            try:
                self._look()
                self._failed = None
            except MonitorError as error:
                self._failed = error
            self._whole.set()
            time.sleep(_LOOK_S)

    def _look(self) -> None:
        """Folds what has come since. NoRun where there is none."""
        found = segments(self._folder)
        if not found:
            raise NoRun("There are no runs here.", where=self.name, remedy="start_run(…, data_dir=DIR) writes them")
        for frame in merge(*map(self._new, found), key=lambda frame: frame.time_ms):
            self._at_ms = max(self._at_ms, frame.time_ms)
            self._take(parse(frame.key, frame.value))
            if run := self._runs.get(frame.key.decode("utf-8", "replace")):
                run.heard_ms = frame.time_ms
        # What says nothing any more is closed by silence.
        while self._at_ms + RUN_LOST_MS < time.time() * 1000 and any(run.state == "live" for run in self._state.runs.values()):
            self._at_ms += ABSENCE_PER_TICK_MAX_MS
            self._take(Tick())

    def _new(self, file: Path) -> Iterator[Frame]:
        for frame in islice(read(file), self._taken.get(file, 0), None):
            self._taken[file] = self._taken.get(file, 0) + 1
            yield frame

    def _take(self, event: Event | Control | InvalidEvent) -> None:
        for result in fold(self._state, Record(self._offset, self._at_ms, event), self._rules):
            self._note(result)
        self._offset += 1

    def _note(self, result: Result) -> None:
        if not result.run_id:
            return
        run = self._runs.setdefault(result.run_id, _Run())
        if result.HasField("pane") and result.pane.window == STEP.row:
            run.panes.setdefault(result.pane.kind, {})[result.pane.slot] = _Pane(result.pane)
        elif result.HasField("run") and result.run.state != "forgotten":
            run.row = result.run
        elif result.HasField("verdict"):
            run.verdicts[result.verdict.step] = result.verdict
        elif result.HasField("alert"):
            _follow_alert(result, self._alerts)


def _follow_alert(result: Result, made: dict[tuple[str, str, str, int], AlertCard]) -> None:
    """Notes a change of an alert that fires, or has fired."""
    alert, at = result.alert, _time(result.append_time_ms)
    key = result.run_id, alert.rule, alert.series, alert.episode
    before, step = made.get(key), alert.at if alert.axis == "step" else None
    if alert.state == "firing":
        made[key] = AlertCard(
            result.run_id, alert.rule, alert.series, alert.state, alert.severity,
            alert.annotations.get("summary", "") or alert.sentence or alert.expr, alert.since if alert.axis == "step" else None,
            step, before.fired if before else at, None,
            evidence={n: None if isnan(v) else v for n, v in zip(alert.names, alert.values, strict=True)}, examples=tuple(alert.examples),
        )  # fmt: skip
    elif before:
        ended = at if alert.state == "resolved" else None
        made[key] = replace(before, state=alert.state, last_step=step, ended=ended, reason=alert.reason)


def _time(ms: int) -> datetime | None:
    return datetime.fromtimestamp(ms / 1000, timezone.utc) if ms else None
