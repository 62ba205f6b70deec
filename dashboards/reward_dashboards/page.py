"""Pages of reports: one file that needs nothing else, in light and dark, with charts that can be zoomed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#999999",
)  # Paul Tol's "bright": for colour-blind eyes too
BAD = {"suspicious": "#d98b00", "hacking": "#c8253c", "broken": "#c8253c", "falling": "#d98b00"}
GOOD = {"learning": "#228833"}
GREY = "#808080"  # of what must be read on white and on black
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --line: #d9d9d9; --soft: #666; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #181a1d; --line: #3a3d42; --soft: #a0a0a0; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; padding: 0 1rem;
  max-width: 72rem; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
.verdict { border-left: .4rem solid var(--state); padding: .4rem 1rem; font-size: 1.15rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: nowrap; } td.prose { white-space: normal; min-width: 22rem; }
th { color: var(--soft); font-weight: 600; } code { font-size: .92em; } .soft { color: var(--soft); }
.critical { color: #c8253c; font-weight: 600; } .warning { color: #d98b00; font-weight: 600; }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A page of parts that are HTML already."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body>\n<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    lines = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{"".join(f"<th>{name}</th>" for name in head)}</tr>{lines}</table></div>'


def _cell(cell: str) -> str:
    long = len(cell) > 40  # a sentence, or a hostile name
    return f'<td class="prose">{cell}</td>' if long else f"<td>{cell}</td>"


def chart(figure: go.Figure, title: str, unit: str, *, legend: bool) -> str:
    """A figure over steps as a part of a page."""
    axis = {"gridcolor": "rgba(128,128,128,.25)", "zerolinecolor": "rgba(128,128,128,.5)", "linecolor": GREY}
    figure.update_layout(
        title=title, height=340, margin={"l": 60, "r": 20, "t": 50, "b": 45}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"color": GREY}, hovermode="x unified", showlegend=legend,
        hoverlabel={"bgcolor": "#f4f4f4", "font": {"color": "#1c1c1c"}},
        xaxis={"title": "step", **axis}, yaxis={"title": unit, **axis},
    )  # fmt: skip
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}))


def shade(figure: go.Figure, start: float, end: float, colour: str, text: str) -> None:
    """Marks a stretch of steps."""
    figure.add_vrect(
        x0=start, x1=end, fillcolor=colour, opacity=0.12, line_width=0, annotation_text=text,
        annotation_position="top left", annotation_font_color=colour,
    )  # fmt: skip
