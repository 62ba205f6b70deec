"""Rules tried on what is stored: the same fold over the same messages, and when it would have alerted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from reward_engine import formula
from reward_engine.fold import Record, fold
from reward_engine.kinds import REWARD
from reward_engine.measures import BY_NAME
from reward_engine.measuring import COLUMNS
from reward_engine.rules.ruleset import Rule, RuleSet
from reward_engine.rules.vocabulary import MeasureOf
from reward_engine.state import STEP, Partition
from reward_schemas.events import TOTAL
from reward_schemas.parse import parse
from reward_schemas.results_pb2 import Alert, PaneRow, Result
from reward_store.client import Client

from reward_dashboards.runs import NoRun, records_of_directory

_PAGE = 2_000  # messages
ENDED = ("resolved", "inactive")
Curve = tuple[np.ndarray, np.ndarray]  # steps, values


@dataclass
class Episode:
    """One alert, from its begin to its end. since, fired, ended: points of its axis, None: not (yet). fired_ms: of the log."""

    run_id: str
    rule: str
    series: str
    axis: str
    since: int
    fired: int | None = None
    fired_ms: int | None = None
    ended: int | None = None
    reason: str = ""
    summary: str = ""

    @property
    def length(self) -> int | None:
        """How long it fired, on its axis; None: it did not, or fires still."""
        if self.fired is None or self.ended is None or self.reason:
            return None
        return self.ended - self.fired


@dataclass
class Backtest:
    """What rules would have done. episodes: those that fired. curves: what the rule's condition is of, by (run, rule, series)."""

    rules: RuleSet
    runs: int = 0
    steps: int = 0
    episodes: list[Episode] = field(default_factory=list)
    pending: int = 0  # alerts that never fired
    curves: dict[tuple[str, str, str], Curve] = field(default_factory=dict)

    @property
    def notifications(self) -> int:
        """Messages that would have been sent, without grouping: that it fires, and that it is resolved."""
        return sum(1 + (episode.ended is not None) for episode in self.episodes)


def of_directory(rules: RuleSet, folder: Path, run_ids: Collection[str] = ()) -> Backtest:
    """Over a directory of offline runs; over these alone where some are named. Raises NoRun where there are none."""
    made = tried(rules, [records_of_directory(folder, run_ids)])
    if run_ids and not made.runs:
        raise NoRun(
            f"There is no run {', '.join(run_ids)} here.", where=str(folder), remedy="name one of its runs, or none for all"
        )
    return made


def of_store(rules: RuleSet, client: Client, since_ms: int, run_ids: Iterable[str] = ()) -> Backtest:
    """Over the runs that ClickHouse has messages of since a time, from their begin; of these alone where some are named.

    Raises NoRun where there are none.
    """
    wanted = list(run_ids)
    places = client.query(
        "SELECT epoch, partition, groupUniqArray(run_id), min(offset) FROM event_log WHERE run_id IN (SELECT run_id FROM runs"
        " WHERE last_event_at >= fromUnixTimestamp64Milli({since:Int64}) AND (empty({runs:Array(String)}) OR run_id IN {runs:Array(String)}))"
        " GROUP BY epoch, partition ORDER BY epoch, partition",
        since=since_ms,
        runs=wanted,
    )
    if not places:
        raise NoRun("There are no runs in that time.", where=client.settings.where, remedy="`reward-monitor runs` lists them")
    return tried(rules, (_stored(client, *place) for place in places))


def tried(rules: RuleSet, partitions: Iterable[Iterable[Record]]) -> Backtest:
    """The rules over the records of some partitions, each in its order."""
    made = Backtest(rules)
    drawn = {rule.uid: charted(rule) for rule in rules.rules}
    open_episodes: dict[tuple[str, str, str], Episode] = {}
    curves: dict[tuple[str, str, str], list[tuple[int, float]]] = defaultdict(list)
    runs, steps = set[str](), 0
    for number, records in enumerate(partitions):
        state = Partition(number)
        for record in records:
            for result in fold(state, record, rules):
                runs.add(result.run_id)
                if result.HasField("alert"):
                    _follow(result, open_episodes, made)
                elif result.HasField("pane") and result.pane.window == STEP.row and result.pane.closed:
                    steps += result.pane.kind == REWARD
                    _chart(result.run_id, result.pane, drawn, curves)
                elif result.HasField("quarantine"):
                    raise RuntimeError(f"an error of reward-monitor's own: {result.quarantine.traceback}")
    made.episodes += [episode for episode in open_episodes.values() if episode.fired is not None]
    made.episodes.sort(key=lambda episode: (episode.fired_ms or 0, episode.run_id, episode.rule))
    made.runs, made.steps = len(runs - {""}), steps
    made.curves = _of_episodes(made.episodes, drawn, curves)
    return made


def _stored(client: Client, epoch: int, partition: int, runs: list[str], first: int) -> Iterator[Record]:
    sql = (
        "SELECT offset, toUnixTimestamp64Milli(append_time), run_id, payload FROM event_log WHERE epoch = {e:UInt32}"
        " AND partition = {p:UInt32} AND offset >= {at:Int64} AND (run_id = '' OR run_id IN {runs:Array(String)})"
        " ORDER BY offset LIMIT {page:UInt32}"
    )
    while True:
        page = client.query_arrow(sql, e=epoch, p=partition, at=first, runs=runs, page=_PAGE)
        columns = [page.column(0), page.column(1), page.column(2), page.column(3).cast("binary")]  # a payload is no text
        for offset, at_ms, run_id, payload in zip(*(column.to_pylist() for column in columns), strict=True):
            yield Record(offset, at_ms, parse(run_id.encode() or None, payload), payload)
            first = offset + 1
        if page.num_rows < _PAGE:
            return


def _follow(result: Result, open_episodes: dict[tuple[str, str, str], Episode], made: Backtest) -> None:
    alert, at_ms = result.alert, result.append_time_ms
    key = result.run_id, alert.rule, alert.series
    if alert.state == "error":
        return
    if alert.state in ENDED:
        episode = open_episodes.pop(key)
        if episode.fired is None:
            made.pending += 1
            return
        episode.ended, episode.reason = alert.at, alert.reason
        made.episodes.append(episode)
        return
    episode = open_episodes.setdefault(key, _begun(result, alert))
    if alert.state == "firing" and episode.fired is None:
        episode.fired, episode.fired_ms = alert.at, at_ms
        episode.summary = alert.annotations.get("summary", "") or alert.sentence


def _begun(result: Result, alert: Alert) -> Episode:
    return Episode(result.run_id, alert.rule, alert.series, alert.axis, alert.since)


def charted(rule: Rule) -> MeasureOf:
    """What is drawn of a rule: the first measure in its condition, or else the mean reward."""
    return next((of for of in rule.condition.sources if isinstance(of, MeasureOf)), MeasureOf("mean"))


def _chart(
    run_id: str, pane: PaneRow, drawn: dict[str, MeasureOf], curves: dict[tuple[str, str, str], list[tuple[int, float]]]
) -> None:
    columns: dict[str, np.ndarray] = {}
    found: dict[str, np.ndarray] = {}
    for uid, of in drawn.items():
        names = [name for kind, name in of.where if kind == pane.kind]
        if (of.where and not names) or (not of.where and pane.kind != REWARD):
            continue
        if not columns:
            columns = dict(zip(COLUMNS, np.frombuffer(pane.values, "<f8").reshape(len(pane.series), -1).T, strict=False))
        if of.measure not in found:
            measure = BY_NAME[of.measure]
            found[of.measure] = formula.value(measure, columns) if measure.formula else columns[of.measure]
        for row, name in enumerate(pane.series):
            if not names or name in names:
                series = "" if names or name == TOTAL else name
                curves[run_id, uid, series].append((pane.slot, float(found[of.measure][row])))


def _of_episodes(
    episodes: list[Episode], drawn: dict[str, MeasureOf], curves: dict[tuple[str, str, str], list[tuple[int, float]]]
) -> dict[tuple[str, str, str], Curve]:
    made = {}
    for episode in episodes:
        key = episode.run_id, episode.rule, "" if drawn[episode.rule].where else episode.series
        if points := sorted(curves.get(key, [])):
            made[episode.run_id, episode.rule, episode.series] = (
                np.array([s for s, _ in points]),
                np.array([v for _, v in points]),
            )
    return made
