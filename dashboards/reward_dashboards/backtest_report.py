"""What a backtest found, as text with small charts, and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from statistics import median

import numpy as np
import plotly.graph_objects as go
from reward_engine.rules.ruleset import Rule

from reward_dashboards import page
from reward_dashboards.backtest import Backtest, Curve, Episode, charted
from reward_dashboards.report_text import printable, table

_CHARTS = 8  # the first episodes of as many rules are drawn
_COLUMNS = 72
_BARS = "▁▂▃▄▅▆▇█"
_UNITS = {"step": "steps", "time": "s", "clock": "s"}
_SEVERITIES = {"critical": "#c8253c", "warning": "#d98b00", "info": page.GREY}


def text(found: Backtest, other: Backtest | None = None) -> str:
    """The report; with another version of the rules, both side by side, the other one second."""
    lines = [_head(found, other), "", *table(_columns(other), list(_rows(found, other)))]
    for episode in _drawn(found):
        lines += ["", *_chart(found, episode)]
    return "\n".join(lines) + "\n"


def html(found: Backtest, other: Backtest | None = None) -> str:
    """The same as one page."""
    rows = [tuple(map(escape, row)) for row in _rows(found, other)]
    parts = [f"<p>{escape(_head(found, other))}</p>", page.table(_columns(other), rows)]
    parts += [_figure(found, episode) for episode in _drawn(found)]
    parts.append("<h2>Alerts</h2>" + page.table(("rule", "run", "function", "fired", "lasted", "what"), list(_listed(found))))
    return page.page("Rules tried on stored runs", parts)


def _head(found: Backtest, other: Backtest | None) -> str:
    fired = f"{len(found.episodes)} alerts, {found.notifications} notifications"
    if other:
        fired += f"; the other version {len(other.episodes)} alerts, {other.notifications} notifications"
    return f"{len(found.rules.rules)} rules over {found.runs} runs with {found.steps} steps: {fired}."


def _columns(other: Backtest | None) -> tuple[str, ...]:
    return ("rule", "severity", "alerts", "in runs", "median length", "fire still", "notifications") + (
        ("other version",) if other else ()
    )


def _rows(found: Backtest, other: Backtest | None) -> Iterator[tuple[str, ...]]:
    rules = {rule.uid: rule for rule in (*found.rules.rules, *(other.rules.rules if other else ()))}
    before = Counter(episode.rule for episode in other.episodes) if other else Counter[str]()
    for uid, rule in rules.items():
        of = [episode for episode in found.episodes if episode.rule == uid]
        if not of and not before[uid]:
            continue
        lengths = [length for episode in of if (length := episode.length) is not None]
        known = {each.uid for each in found.rules.rules}
        row = (
            uid,
            rule.severity,
            str(len(of)) if uid in known else "no such rule",
            str(len({episode.run_id for episode in of})),
            f"{median(lengths) / _scale(rule):g} {_UNITS[rule.axis]}" if lengths else "",
            str(sum(episode.ended is None for episode in of) or ""),
            str(sum(1 + (episode.ended is not None) for episode in of)),
        )
        yield (*row, str(before[uid])) if other else row


def _scale(rule: Rule) -> int:
    return 1 if rule.axis == "step" else 1000


def _drawn(found: Backtest) -> list[Episode]:
    """The first alert of each rule, those that can be drawn."""
    first: dict[str, Episode] = {}
    for episode in found.episodes:
        if episode.axis == "step" and (episode.run_id, episode.rule, episode.series) in found.curves:
            first.setdefault(episode.rule, episode)
    return list(first.values())[:_CHARTS]


def _stretches(found: Backtest, like: Episode, last: int) -> list[tuple[int, int]]:
    """Where a rule fired in a run and series: first and last step."""
    return [
        (episode.fired, episode.ended if episode.ended is not None else last)
        for episode in found.episodes
        if (episode.run_id, episode.rule, episode.series) == (like.run_id, like.rule, like.series) and episode.fired is not None
    ]


def _rule(found: Backtest, episode: Episode) -> Rule:
    return next(rule for rule in found.rules.rules if rule.uid == episode.rule)


def _named(episode: Episode) -> str:
    about = f" [{episode.series}]" if episode.series else ""
    return f"{episode.rule}{about} in {episode.run_id}"


def _drawn_of(found: Backtest, episode: Episode) -> str:
    of = charted(_rule(found, episode))
    return f"{of.measure} of {of.where[0][1] if of.where else episode.series or 'the total'}"


def _chart(found: Backtest, episode: Episode) -> Iterator[str]:
    """A curve of block characters, and below it where the rule fired."""
    steps, values = found.curves[episode.run_id, episode.rule, episode.series]
    yield printable(f"{_named(episode)}: {_rule(found, episode).condition.expression.text}")
    if episode.summary:
        yield f"  {printable(episode.summary)}"
    bins = np.array_split(np.arange(len(steps)), min(_COLUMNS, len(steps)))
    means = np.array([_mean(values[part]) for part in bins])
    known = means[np.isfinite(means)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    span = high - low or 1.0
    bars = ["·" if np.isnan(mean) else _BARS[min(int((mean - low) / span * len(_BARS)), len(_BARS) - 1)] for mean in means]
    stretches = _stretches(found, episode, int(steps[-1]))
    marks = ["━" if any(start <= steps[part[-1]] and steps[part[0]] <= end for start, end in stretches) else " " for part in bins]
    yield f"  {high:>9.3g} ┐ {printable(_drawn_of(found, episode))}"
    yield f"  {'':>9}  {''.join(bars)}"
    yield f"  {low:>9.3g} ┘{''.join(marks).rstrip()}  fires"
    yield f"  {'':>9}  {'step ' + str(steps[0]):<{max(len(bins) - len(str(steps[-1])), 1)}}{steps[-1]}"


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _figure(found: Backtest, episode: Episode) -> str:
    steps, values = found.curves[episode.run_id, episode.rule, episode.series]
    rule = _rule(found, episode)
    figure = _line((steps, values), episode.series or "total")
    for start, end in _stretches(found, episode, int(steps[-1])):
        page.shade(figure, start, end, _SEVERITIES[rule.severity], "fires")
    said = f"{rule.condition.expression.text}. {episode.summary}"
    head = f'<h3>{escape(_named(episode))}</h3><p class="soft">{escape(said)}</p>'
    return head + page.chart(figure, "", _drawn_of(found, episode), legend=False)


def _line(curve: Curve, name: str) -> go.Figure:
    steps, values = curve
    y = [value if np.isfinite(value) else None for value in values.tolist()]
    figure = go.Figure()
    figure.add_scatter(x=steps.tolist(), y=y, name=escape(name), line={"color": page.COLOURS[0], "width": 2})
    return figure


def _listed(found: Backtest) -> Iterator[Sequence[str]]:
    for episode in found.episodes:
        scale = 1 if episode.axis == "step" else 1000
        length = (
            "fires still"
            if episode.ended is None
            else episode.reason
            if episode.length is None
            else f"{episode.length / scale:g} {_UNITS[episode.axis]}"
        )
        fired = f"step {episode.fired}" if episode.axis == "step" else _time(episode.fired_ms)
        yield tuple(map(escape, (episode.rule, episode.run_id, episode.series, fired, length, episode.summary)))


def _time(at_ms: int | None) -> str:
    return "" if at_ms is None else np.datetime_as_string(np.datetime64(at_ms, "ms"), unit="s").replace("T", " ") + " UTC"
