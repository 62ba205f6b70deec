"""Whether the pipeline itself does its work."""

from __future__ import annotations

import streamlit as st

from reward_dashboards.web import parts
from reward_dashboards.web.source import Source


def page(source: Source) -> None:
    """Draws it."""
    st.title("Health")
    st.caption(f"of {source.name}")
    parts.live(source, lambda: _health(source))


def _health(source: Source) -> None:
    found = source.health()
    for problem in found.problems:
        st.warning(parts.plain(problem), icon=":material/warning:")
    if not found.problems:
        st.success("Nothing is wrong that can be seen from here; `reward-monitor doctor` looks further.", icon=":material/check:")
    st.dataframe([{"what": what, "value": value} for what, value in found.facts.items()], hide_index=True)
