"""The pages in one, with what they are about: `streamlit run` runs this file.

streamlit run app.py -- [--data-dir DIR] [--every SECONDS]     without DIR: the ClickHouse of the environment's settings
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

import streamlit as st
from msgspec import Struct
from reward_schemas.errors import MonitorError
from reward_schemas.settings import load
from reward_store.settings import ClickHouseSettings

from reward_dashboards.web import alerts, compare, fleet, function, health, parts, rules, run, serve, sql
from reward_dashboards.web.directory_source import DirectorySource
from reward_dashboards.web.source import Reading, Source
from reward_dashboards.web.store_source import StoreSource

_ICONS = {
    name: f":material/{icon}:"
    for name, icon in {
        "fleet": "home",
        "run": "show_chart",
        "function": "function",
        "compare": "compare_arrows",
        "alerts": "notifications",
        "rules": "rule",
        "health": "monitor_heart",
        "sql": "database",
    }.items()
}
# Drawn here: one of Streamlit's own is asked of a host that a cluster may not reach.
_FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="none" stroke="#4477aa"'
    ' stroke-width="2"/><circle cx="8" cy="8" r="2.5" fill="#4477aa"/></svg>'
)


class _Settings(Struct, frozen=True, kw_only=True):
    clickhouse: ClickHouseSettings = ClickHouseSettings()


@st.cache_resource
def source_of(folder: str) -> Source:
    """Who answers, one for all who look. folder: of offline runs; "": ClickHouse."""
    if folder:
        return DirectorySource(Path(folder))
    loaded = load(_Settings, os.environ, strict=False)
    return StoreSource(loaded.value.clickhouse.as_reader())


def main() -> None:
    """Draws the page that the URL names."""
    parser = argparse.ArgumentParser(prog="web_dashboard.py")
    parser.add_argument("--data-dir", default="", help="a directory of offline runs; default: the ClickHouse of the settings")
    parser.add_argument("--every", type=float, default=serve.EVERY_S, help="seconds between updates; default: %(default)s")
    given = parser.parse_args(sys.argv[1:])
    st.session_state["every_s"] = given.every
    st.set_page_config(page_title="Reward monitor", page_icon=_FAVICON, layout="wide")
    # What is about to be drawn anew isn't faded, and the first thing on a page is at its top.
    st.html("<style>[data-stale='true'] {opacity: 1 !important;} .stMainBlockContainer {padding-top: 2.5rem;}</style>")
    try:
        source = source_of(given.data_dir)
        _draw(source)
    except Reading as reading:
        st.info(parts.plain(str(reading)))
        _again(1.0)
    except MonitorError as error:
        st.error(parts.plain(str(error)), icon=":material/power_off:")
        _again(3.0)


def _again(after_s: float) -> None:
    """Draws the page anew by itself: nobody has to reload it."""
    time.sleep(after_s)
    st.rerun()


def _draw(source: Source) -> None:
    bodies = {
        "fleet": fleet.page,
        "run": run.page,
        "function": function.page,
        "compare": compare.page,
        "alerts": alerts.page,
        "rules": rules.page,
        "health": health.page,
    }
    pages = {
        name: st.Page(
            partial(body, source),
            title=name.capitalize() if name != "fleet" else "Runs",
            url_path=name,
            icon=_ICONS[name],
            default=name == "fleet",
        )
        for name, body in bodies.items()
    }
    if isinstance(source, StoreSource):
        pages["sql"] = st.Page(partial(sql.page, source), title="SQL", url_path="sql", icon=_ICONS["sql"])
    chosen = st.navigation(list(pages.values()))
    st.sidebar.toggle("Pause", key="paused", help="what is shown stays as it is")
    st.sidebar.caption(parts.plain(source.name))
    chosen.run()


main()
