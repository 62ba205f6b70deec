"""What all dashboards have: variables, alerts as annotations, links to one another, and a grid with collapsed rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from reward_dashboards.grafana.look import SEVERITIES, VERDICTS, place
from reward_dashboards.grafana.ours import TAG, UIDS
from reward_dashboards.grafana.panels import column, rows, wrapped
from reward_dashboards.grafana.query import SOURCE, TABLE, Target, text
from reward_dashboards.grafana.source import PLUGIN, SOURCE_UID

_GRID = 24
_RUNS = "last_event_at >= $__fromTime AND started_at <= $__toTime"
RUN_NAMES = f"SELECT run_id FROM runs WHERE {_RUNS} ORDER BY started_at DESC, run_id LIMIT 500"
# Those of the first steps and of the last one that was judged: a filter on the step passes through to the primary key.
FUNCTION_NAMES = """
    SELECT function
    FROM steps
    WHERE run_id IN (${{run:singlequote}}) AND (step < 10 OR (run_id, step) IN (
        SELECT run_id, max(step) FROM quality WHERE run_id IN (${{run:singlequote}}) GROUP BY run_id
    ))
    GROUP BY function
    ORDER BY function {total} 'total', function
    """
TO_RUN = (
    "the run in detail",
    f"/d/{UIDS['run']}?${{__url_time_range}}&var-datasource=${{datasource}}&var-run=${{__value.raw:percentencode}}",
)


def dashboard(
    name: str,
    title: str,
    description: str,
    variables: Sequence[Any],
    opened: Sequence[build.Panel],
    **more: Sequence[build.Panel],
) -> dict[str, Any]:
    """A dashboard as JSON. opened: panels that are seen at once; more: those of collapsed rows, by the row's title."""
    made = build.Dashboard(title).uid(UIDS[name]).description(description).tags([TAG]).timezone("browser").editable()
    made.tooltip(model.DashboardCursorSync.CROSSHAIR).time("now-6h", "now").refresh("30s")
    made.variables([_source(), *variables]).annotations([_alerts(severity, bool(variables)) for severity in SEVERITIES])
    made.link(build.DashboardLink("Reward monitor").type(model.DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(as_dropdown=True)
              .include_vars(include_vars=True).keep_time(keep_time=True))  # fmt: skip
    bottom = _placed(opened, 0)
    for panel in opened:
        made.with_panel(panel)
    for row_title, panels in more.items():
        row = build.Row(row_title.replace("_", " ")).grid_pos(model.GridPos(x=0, y=bottom, w=_GRID, h=1))
        _placed(panels, bottom + 1)
        for panel in panels:
            row.with_panel(panel)
        made.with_row(row)
        bottom += 1
    return _mended(json.loads(JSONEncoder(sort_keys=True).encode(made.build())))


def runs(*, multi: bool = True, every: bool = True) -> build.QueryVariable:
    """Which runs: of those that were going in the window. every: with All, which is then what is shown first."""
    return _query("run", "run", "Runs that were going in the window, the newest first.", RUN_NAMES, multi=multi, every=every)


def functions(*, total_first: bool = False) -> build.QueryVariable:
    """Which reward function, of the chosen runs."""
    names = FUNCTION_NAMES.format(total="!=" if total_first else "=")
    return _query("reward", "reward function", "Reward functions of these runs; total: the weighted sum.", names)


def baseline() -> build.QueryVariable:
    """With which run the others are compared."""
    return _query("baseline", "compared with", "The run that the others are compared with.", RUN_NAMES)


def verdicts(of: str = "run_id IN (${run:singlequote})") -> build.Panel:
    """What each run is judged to be, the worst first: the first thing on every first screen."""
    made = rows(
        "Verdicts, worst first",
        "What each run is judged to be, in one sentence with its reason. A run opens in detail.",
        f"""
        SELECT if(verdict = '', 'not judged yet', verdict) AS verdict, run_id AS run, verdict_sentence AS sentence,
            verdict_since_step AS "since step", last_step AS step, state, last_event_at AS "last event"
        FROM runs AS r
        WHERE {of} AND {_RUNS}
        ORDER BY {place(VERDICTS, "r.verdict")} = 0, {place(VERDICTS, "r.verdict")}, last_event_at DESC, run
        LIMIT 200
        """,
        size=(_GRID, 6),
    )
    column(made, "verdict", width=120, colours=VERDICTS)
    column(made, "run", width=220, link=TO_RUN)
    wrapped(made, "sentence")
    column(made, "since step", width=90)
    column(made, "step", width=80)
    column(made, "state", width=90)
    return column(made, "last event", width=170)


def _source() -> build.DatasourceVariable:
    named = model.VariableOption(text=SOURCE_UID, value=SOURCE_UID, selected=True)
    return build.DatasourceVariable("datasource").label("ClickHouse").type(PLUGIN).current(named).description(
        "The data source whose default database has the monitor's views."
    )  # fmt: skip


def _query(name: str, label: str, description: str, sql: str, *, multi: bool = False, every: bool = False) -> build.QueryVariable:
    made = build.QueryVariable(name).label(label).description(description).datasource(SOURCE).query(text(sql)).multi(multi)
    return made.include_all(every).refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)


def _alerts(severity: str, of_runs: bool) -> build.AnnotationQuery:
    of = "run_id IN (${run:singlequote}) AND " if of_runs else ""
    sql = f"""
        SELECT fired_at AS time, ifNull(resolved_at, $__toTime) AS "timeEnd",
            concat(summary, ' (', run_id, if(function = '', '', concat(', ', function)), ')') AS text, rule AS title, severity AS tags
        FROM alerts
        WHERE {of}severity = '{severity}' AND fired_at <= $__toTime AND (resolved_at IS NULL OR resolved_at >= $__fromTime)
        ORDER BY time, text
        LIMIT 200
    """
    made = build.AnnotationQuery().name(f"{severity} alerts").datasource(SOURCE).icon_color(SEVERITIES[severity])
    return made.enable(severity != "info").target(Target(sql, TABLE))


def _placed(panels: Sequence[build.Panel], top: int) -> int:
    """Places panels line by line, each line as high as its highest; returns where the next begins."""
    x = height = 0
    for panel in panels:
        size = panel.build().grid_pos
        assert size is not None
        if x + size.w > _GRID:
            x, top, height = 0, top + height, 0
        size.x, size.y = x, top
        x, height = x + size.w, max(height, size.h)
    return top + height


def _mended(made: dict[str, Any]) -> dict[str, Any]:
    """What the builder leaves: ids of panels, the time since when a dashboard is there, and a place for links of new Grafanas only."""
    number = 0
    for panel in made["panels"]:
        for each in (panel, *panel.get("panels", ())):
            number += 1
            each["id"] = number
    for each in (*made["links"], *made["annotations"]["list"]):
        each.pop("placement", None)
    return made
