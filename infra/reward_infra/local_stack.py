"""Kafka and ClickHouse of one data directory under one supervisor; callers add their own parts.

    with LocalStack(Path("data")) as stack:
        stack.start()
        stack.brokers, stack.clickhouse

A data directory:

    lock            held by the process whose stack it is
    state.json      what the parts do, for other processes
    format          the version of this layout
    settings.yaml   where Kafka and ClickHouse are, as settings for jobs and commands
    ports.json      the ports of the last start, taken again if they are free
    kafka/          the broker's configuration and log
    clickhouse/     the server's configuration, passwords (0600) and tables
    logs/           what each part printed
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from reward_schemas.topics import source_partitions

from . import data_dir as directory
from . import ports, preflight
from .cache import write_atomically
from .embedded_clickhouse import PASSWORDS, ClickHouseAddress, EmbeddedClickHouse, read_credentials
from .embedded_kafka import EmbeddedKafka
from .errors import InfraError
from .fetch import Installed, fetch
from .part import Part, PartState
from .ports import HOST, Ports
from .state_file import StateFile
from .supervisor import Supervisor

KAFKA, CLICKHOUSE = "kafka", "clickhouse"
_PREFERRED_PORTS = {"kafka": 29092, "kafka_controller": 29093, "clickhouse_http": 28123, "clickhouse_tcp": 29000}
_LAST_PARTS_DIE_S = 5.0
DEFAULT_DIR = Path(".reward-monitor")
SETTINGS_FILE = "settings.yaml"
_SETTINGS = """\
# Written at each start of the stack in this directory; for `reward-monitor --config` and REWARD_MONITOR_CONFIG.
kafka:
  brokers: "{host}:{kafka}"
clickhouse:
  host: "{host}"
  http_port: {clickhouse_http}
  writer_password_file: {writer}
  reader_password_file: {reader}
topics:
  partitions: {partitions}
"""


@dataclass(frozen=True)
class Addresses:
    """Where the stack of a data directory is: Kafka's bootstrap servers, and ClickHouse."""

    brokers: str
    clickhouse: ClickHouseAddress


def addresses(data_dir: Path | None = None) -> Addresses:
    """Where the stack of a data directory is, or was when it last ran; InfraError if it never did."""
    data_dir = data_dir or DEFAULT_DIR
    chosen = ports.read(data_dir / "ports.json")
    try:
        credentials = read_credentials(data_dir / CLICKHOUSE)
        return Addresses(
            brokers=f"{HOST}:{chosen['kafka']}",
            clickhouse=ClickHouseAddress(HOST, chosen["clickhouse_http"], chosen["clickhouse_tcp"], credentials),
        )
    except (OSError, KeyError) as error:
        raise InfraError(
            "No stack has been started in this data directory.",
            where=str(data_dir),
            remedy="start it with `reward-monitor up`, or name the directory where it runs",
        ) from error


class LocalStack:
    """The stack of one data directory. Nothing happens before `start`; a stopped stack may be started again.

    installed: what `fetch` returned; by default start() calls `programs`.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        installed: Installed | None = None,
        programs: Callable[[], Installed] = fetch,
        on_change: Callable[[PartState], None] | None = None,
    ) -> None:
        self.data_dir = (data_dir or DEFAULT_DIR).absolute()
        self.log_dir = self.data_dir / "logs"
        self._installed = installed
        self._programs = programs
        self._on_change = on_change
        self._hold: directory.Hold | None = None
        self._state: StateFile | None = None
        self.notes: list[str] = []  # what a user should know of this start
        self._ports: Ports | None = None
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> LocalStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start both and return when they serve: about a second, and longer at the first start of a directory.

        Held if another process has the directory; Unsupported, FetchFailed, PortTaken, PartFailed as their names say;
        InfraError for what would hurt later (see `preflight`).
        Whatever was started is stopped before an error leaves.
        """
        if self._supervisor:
            return
        self._hold = directory.hold(self.data_dir)
        try:
            preflight.check(self.data_dir)
            self._installed = self._installed or self._programs()
            self._state = StateFile(self.data_dir, os.getpid(), time.time())
            if not self._hold.in_order:
                self._await_last_parts()
            self._supervisor = Supervisor(self.parts(), self.log_dir, on_change=self._changed)
            self._supervisor.start()
        except BaseException:
            self.stop()
            raise

    def parts(self) -> tuple[Part, ...]:
        """Kafka and ClickHouse, ready to be started: ports chosen, configuration written. The directory is held."""
        if self._hold is None or self._installed is None:
            raise RuntimeError("parts() belongs to start(), which fetches and holds the directory first")
        before = ports.read(self.data_dir / "ports.json")
        self._ports = Ports(self.data_dir / "ports.json", self._installed.cache / "ports")
        chosen = self._ports.choose(_PREFERRED_PORTS)
        self.notes = [
            f"another program has port {before[name]}: {name} listens on {port} from now on"
            for name, port in chosen.items()
            if before.get(name, port) != port
        ]
        kafka = EmbeddedKafka(self._installed.kafka(), self.data_dir / KAFKA, chosen["kafka"], chosen["kafka_controller"])
        clickhouse = EmbeddedClickHouse(
            self._installed.library, self.data_dir / CLICKHOUSE, chosen["clickhouse_http"], chosen["clickhouse_tcp"]
        )
        kafka.prepare()
        clickhouse.prepare()
        write_atomically(self.settings_file, self._settings(chosen))
        return kafka.part(), clickhouse.part()

    def add(self, part: Part) -> None:
        """Start one more part, and return when it is up; it is kept running like the others."""
        self.supervisor.add(part)

    def stop(self) -> None:
        """Stop all parts in reverse order and let go of the directory; does nothing if it does not run."""
        if self._supervisor:
            self._supervisor.stop()
            self._supervisor = None
        if self._ports:
            self._ports.release()
            self._ports = None
        if self._hold:
            self._hold.release()
            self._hold = None

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of the running stack; InfraError if it does not run."""
        if self._supervisor is None:
            raise InfraError("The stack does not run.", where=str(self.data_dir), remedy="call start() first")
        return self._supervisor

    @property
    def installed(self) -> Installed:
        """The programs that it runs on; InfraError before the first start."""
        if self._installed is None:
            raise InfraError("The stack has not been started.", where=str(self.data_dir), remedy="call start() first")
        return self._installed

    @property
    def settings_file(self) -> Path:
        """Where Kafka and ClickHouse are, for jobs and commands; written at each start."""
        return self.data_dir / SETTINGS_FILE

    def _settings(self, chosen: Mapping[str, int]) -> str:
        passwords = self.data_dir / CLICKHOUSE / PASSWORDS
        return _SETTINGS.format(
            host=HOST,
            writer=json.dumps(str(passwords / "writer")),
            reader=json.dumps(str(passwords / "reader")),
            partitions=source_partitions("embedded"),
            **chosen,
        )

    @property
    def brokers(self) -> str:
        """Kafka's bootstrap servers, "127.0.0.1:port"."""
        return addresses(self.data_dir).brokers

    @property
    def clickhouse(self) -> ClickHouseAddress:
        """ClickHouse's host, ports and passwords."""
        return addresses(self.data_dir).clickhouse

    def _changed(self, state: PartState) -> None:
        if self._state:
            self._state.note(state)
        if self._on_change:
            self._on_change(state)

    def _await_last_parts(self) -> None:
        """After a supervisor that was killed: its parts are dying, and hold the remembered ports a moment longer."""
        deadline = time.monotonic() + _LAST_PARTS_DIE_S
        remembered = ports.read(self.data_dir / "ports.json").values()
        while time.monotonic() < deadline and not all(ports.is_free(port) for port in remembered):
            time.sleep(0.05)
