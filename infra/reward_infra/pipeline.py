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
from typing import Any

import msgspec
from reward_dashboards.web import serve
from reward_jobs import health
from reward_jobs.settings import Settings
from reward_producers.kafka import admin
from reward_schemas.settings import FILE_VARIABLE, PREFIX, load, variables
from reward_schemas.topics import catalogue
from reward_store.client import Client
from reward_store.migrate import migrate

from .fetch import Installed, fetch
from .local_stack import CLICKHOUSE, KAFKA, LocalStack
from .part import Part, PartState
from .progress import Progress
from .supervisor import Supervisor
from .topics import ensure

AGGREGATE, LAND, NOTIFY, WEB = "aggregate", "land", "notify", "web"
JOBS = (AGGREGATE, LAND)


def _owns(status: Path) -> bool:
    """Whether the worker that wrote its status there has been given partitions and lives."""
    try:
        os.kill(json.loads(status.read_text())["pid"], 0)
    except (OSError, ValueError):
        return False
    return True


class Pipeline:
    """Everything between a trainer's call and a row, on this machine. Nothing happens before `start`.

    settings: where Kafka and ClickHouse are, and what the jobs of a cluster get, is not taken from them.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        settings: Settings = Settings(),
        installed: Installed | None = None,
        progress: Progress | None = None,
        on_change: Callable[[PartState], None] | None = None,
    ) -> None:
        local = settings.local
        self._settings = settings
        self.stack = LocalStack(
            data_dir or local.dir,
            installed=installed,
            programs=lambda: fetch(local.cache, progress, local.maven_repo),
            on_change=on_change,
        )

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts all parts; returns when the stores serve and the jobs run. What was started is stopped before an error leaves."""
        self.stack.start()
        try:
            ensure(admin(self.brokers), catalogue(self._stores().topics.partitions), self.brokers)
            writer = self.writer()
            migrate(writer, retention=self._settings.retention)
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
        return self._stores().clickhouse.as_reader().connect()

    def writer(self) -> Client:
        """A ClickHouse client of the jobs' user."""
        return self._stores().clickhouse.as_writer().connect()

    def aggregate(self, name: str = AGGREGATE, **jobs: Any) -> Part:
        """A worker that folds events; several share the partitions. jobs: settings of the section that differ."""
        home = self.stack.data_dir / name
        return self._job("aggregate", name, (KAFKA,), {"data_dir": home, **jobs}, ready=lambda: _owns(home / health.AGGREGATE))

    def land(self, name: str = LAND, **jobs: Any) -> Part:
        """The lander."""
        home = self.stack.data_dir / name
        return self._job("land", name, (KAFKA, CLICKHOUSE), {"data_dir": home, "instance": name, **jobs})

    def notify(self, name: str = NOTIFY, **jobs: Any) -> Part:
        """The notifier, which tells people of alerts."""
        return self._job("notify", name, (KAFKA,), {"data_dir": self.stack.data_dir / name, **jobs})

    def web(self, port: int) -> Part:
        """The web dashboard, for this machine alone."""
        address = "127.0.0.1"
        environment = self._clean() | variables("clickhouse", self._stores().clickhouse)
        return Part(
            WEB, serve.command(address, port), env=environment, after=(CLICKHOUSE,), ready=lambda: serve.serves(address, port)
        )

    def _job(self, module: str, name: str, after: tuple[str, ...], jobs: dict[str, Any], **more: Any) -> Part:
        environment = self._clean()
        environment[FILE_VARIABLE] = str(self.stack.settings_file)
        environment |= variables("jobs", msgspec.structs.replace(self._settings.jobs, **jobs))
        return Part(name, (sys.executable, "-m", f"reward_jobs.{module}"), env=environment, after=after, **more)

    @staticmethod
    def _clean() -> dict[str, str]:
        """The environment without the user's own settings: they may be of a cluster."""
        return {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}

    def _stores(self) -> Settings:
        return load(Settings, {}, self.stack.settings_file).value
