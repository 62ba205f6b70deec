"""What is in ClickHouse: a version that will do, rights neither too wide nor too narrow, this version's schema, the time."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reward_store.client import Client
from reward_store.migrate import check, view_names

from .clock import compare
from .context import Context
from .finding import Check, Finding, error, ok, warning

VERSION_MIN = (24, 8)  # of the long-term ones, the oldest with SQL SECURITY of views and SHOW GRANTS FINAL
_CHANGES = re.compile(r"\b(ALL|INSERT|ALTER|DROP|TRUNCATE|CREATE(?! TEMPORARY))\b")


def version(context: Context) -> Iterator[Finding]:
    """Whether it knows the statements that the schema and the views are made of."""
    ((found,),) = context.reader.query("SELECT version()")
    needed = ".".join(map(str, VERSION_MIN))
    if tuple(map(int, found.split(".")[:2])) < VERSION_MIN:
        yield error(f"ClickHouse {found} is too old: {needed} is needed.", context.reader.settings.where, "update the server")
    else:
        yield ok(f"{found}")


def reader_rights(context: Context) -> Iterator[Finding]:
    """Whether the user of people and dashboards can change nothing."""
    if rights := _may_change(context.reader):
        user = context.reader.settings.user
        yield warning(
            f"The reader {user} may change what is stored: {', '.join(rights)}.",
            f"{context.reader.settings.where}; {context.setting('clickhouse.reader')}",
            f"give it `readonly` 2 in its profile and GRANT SELECT, SHOW ON {context.settings.clickhouse.views}.* alone; "
            "or set clickhouse.reader to a user of that kind",
        )
    else:
        yield ok("it can change nothing")


def writer_rights(context: Context) -> Iterator[Finding]:
    """Whether the lander's user may write at all."""
    if {"ALL", "INSERT"} & set(_may_change(context.writer)):
        yield ok("it may write")
    else:
        names = context.settings.clickhouse
        yield error(
            f"The writer {context.writer.settings.user} may not write.",
            f"{context.writer.settings.where}; {context.setting('clickhouse.writer')}",
            f"GRANT SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE, OPTIMIZE ON {names.tables}.* (and on {names.views}.*) to it, "
            "without `readonly`; or set clickhouse.writer to the lander's user",
        )


def schema(context: Context) -> Iterator[Finding]:
    """Whether the tables are exactly of this version."""
    check(context.writer)
    yield ok(f"of this version, in {context.settings.clickhouse.tables}")


def views(context: Context) -> Iterator[Finding]:
    """Whether the reader sees every view."""
    database = context.settings.clickhouse.views
    there = {name for (name,) in context.reader.query("SELECT name FROM system.tables WHERE database = {d:String}", d=database)}
    if missing := sorted(view_names() - there):
        yield error(
            f"{context.reader.settings.user} sees no view {', '.join(missing)} in {database}: not there, or not granted.",
            context.reader.settings.where,
            f"`reward-monitor migrate` makes the views; GRANT SELECT, SHOW ON {database}.* lets the reader see them",
        )
    else:
        yield ok(f"the reader sees all {len(view_names())} of them")


def time(context: Context) -> Iterator[Finding]:
    """The server's clock against ours, exact to the time that the question takes."""
    before = context.now_s() * 1000
    ((theirs,),) = context.reader.query("SELECT toUnixTimestamp64Milli(now64(3))")
    yield from compare("ClickHouse", theirs - context.now_s() * 1000, theirs - before, context.reader.settings.where)


def _may_change(client: Client) -> list[str]:
    """The rights by which a user could change data; empty where it has none, or a profile that lets it use none."""
    ((readonly,),) = client.query("SELECT value FROM system.settings WHERE name = 'readonly'")
    grants = " ".join(grant for (grant,) in client.query("SHOW GRANTS FINAL"))
    return list(dict.fromkeys(_CHANGES.findall(grants))) if readonly == "0" else []


CHECKS = (
    Check("ClickHouse version", version, ("ClickHouse reader",)),
    Check("reader's rights", reader_rights, ("ClickHouse version",)),
    Check("writer's rights", writer_rights, ("ClickHouse version", "ClickHouse writer")),
    Check("schema", schema, ("ClickHouse writer",)),
    Check("views", views, ("ClickHouse reader",)),
    Check("ClickHouse's clock", time, ("ClickHouse reader",)),
)
