"""The real Kafka on this machine without a container: one broker of one data directory, on the loopback address."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from .cache import data_text, write_atomically
from .errors import InfraError
from .part import Part
from .ports import HOST, answers, require_free

if TYPE_CHECKING:
    from reward_producers.kafka import AdminClient

# The class cache is good only for the flags that it was trained with: change them here, and it is trained anew.
JAVA_FLAGS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",  # a broker without memory half lives; the supervisor starts it again
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Xlog:disable",
)
_FORMAT_TIMEOUT_S = 60


@dataclass(frozen=True)
class Programs:
    """What the broker is made of: the Java program, the directory of its jars, and the class cache, if there is one."""

    java: Path
    jars: Path
    class_cache: Path | None

    def argv(self, *command: str, flags: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The argument list that runs a Java class of the jars."""
        cached = (f"-XX:AOTCache={self.class_cache}",) if self.class_cache else ()
        return (str(self.java), *JAVA_FLAGS, *cached, *flags, "-Dlog4j2.configurationFile=log4j2.properties", *command)

    def env(self) -> dict[str, str]:
        """The environment for `argv`: this process's, less what would change Java's flags."""
        foreign = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "JAVA_AOT_OPTIONS")
        kept = {name: value for name, value in os.environ.items() if name not in foreign}
        # In a fixed order, since the class cache wants the order that it was trained with.
        class_path = ":".join(sorted(str(jar) for jar in self.jars.glob("*.jar")))
        return {**kept, "CLASSPATH": class_path, "LC_ALL": "C.UTF-8"}  # without it Java opens only ASCII paths


class EmbeddedKafka:
    """The broker of the directory `home`, which keeps the log in `home/log`.

    It listens on 127.0.0.1 only, for clients at `port`, for itself at `controller_port`. Nothing in the directory
    names the directory, so it may be moved while the broker is down.
    """

    def __init__(self, programs: Programs, home: Path, port: int, controller_port: int) -> None:
        self.programs = programs
        self.home = home
        self.port = port
        self.controller_port = controller_port

    @property
    def brokers(self) -> str:
        """What clients call bootstrap servers: "host:port"."""
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration and, the first time, format the storage.

        PortTaken if a port is not free; InfraError with Kafka's own words if formatting failed.
        """
        require_free(self.port, "Kafka")
        require_free(self.controller_port, "Kafka's controller")
        self.home.mkdir(parents=True, exist_ok=True)
        settings = {"port": self.port, "controller_port": self.controller_port}
        write_atomically(self.home / "server.properties", Template(data_text("server.properties.tmpl")).substitute(settings))
        write_atomically(self.home / "log4j2.properties", data_text("log4j2.properties"))
        if not (self.home / "log" / "meta.properties").exists():
            self._format()

    def part(self, name: str = "kafka") -> Part:
        """The broker as a part for the supervisor."""
        return Part(
            name=name,
            argv=self.argv(),
            env=self.env(),
            cwd=self.home,
            ready=BrokerProbe(self.brokers, self.port),
            ready_timeout_s=60.0,  # after a kill it first reads its log again
            grace_s=20.0,
        )

    def argv(self, flags: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The argument list of the broker; it runs in `home`."""
        return self.programs.argv("kafka.Kafka", "server.properties", flags=flags)

    def env(self) -> Mapping[str, str]:
        """The environment of the broker."""
        return self.programs.env()

    def _format(self) -> None:
        argv = self.programs.argv("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", "server.properties")
        try:
            done = subprocess.run(
                argv,
                cwd=self.home,
                env=self.env(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_FORMAT_TIMEOUT_S,
                check=False,
            )
            how, words = f"exit code {done.returncode}", done.stdout.strip()
        except subprocess.TimeoutExpired as slow:
            how, words = f"not done after {slow.timeout:.0f} s", ""
        if how != "exit code 0":
            raise InfraError(
                f"Kafka could not format its storage ({how}).\n{words}",
                where=str(self.home / "log"),
                remedy="mend the cause above; if the directory holds a half-made log, remove it",
            )


class BrokerProbe:
    """Whether a broker answers and takes part in its cluster; a call takes at most about a second."""

    def __init__(self, brokers: str, port: int) -> None:
        self._brokers = brokers
        self._port = port
        self._admin: AdminClient | None = None

    def __call__(self) -> bool:
        if not answers(self._port):  # asked first: the client would print an error for each refused connection
            return False
        from reward_producers.kafka import admin

        self._admin = self._admin or admin(self._brokers)
        # A port alone could be anybody's; and a broker that its controller has not admitted yet names no broker.
        if not self._admin.list_topics(timeout=1).brokers:
            return False
        self._admin = None
        return True


def _cluster_id() -> str:
    """A random id as Kafka writes them. One that starts with "-" would be taken for an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
