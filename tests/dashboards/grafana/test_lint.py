"""What every dashboard must hold, a function each: the JSON goes in, what is wrong with it comes out in words."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from reward_dashboards.grafana import ours

from tests.dashboards.grafana.boards import BOARDS, panels

pytestmark = pytest.mark.pure

Board = dict[str, Any]
Check = Callable[[Board], Iterator[str]]

# What Grafana 9.3 has as well as 13.
KINDS = {"timeseries", "stat", "table", "state-timeline", "heatmap", "bargauge", "barchart", "histogram"}
GREEN, AMBER, RED = "#56A64B", "#FF9830", "#E02F44"
BUILT_IN = {"__url_time_range", "__value", "__field", "__data"}


def told(board: Board) -> Iterator[str]:
    """Each panel says what it shows, in which unit, and what is the matter where it is empty."""
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        for what, there in {
            "title": panel.get("title"),
            "description": len(panel.get("description", "")) > 20,
            "unit": defaults.get("unit"),
            "noValue": defaults.get("noValue"),
        }.items():
            if not there:
                yield f"{panel['title']}: no {what}"
        if panel["type"] not in KINDS:
            yield f"{panel['title']}: Grafana 9.3 has no {panel['type']}"


def identities(board: Board) -> Iterator[str]:
    """Ids of panels, rows among them, are unique, and so are titles."""
    ids = [each["id"] for panel in board["panels"] for each in (panel, *panel.get("panels", ()))]
    if sorted(ids) != list(range(1, len(ids) + 1)):
        yield f"ids {ids}"
    titles = [panel["title"] for panel in panels(board)]
    if len(set(titles)) < len(titles):
        yield f"titles {titles}"


def grid(board: Board) -> Iterator[str]:
    """Nothing overlaps, nothing sticks out, rows are collapsed, and no more than 12 panels are open."""
    opened = [panel for panel in board["panels"] if panel["type"] != "row"]
    if len(opened) > 12:
        yield f"{len(opened)} panels are open"
    taken: dict[tuple[int, int], str] = {}
    yield from _overlaps(board["panels"], taken)
    for row in (panel for panel in board["panels"] if panel["type"] == "row"):
        if not row["collapsed"] or not row["panels"]:
            yield f"row {row['title']} is open or empty"
        yield from _overlaps(row["panels"], {})


def _overlaps(some: list[Board], taken: dict[tuple[int, int], str]) -> Iterator[str]:
    for panel in some:
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"{panel['title']} sticks out"
        for spot in (
            (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
        ):
            if taken.setdefault(spot, panel["title"]) != panel["title"]:
                yield f"{panel['title']} overlaps {taken[spot]}"


def first(board: Board) -> Iterator[str]:
    """The verdicts are the first thing on the first screen."""
    panel = board["panels"][0]
    if panel["title"] != "Verdicts, worst first" or (panel["gridPos"]["x"], panel["gridPos"]["y"]) != (0, 0):
        yield f"{panel['title']} stands first"


def source(board: Board) -> Iterator[str]:
    """Everything asks the data source that is chosen at the top."""
    asked = [*panels(board), *(t for panel in panels(board) for t in panel["targets"]), *board["annotations"]["list"]]
    asked += [variable for variable in board["templating"]["list"] if variable["type"] == "query"]
    for each in asked:
        if each.get("datasource") != {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}:
            yield f"{each.get('title') or each.get('name') or each['refId']} asks {each.get('datasource')}"


def variables(board: Board) -> Iterator[str]:
    """Each variable that is used is there, and each that is there is used; queries quote what they are given."""
    there = {variable["name"] for variable in board["templating"]["list"]}
    used = set()
    for text in _texts(board):
        used |= set(re.findall(r"\$\{(\w+)", text)) | set(re.findall(r"\$([a-z]\w*)", text))
    if unknown := used - there - BUILT_IN:
        yield f"{sorted(unknown)} are no variables"
    if idle := there - used:
        yield f"{sorted(idle)} are used nowhere"
    asked = [target["rawSql"] for panel in panels(board) for target in panel["targets"]]
    for sql in asked:
        for found in re.findall(r"\$\{[^}]*\}", sql):
            if not found.endswith(":singlequote}"):
                yield f"{found} is not quoted"
        if re.search(r"now\(\)|today\(\)", sql):
            yield f"a clock other than the window's: {sql[:60]}"


def links(board: Board) -> Iterator[str]:
    """Links lead to dashboards that are there, with the time and the variables; the six are linked to one another."""
    for link in board["links"]:
        if link["tags"] != [ours.TAG] or not link["keepTime"] or not link["includeVars"] or "placement" in link:
            yield f"link {link['title']} forgets something"
    if len(board["links"]) != 1:
        yield "no link to the others"
    for url in re.findall(r"'url': '([^']*)'", str([*panels(board)])):
        found = re.fullmatch(
            r"/d/([\w-]+)\?\$\{__url_time_range\}&var-datasource=\$\{datasource\}&var-run=\$\{__value.raw:percentencode\}", url
        )
        if not found or found[1] not in ours.UIDS.values():
            yield f"{url} leads nowhere, or forgets the time or the variables"


def alerts(board: Board) -> Iterator[str]:
    """Alerts are marked on every chart, and the crosshair is shared."""
    shown = {each["name"]: each for each in board["annotations"]["list"]}
    if set(shown) != {"critical alerts", "warning alerts", "info alerts"} or any("placement" in each for each in shown.values()):
        yield f"annotations {sorted(shown)}"
    for each in shown.values():
        for column in ("time", "timeEnd", "text", "title", "tags"):
            if not re.search(rf'AS "?{column}\b', each["target"]["rawSql"]):
                yield f"annotation {each['name']} has no {column}"
    if board["graphTooltip"] != 1:
        yield "no shared crosshair"


def colours(board: Board) -> Iterator[str]:
    """Green, amber and red are of health alone: states, thresholds and alerts, never of a line."""
    for panel in panels(board):
        config = panel["fieldConfig"]
        fixed = [config["defaults"].get("color", {}).get("fixedColor")]
        fixed += [p["value"].get("fixedColor") for o in config["overrides"] for p in o["properties"] if p["id"] == "color"]
        if bad := {GREEN, AMBER, RED}.intersection(fixed):
            yield f"{panel['title']} is {bad} whatever it shows"
        if panel["type"] in ("timeseries", "barchart", "histogram", "heatmap") and config["defaults"].get("mappings"):
            yield f"{panel['title']} maps colours"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


CHECKS: tuple[Check, ...] = (told, identities, grid, first, source, variables, links, alerts, colours)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard(name: str, check: Check) -> None:
    assert list(check(BOARDS[name])) == []


def test_the_six_are_there_under_their_uids() -> None:
    assert {name: board["uid"] for name, board in BOARDS.items()} == ours.UIDS
    assert all(board["tags"] == [ours.TAG] and "id" not in board for board in BOARDS.values())
    assert len({board["title"] for board in BOARDS.values()}) == 6


def test_a_measure_has_one_colour_everywhere() -> None:
    found: dict[str, set[str]] = {}
    for board in BOARDS.values():
        for override in (
            o for panel in panels(board) for o in panel["fieldConfig"]["overrides"] if o["matcher"]["id"] == "byRegexp"
        ):
            found.setdefault(override["matcher"]["options"], set()).update(
                p["value"]["fixedColor"] for p in override["properties"]
            )
    assert len(found) > 8 and all(len(colours) == 1 for colours in found.values())


# A check, a change to a dashboard, and words of what must be said.
def _set(place: str, value: Any) -> Callable[[Board], None]:
    def change(board: Board) -> None:
        part: Any = board
        *way, last = place.split(".")
        for name in way:
            part = part[int(name)] if isinstance(part, list) else part[name]
        part[int(last) if isinstance(part, list) else last] = value

    return change


BAD: list[tuple[Check, str, Any, str]] = [
    (told, "panels.1.description", "", "no description"),
    (told, "panels.1.fieldConfig.defaults.unit", "", "no unit"),
    (told, "panels.1.fieldConfig.defaults.noValue", "", "no noValue"),
    (told, "panels.1.type", "trend", "has no trend"),
    (identities, "panels.1.id", 1, "ids"),
    (identities, "panels.1.title", "Verdicts, worst first", "titles"),
    (grid, "panels.1.gridPos.y", 0, "overlaps"),
    (grid, "panels.1.gridPos.x", 23, "sticks out"),
    (grid, "panels.8.collapsed", False, "is open"),
    (first, "panels.0.title", "Other", "stands first"),
    (source, "panels.1.datasource.uid", "mine", "asks"),
    (source, "annotations.list.0.datasource", None, "asks"),
    (variables, "panels.1.targets.0.rawSql", "SELECT ${other:singlequote}", "are no variables"),
    (variables, "panels.1.targets.0.rawSql", "SELECT ${run}", "not quoted"),
    (variables, "panels.1.targets.0.rawSql", "SELECT now()", "a clock"),
    (variables, "templating.list.1.name", "runs", "used nowhere"),
    (links, "links.0.keepTime", False, "forgets"),
    (links, "links", [], "no link"),
    (links, "panels.0.fieldConfig.overrides.1.properties.1.value.0.url", "/d/elsewhere", "leads nowhere"),
    (alerts, "annotations.list.0.name", "x", "annotations"),
    (alerts, "annotations.list.0.target.rawSql", "SELECT 1 AS time", "has no text"),
    (alerts, "graphTooltip", 0, "crosshair"),
    (colours, "panels.5.fieldConfig.defaults.color", {"mode": "fixed", "fixedColor": RED}, "whatever it shows"),
    (colours, "panels.5.fieldConfig.defaults.mappings", [1], "maps colours"),
]


@pytest.mark.parametrize(("check", "place", "value", "words"), BAD)
def test_a_bad_dashboard_is_refused(check: Check, place: str, value: Any, words: str) -> None:
    bad = copy.deepcopy(BOARDS["fleet"])
    _set(place, value)(bad)
    assert [said for said in check(bad) if words in said]


def test_every_check_is_seen_to_refuse() -> None:
    assert {check for check, *_ in BAD} == {*CHECKS}
