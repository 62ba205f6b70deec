"""Who is told of alerts, and how: what a file says of routes, receivers and silences, as typed structs.

    routes:
    - match: {severity: critical}
      to: [pd, team]
      group_by: [project, rule]
    receivers:
      pd: {type: pagerduty, key: {file: /run/secrets/pd}}
      team: {type: slack, url: {env: SLACK_WEBHOOK_URL}}
    allow_hosts: [hooks.example.org]

A secret is named here, never written: a file or a variable that has it.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

Severity = Literal["info", "warning", "critical"]
RESOLVED = "resolved"  # of a silence: it ends with the alerts that it was made for

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"\s*(\d{1,9})\s*(ms|s|m|h|d)\s*")
_Glob = Annotated[str, Meta(max_length=200)]
_Duration = Annotated[str, Meta(max_length=20)]
_Grouped = Annotated[str, Meta(pattern=r"^(project|run|rule|series|severity|labels\..+)$", max_length=100)]
_Name = Annotated[str, Meta(max_length=100)]


def seconds(text: str) -> float:
    """How long a duration is.

    >>> seconds("10s"), seconds("2m"), seconds("4h")
    (10.0, 120.0, 14400.0)

    Raises ValueError with a remedy.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r:.40} is no duration: write `10s`, `2m`, `4h`")
    return int(found[1]) * _UNITS_S[found[2]]


def moment_ms(text: str) -> int:
    """A time as text in ms since 1970; one without a zone is of UTC. Raises ValueError with a remedy."""
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f"{text!r:.40} is no time: write `2026-01-31T18:00+01:00`") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 1000)


class Secret(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a secret is found."""

    file: Annotated[str, Meta(max_length=1_000, description="a file that holds it alone")] = ""
    env: Annotated[str, Meta(max_length=200, description="a variable of the notifier's environment that holds it")] = ""

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.env):
            raise ValueError("a secret is named by one of {file: PATH} and {env: NAME}")


class Match(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alerts: all that is said must hold; `*` stands for any text."""

    severity: Severity | None = None
    project: _Glob = "*"
    run: _Glob = "*"
    rule: Annotated[_Glob, Meta(description="the rule's uid")] = "*"
    series: Annotated[_Glob, Meta(description="the reward function")] = "*"
    labels: Annotated[dict[str, _Glob], Meta(max_length=20, description="labels that the alert must have")] = {}


class Route(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alerts go to which receivers, and how often. An alert takes the first route that matches it."""

    to: Annotated[tuple[_Name, ...], Meta(min_length=1, max_length=20, description="receivers, by name")]
    match: Match = Match()
    group_by: Annotated[
        tuple[_Grouped, ...],
        Meta(max_length=10, description="alerts that are equal in these share a message: project, labels.team"),
    ] = ("project", "rule")
    group_wait: Annotated[_Duration, Meta(description="how long the first alert of a group waits for others")] = "10s"
    group_interval: Annotated[_Duration, Meta(description="the least time between two messages of a group")] = "2m"
    repeat_interval: Annotated[_Duration, Meta(description="how often what still fires is told again")] = "4h"
    go_on: Annotated[bool, Meta(description="the routes below are asked as well")] = field(name="continue", default=False)

    def __post_init__(self) -> None:
        for name in ("group_wait", "group_interval", "repeat_interval"):
            seconds(getattr(self, name))
        if seconds(self.repeat_interval) < 60:
            raise ValueError(f"repeat_interval is {self.repeat_interval}: write at least 1m")


class Silence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alerts of which nobody is told for a while."""

    match: Match
    until: Annotated[str, Meta(max_length=40, description="a time, or `resolved`: as long as those that fire now do")]
    comment: Annotated[str, Meta(max_length=1_000)] = ""

    def __post_init__(self) -> None:
        if self.until != RESOLVED:
            moment_ms(self.until)


class _Receiver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    max_per_hour: Annotated[int, Meta(ge=2, le=10_000, description="messages; what is more is told in one")] = 60


class _Remote(_Receiver, frozen=True, kw_only=True, forbid_unknown_fields=True):
    allow_private: Annotated[bool, Meta(description="its host may have a private or loopback address")] = False
    ca_file: Annotated[
        str, Meta(max_length=1_000, description="PEM file of the authorities that are trusted; else the system's")
    ] = ""


class Webhook(_Remote, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="webhook"):
    """A POST with JSON. format alertmanager: the payload that Alertmanager sends to webhooks."""

    url: Annotated[str, Meta(max_length=2_000)] = ""
    secret_url: Annotated[Secret | None, Meta(description="instead of url, where that is a secret by itself")] = None
    token: Annotated[Secret | None, Meta(description="sent as `Authorization: Bearer`")] = None
    format: Literal["json", "alertmanager"] = "json"

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.secret_url):
            raise ValueError("a webhook has one of url and secret_url")
        if self.url:
            _checked(self.url, secret=self.token is not None, private=self.allow_private)


class Slack(_Remote, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="slack"):
    """An incoming webhook of Slack, or of what understands the same."""

    url: Annotated[Secret, Meta(description="who knows it may write")]


class PagerDuty(_Remote, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="pagerduty"):
    """Events API v2; an episode is one incident."""

    key: Annotated[Secret, Meta(description="the integration's routing key")]
    url: Annotated[str, Meta(max_length=2_000)] = "https://events.pagerduty.com/v2/enqueue"

    def __post_init__(self) -> None:
        _checked(self.url, secret=True, private=self.allow_private)


class Mail(_Remote, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="email"):
    """A message by SMTP."""

    host: Annotated[str, Meta(max_length=200)]
    sender: Annotated[str, Meta(max_length=300, pattern=r"^[^\r\n]+$")] = field(name="from")
    to: Annotated[tuple[Annotated[str, Meta(max_length=300, pattern=r"^[^\r\n,]+$")], ...], Meta(min_length=1, max_length=50)]
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    tls: Annotated[Literal["starttls", "tls", "none"], Meta(description="starttls must be offered; tls: from the first byte")] = (
        "starttls"
    )
    user: Annotated[str, Meta(max_length=300)] = ""
    password: Secret | None = None

    def __post_init__(self) -> None:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password go together")
        if self.user and self.tls == "none":
            raise ValueError("a password doesn't go over a connection in the clear: tls: starttls")


class Terminal(_Receiver, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="terminal"):
    """The notifier's standard output."""


class Alertmanager(_Remote, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="alertmanager"):
    """An Alertmanager that groups, inhibits and routes by itself: it is told at once, and again as long as an alert fires."""

    url: Annotated[str, Meta(max_length=2_000, description="its address, without /api/v2/alerts")]
    token: Annotated[Secret | None, Meta(description="sent as `Authorization: Bearer`")] = None
    resend: Annotated[_Duration, Meta(description="how often what fires is sent again")] = "1m"

    def __post_init__(self) -> None:
        _checked(self.url, secret=self.token is not None, private=self.allow_private)
        if seconds(self.resend) < 1:
            raise ValueError(f"resend is {self.resend}: write at least 1s")


Receiver = Webhook | Slack | PagerDuty | Mail | Terminal | Alertmanager


class Notify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it together."""

    routes: Annotated[tuple[Route, ...], Meta(max_length=200)] = ()
    receivers: Annotated[dict[str, Receiver], Meta(max_length=100)] = {}
    silences: Annotated[tuple[Silence, ...], Meta(max_length=200)] = ()
    allow_hosts: Annotated[
        tuple[_Glob, ...], Meta(max_length=100, description="hosts that are spoken to: example.org, *.example.org")
    ] = ()

    def __post_init__(self) -> None:
        if unknown := sorted({name for route in self.routes for name in route.to} - set(self.receivers)):
            raise ValueError(f"no such receiver: {', '.join(unknown)}; there are {', '.join(sorted(self.receivers)) or 'none'}")


def _checked(url: str, *, secret: bool, private: bool) -> None:
    """ValueError where a text is no address of a server, has a password in it, or would have a secret go in the clear."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an address is needed: https://host/path")
    if parts.username or parts.password:
        raise ValueError("a password stands in the address: name it as a secret")
    if secret and parts.scheme == "http" and not private:
        raise ValueError("a secret doesn't go through a public network in the clear: https://")
