"""The notifier's configuration, from a file of its own: routes, receivers, silences and hosts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from reward_engine.rules import routes
from reward_engine.rules.converting import converted
from reward_engine.rules.routes import RESOLVED, Notify, moment_ms
from reward_engine.rules.source import Mistake, read
from reward_schemas.errors import MonitorError

from reward_jobs.notify.state import Silence


def load(file: Path) -> Notify:
    """What a file says. MonitorError with every mistake in it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise MonitorError(
            f"The notifier's configuration can't be read: {why}.", where=str(file), remedy="name another"
        ) from error
    mistakes: list[Mistake] = []
    top = read(text, str(file), mistakes)
    config = converted(top, Notify, mistakes) if top else None
    if config is None or mistakes:
        told = "\n  ".join(str(mistake) for mistake in sorted(set(mistakes)))
        raise MonitorError(f"The notifier's configuration has {len(mistakes)} mistakes:\n  {told}")
    return config


def declared(silences: tuple[routes.Silence, ...], now_ms: int) -> list[Silence]:
    """The silences of a configuration, as the notifier keeps them."""
    return [
        Silence(
            id=f"file-{hashlib.sha256(msgspec.json.encode(silence)).hexdigest()[:8]}",
            match=silence.match,
            until_ms=None if silence.until == RESOLVED else moment_ms(silence.until),
            comment=silence.comment,
            created_ms=now_ms,
            declared=True,
        )
        for silence in silences
    ]
