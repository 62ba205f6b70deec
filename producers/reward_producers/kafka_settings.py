"""Where Kafka is and how to enter it, as settings that trainers and jobs share."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from reward_schemas.settings import DEFAULT, PREFIX, load, readable, secret

_ADDRESS = r"([^\s,:\[\]]+|\[[0-9a-fA-F:]+\]):\d{1,5}"


class Kafka(Struct, frozen=True, kw_only=True):
    """A cluster's addresses and the keys to it, under the names that Kafka's own clients use."""

    brokers: Annotated[
        str, Meta(pattern=rf"^{_ADDRESS}(,{_ADDRESS})*$", title="host:port,host:port", description="bootstrap servers")
    ] = "127.0.0.1:9092"
    security_protocol: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], Meta(description="how the brokers are spoken to")
    ] = "plaintext"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], Meta(description="how a user proves itself under sasl_*")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, Meta(description="the user, under sasl_*")] = ""
    sasl_password_file: Annotated[Path | None, Meta(description="file with the user's password")] = None
    ssl_ca_file: Annotated[Path | None, Meta(description="PEM file of the authorities that are trusted; else the system's")] = (
        None
    )
    ssl_certificate_file: Annotated[
        Path | None, Meta(description="PEM file of this client's certificate, where one is asked for")
    ] = None
    ssl_key_file: Annotated[Path | None, Meta(description="PEM file of the certificate's key")] = None
    ssl_key_password_file: Annotated[Path | None, Meta(description="file with the password of that key")] = None

    def __post_init__(self) -> None:
        if self.security_protocol.startswith("sasl") and not (self.sasl_username and self.sasl_password_file):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password_file")
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file go together")

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("ssl")

    @property
    def sasl(self) -> bool:
        """Whether a user logs in."""
        return self.security_protocol.startswith("sasl")

    def options(self) -> dict[str, str]:
        """librdkafka's configuration. Raises MonitorError where a file can't be read."""
        options = {"bootstrap.servers": self.brokers, "security.protocol": self.security_protocol}
        if self.sasl and self.sasl_password_file:
            options["sasl.mechanism"] = self.sasl_mechanism
            options["sasl.username"] = self.sasl_username
            options["sasl.password"] = secret(self.sasl_password_file)
        if self.tls:
            files = {
                "ssl.ca.location": ("ssl_ca_file", self.ssl_ca_file),
                "ssl.certificate.location": ("ssl_certificate_file", self.ssl_certificate_file),
                "ssl.key.location": ("ssl_key_file", self.ssl_key_file),
            }
            options |= {name: readable(file, f"kafka.{setting}") for name, (setting, file) in files.items() if file}
            if self.ssl_key_password_file:
                options["ssl.key.password"] = secret(self.ssl_key_password_file)
        return options

    def tls_context(self) -> ssl.SSLContext | None:
        """The same for clients that use Python's TLS; None without. Raises MonitorError of a password, OSError of other files."""
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ssl_ca_file and str(self.ssl_ca_file))
        if self.ssl_certificate_file and self.ssl_key_file:
            password = secret(self.ssl_key_password_file) if self.ssl_key_password_file else ""  # None: it asks the terminal
            context.load_cert_chain(str(self.ssl_certificate_file), str(self.ssl_key_file), password)
        return context


class OfTrainer(Struct, frozen=True, kw_only=True):
    """The settings that a trainer's process reads."""

    kafka: Kafka = Kafka()


def of(kafka: Kafka | str) -> Kafka:
    """The settings themselves, or those of bare bootstrap servers."""
    return Kafka(brokers=kafka) if isinstance(kafka, str) else kafka


def of_environment(environment: Mapping[str, str], brokers: str | None = None) -> Kafka | None:
    """A trainer's way to Kafka: `brokers` if given, and what else the environment or its settings file says.

    None where neither names brokers. Raises SettingsError.
    """
    given = {**environment, f"{PREFIX}KAFKA_BROKERS": brokers} if brokers else environment
    loaded = load(OfTrainer, given, strict=False)
    return None if loaded.sources["kafka.brokers"] == DEFAULT else loaded.value.kafka
