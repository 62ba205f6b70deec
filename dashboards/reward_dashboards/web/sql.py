"""SQL over the views, read-only, with what others found worth asking."""

from __future__ import annotations

import streamlit as st
from reward_schemas.errors import MonitorError
from reward_store.queries import FIVE_QUERIES

from reward_dashboards.web import parts, state
from reward_dashboards.web.store_source import StoreSource

_ROWS = 10_000
_OWN = "your own"


def page(source: StoreSource) -> None:
    """Draws it."""
    st.title("SQL")
    saved = {query.title: query.sql.strip() for query in FIVE_QUERIES}
    chosen = state.choice("Query", [_OWN, *saved], "query", _OWN)
    first = saved.get(chosen) or "SELECT run_id, verdict, verdict_sentence FROM runs ORDER BY last_event_at DESC LIMIT 20"
    text = st.text_area("SQL", first, height=160, key=f"sql-{chosen}", label_visibility="collapsed")
    if not st.button("Ask", type="primary"):
        st.caption("Tables: `SHOW TABLES`; columns with their meaning: `DESCRIBE runs`.")
        return
    try:
        answer = source.query(text, _ROWS)
    except MonitorError as error:
        st.error(parts.plain(str(error)))
        return
    st.dataframe(answer.to_pylist(), hide_index=True)
    st.caption(f"{answer.num_rows:,} rows" + (f", the first {_ROWS:,}" if answer.num_rows == _ROWS else ""))
    parts.take_along(answer, "answer")
