"""Fixtures of the embedded stack: what is installed, one running stack for the session, and a plain SQL client."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reward_infra.embedded_clickhouse import ClickHouseAddress
from reward_infra.fetch import Installed, fetch
from reward_infra.local_stack import LocalStack
from reward_infra.progress import Lines

Query = Callable[..., str]


@pytest.fixture(scope="session")
def installed() -> Installed:
    """The user's cache, filled once (a minute of downloading where it is empty)."""
    return fetch(progress=Lines())


@pytest.fixture(scope="session")
def stack(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running Kafka and ClickHouse, for tests that neither stop nor kill them."""
    with LocalStack(tmp_path_factory.mktemp("stack"), installed=installed) as running:
        running.start()
        yield running


class Refused(Exception):
    """ClickHouse answered with an error; its text names the code."""


def query(address: ClickHouseAddress, sql: str, user: str | None = "writer") -> str:
    """The answer to one statement over HTTP; user None: without a name and password. Refused if it was an error."""
    connection = http.client.HTTPConnection(address.host, address.http_port, timeout=20)
    try:
        headers = {"Connection": "close"}
        if user:
            headers |= {"X-ClickHouse-User": user, "X-ClickHouse-Key": getattr(address.credentials, user)}
        connection.request("POST", "/", sql.encode(), headers)
        response = connection.getresponse()
        text = response.read().decode().strip()
    finally:
        connection.close()
    if response.status != 200:
        raise Refused(text)
    return text


@pytest.fixture
def sql() -> Query:
    """`query`, for tests."""
    return query


@pytest.fixture
def refused() -> type[Refused]:
    """The error of `query`, for tests."""
    return Refused


@pytest.fixture
def scripts(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """Makes the argument list of a small Python program from its text."""
    import sys

    def make(text: str) -> tuple[str, ...]:
        path = tmp_path / f"program{len(list(tmp_path.glob('program*')))}.py"
        path.write_text(text)
        return (sys.executable, "-u", str(path))

    return make
