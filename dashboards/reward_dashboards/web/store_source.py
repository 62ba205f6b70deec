"""The pages' questions, answered by ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from math import isfinite, nan
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from reward_engine.kinds import COMPLETION, REWARD, TRAINER
from reward_engine.rules.ruleset import RuleSet, load
from reward_schemas.results_pb2 import Detection, Quality, Verdict
from reward_store.client import ClickHouse, Client
from reward_store.errors import Unavailable

from reward_dashboards import runs as stored
from reward_dashboards.backtest import Backtest, of_store
from reward_dashboards.web.source import POINTS, AlertCard, Curve, Health, Rules, RunCard, Span

T = TypeVar("T")
_IDLE_MAX = 8  # connections
_RUNS = """
SELECT r.run_id, r.project, r.state, r.verdict, r.verdict_sentence, r.verdict_since_step, r.last_step, s.mean, r.started_at, r.last_event_at,
    a.critical, a.warning, a.info, r.missing, r.invalid + r.refused, r.sender_dropped, length(r.silent_ranks)
FROM runs AS r
LEFT JOIN (SELECT run_id, argMax(mean, step) AS mean FROM steps WHERE function = 'total' AND closed GROUP BY run_id) AS s ON s.run_id = r.run_id
LEFT JOIN (
    SELECT run_id, countIf(severity = 'critical') AS critical, countIf(severity = 'warning') AS warning, countIf(severity = 'info') AS info
    FROM alerts WHERE state IN ('firing', 'recovering') GROUP BY run_id
) AS a ON a.run_id = r.run_id
ORDER BY r.last_event_at DESC LIMIT 1000
"""
_PROBLEMS = ("missing", "unusable", "dropped", "silent ranks")
# kind: view, the column of names, the column of the number where a measure isn't one
_PLACES = {
    REWARD: ("steps", "function", ""),
    COMPLETION: ("completions", "property", ""),
    TRAINER: ("trainer_steps", "name", "value"),
}
# Where there are more steps than points, buckets: of a p-th of the whole, and in the span from a to b of a p-th of that.
_CURVE = """
WITH
    (SELECT min(step), max(step), count() FROM {view} WHERE run_id = {{r:String}} AND {names} = {{n:String}}) AS whole,
    greatest({{a:Int64}}, whole.1) AS start,
    least({{b:Int64}}, whole.2) AS end,
    if(whole.3 > {{p:Int64}}, greatest(intDiv(whole.2 - whole.1 + {{p:Int64}}, {{p:Int64}}), 1), 1) AS wide,
    if(whole.3 > {{p:Int64}}, greatest(intDiv(end - start + {{p:Int64}}, {{p:Int64}}), 1), 1) AS narrow,
    whole.1 + intDiv(step - whole.1, wide) * wide AS outside
SELECT multiIf(step < start, outside, step > end, greatest(outside, end + 1), start + intDiv(step - start, narrow) * narrow) AS begin,
    toUnixTimestamp64Milli(max(event_time)), avg(`{number}`), min(`{number}`), max(`{number}`), any(whole.3)
FROM {view} WHERE run_id = {{r:String}} AND {names} = {{n:String}} GROUP BY begin ORDER BY begin
"""
_FIELDS = AlertCard.__match_args__
_ALERTS = """
SELECT run_id, rule, function, state, severity, summary, since_step, last_step, fired_at, resolved_at, reason, evidence, examples
FROM alerts WHERE (empty({runs:Array(String)}) OR run_id IN {runs:Array(String)}) AND fired_at IS NOT NULL
ORDER BY state IN ('firing', 'recovering') DESC, severity = 'critical' DESC, changed_at DESC LIMIT 1000
"""


class StoreSource:
    """Of a place that is connected to at the first question, and again after an outage. Several people may ask at once: a
    connection is of one thread at a time."""

    live = True

    def __init__(self, place: ClickHouse) -> None:
        self.name = place.where
        self._place = place
        self._idle: list[Client] = []

    def runs(self) -> list[RunCard]:
        made = []
        for run_id, project, state, verdict, sentence, since, step, reward, started, last, *rest in self._ask(_RUNS):
            firing = {level: count for level, count in zip(("critical", "warning", "info"), rest[:3], strict=True) if count}
            problems = tuple(f"{count} {what}" for what, count in zip(_PROBLEMS, rest[3:], strict=True) if count)
            made.append(RunCard(run_id, project, state, verdict, sentence, since, step, reward, started, last, firing, problems))
        return sorted(made, key=lambda card: card.rank)

    def functions(self, run_id: str) -> dict[str, str]:
        sql = "SELECT function, any(role) FROM steps WHERE run_id = {r:String} GROUP BY function ORDER BY function != 'total', function"
        return dict(self._ask(sql, r=run_id))

    def reported(self, run_id: str) -> list[tuple[str, str]]:
        sql = "SELECT DISTINCT {kind}, {name} FROM {view} WHERE run_id = {{r:String}} ORDER BY 2"
        return [
            (str(row[0]), str(row[1]))
            for kind in (TRAINER, COMPLETION)
            for row in self._ask(sql.format(kind=f"'{kind}'", name=_PLACES[kind][1], view=_PLACES[kind][0]), r=run_id)
        ]

    def curve(self, run_id: str, kind: str, name: str, measure: str, span: Span | None = None, points: int = POINTS) -> Curve:
        view, names, number = _PLACES[kind]
        sql = _CURVE.format(view=view, names=names, number=number or measure)
        start, end = span or (-(2**62), 2**62)
        rows = self._ask(sql, r=run_id, n=name, p=points, a=int(start), b=int(end))
        columns = [
            np.array([nan if value is None else value for value in column], np.float64) for column in zip(*rows, strict=True)
        ]
        steps, times, mean, low, high, total = columns or [np.empty(0)] * 6
        return Curve(steps.astype(np.int64), times.astype("datetime64[ms]"), mean, low, high, int(total[0]) if len(total) else 0)

    def verdicts(self, run_id: str) -> list[Verdict]:
        return self._with(lambda client: list(stored.stored_verdicts(client, run_id)))

    def detections(self, run_id: str) -> list[Detection]:
        verdicts = self.verdicts(run_id)
        return list(verdicts[-1].detections) if verdicts else []

    def quality(self, run_id: str) -> list[Quality]:
        verdicts = self.verdicts(run_id)
        return list(verdicts[-1].quality) if verdicts else []

    def alerts(self, run_ids: Sequence[str] = ()) -> list[AlertCard]:
        return [_alert(*row) for row in self._ask(_ALERTS, runs=list(run_ids))]

    def rules(self) -> Rules:
        rows = self._ask("SELECT version, refused, files, mistakes FROM rule_sets ORDER BY version DESC LIMIT 100")
        version, _, files, _ = next((row for row in rows if not row[1]), (-1, False, {}, []))
        found, _ = load(files, version)
        refused = next(iter(rows), None)
        return Rules(found or RuleSet(), tuple(refused[3]) if refused and refused[1] else ())

    def backtest(self, rules: RuleSet, run_ids: Sequence[str]) -> Backtest:
        return self._with(lambda client: of_store(rules, client, 0, run_ids))

    def health(self) -> Health:
        ((landed, rows),) = self._ask("SELECT max(landed_at), count() FROM event_log WHERE append_time > now() - INTERVAL 1 HOUR")
        ((delay,),) = self._ask(
            "SELECT quantile(0.99)(date_diff('millisecond', append_time, landed_at)) FROM event_log WHERE append_time > now() - INTERVAL 10 MINUTE"
        )
        counts = {
            what: self._ask(f"SELECT count() FROM {view}")[0][0]
            for what, view in (
                ("dead letters", "dead_letters"),
                ("late events", "late_events"),
                ("gaps", "gaps"),
                ("quarantines", "quarantines"),
            )
        }
        sets = self._ask("SELECT version, refused, mistakes FROM rule_sets ORDER BY version DESC LIMIT 1")
        facts = {
            "messages landed in the last hour": f"{rows:,}",
            "newest row": _time(landed) if rows else "none in the last hour",
            "from the broker to the row, p99 of ten minutes": _seconds(delay),
            "rules": f"version {sets[0][0]}" if sets else "none published",
            **{what: f"{count:,}" for what, count in counts.items()},
        }
        problems = [f"the rules of version {sets[0][0]} are not in force: {sets[0][2][0]}"] if sets and sets[0][1] else []
        problems += [f"{counts[what]} {what}: {remedy}" for what, remedy in _REMEDIES.items() if counts[what]]
        return Health(facts, tuple(problems))

    def query(self, sql: str, rows: int) -> pa.Table:
        """The first rows of a query of the reader's: it can't write, and its memory and time are bounded by the server."""
        return self._with(lambda client: client.query_arrow(sql)).slice(0, rows)

    def _ask(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._with(lambda client: client.query(sql, **parameters))

    def _with(self, ask: Callable[[Client], T]) -> T:
        client = self._idle.pop() if self._idle else self._place.connect()
        try:
            found = ask(client)
        except Unavailable:
            client.close()  # the next question connects anew
            raise
        except BaseException:
            self._keep(client)
            raise
        self._keep(client)
        return found

    def _keep(self, client: Client) -> None:
        if len(self._idle) < _IDLE_MAX:
            self._idle.append(client)
        else:
            client.close()


def _alert(*row: Any) -> AlertCard:
    said = dict(zip(_FIELDS, row, strict=True))
    return AlertCard(**said | {"examples": tuple(said["examples"])})


_REMEDIES = {
    "dead letters": "SELECT * FROM dead_letters ORDER BY append_time DESC",
    "gaps": "records were gone before they were aggregated: SELECT * FROM gaps",
    "quarantines": "runs whose messages can't be folded: SELECT * FROM quarantines",
}


def _seconds(ms: float | None) -> str:
    return "nothing landed" if ms is None or not isfinite(ms) else f"{ms / 1000:.2f} s"


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")
