"""Whether the settings can be used, and whether each that is set counts for something."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .context import Context
from .finding import Check, Finding, Unseen, error, ok, warning


def look(context: Context) -> Iterator[Finding]:
    """The mistakes in them, all at once."""
    for mistake in context.mistakes:
        # They stand as "place: what: remedy", and `config` tells what there is.
        yield error(mistake, "", "mend it there; `reward-monitor config --explain` tells every setting")
    if context.mistakes:
        return
    if context.loaded is None:
        raise Unseen("packages failed")
    # Without the place in a file and the name of a variable, so that each source is named once.
    places = sorted({re.sub(r":\d+:\d+$|(?<=^environment) .*", "", source) for source in context.loaded.sources.values()})
    yield ok(f"they can be used; they come from: {', '.join(places)}")


def without_effect(context: Context) -> Iterator[Finding]:
    """What is set and counts for nothing, since something else would have to be set with it."""
    kafka, clickhouse = context.settings.kafka, context.settings.clickhouse
    protocol = f"kafka.security_protocol is {kafka.security_protocol}"
    idle = []
    if not kafka.tls:
        idle += [(name, protocol, "ssl or sasl_ssl") for name in kafka.__struct_fields__ if name.startswith("ssl_")]
    if not kafka.sasl:
        idle += [(name, protocol, "sasl_plaintext or sasl_ssl") for name in ("sasl_username", "sasl_password_file")]
    for name, why, instead in idle:
        if getattr(kafka, name):
            yield warning(
                f"kafka.{name} is set and counts for nothing: {why}.",
                context.setting(f"kafka.{name}"),
                f"set kafka.security_protocol to {instead}, or take it out",
            )
    if clickhouse.ca_file and not clickhouse.secure:
        yield warning(
            "clickhouse.ca_file is set and counts for nothing: clickhouse.secure is false.",
            context.setting("clickhouse.ca_file"),
            "set clickhouse.secure to true (and the HTTPS port), or take it out",
        )


CHECKS = (Check("settings", look), Check("settings without effect", without_effect, ("settings",)))
