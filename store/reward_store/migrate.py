"""Brings the database to this version's schema.

Numbered files of plain SQL in `migrations/` are applied once, in order, and recorded in `schema_migrations`. What comes
from the catalogues follows each time: missing columns of sums, retention, and the views of `views/`, created anew. Every
statement is idempotent, so two migrations at once, or one that was killed, do no harm.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from reward_store.catalogue import placeholders, sum_columns
from reward_store.client import Client
from reward_store.errors import SchemaMismatch
from reward_store.settings import Retention

_APPLIED = "schema_migrations"


@dataclass(frozen=True)
class Migration:
    """One numbered file. sha256: of its text, before names are filled in."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Engines:
    """What differs on a cluster: the engine's name, and the clause after a table's name."""

    replacing: str = "ReplacingMergeTree"
    on_cluster: str = ""


def migrations() -> tuple[Migration, ...]:
    """The files of this version, in order."""
    found = []
    for file in files(__package__).joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            number, _, name = file.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def migrate(
    client: Client,
    *,
    engines: Engines = Engines(),
    retention: Retention = Retention(),
    known: tuple[Migration, ...] | None = None,
) -> list[Migration]:
    """Applies what is missing and returns it. SchemaMismatch, before anything is changed, where the database is of a
    newer version or was made by a file that has been changed since."""
    known = migrations() if known is None else known
    names = _names(client, engines)
    for database in (client.settings.tables, client.settings.views):
        client.command(f"CREATE DATABASE IF NOT EXISTS {database} {engines.on_cluster}")
    client.command(_SCHEMA_MIGRATIONS.format(**names))
    missing = _missing(client, known)
    for migration in missing:
        for statement in _statements(migration.text, names):
            client.command(statement)
        client.command(
            f"INSERT INTO {client.settings.tables}.{_APPLIED} (version, name, sha256) SETTINGS async_insert = 0"
            f" VALUES ({migration.version}, '{migration.name}', '{migration.sha256}')"
        )
    _add_sums(client, names)
    _set_retention(client, names, retention)
    for text in _views():
        for statement in _statements(text, names | placeholders()):
            client.command(statement)
    return missing


def view_names() -> set[str]:
    """The views that this version makes."""
    return {name for text in _views() for name in re.findall(r"^CREATE OR REPLACE VIEW \{views\}\.(\w+)", text, re.MULTILINE)}


def check(client: Client, known: tuple[Migration, ...] | None = None) -> None:
    """SchemaMismatch where the database isn't of exactly this version: what is to write or read it must not start."""
    tables = client.settings.tables
    if not client.query("SELECT 1 FROM system.tables WHERE database = {d:String} AND name = {t:String}", d=tables, t=_APPLIED):
        raise SchemaMismatch(f"Database {tables} has no tables yet.", where=client.settings.where, remedy=_RUN_IT)
    if missing := _missing(client, migrations() if known is None else known):
        names = ", ".join(f"{m.version:04}_{m.name}" for m in missing)
        raise SchemaMismatch(f"Database {tables} lacks migrations {names}.", where=client.settings.where, remedy=_RUN_IT)
    if lacking := sum_columns().keys() - _columns(client, "pane_rows"):
        raise SchemaMismatch(
            f"Table {tables}.pane_rows lacks sums {sorted(lacking)}.", where=client.settings.where, remedy=_RUN_IT
        )


_RUN_IT = "run `reward-monitor migrate`"
_SCHEMA_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS {tables}.schema_migrations {on_cluster}
(version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = {replacing}(applied_at) ORDER BY (version, sha256) COMMENT 'Which numbered files made this schema'"""


def _missing(client: Client, known: tuple[Migration, ...]) -> list[Migration]:
    applied = client.query(f"SELECT version, name, sha256 FROM {client.settings.tables}.{_APPLIED} FINAL ORDER BY version")
    ours = {migration.version: migration for migration in known}
    for version, name, sha256 in applied:
        if version not in ours:
            raise SchemaMismatch(
                f"The database is at migration {version:04}_{name}, this version knows none beyond {max(ours, default=0):04}.",
                where=client.settings.where,
                remedy="update reward-monitor; a newer one has been here",
            )
        if ours[version].sha256 != sha256:
            raise SchemaMismatch(
                f"Migration {version:04}_{name} was applied with another text than it has now.",
                where=client.settings.where,
                remedy="restore the file as it was released, and put the change into a new one",
            )
    done = {version for version, _, _ in applied}
    return [migration for migration in known if migration.version not in done]


def _views() -> list[str]:
    found = sorted(files(__package__).joinpath("views").iterdir(), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in found if file.name.endswith(".sql")]


def _names(client: Client, engines: Engines) -> dict[str, str]:
    return {
        "tables": client.settings.tables,
        "views": client.settings.views,
        "replacing": engines.replacing,
        "on_cluster": engines.on_cluster,
    }


def _statements(text: str, names: dict[str, str]) -> list[str]:
    """The statements of a file, which end with `;` at a line's end, with their names filled in."""
    lines = (line for line in text.splitlines() if not line.startswith("--"))
    return [part.strip().format(**names) for part in ("\n".join(lines) + "\n").split(";\n") if part.strip()]


def _columns(client: Client, table: str) -> set[str]:
    sql = "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String}"
    return {name for (name,) in client.query(sql, d=client.settings.tables, t=table)}


def _add_sums(client: Client, names: dict[str, str]) -> None:
    there = _columns(client, "pane_rows")
    if added := [f"ADD COLUMN IF NOT EXISTS {column}" for name, column in sum_columns().items() if name not in there]:
        client.command(f"ALTER TABLE {names['tables']}.pane_rows {names['on_cluster']} {', '.join(added)}")


def _set_retention(client: Client, names: dict[str, str], retention: Retention) -> None:
    sql = "SELECT name, engine_full FROM system.tables WHERE database = {d:String}"
    engines = dict(client.query(sql, d=names["tables"]))
    for table, days in retention.tables().items():
        alter = f"ALTER TABLE {names['tables']}.{table} {names['on_cluster']}"
        ttl = f"TTL toDateTime(append_time) + toIntervalDay({days})"
        if not days and " TTL " in engines[table]:
            client.command(f"{alter} REMOVE TTL")
        elif days and ttl not in engines[table]:  # only a change: it rewrites what is stored
            client.command(f"{alter} MODIFY {ttl}")
