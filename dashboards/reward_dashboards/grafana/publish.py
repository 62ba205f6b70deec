"""Publishes the dashboards into somebody's Grafana: a folder, a data source, the six dashboards.

Everything is looked at before anything is written. What has one of our uids and not our mark was made by somebody else, and
then nothing is written at all. The mark is a tag of each dashboard, and a field of the data source's jsonData. Publishing
what is there already writes nothing.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from reward_schemas.errors import MonitorError
from reward_store.client import ClickHouse

from reward_dashboards.grafana import ours
from reward_dashboards.grafana.api import Grafana, GrafanaError
from reward_dashboards.grafana.source import PLUGIN, SOURCE_UID, data_source

FOLDER = "Reward monitor"
CREATE, UPDATE, KEEP = "create", "update", "unchanged"
_MARK = {"managedBy": ours.TAG}
_KEPT_BY_GRAFANA = ("id", "version")  # of a dashboard
_INSTALL = f"install the plugin there: grafana cli plugins install {PLUGIN}, and restart Grafana"


@dataclass(frozen=True)
class Change:
    """What is to happen to one thing. before: as it is there, None where it isn't; after: as it is to be."""

    kind: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any]

    @property
    def action(self) -> str:
        return CREATE if self.before is None else KEEP if self.before == self.after else UPDATE

    def diff(self) -> Iterator[str]:
        """Lines of a unified diff."""
        before, after = (
            json.dumps(each or {}, indent=1, sort_keys=True, ensure_ascii=False) for each in (self.before, self.after)
        )
        return difflib.unified_diff(before.splitlines(), after.splitlines(), "there", f"{self.kind} {self.name}", lineterm="")


@dataclass(frozen=True)
class Plan:
    """All changes, and the identities that Grafana gave to what is there."""

    folder: Change
    folder_uid: str | None
    source: Change | None
    dashboards: tuple[Change, ...]
    stored: dict[str, dict[str, Any]]

    @property
    def changes(self) -> tuple[Change, ...]:
        return (self.folder, *([self.source] if self.source else []), *self.dashboards)


def plan(grafana: Grafana, *, folder: str = FOLDER, source_uid: str | None = None, clickhouse: ClickHouse | None = None) -> Plan:
    """What publishing would do. source_uid: a data source that is there, and stays as it is; else one is made for
    `clickhouse`. MonitorError where something else has a uid of ours."""
    if "database" not in (grafana.get("/health") or {}):
        raise GrafanaError("What answers there is no Grafana.", where=grafana.url, remedy="look whether the address is right")
    there = next((each for each in grafana.get("/folders?limit=1000") or () if each["title"] == folder), None)
    folder_change = Change("folder", folder, {"title": folder} if there else None, {"title": folder})
    source = None if source_uid or clickhouse is None else _source(grafana, clickhouse)
    name = _existing(grafana, source_uid) if source_uid else SOURCE_UID
    foreign, changes, stored = [], [], {}
    for board in ours.dashboards().values():
        found = grafana.get(f"/dashboards/uid/{board['uid']}")
        if found and (ours.TAG not in found["dashboard"].get("tags", ()) or found["meta"].get("provisioned")):
            foreign.append(f"{board['uid']} ({found['dashboard'].get('title', ''):.80})")
        if found:
            stored[board["uid"]] = found["dashboard"]
        after = {"folder": folder, **_asking(board, name, source_uid or SOURCE_UID)}
        before = {"folder": found["meta"].get("folderTitle"), **_bare(found["dashboard"])} if found else None
        changes.append(Change("dashboard", board["title"], before, after))
    if foreign:
        raise MonitorError(
            f"Dashboards that this did not publish have its uids: {', '.join(foreign)}. Nothing was written.",
            where=grafana.url,
            remedy="save them there under another uid, or take them out of the provisioning files that they come from",
        )
    return Plan(folder_change, there["uid"] if there else None, source, tuple(changes), stored)


def apply(grafana: Grafana, made: Plan, clickhouse: ClickHouse | None = None) -> str:
    """Does it; returns what the data source's own check says. GrafanaError where it is refused or the check fails."""
    uid = made.folder_uid or grafana.post("/folders", {"title": made.folder.name})["uid"]
    said = _apply_source(grafana, made.source, clickhouse) if made.source and clickhouse else ""
    for change in made.dashboards:
        if change.action == KEEP:
            continue
        board = {key: value for key, value in change.after.items() if key != "folder"}
        stored = made.stored.get(board["uid"], {})
        board |= {key: stored.get(key) for key in _KEPT_BY_GRAFANA}  # with another version than this one it is refused: 412
        grafana.post(
            "/dashboards/db",
            {"dashboard": board, "folderUid": uid, "overwrite": False, "message": "reward-monitor grafana publish"},
        )
    return said


def _source(grafana: Grafana, clickhouse: ClickHouse) -> Change:
    wanted = data_source(clickhouse.host, clickhouse.port, clickhouse.user, clickhouse.views, secure=clickhouse.secure)
    wanted["jsonData"] |= _MARK
    found = grafana.get(f"/datasources/uid/{SOURCE_UID}")
    if found is not None and found.get("jsonData", {}).get("managedBy") != ours.TAG:
        raise MonitorError(
            f"A data source that this did not make has the uid {SOURCE_UID}. Nothing was written.",
            where=grafana.url,
            remedy=f"use it as it is: --datasource-uid {SOURCE_UID}",
        )
    before = None
    if found is not None:
        before = {key: found.get(key) for key in wanted}
    change = Change("data source", SOURCE_UID, before, wanted)
    if change.action == KEEP and not _healthy(grafana):  # as after a new password, which Grafana doesn't show
        change = replace(change, before={**wanted, "health": "fails"})
    return change


def _apply_source(grafana: Grafana, change: Change, clickhouse: ClickHouse) -> str:
    body = change.after | {"secureJsonData": {"password": clickhouse.password}}
    if change.action == CREATE:
        grafana.post("/datasources", body)
    elif change.action == UPDATE:
        grafana.put(f"/datasources/uid/{SOURCE_UID}", body)
    try:
        found = grafana.get(f"/datasources/uid/{SOURCE_UID}/health")
    except GrafanaError as error:
        raise GrafanaError(
            f"The data source is there, and its check fails. {error.what}",
            where=f"{clickhouse.host}:{clickhouse.port} as Grafana sees it",
            remedy="name ClickHouse as Grafana reaches it (REWARD_MONITOR_CLICKHOUSE_HOST, _HTTP_PORT), with the reader's password; "
            f"or {_INSTALL}",
            status=error.status,
        ) from error
    if found is None:
        raise GrafanaError("This Grafana has no ClickHouse plugin.", where=grafana.url, remedy=_INSTALL, status=404)
    return str(found["message"])


def _healthy(grafana: Grafana) -> bool:
    try:
        return grafana.get(f"/datasources/uid/{SOURCE_UID}/health") is not None
    except GrafanaError as error:
        if error.status in (400, 500):  # the plugin's own check says no
            return False
        raise


def _existing(grafana: Grafana, uid: str) -> str:
    """The name of a data source that is there."""
    found = grafana.get(f"/datasources/uid/{uid}")
    if found is None or found["type"] != PLUGIN:
        what = (
            "There is no data source" if found is None else f"The data source is of type {found['type']:.80}, and not {PLUGIN}:"
        )
        raise MonitorError(
            f"{what} {uid:.80}.",
            where=grafana.url,
            remedy="name a ClickHouse data source by its uid, as its page's address has it",
        )
    return str(found["name"])


def _asking(board: dict[str, Any], name: str, uid: str) -> dict[str, Any]:
    """The dashboard with this data source chosen at its top."""
    made = copy.deepcopy(board)
    for variable in made["templating"]["list"]:
        if variable["name"] == "datasource":
            variable["current"] = {"selected": True, "text": name, "value": uid}
    return made


def _bare(board: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in board.items() if key not in _KEPT_BY_GRAFANA}
