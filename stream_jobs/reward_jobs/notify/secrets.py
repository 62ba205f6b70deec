"""Secrets, read where the configuration says when they are needed, so that a new one takes effect without a restart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reward_engine.rules.routes import Secret
from reward_schemas.errors import MonitorError
from reward_schemas.settings import secret as of_file

HIDDEN = "[secret]"


def reveal(secret: Secret, environment: Mapping[str, str] = os.environ) -> str:
    """The secret itself. MonitorError, which names its place alone, where it isn't there or can't be sent."""
    value = of_file(Path(secret.file).expanduser()).strip() if secret.file else environment.get(secret.env, "").strip()
    if not value:
        raise MonitorError("A secret's variable is not set.", where=secret.env, remedy="set it for the notifier's process")
    if not (value.isascii() and value.isprintable()):  # a library would show it in its complaint
        remedy = "write it in one line of printable ASCII"
        raise MonitorError("A secret has characters that can't be sent.", where=secret.file or secret.env, remedy=remedy)
    return value


def hidden(text: str, secrets: list[str]) -> str:
    """A text without the secrets, which a server may have sent back in its answer."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
