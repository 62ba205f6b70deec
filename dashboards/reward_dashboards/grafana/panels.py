"""Panels of the kinds that Grafana 9.3 has as well as 13, each with title, description, unit and words for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import bargauge, common, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import histogram as histogram_model

from reward_dashboards.grafana.look import COLOURS, NEUTRAL, fixed, health, meaning, numbered, unit, words
from reward_dashboards.grafana.query import SERIES, SOURCE, TABLE, Target, measured

NOTHING = "nothing in this window"
_LEGEND = common.VizLegendOptions(
    common.LegendDisplayMode.TABLE, common.LegendPlacement.BOTTOM, show_legend=True, calcs=["lastNotNull", "min", "max"]
)
_NO_LEGEND = common.VizLegendOptions(common.LegendDisplayMode.LIST, common.LegendPlacement.BOTTOM, show_legend=False)
_TOOLTIP = common.VizTooltipOptions(common.TooltipDisplayMode.MULTI, common.SortOrder.DESCENDING)
_LINE = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "auto", "pointSize": 4, "spanNulls": False}


def panel(kind: str, title: str, description: str, sql: str, form: int, options: object, size: tuple[int, int]) -> build.Panel:
    """Any panel. size: of the grid, whose width is 24."""
    made = build.Panel().type(kind).title(title).description(description).datasource(SOURCE).transparent(transparent=False)
    width, height = size
    return made.with_target(Target(sql, form)).options(options).span(width).height(height).no_value(NOTHING)


def lines(
    title: str, description: str, sql: str, *, by: Sequence[str] = ("run",), size: tuple[int, int] = (12, 8)
) -> build.Panel:
    """Lines over time, named by their labels; by nothing: by their columns."""
    made = panel("timeseries", title, description, sql, SERIES, timeseries.Options(legend=_LEGEND, tooltip=_TOOLTIP), size)
    made.unit("short").custom(_LINE).color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    return made.display_name(" · ".join(f"${{__field.labels.{label}}}" for label in by)) if by else made


def measure(name: str, title: str, *, where: str = "function = 'total'", size: tuple[int, int] = (12, 8)) -> build.Panel:
    """A measure by run: the mean of the steps in each interval."""
    return lines(title, meaning(name), measured(f"avg(s.{name}) AS value", where=where), size=size).unit(unit(name))


def measures(
    names: Sequence[str], title: str, *, where: str = "function = 'total'", size: tuple[int, int] = (12, 8)
) -> build.Panel:
    """Measures of the same unit, by run, each in its colour."""
    columns = ", ".join(f"avg(s.{name}) AS {name}" for name in names)
    made = lines(title, meaning(*names), measured(columns, where=where), by=(), size=size).unit(unit(names[0]))
    for name in names:
        made.override_by_regexp(rf"/^{name}\b/", [_property("color", fixed(COLOURS[name]).build())])
    return made


def stacked(made: build.Panel) -> build.Panel:
    """Areas, one on the other."""
    return made.custom(_LINE | {"fillOpacity": 30, "stacking": {"mode": "normal", "group": "A"}})


def limit(made: build.Panel, value: float, colour: str) -> build.Panel:
    """A dashed line at a value from which on something is wrong."""
    return made.custom(_LINE | {"thresholdsStyle": {"mode": "dashed"}}).thresholds(health((None, "transparent"), (value, colour)))


def number(title: str, description: str, sql: str, *, width: int = 4, each_row: bool = False) -> build.Panel:
    """One number, or with each_row one for each row, named by its text."""
    reduce = common.ReduceDataOptions(values=each_row, limit=20 if each_row else None, calcs=["lastNotNull"], fields="")
    options = stat.Options(
        graph_mode=common.BigValueGraphMode.NONE,
        color_mode=common.BigValueColorMode.VALUE,
        text_mode=common.BigValueTextMode.AUTO,
        reduce_options=reduce,
        orientation=common.VizOrientation.AUTO,
    )
    return panel("stat", title, description, sql, TABLE, options, (width, 4)).unit("short").color_scheme(fixed(NEUTRAL))


def judged(made: build.Panel, *steps: tuple[float | None, str]) -> build.Panel:
    """Coloured by how well it is."""
    return made.color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)).thresholds(health(*steps))


def rows(title: str, description: str, sql: str, *, size: tuple[int, int] = (24, 8)) -> build.Panel:
    """A table; `column` sets what is said of one of its columns."""
    return (
        panel("table", title, description, sql, TABLE, table.Options(), size)
        .unit("none")
        .custom({"align": "auto", "filterable": True})
    )


def column(
    made: build.Panel,
    name: str,
    *,
    width: int | None = None,
    unit: str | None = None,
    decimals: int | None = None,
    colours: dict[str, str] | None = None,
    link: tuple[str, str] | None = None,
) -> build.Panel:
    """Width, unit, colours of the words, or a link (title, url) of a table's column."""
    said: list[tuple[str, Any]] = [("custom.width", width), ("unit", unit), ("decimals", decimals)]
    if colours:  # the cell's look by the names of Grafana 9 and of later ones, which each pass over the other's
        said += [
            ("mappings", words(colours)),
            ("custom.displayMode", "color-text"),
            ("custom.cellOptions", {"type": "color-text"}),
        ]
    if link:
        said.append(("links", [{"title": link[0], "url": link[1], "targetBlank": False}]))
    return made.override_by_name(name, [_property(key, value) for key, value in said if value is not None])


def wrapped(made: build.Panel, name: str) -> build.Panel:
    """A table's column of sentences: on several lines, or in Grafana 9 read whole by a click."""
    return made.override_by_name(
        name, [_property("custom.inspect", value=True), _property("custom.cellOptions", {"type": "auto", "wrapText": True})]
    )


def timeline(title: str, description: str, sql: str, colours: dict[str, str], *, by: str, size: tuple[int, int]) -> build.Panel:
    """A bar a label, in the colour of its state at each time; the query's value is the state's `look.place`."""
    options = statetimeline.Options(
        show_value=common.VisibilityMode.NEVER, row_height=0.8, merge_values=True, legend=_NO_LEGEND, tooltip=_TOOLTIP
    )
    made = panel("state-timeline", title, description, sql, SERIES, options, size).unit("none").mappings(numbered(colours))
    return made.display_name(f"${{__field.labels.{by}}}").custom({"fillOpacity": 80, "lineWidth": 0, "spanNulls": True})


def density(title: str, description: str, sql: str, *, size: tuple[int, int] = (12, 8)) -> build.Panel:
    """How often each value occurs over time, from rows (time, value) that stand for equally many."""
    buckets = common.HeatmapCalculationOptions(y_buckets=common.HeatmapCalculationBucketConfig(
        mode=common.HeatmapCalculationMode.COUNT, value="24"
    ))  # fmt: skip
    colour = heatmap.HeatmapColorOptions(
        mode=heatmap.HeatmapColorMode.SCHEME, scheme="Blues", reverse=True, steps=32, fill=NEUTRAL, exponent=0.5
    )
    options = heatmap.Options(calculate=True, calculation=buckets, color=colour, y_axis=heatmap.YAxisConfig(unit="short"))
    return panel("heatmap", title, description, sql, TABLE, options, size).unit("short").max_data_points(80)


def histogram(title: str, description: str, sql: str, *, size: tuple[int, int] = (12, 8)) -> build.Panel:
    """How often each value occurs, from rows (value) that stand for equally many."""
    made = panel("histogram", title, description, sql, TABLE, histogram_model.Options(legend=_NO_LEGEND), size)
    return (
        made.unit("short")
        .color_scheme(fixed(COLOURS["mean"]))
        .custom({"fillOpacity": 60, "lineWidth": 1, "gradientMode": "none"})
    )


def gauges(title: str, description: str, sql: str, *, size: tuple[int, int] = (12, 8)) -> build.Panel:
    """A bar for each row, named by its text."""
    options = bargauge.Options(
        display_mode=common.BarGaugeDisplayMode.BASIC,
        orientation=common.VizOrientation.HORIZONTAL,
        reduce_options=common.ReduceDataOptions(values=True, limit=25, calcs=["lastNotNull"], fields=""),
    )
    return panel("bargauge", title, description, sql, TABLE, options, size).unit("short").color_scheme(fixed(NEUTRAL))


def bars(title: str, description: str, sql: str, *, size: tuple[int, int] = (12, 8)) -> build.Panel:
    """Bars by place, one colour a run, from rows (place as text, run, value), one for each."""
    options = {
        "orientation": "vertical", "showValue": "never", "stacking": "none", "groupWidth": 0.8, "barWidth": 0.95,
        "xTickLabelSpacing": 60, "xTickLabelRotation": 0, "legend": _LEGEND, "tooltip": _TOOLTIP,
    }  # fmt: skip
    matrix = {"rowField": "place", "columnField": "run", "valueField": "value", "emptyValue": "null"}
    spread = model.DataTransformerConfig("groupingToMatrix", options=matrix)
    made = panel("barchart", title, description, sql, TABLE, options, size).with_transformation(spread).unit("short")
    return made.custom({"fillOpacity": 70, "lineWidth": 0, "gradientMode": "none"}).color_scheme(
        build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC)
    )


def _property(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(name, value)
