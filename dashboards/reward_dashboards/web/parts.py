"""What several pages show: verdicts, alerts, errors, and a part of a page that lives."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import streamlit as st
from reward_schemas.errors import MonitorError

from reward_dashboards.web.source import AlertCard, Reading, RunCard, Source

_COLOURS = {
    "learning": "green", "unverified": "blue", "falling": "orange", "suspicious": "orange", "hacking": "red", "broken": "red",
    "critical": "red", "warning": "orange",
}  # fmt: skip


def sign(of: str) -> str:
    """A dot in the colour of a verdict or a severity, which its word stands beside."""
    return f":{_COLOURS.get(of, 'gray')}[●]"


def plain(text: str) -> str:
    """A text that Markdown leaves as it is, but for names in backticks."""
    parts = text.split("`")
    outer = ["".join("\\" + c if c in "\\*_{}[]<>()#+-.!|$~:" else c for c in part) for part in parts]
    return "`".join(part if i % 2 else escaped for i, (part, escaped) in enumerate(zip(parts, outer, strict=True)))


def bare(text: str) -> str:
    """A sentence for a table, which knows no Markdown."""
    return text.replace("`", "")


def take_along(table: pa.Table, name: str, said: str = "") -> None:
    """Buttons that save a table as CSV and Parquet."""
    csv, parquet = io.BytesIO(), io.BytesIO()
    one, two, _ = st.columns([1, 1, 5])
    pyarrow.parquet.write_table(table, parquet)
    two.download_button("Parquet", parquet.getvalue(), file_name=f"{name}.parquet", help=said)
    try:
        pyarrow.csv.write_csv(table, csv)
    except pa.ArrowInvalid:  # arrays and maps have no place in CSV
        one.caption("no CSV of nested columns")
    else:
        one.download_button("CSV", csv.getvalue(), file_name=f"{name}.csv", mime="text/csv", help=said)


def live(source: Source, body: Callable[[], None]) -> None:
    """A part that is drawn anew every few seconds, unless it is paused. What goes wrong is told in it, and it goes on."""
    paused = st.session_state.get("paused", False)

    @st.fragment(run_every=st.session_state["every_s"] if source.live and not paused else None)
    def part() -> None:
        try:
            body()
            st.session_state["asked_at"] = time.time()
        except Reading as reading:
            st.info(plain(str(reading)))
        except MonitorError as error:
            st.error(plain(str(error)), icon=":material/power_off:")
            if "asked_at" in st.session_state:
                st.caption(f"The last answer is {time.time() - st.session_state['asked_at']:.0f} s old; it is tried again.")

    part()


def verdict_line(card: RunCard) -> str:
    """Its sign and sentence."""
    return f"{sign(card.verdict)} {plain(card.sentence or 'Not judged yet.')}"


def alerts_table(alerts: Iterable[AlertCard], *, runs: bool = True) -> None:
    """A row each, with what it was judged by."""
    rows = [
        {
            "severity": alert.severity,
            "state": alert.state,
            "rule": alert.rule,
            **({"run": alert.run_id} if runs else {}),
            "from step": alert.since_step,
            "what": bare(alert.summary + (f" ({alert.reason})" if alert.reason else "")),
            "function": alert.function,
            "to step": alert.last_step,
            "fired": ago(alert.fired),
            "judged by": ", ".join(f"{n} {'unknown' if v is None else f'{v:.4g}'}" for n, v in alert.evidence.items()),
            "groups": ", ".join(map(str, alert.examples)),
        }
        for alert in alerts
    ]
    if rows:
        st.dataframe(rows, hide_index=True, column_config={"what": st.column_config.TextColumn(width="large")})
    else:
        st.caption("No alerts. Rules make them: `reward-monitor rules list`, and docs/RULES.md.")


def ago(at: datetime | None) -> str:
    """How long ago, in words."""
    if at is None:
        return ""
    seconds = max((datetime.now(timezone.utc) - _aware(at)).total_seconds(), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
