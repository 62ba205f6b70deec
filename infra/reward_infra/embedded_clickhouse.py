"""The real ClickHouse on this machine without a container: the parent's side of `clickhouse_server`."""

from __future__ import annotations

import http.client
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

from .cache import data_text, write_atomically
from .clickhouse_users import Credentials, new_password, users_xml
from .part import Part
from .ports import HOST, answers, require_free

DATABASE = "rewards"
PASSWORDS = "passwords"  # in `home`: a file for each user, with the password alone
_MEMORY_BYTES_MAX = 4_000_000_000
_SECRET = 0o600


@dataclass(frozen=True)
class ClickHouseAddress:
    """Where a ClickHouse is and who may enter. Both ports are on the loopback address only."""

    host: str
    http_port: int
    tcp_port: int
    credentials: Credentials
    database: str = DATABASE


class EmbeddedClickHouse:
    """The server of the directory `home`, which keeps its tables in `home/db`.

    memory_bytes: the most that all its queries together may take (default: half of the machine's, at most 4 GB); the
    reader's queries may take half of that.
    """

    def __init__(self, library: Path, home: Path, http_port: int, tcp_port: int, *, memory_bytes: int | None = None) -> None:
        self.library = library
        self.home = home.absolute()
        self.http_port = http_port
        self.tcp_port = tcp_port
        self._memory_bytes = memory_bytes or min(_MEMORY_BYTES_MAX, _machine_bytes() // 2)

    @property
    def address(self) -> ClickHouseAddress:
        """Where to reach it; only after `prepare`, which makes the passwords."""
        return ClickHouseAddress(HOST, self.http_port, self.tcp_port, read_credentials(self.home))

    def prepare(self) -> None:
        """Make passwords once, write the configuration. PortTaken, naming the port, if one is not free."""
        require_free(self.http_port, "ClickHouse (HTTP)")
        require_free(self.tcp_port, "ClickHouse (native protocol)")
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.home.chmod(0o700)
        (self.home / PASSWORDS).mkdir(exist_ok=True, mode=0o700)
        for user in ("writer", "reader"):
            if not (file := self.home / PASSWORDS / user).exists():
                write_atomically(file, new_password(), _SECRET)
        config = {"http_port": self.http_port, "tcp_port": self.tcp_port, "memory_bytes": self._memory_bytes}
        written = {
            "config.xml": Template(data_text("clickhouse-config.xml.tmpl")).substitute(config),
            "users.xml": users_xml(read_credentials(self.home), self._memory_bytes // 2),
        }
        for name, text in written.items():
            write_atomically(self.home / name, text, _SECRET)

    def part(self, name: str = "clickhouse") -> Part:
        """The server as a part for the supervisor."""
        return Part(name=name, argv=self.argv(), cwd=self.home, ready=self.ready, ready_timeout_s=60.0, grace_s=20.0)

    def argv(self) -> tuple[str, ...]:
        """The argument list of the server; it runs in `home`. No password is in it."""
        ports = ("--http-port", str(self.http_port), "--tcp-port", str(self.tcp_port))
        return (sys.executable, "-m", "reward_infra.clickhouse_server", "--library", str(self.library), *ports)

    def ready(self) -> bool:
        """Whether both ports answer and the start is over, so that `default` can do nothing any more.

        RuntimeError with the server's words if it refuses the question.
        """
        if not (answers(self.http_port) and answers(self.tcp_port)):
            return False
        # The engine's own queries have no user there.
        holding = "SELECT count() FROM system.processes WHERE user = '' AND query LIKE '%LineAsString%'"
        connection = http.client.HTTPConnection(HOST, self.http_port, timeout=1)
        try:
            headers = {"X-ClickHouse-User": "writer", "X-ClickHouse-Key": read_credentials(self.home).writer}
            connection.request("POST", "/", holding, {**headers, "Connection": "close"})
            response = connection.getresponse()
            text = response.read().decode(errors="replace").strip()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"HTTP {response.status}: {text[:300]}")
        return text == "1"


def read_credentials(home: Path) -> Credentials:
    """The passwords of a prepared data directory."""
    return Credentials(*((home / PASSWORDS / user).read_text(encoding="utf-8") for user in ("writer", "reader")))


def _machine_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
