"""Queries over the views, as the ClickHouse plugin takes them.

The macros are those that mean the same in plugin 3.3 and 4.x: $__timeFilter, $__timeInterval, $__fromTime, $__toTime and
$__interval_s, with plain columns as arguments. Values of variables stand as ${name:singlequote} in an IN, which holds for
one, several, All and none.
"""

from __future__ import annotations

from textwrap import dedent

from grafana_foundation_sdk.cog import builder as cogbuilder
from grafana_foundation_sdk.cog.runtime import UnknownDataquery
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef
from reward_engine.reported import COLUMN, REPORTED, SCALAR, Reported

from reward_dashboards.grafana.source import PLUGIN

SOURCE = DataSourceRef(type_val=PLUGIN, uid="${datasource}")
SERIES, TABLE = 0, 1  # how the plugin hands the rows on; a table as they are, series as one field a label

THESE_RUNS = "run_id IN (${run:singlequote})"
IN_TIME = "$__timeFilter(event_time)"
BUCKET = "$__timeInterval(event_time) AS time"


class Target(cogbuilder.Builder[Dataquery]):
    """A query in Grafana's words; the keys of both generations of the plugin."""

    def __init__(self, sql: str, form: int) -> None:
        self._sql, self._form = sql, form

    def build(self) -> Dataquery:
        return UnknownDataquery(
            {
                "datasource": SOURCE.to_json(),
                "editorType": "sql",
                "format": self._form,
                "pluginVersion": "4.20.0",
                "queryType": "timeseries" if self._form == SERIES else "table",
                "rawSql": text(self._sql),
                "refId": "A",
            }
        )


def text(sql: str) -> str:
    """SQL as people read it in Grafana's editor."""
    return dedent(sql).strip()


def measured(expression: str, *, where: str = "function = 'total'", labels: str = "run_id AS run") -> str:
    """Series of an expression over the steps in each interval. `s` are the steps, one row a step and function."""
    names = ", ".join(label.rpartition(" ")[2] for label in labels.split(", ") if label)
    return f"""
        SELECT {", ".join(part for part in (BUCKET, labels, expression) if part)}
        FROM steps AS s
        WHERE {IN_TIME} AND {THESE_RUNS} AND {where}
        GROUP BY {", ".join(part for part in ("time", names) if part)}
        ORDER BY {", ".join(part for part in ("time", names) if part)}
    """


def latest(expression: str, *, where: str = "function = 'total'") -> str:
    """A row a run: an expression over its steps in the window."""
    return f"""
        SELECT run_id AS run, {expression}
        FROM steps AS s
        WHERE {IN_TIME} AND {THESE_RUNS} AND {where}
        GROUP BY run
        ORDER BY run
    """


def told(name: str) -> str:
    """Series of what trainers report beside rewards, by run."""
    return f"""
        SELECT {BUCKET}, run_id AS run, avg(value) AS value
        FROM
        ({rows_told(name)})
        GROUP BY time, run
        ORDER BY time, run
    """


def rows_told(name: str) -> str:
    """Its rows (event_time, run_id, value): as a scalar of the step, as a column of its completions, or both."""
    parts = []
    if SCALAR in reported(name).ways:
        parts.append(f"SELECT event_time, run_id, value FROM trainer_steps WHERE name = '{name}'")
    if COLUMN in reported(name).ways:
        parts.append(f"SELECT event_time, run_id, mean AS value FROM completions WHERE property = '{name}'")
    return " UNION ALL ".join(f"{part} AND {IN_TIME} AND {THESE_RUNS}" for part in parts)


def reported(name: str) -> Reported:
    """What the catalogue says of a name."""
    return next(each for each in REPORTED if each.name == name)
