"""Where ClickHouse is and how to enter it, as settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from reward_schemas.settings import readable, secret

from reward_store.client import ClickHouse

_NAME = {"pattern": r"^[A-Za-z_][A-Za-z0-9_]*$", "title": "a name of letters, digits and _"}


class ClickHouseSettings(Struct, frozen=True, kw_only=True):
    """A server's address, its two users, and the names of the two databases."""

    host: Annotated[str, Meta(description="host name or address")] = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=1, le=65535, description="port of HTTP, or of HTTPS where secure")] = 8123
    secure: Annotated[bool, Meta(description="HTTPS")] = False
    ca_file: Annotated[Path | None, Meta(description="PEM file of the authorities that are trusted; else the system's")] = None
    writer: Annotated[str, Meta(description="the user of the lander and of migrations")] = "writer"
    writer_password_file: Annotated[Path | None, Meta(description="file with its password")] = None
    reader: Annotated[str, Meta(description="the user of people and dashboards, read-only")] = "reader"
    reader_password_file: Annotated[Path | None, Meta(description="file with its password")] = None
    tables: Annotated[str, Meta(**_NAME, description="database of the lander's tables")] = "rewards_tables"
    views: Annotated[str, Meta(**_NAME, description="database of people's views")] = "rewards"
    compression: Annotated[Literal["none", "lz4", "zstd"], Meta(description="of inserts; worth it where the network is slow")] = (
        "none"
    )

    def as_writer(self) -> ClickHouse:
        """The jobs' access. Raises MonitorError where a file can't be read."""
        return self._as(self.writer, self.writer_password_file, "")

    def as_reader(self) -> ClickHouse:
        """People's access, in the database of the views. Raises MonitorError where a file can't be read."""
        return self._as(self.reader, self.reader_password_file, self.views)

    def _as(self, user: str, password_file: Path | None, database: str) -> ClickHouse:
        if self.secure and self.ca_file:
            readable(self.ca_file, "clickhouse.ca_file")
        return ClickHouse(
            host=self.host,
            port=self.http_port,
            user=user,
            password=secret(password_file) if password_file else "",
            secure=self.secure,
            ca_file=self.ca_file,
            tables=self.tables,
            views=self.views,
            database=database,
            compression="" if self.compression == "none" else self.compression,
        )


class Retention(Struct, frozen=True, kw_only=True):
    """How long rows stay, in days; 0: for ever. Steps, windows and runs always stay."""

    raw_days: Annotated[int, Meta(ge=0, le=36500, description="single rewards and dead letters")] = 30
    log_days: Annotated[int, Meta(ge=0, le=36500, description="the copy of the log, and the audit of what was landed")] = 30

    def tables(self) -> dict[str, int]:
        """Days by table."""
        return {
            "rollouts": self.raw_days,
            "dead_letter_rows": self.raw_days,
            "event_log": self.log_days,
            "ingest_audit": self.log_days,
        }
