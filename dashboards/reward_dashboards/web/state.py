"""What a page shows stands in the URL: a link shows another person the same."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from reward_dashboards.web.figures import AXES, View
from reward_dashboards.web.source import Source

RUNS_MAX = 10  # preselected, and drawn at once
_PRESELECTED = 4
_TEXT_MAX = 300


def text(name: str, default: str = "") -> str:
    """A parameter of the URL; one that is too long is none."""
    value = st.query_params.get(name, default)
    return value if len(value) <= _TEXT_MAX else default


def texts(name: str) -> list[str]:
    """All values of a parameter."""
    return [value for value in st.query_params.get_all(name) if len(value) <= _TEXT_MAX]


def remember(name: str, value: str | Sequence[str]) -> None:
    """Puts a parameter into the URL, or takes it out where it is empty."""
    if value:
        st.query_params[name] = value if isinstance(value, str) else list(value)
    elif name in st.query_params:
        del st.query_params[name]


def choice(label: str, options: Sequence[str], name: str, default: str = "") -> str:
    """A select box whose value stands in the URL. One that there is not is told, and the first one is shown."""
    wanted = text(name, default)
    if wanted and wanted not in options:
        st.warning(f"There is no {label.lower()} `{wanted[:80]}` here.", icon=":material/warning:")
    at = options.index(wanted) if wanted in options else 0
    value = str(st.selectbox(label, options, index=at, key=f"choice-{name}"))
    remember(name, value)
    return value


def choices(label: str, options: Sequence[str], name: str, default: Sequence[str]) -> list[str]:
    """Several of them."""
    asked = texts(name)
    if unknown := [each for each in asked if each not in options]:
        st.warning(f"There is no {label.lower().removesuffix('s')} `{unknown[0][:80]}` here.", icon=":material/warning:")
    wanted = [each for each in asked if each in options] or list(default)
    value = list(st.multiselect(label, options, default=wanted[:RUNS_MAX], max_selections=RUNS_MAX, key=f"choices-{name}"))
    remember(name, value)
    return value


def runs(source: Source) -> list[str]:
    """The runs that are compared; none where there are none, which is told."""
    cards = source.runs()
    if not cards:
        st.info("There are no runs yet. A first one: `reward-monitor demo`.")
        return []
    chosen = choices("Runs", [card.run_id for card in cards], "runs", [card.run_id for card in cards[:_PRESELECTED]])
    if not chosen:
        st.info("Choose some runs.")
    return chosen


def functions(source: Source, run_ids: Sequence[str]) -> list[str]:
    """The reward functions that any of these runs has, the total first."""
    return list(dict.fromkeys(name for run_id in run_ids for name in source.functions(run_id)))


def view() -> View:
    """How curves are drawn, chosen beside the page."""
    with st.sidebar:
        axis = choice("Axis", AXES, "axis", AXES[0])
        return View(axis, smoothing())


def smoothing() -> float:
    """From none to 0.99."""
    try:
        given = min(max(float(text("smoothing", "0")), 0.0), 0.99)
    except ValueError:
        given = 0.0
    value = float(
        st.slider("Smoothing", 0.0, 0.99, given, 0.01, help="exponential, by step; the raw line stays faint", key="smoothing")
    )
    remember("smoothing", f"{value:g}" if value else "")
    return value
