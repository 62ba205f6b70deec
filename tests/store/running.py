"""Fixtures for tests of the store and of the lander: a running stack, and databases that are the test's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from reward_engine.fold import NO_RULES
from reward_engine.rules.ruleset import RuleSet
from reward_infra.fetch import fetch
from reward_infra.local_stack import LocalStack
from reward_infra.progress import Lines
from reward_store.client import ClickHouse, Client
from reward_store.landing import EVENTS, RESULTS, RULES, Batch
from reward_store.migrate import migrate
from reward_store.settings import Retention

from tests.store.logs import as_records, folded

FOR_EVER = Retention(raw_days=0, log_days=0)  # the logs of tests are old


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Kafka and ClickHouse, for tests that neither stop nor kill them."""
    with LocalStack(tmp_path_factory.mktemp("stack"), installed=fetch(progress=Lines())) as running:
        running.start()
        yield running


def address(stack: LocalStack, user: str = "writer") -> ClickHouse:
    place = stack.clickhouse
    return ClickHouse(place.host, place.http_port, user, getattr(place.credentials, user))


@contextmanager
def databases(stack: LocalStack, name: str) -> Iterator[Client]:
    """A client whose two databases have this name and don't exist yet."""
    name = re.sub(r"\W", "_", name)[:60]
    client = replace(address(stack), tables=f"{name}_tables", views=name).connect()
    yield client
    for database in (client.settings.tables, client.settings.views):
        client.command(f"DROP DATABASE IF EXISTS {database}")
    client.close()


@pytest.fixture
def empty(stack: LocalStack, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client whose databases are this test's alone and don't exist yet."""
    with databases(stack, request.node.name) as client:
        yield client


@pytest.fixture
def client(empty: Client) -> Client:
    """A client with the tables and views of this version."""
    migrate(empty, retention=FOR_EVER)
    return empty


def land(client: Client, log, *, results=None, rule_sets=(), rules: RuleSet = NO_RULES) -> None:
    """Lands a log and what the fold says of it, and what was published on the rules topic, as the lander does."""
    batch = Batch()
    for record in log:
        batch.add(EVENTS, record)
    for record in as_records(folded(log, rules)) if results is None else results:
        batch.add(RESULTS, record)
    for record in rule_sets:
        batch.add(RULES, record)
    for table, rows in batch.tables():
        client.insert_arrow(table, rows)


def rows(client: Client, sql: str, **parameters) -> list[tuple]:
    """Rows of a query over the views and {tables} of the test's databases."""
    names = {"tables": client.settings.tables, "views": client.settings.views}
    return client.query(re.sub(r"\{(tables|views)\}", lambda found: names[found[1]], sql), **parameters)
