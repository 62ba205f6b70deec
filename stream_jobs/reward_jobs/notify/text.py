"""Messages for people: a title and lines, in plain text."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

from reward_jobs.notify.state import ERROR, FLOOD, LATE, OVER, Delivery, Entry

LINES_MAX = 20
_LINE_MAX = 500


def title(message: Delivery) -> str:
    """In one line what it is about."""
    entries = message.entries
    if message.kind == OVER:
        return "RESOLVED: all that was summed up"
    if len(entries) == 1:
        return _one(entries[0])
    count = Counter(entry.status for entry in entries)
    parts = [f"{count[status]} {word}" for status, word in (("firing", "firing"), ("resolved", "resolved")) if count[status]]
    rules = sorted({entry.notice.rule for entry in entries})
    of = ", ".join(rules[:3]) + (f" and {len(rules) - 3} more" if len(rules) > 3 else "")
    why = {LATE: "While alerts couldn't be sent: ", FLOOD: "More than may be sent one by one: "}.get(message.kind, "")
    return clean(f"{why}{', '.join(parts)} · {of}")


def lines(message: Delivery) -> list[str]:
    """What it says, one line an alert; of very many the first."""
    told = [clean(_line(entry, alone=len(message.entries) == 1)) for entry in message.entries[:LINES_MAX]]
    if len(message.entries) > LINES_MAX:
        told.append(f"and {len(message.entries) - LINES_MAX} more")
    if message.held_until_ms is not None:
        told.append(
            f"These are as many messages as an hour may have: what comes until {moment(message.held_until_ms)} follows in one."
        )
    return told


def moment(ms: int) -> str:
    """A time in UTC, for people and programs."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clean(text: str) -> str:
    """In one line, without what steers a terminal or breaks a header."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:_LINE_MAX]


def summary(entry: Entry) -> str:
    """What an alert says of itself: its annotation, a detector's sentence, or the condition with its values."""
    notice = entry.notice
    if entry.about == ERROR:
        return f"the rule can't be computed{f' ({notice.reason})' if notice.reason else ''}: {notice.expr}"
    values = ", ".join(f"{name} = {'unknown' if value is None else f'{value:.4g}'}" for name, value in notice.values.items())
    return notice.annotations.get("summary") or notice.sentence or f"{notice.expr}{f' ({values})' if values else ''}"


def _one(entry: Entry) -> str:
    notice = entry.notice
    again = " still" if entry.repeats else ""
    return clean(f"{entry.status.upper()}{again}: {notice.severity} · {notice.rule} · {_where(entry)}")


def _where(entry: Entry) -> str:
    notice = entry.notice
    series = f" · {notice.series}" if notice.series else ""
    return f"{notice.project}/{notice.run}{series}" if notice.project else f"{notice.run}{series}"


def _line(entry: Entry, *, alone: bool) -> str:
    notice = entry.notice
    at = f"step {notice.at}" if notice.axis == "step" else moment(notice.at)
    reason = f", {notice.reason}" if notice.reason and entry.about != ERROR else ""
    said = f"{summary(entry)} (at {at}{reason})"
    return said if alone else f"{_one(entry)}: {said}"
