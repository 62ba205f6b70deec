"""The one module that imports clickhouse_connect: a client that binds parameters, inserts Arrow and sorts its errors.

client = ClickHouse("127.0.0.1", 8123, "writer", password).connect()
client.query("SELECT step, mean FROM rewards.steps WHERE run_id = {run:String} ORDER BY step", run="r-1")
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, NotSupportedError, ProgrammingError
from urllib3.exceptions import HTTPError  # clickhouse_connect lets some of its transport's errors through

from reward_store.errors import Rejected, StoreError, Unavailable

logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it logs each error that it raises as well
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # and a warning for each connection that ended

# ClickHouse's codes for "not now": time-outs, too many queries or parts, memory, disk, read-only or lost replicas.
_NOT_NOW = {3, 74, 75, 159, 201, 202, 203, 209, 210, 236, 241, 242, 243, 252, 279, 285, 286, 319, 394, 425, 439, 473, 999}
_REMEDIES = {
    60: "check the name; if it is one of ours, the schema is not there yet: `reward-monitor migrate`",
    81: "check the name; if it is one of ours, the schema is not there yet: `reward-monitor migrate`",
    16: "the schema is older than this version: `reward-monitor migrate`",
    192: "no such user: check the user's name in users.xml",
    497: "grant it to the user in users.xml, or use the other user",
    516: "wrong user or password: check the password file against users.xml",
}
_INSERT = {
    "async_insert": 0,  # 1 by default in new servers: an acknowledged insert would not yet be a stored one
    "max_partitions_per_insert_block": 0,  # a spool that is sent late may carry runs of many months
}
# TLS that no second try mends; a connection that merely broke is not among them.
_TLS_REMEDIES = {
    "CERTIFICATE_VERIFY_FAILED": "name the authority that signed the server's certificate (clickhouse.ca_file), and the host as "
    "the certificate names it",
    "NO_CERTIFICATE_OR_CRL_FOUND": "clickhouse.ca_file must name a PEM file with certificates",
    "WRONG_VERSION_NUMBER": "there is no HTTPS at this port: set clickhouse.secure to false, or name the port of HTTPS",
}
# What the driver and the server put around a message.
_FRAME = re.compile(r"^.*?DB::Exception: |\.? \(version [\d.]+[^)]*\).*$|\.? \(for url .*$| FORMAT Arrow\b")
T = TypeVar("T")


@dataclass(frozen=True)
class ClickHouse:
    """Where a ClickHouse is, who we are there, and the names of the two databases.

    tables: the lander's database; views: people's. timeout_s: the longest wait for an answer.
    secure: HTTPS, by the authorities of `ca_file` or else the system's. compression: of inserts, "lz4", "zstd" or "" (the
    best on the same machine).
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    secure: bool = False
    ca_file: Path | None = None
    tables: str = "rewards_tables"
    views: str = "rewards"
    database: str = ""
    timeout_s: float = 30.0
    compression: str = ""

    @property
    def where(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    def connect(self) -> Client:
        """A client that has had an answer from the server; Unavailable or Rejected where it got none."""
        return Client(self)


class Client:
    """A connection of one thread. Every method raises Unavailable or Rejected, and nothing else of the server's."""

    def __init__(self, settings: ClickHouse) -> None:
        self.settings = settings
        self._client = self._guarded(
            "connect",
            lambda: clickhouse_connect.get_client(
                host=settings.host,
                port=settings.port,
                username=settings.user,
                password=settings.password,
                database=settings.database or None,
                interface="https" if settings.secure else "http",
                ca_cert=str(settings.ca_file) if settings.ca_file else None,
                compress=settings.compression or False,
                connect_timeout=5,
                send_receive_timeout=int(settings.timeout_s),
                query_limit=0,
                query_retries=0,
                autogenerate_session_id=False,  # a session locks: two queries at once would fail
                client_name="reward-monitor",
            ),
        )

    def close(self) -> None:
        """Gives the connection back."""
        self._client.close()

    def query(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows; times without a zone are UTC. Parameters stand in the query as `{name:Type}` and are bound by the server."""
        _check_bound(sql, parameters)
        rows = self._guarded(sql, lambda: self._client.query(sql, parameters=parameters or None).result_rows)
        return cast("list[tuple[Any, ...]]", rows)

    def query_arrow(self, sql: str, **parameters: Any) -> pa.Table:
        """The rows as an Arrow table, strings as strings."""
        _check_bound(sql, parameters)
        return self._guarded(sql, lambda: self._client.query_arrow(sql, parameters=parameters or None, use_strings=True))

    def command(self, sql: str) -> None:
        """Runs a statement that has no rows."""
        self._guarded(sql, lambda: self._client.command(sql))

    def insert_arrow(self, table: str, rows: pa.Table) -> None:
        """Inserts into a table of the lander's; columns that `rows` lacks get their defaults. Stored when it returns."""
        if rows.num_rows:
            self._guarded(
                f"INSERT INTO {table}, {rows.num_rows} rows",
                lambda: self._client.insert_arrow(table, rows, database=self.settings.tables, settings=_INSERT),
            )

    def _guarded(self, what: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except (ClickHouseError, HTTPError, OSError) as error:
            raise _sorted(error, " ".join(what.split())[:120], self.settings.where) from error


def _check_bound(sql: str, parameters: dict[str, Any]) -> None:
    if unbound := [name for name in parameters if not re.search(rf"\{{\s*{name}\s*:", sql)]:
        raise ValueError(f"parameters {unbound} do not stand in the query as {{name:Type}}: {sql[:120]}")


def _sorted(error: Exception, doing: str, where: str) -> StoreError:
    text = " ".join(str(error).split())
    found = re.search(r"Code: (\d+)", text)
    code = getattr(error, "code", None) or (int(found[1]) if found else 0)
    if refused := re.search(r"\[Errno -?\d+\] [^\"')]+", text):
        text = refused[0]
    text = _FRAME.sub("", text)
    if tls := re.search(rf"\[\w+: ({'|'.join(_TLS_REMEDIES)})\] ([^(]+)", text):
        return Rejected(f"ClickHouse can't be entered by HTTPS: {tls[2].strip()}.", where=where, remedy=_TLS_REMEDIES[tls[1]])
    local = isinstance(error, ProgrammingError | DataError | NotSupportedError)
    if code in _NOT_NOW or (not code and not local):
        return Unavailable(
            f"ClickHouse gave no answer or can't take this now: {doing}: {text[:300]}.",
            where=where,
            remedy="look whether it runs and has memory and disk left, and try again; of a query of your own, ask for less",
        )
    return Rejected(f"ClickHouse refused: {doing}: {text[:500]}.", where=where, remedy=_REMEDIES.get(code, ""), code=code)
