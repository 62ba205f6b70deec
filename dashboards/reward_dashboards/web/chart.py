"""Charts that keep their zoom, and what was hidden, while new points come: Streamlit's own lose them at every update."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import streamlit as st
import streamlit.components.v1 as components
from plotly.offline import get_plotlyjs

from reward_dashboards.web.source import Span


@cache
def _component() -> Callable[..., Any]:
    """Declared once a process. Its files: ours, and plotly's script, which is 4.7 MB and comes with plotly."""
    folder = Path(tempfile.mkdtemp(prefix="reward-monitor-chart-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.joinpath("plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    page = files(__package__).joinpath("chart", "index.html").read_text(encoding="utf-8")
    folder.joinpath("index.html").write_text(page, encoding="utf-8")
    return components.declare_component("reward_chart", path=str(folder))


@dataclass(frozen=True)
class Panel:
    """A chart of a page. key: what it is a chart of: with another one the zoom begins anew. badge: how much of it is shown."""

    key: str
    title: str
    figure: go.Figure
    badge: str = ""
    help: str = ""


def zoomed(key: str) -> Span | None:
    """The steps that a person has zoomed to in these charts; None: all."""
    told = st.session_state.get(f"charts-{key}")
    return (told[0], told[1]) if told else None


def charts(panels: Sequence[Panel], key: str, columns: int = 2) -> None:
    """Draws panels side by side, all in one frame: each would load plotly's script for itself. All of them show the same steps."""
    said = [
        {"key": panel.key, "title": panel.title, "figure": panel.figure.to_json(), "badge": panel.badge, "help": panel.help}
        for panel in panels
    ]
    _component()(panels=said, columns=columns, key=f"charts-{key}", default=None)
