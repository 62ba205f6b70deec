"""The whole monitor of one data directory: Kafka, ClickHouse, topics, schema, and the jobs, under one supervisor.

with Pipeline(Path("data")) as monitor:
    monitor.start()
    monitor.brokers, monitor.reader()
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from reward_producers.kafka import admin
from reward_schemas.topics import catalogue, source_partitions
from reward_store.client import ClickHouse, Client
from reward_store.migrate import migrate

from .embedded_clickhouse import DATABASE
from .fetch import Installed
from .local_stack import CLICKHOUSE, KAFKA, LocalStack
from .part import Part, PartState
from .progress import Progress
from .supervisor import Supervisor
from .topics import ensure

AGGREGATE, LAND = "aggregate", "land"


def _owns(status: Path) -> bool:
    """Whether the worker that wrote its status there has been given partitions and lives."""
    try:
        os.kill(json.loads(status.read_text())["pid"], 0)
    except (OSError, ValueError):
        return False
    return True


class Pipeline:
    """Everything between a trainer's call and a row, on this machine. Nothing happens before `start`."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        installed: Installed | None = None,
        progress: Progress | None = None,
        on_change: Callable[[PartState], None] | None = None,
    ) -> None:
        self.stack = LocalStack(data_dir, installed=installed, progress=progress, on_change=on_change)

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all parts; returns when the stores serve and the jobs run. What was started is stopped before an error leaves."""
        self.stack.start()
        try:
            ensure(admin(self.brokers), catalogue(source_partitions("embedded")), self.brokers)
            writer = self._client("writer")
            migrate(writer)
            writer.close()
            self.stack.add(self.aggregate())
            self.stack.add(self.land())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops all parts in reverse order."""
        self.stack.stop()

    @property
    def brokers(self) -> str:
        """Kafka's bootstrap servers."""
        return self.stack.brokers

    @property
    def supervisor(self) -> Supervisor:
        return self.stack.supervisor

    def reader(self) -> Client:
        """A ClickHouse client of the people's read-only user."""
        return self._client("reader", DATABASE)

    def writer(self) -> Client:
        """A ClickHouse client of the jobs' user."""
        return self._client("writer")

    def aggregate(self, name: str = AGGREGATE, *arguments: str) -> Part:
        """A worker that folds events; several share the partitions."""
        home = self.stack.data_dir / name
        argv = (sys.executable, "-m", "reward_jobs.aggregate", "--brokers", self.brokers, "--data-dir", str(home), *arguments)
        return Part(name, argv, ready=lambda: _owns(home / "owned.json"), after=(KAFKA,))

    def land(self, name: str = LAND, *arguments: str) -> Part:
        """The lander."""
        address = self.stack.clickhouse
        argv: tuple[str, ...] = (sys.executable, "-m", "reward_jobs.land", "--brokers", self.brokers, "--instance", name)
        argv += ("--clickhouse-host", address.host, "--clickhouse-port", str(address.http_port))
        credentials = self.stack.data_dir / CLICKHOUSE / "credentials.json"
        return Part(name, (*argv, "--credentials", str(credentials), *arguments), after=(KAFKA, CLICKHOUSE))

    def _client(self, user: str, database: str = "") -> Client:
        address = self.stack.clickhouse
        password = getattr(address.credentials, user)
        return ClickHouse(address.host, address.http_port, user, password, database=database).connect()
