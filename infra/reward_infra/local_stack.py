"""Kafka and ClickHouse of one data directory under one supervisor; callers add their own parts.

    with LocalStack(Path("data")) as stack:
        stack.start()
        stack.brokers, stack.clickhouse

A data directory:

    lock            held by the process whose stack it is
    ports.json      the ports of the last start, taken again if they are free
    kafka/          the broker's configuration and log
    clickhouse/     the server's configuration, passwords (0600) and tables
    logs/           what each part printed
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from . import ports
from .embedded_clickhouse import ClickHouseAddress, EmbeddedClickHouse, read_credentials
from .embedded_kafka import EmbeddedKafka
from .errors import Held, InfraError
from .fetch import Installed, fetch
from .part import Part, PartState
from .ports import HOST, Ports
from .progress import Progress
from .supervisor import Supervisor

KAFKA, CLICKHOUSE = "kafka", "clickhouse"
_PREFERRED_PORTS = {"kafka": 29092, "kafka_controller": 29093, "clickhouse_http": 28123, "clickhouse_tcp": 29000}
_LAST_PARTS_DIE_S = 5.0


def default_data_dir() -> Path:
    """$REWARD_MONITOR_DIR, else .reward-monitor in the current directory."""
    return Path(os.environ.get("REWARD_MONITOR_DIR") or ".reward-monitor").expanduser().absolute()


@dataclass(frozen=True)
class Addresses:
    """Where the stack of a data directory is: Kafka's bootstrap servers, and ClickHouse."""

    brokers: str
    clickhouse: ClickHouseAddress


def addresses(data_dir: Path | None = None) -> Addresses:
    """Where the stack of a data directory is, or was when it last ran; InfraError if it never did."""
    data_dir = data_dir or default_data_dir()
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

    installed: what `fetch` returned; by default start() fetches into `cache`, telling `progress`.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        installed: Installed | None = None,
        cache: Path | None = None,
        progress: Progress | None = None,
        on_change: Callable[[PartState], None] | None = None,
    ) -> None:
        self.data_dir = (data_dir or default_data_dir()).absolute()
        self.log_dir = self.data_dir / "logs"
        self._installed = installed
        self._cache = cache
        self._progress = progress
        self._on_change = on_change
        self._lock: IO[str] | None = None
        self._ports: Ports | None = None
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> LocalStack:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start both and return when they serve: about a second, and longer at the first start of a directory.

        Held if another process has the directory; Unsupported, FetchFailed, PortTaken, PartFailed as their names say.
        Whatever was started is stopped before an error leaves.
        """
        if self._supervisor:
            return
        self._installed = self._installed or fetch(self._cache, self._progress)
        try:
            self._hold_directory()
            self._supervisor = Supervisor(self.parts(), self.log_dir, on_change=self._on_change)
            self._supervisor.start()
        except BaseException:
            self.stop()
            raise

    def parts(self) -> tuple[Part, ...]:
        """Kafka and ClickHouse, ready to be started: ports chosen, configuration written. The directory is held."""
        if self._lock is None or self._installed is None:
            raise RuntimeError("parts() belongs to start(), which fetches and holds the directory first")
        self._ports = Ports(self.data_dir / "ports.json", self._installed.cache / "ports")
        chosen = self._ports.choose(_PREFERRED_PORTS)
        kafka = EmbeddedKafka(self._installed.kafka(), self.data_dir / KAFKA, chosen["kafka"], chosen["kafka_controller"])
        clickhouse = EmbeddedClickHouse(
            self._installed.library, self.data_dir / CLICKHOUSE, chosen["clickhouse_http"], chosen["clickhouse_tcp"]
        )
        kafka.prepare()
        clickhouse.prepare()
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
        if self._lock:
            self._lock.truncate(0)  # an empty lock file says that the last end was in order
            self._lock.close()
            self._lock = None

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
    def brokers(self) -> str:
        """Kafka's bootstrap servers, "127.0.0.1:port"."""
        return addresses(self.data_dir).brokers

    @property
    def clickhouse(self) -> ClickHouseAddress:
        """ClickHouse's host, ports and passwords."""
        return addresses(self.data_dir).clickhouse

    def _hold_directory(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        lock = (self.data_dir / "lock").open("a+")
        lock.seek(0)
        holder = lock.read().strip()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise Held(
                f"A stack runs in this data directory already, held by process {holder or '?'}.",
                pid=int(holder) if holder.isdigit() else None,
                where=str(self.data_dir),
                remedy="use that one, stop it, or name another directory (REWARD_MONITOR_DIR)",
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        if holder:
            self._await_last_parts()

    def _await_last_parts(self) -> None:
        """After a supervisor that was killed: its parts are dying, and hold the remembered ports a moment longer."""
        deadline = time.monotonic() + _LAST_PARTS_DIE_S
        remembered = ports.read(self.data_dir / "ports.json").values()
        while time.monotonic() < deadline and not all(ports.is_free(port) for port in remembered):
            time.sleep(0.05)
