"""Messages for programs: the JSON of each kind of receiver."""

from __future__ import annotations

import re
from typing import Any

from reward_jobs.notify.state import OVER, Delivery, Entry
from reward_jobs.notify.text import clean, lines, moment, summary, title

Payload = dict[str, Any] | list[dict[str, Any]]
_NEVER = "0001-01-01T00:00:00Z"  # Alertmanager's, for what has not ended
_NAME = re.compile(r"[^a-zA-Z0-9_]")
_PAGER_SUMMARY_MAX = 1_024
_SLACK_MAX = 30_000


def webhook(message: Delivery) -> Payload:
    """Our own. `key` is the same at each attempt; each alert has one as well."""
    return {
        "version": 1,
        "key": message.key,
        "kind": message.kind or "alerts",
        "receiver": message.receiver,
        "title": title(message),
        "held_until_ms": message.held_until_ms,
        "alerts": [_alert(entry) for entry in message.entries],
    }


def alertmanager_webhook(message: Delivery) -> Payload:
    """What Alertmanager sends to a webhook: version 4 of its payload."""
    last = _last(message)
    alerts = [_prometheus(entry, ends=_NEVER) | {"status": entry.status, "fingerprint": entry.id[:16]} for entry in last]
    return {
        "version": "4",
        "groupKey": message.key,
        "truncatedAlerts": 0,
        "status": "firing" if any(entry.status == "firing" for entry in last) else "resolved",
        "receiver": message.receiver,
        "groupLabels": {},
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": "",
        "alerts": alerts,
    }


def alertmanager(message: Delivery, valid_until_ms: int) -> Payload:
    """Alerts for /api/v2/alerts. What fires is taken for resolved at `valid_until_ms`, if it isn't sent again before."""
    return [_prometheus(entry, ends=moment(valid_until_ms)) for entry in _last(message)]


def slack(message: Delivery) -> Payload:
    """An incoming webhook's text; nothing in it mentions anybody or is a link, whatever an alert says."""
    text = "\n".join([f"*{_escaped(title(message))}*", *map(_escaped, lines(message))])
    return {"text": text[:_SLACK_MAX], "unfurl_links": False}


def pagerduty(message: Delivery, key: str) -> Payload:
    """An event: an episode is an incident, and what sums up is one as well."""
    entry = message.entries[-1]
    dedup_key = message.of or (message.key if message.kind else entry.id)
    if message.kind == OVER or entry.status == "resolved":
        return {"routing_key": key, "event_action": "resolve", "dedup_key": dedup_key}
    order = ("info", "warning", "critical")
    return {
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": dedup_key,
        "payload": {
            "summary": f"{title(message)}: {lines(message)[0]}"[:_PAGER_SUMMARY_MAX],
            "source": entry.notice.run,
            "severity": max((e.notice.severity for e in message.entries), key=lambda s: order.index(s) if s in order else 0),
            "timestamp": moment(entry.fired_ms),
            "component": entry.notice.series,
            "group": entry.notice.project,
            "class": entry.notice.rule,
            "custom_details": {"alerts": [_alert(e) for e in message.entries[:20]], "count": len(message.entries)},
        },
    }


def _alert(entry: Entry) -> dict[str, Any]:
    notice = entry.notice
    return {
        "key": entry.key,
        "status": entry.status,
        "about": entry.about,
        "repeats": entry.repeats,
        "episode_id": entry.id,
        "fired_at": moment(entry.fired_ms),
        "told_at": moment(notice.time_ms),
        "summary": summary(entry),
        **{
            name: getattr(notice, name)
            for name in (
                "project", "run", "attempt", "rule", "rule_version", "series", "episode", "sequence", "severity", "labels",
                "annotations", "expr", "values", "window", "axis", "at", "since", "reason", "sentence", "examples",
            )
        },
    }  # fmt: skip


def _prometheus(entry: Entry, ends: str) -> dict[str, Any]:
    notice = entry.notice
    own = {
        "alertname": notice.rule,
        "project": notice.project,
        "run": notice.run,
        "series": notice.series,
        "severity": notice.severity,
        "about": entry.about,
    }
    labels = {_name(name): value for name, value in notice.labels.items()} | own
    return {
        "labels": {name: value for name, value in labels.items() if value},  # to Prometheus an empty label is none
        "annotations": {_name(n): value for n, value in notice.annotations.items()} | {"summary": clean(summary(entry))},
        "startsAt": moment(entry.fired_ms),
        "endsAt": moment(notice.time_ms) if entry.status == "resolved" else ends,
        "generatorURL": "",
    }


def _last(message: Delivery) -> list[Entry]:
    """Each problem once, with what is true now."""
    return list({entry.id: entry for entry in message.entries}.values())


def _common(each: list[dict[str, str]]) -> dict[str, str]:
    first = each[0] if each else {}
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in each)}


def _name(text: str) -> str:
    name = _NAME.sub("_", text)
    return f"_{name}" if name[:1].isdigit() else name


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
