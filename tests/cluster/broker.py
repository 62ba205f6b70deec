"""A real broker that lets nobody in without a key: listeners with a user and a password, and with a client's certificate."""

from __future__ import annotations

import subprocess
from pathlib import Path

from reward_infra.embedded_kafka import EmbeddedKafka, Programs

from tests.cluster.keys import USER, Keys

PLAIN, SCRAM = (
    "org.apache.kafka.common.security.plain.PlainLoginModule",
    "org.apache.kafka.common.security.scram.ScramLoginModule",
)
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SecuredKafka(EmbeddedKafka):
    """The embedded broker with two more listeners; its plain one is for itself alone."""

    def __init__(self, programs: Programs, home: Path, ports: dict[str, int], keys: Keys) -> None:
        super().__init__(programs, home, ports["plain"], ports["controller"])
        self.sasl, self.mutual = (f"127.0.0.1:{ports[name]}" for name in ("sasl", "mutual"))
        self._keys = keys

    def prepare(self) -> None:
        """As embedded, then the listeners; the users of SCRAM are written when the storage is formatted."""
        self.home.mkdir(parents=True)
        super().prepare()
        file = self.home / "server.properties"
        lines = [line for line in file.read_text().splitlines() if "listeners=" not in line]
        plain = f"PLAINTEXT://{self.brokers},SASL://{self.sasl},MUTUAL://{self.mutual}"
        user = f'user_{USER}="{self._keys.password}"'
        lines += [
            f"listeners={plain},CONTROLLER://127.0.0.1:{self.controller_port}",
            f"advertised.listeners={plain}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self._keys.server}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self._keys.ca}",
            "listener.name.mutual.ssl.client.auth=required",
            f"listener.name.sasl.sasl.enabled.mechanisms={','.join(MECHANISMS)}",
            f"listener.name.sasl.plain.sasl.jaas.config={PLAIN} required {user};",
            f"listener.name.sasl.scram-sha-256.sasl.jaas.config={SCRAM} required;",
            f"listener.name.sasl.scram-sha-512.sasl.jaas.config={SCRAM} required;",
        ]
        file.write_text("\n".join(lines) + "\n")
        add = [word for m in MECHANISMS[1:] for word in ("--add-scram", f"{m}=[name={USER},password={self._keys.password}]")]
        subprocess.run(["rm", "-r", str(self.home / "log")], check=True)
        argv = self.programs.argv(
            "kafka.tools.StorageTool", "format", "-t", "cmV3YXJkLW1vbml0b3I9MQ", "-c", "server.properties", *add
        )
        subprocess.run(argv, cwd=self.home, env=self.env(), check=True, capture_output=True)
