"""Which runs need somebody now: the sentence of each, worst first."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

import streamlit as st

from reward_dashboards.web import parts, state
from reward_dashboards.web.source import RunCard, Source

_CARDS = 20  # the worst ones; the others are a table, which is as cheap with a thousand


def page(source: Source) -> None:
    """Draws it."""
    st.title("Runs")
    wanted = st.text_input("Find", state.text("find"), placeholder="run, project or verdict", label_visibility="collapsed")
    state.remember("find", wanted)
    parts.live(source, lambda: _cards(source, wanted))


def _cards(source: Source, wanted: str) -> None:
    runs = source.runs()
    found = [card for card in runs if wanted.lower() in f"{card.run_id} {card.project} {card.verdict} {card.state}".lower()]
    if not runs:
        st.info("There are no runs yet. A first one: `reward-monitor demo`, or `start_run(…)` in a trainer.")
        return
    firing = sum(bool(card.firing.get("critical") or card.firing.get("warning")) for card in runs)
    one, two, three, four = st.columns(4)
    one.metric("live", sum(card.state == "live" for card in runs))
    two.metric("with alerts that fire", firing)
    three.metric("suspicious, hacking or broken", sum(card.verdict in ("suspicious", "hacking", "broken") for card in runs))
    four.metric("runs", len(runs))
    if not found:
        st.info(f"No run matches `{wanted[:80]}`.")
    for card in found[:_CARDS]:
        _card(card)
    if len(found) > _CARDS:
        _table(found[_CARDS:])


def _table(cards: list[RunCard]) -> None:
    rows = [
        {
            "": f"run?run={quote(card.run_id, safe='')}",
            "run": card.run_id,
            "project": card.project,
            "state": card.state,
            "verdict": card.verdict,
            "why": parts.bare(card.sentence),
            "step": card.step,
            "reward": card.reward,
            "alerts": sum(card.firing.get(level, 0) for level in ("critical", "warning")),
            "heard": parts.ago(card.last),
        }
        for card in cards
    ]
    columns = {"": st.column_config.LinkColumn(display_text="open"), "why": st.column_config.TextColumn(width="medium")}
    st.dataframe(rows, hide_index=True, column_config=columns, height=600)


def _card(card: RunCard) -> None:
    with st.container(border=True):
        left, right = st.columns([6, 1])
        left.markdown(parts.verdict_line(card))
        facts = [card.run_id, card.project, card.state, f"step {card.step}" if card.step is not None else "no step yet"]
        facts += [f"reward {card.reward:.3g}"] if card.reward is not None else []
        facts += [f"{count} {level}" for level, count in card.firing.items() if level != "info"]
        facts += [parts.ago(card.last), *card.problems]
        left.caption(" · ".join(parts.plain(fact) for fact in facts if fact))
        # A link of the browser's own: a click on one of Streamlit's is lost where it meets the next update of this part.
        name = quote(card.run_id, safe="")
        right.html(f'<a href="run?run={name}" target="_self" aria-label="open {escape(card.run_id)}">open</a>')
