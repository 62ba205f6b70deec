"""How a message reaches each kind of receiver."""

from __future__ import annotations

import json
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

from reward_engine.rules.routes import (
    Alertmanager,
    Mail,
    Notify,
    PagerDuty,
    Receiver,
    Secret,
    Slack,
    Terminal,
    Webhook,
    seconds,
)
from reward_schemas.errors import MonitorError

from reward_jobs.notify import mail, payloads
from reward_jobs.notify.errors import Later, Refused
from reward_jobs.notify.post import Poster
from reward_jobs.notify.secrets import hidden, reveal
from reward_jobs.notify.state import Delivery
from reward_jobs.notify.text import lines, title

Send = Callable[[Delivery], None]
"""Returns when the message was taken. Raises Refused, Later, without a secret in their texts."""

_OWN_HOSTS: dict[type, tuple[str, ...]] = {
    Slack: ("hooks.slack.com",),
    PagerDuty: ("events.pagerduty.com", "events.eu.pagerduty.com"),
}
_RESENDS = 4  # Alertmanager takes an alert for resolved when it heard nothing for so many


def senders(config: Notify) -> dict[str, Send]:
    """How to send, by the receivers' names. MonitorError where a secret or a certificate file isn't there."""
    made = {}
    for name, receiver in config.receivers.items():
        for secret in _secrets(receiver):
            reveal(secret)
        made[name] = _sender(receiver, (*_OWN_HOSTS.get(type(receiver), ()), *config.allow_hosts))
    return made


def _sender(receiver: Receiver, hosts: tuple[str, ...]) -> Send:
    if isinstance(receiver, Terminal):
        return _print
    _certificates(receiver.ca_file)
    post = Poster(hosts, private=receiver.allow_private, ca_file=receiver.ca_file)
    tls = ssl.create_default_context(cafile=receiver.ca_file or None)

    def send(message: Delivery) -> None:
        try:
            known = {secret: reveal(secret) for secret in _secrets(receiver)}
        except MonitorError as error:
            raise Later(str(error)) from error
        try:
            if isinstance(receiver, Mail):
                mail.send(receiver, hosts, tls, message, known[receiver.password] if receiver.password else "")
            else:
                now_s = time.time()
                url, payload, token = _request(receiver, message, known, now_s)
                headers = {"Content-Type": "application/json", "Idempotency-Key": message.key}
                if token:
                    headers["Authorization"] = f"Bearer {token}"
                post(url, json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace"), headers, now_s)
        except Refused as error:
            raise Refused(hidden(str(error), [*known.values()])) from None
        except Later as error:
            raise Later(hidden(str(error), [*known.values()]), error.after_s) from None

    return send


def _request(
    receiver: Webhook | Slack | PagerDuty | Alertmanager, message: Delivery, known: dict[Secret, str], now_s: float
) -> tuple[str, payloads.Payload, str]:
    """Address, payload, and the token, if there is one."""
    if isinstance(receiver, Webhook):
        url = known[receiver.secret_url] if receiver.secret_url else receiver.url
        made = payloads.webhook if receiver.format == "json" else payloads.alertmanager_webhook
        return url, made(message), known[receiver.token] if receiver.token else ""
    if isinstance(receiver, Slack):
        return known[receiver.url], payloads.slack(message), ""
    if isinstance(receiver, PagerDuty):
        return receiver.url, payloads.pagerduty(message, known[receiver.key]), ""
    valid_until_ms = round((now_s + _RESENDS * seconds(receiver.resend)) * 1000)
    url = f"{receiver.url.rstrip('/')}/api/v2/alerts"
    return url, payloads.alertmanager(message, valid_until_ms), known[receiver.token] if receiver.token else ""


def _print(message: Delivery) -> None:
    told = "".join(f"\n  {line}" for line in lines(message))
    sys.stdout.write(f"{title(message)}{told}\n")
    sys.stdout.flush()


def _secrets(receiver: Receiver) -> list[Secret]:
    return [value for name in receiver.__struct_fields__ if isinstance(value := getattr(receiver, name), Secret)]


def _certificates(file: str) -> None:
    if file and not Path(file).is_file():
        raise MonitorError("A file of certificates isn't there.", where=file, remedy="name one that this user can read: ca_file")
