"""The first doors to Kafka: the address, the protocol, the certificate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from reward_producers.kafka_settings import Kafka

from reward_infra import ports

from . import kafka_wire, network
from .context import Context
from .finding import Check, Finding, error, ok, warning
from .network import Unreachable, first_reachable, is_loopback, reach_all, split

_BROKERS, _PROTOCOL = "kafka.brokers", "kafka.security_protocol"


def address(context: Context) -> Iterator[Finding]:
    """Whether at least one of the bootstrap servers can be connected to."""
    context.require("kafka")
    brokers = context.settings.kafka.brokers.split(",")
    for host, port in map(split, brokers):
        if name := _of_another_part(context, host, port):
            yield error(
                f"{host}:{port} is the port of {name} of the local stack, not Kafka's.",
                context.setting(_BROKERS),
                f"use 127.0.0.1:{ports.read(context.data_dir / 'ports.json')['kafka']}",
            )
            return
    failures = reach_all([split(broker) for broker in brokers], context.setting(_BROKERS))
    report = error if all(failures) else warning  # one is enough to find the others
    for broker, problem in zip(brokers, failures, strict=True):
        yield report(problem.what, problem.where, problem.remedy) if problem else ok(f"{broker} can be connected to")


def protocol(context: Context) -> Iterator[Finding]:
    """Whether the listener speaks what the settings say: TLS or not, log-in or not, by which mechanism."""
    kafka = context.settings.kafka
    host, port = first_reachable(kafka.brokers)
    where = f"{host}:{port}; {context.setting(_PROTOCOL)}"
    try:
        found = kafka_wire.listener(host, port, _tls(kafka, verify=False), network.CONNECT_S)
    except TimeoutError:
        raise Unreachable(
            f"{host}:{port} takes connections and says nothing.",
            where=f"{host}:{port}; {context.setting(_BROKERS)}",
            remedy="look whether the broker hangs, or is short of memory or threads; or whether something else has the port",
        ) from None
    if found is None:
        yield error(
            f"What answers at {host}:{port} is no Kafka broker.",
            f"{host}:{port}; {context.setting(_BROKERS)}",
            "name the port on which the broker listens for clients (its `listeners`; in compose the published one)",
        )
    elif found.wants_certificate:
        yield error(
            "The broker wants a certificate of the client's, and took none.",
            where,
            "set kafka.ssl_certificate_file and kafka.ssl_key_file to one that the broker's truststore knows",
        )
    elif found.protocol != kafka.security_protocol:
        yield error(
            f"The listener at {host}:{port} speaks {found.protocol}, the settings say {kafka.security_protocol}.",
            where,
            f"set {_PROTOCOL} to {found.protocol}, or use the port of the broker's other listener",
        )
    elif found.mechanisms is not None and kafka.sasl_mechanism not in found.mechanisms:
        yield error(
            f"The broker offers {', '.join(found.mechanisms)}, the settings say {kafka.sasl_mechanism}.",
            f"{host}:{port}; {context.setting('kafka.sasl_mechanism')}",
            f"set kafka.sasl_mechanism to {found.mechanisms[0]}, and the user's password of that kind",
        )
    elif problem := _untrusted(host, port, kafka) if found.tls else "":
        yield error(
            f"The broker's certificate is not trusted: {problem}.",
            f"{host}:{port}; {context.setting('kafka.ssl_ca_file')}",
            "set kafka.ssl_ca_file to the authority that signed it (PEM), and use a host name that stands in it",
        )
    else:
        yield ok(f"{found.protocol}, as the settings say")


def _of_another_part(context: Context, host: str, port: int) -> str:
    """The part of the local stack that has this port, if it isn't Kafka: bytes of Kafka's would end its ClickHouse."""
    known = ports.read(context.data_dir / "ports.json") if is_loopback(host) else {}
    return next((name for name, taken in known.items() if taken == port and name != "kafka"), "")


def _tls(kafka: Kafka, *, verify: bool) -> ssl.SSLContext:
    context = kafka.tls_context() or ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _untrusted(host: str, port: int, kafka: Kafka) -> str:
    """Why the certificate is not trusted, in OpenSSL's words; empty where it is."""
    try:
        with (
            socket.create_connection((host, port), timeout=network.CONNECT_S) as plain,
            _tls(kafka, verify=True).wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as problem:
        return problem.verify_message.rstrip(".")


CHECKS = (
    Check("Kafka address", address, ("settings", "Kafka's secrets")),
    Check("Kafka protocol", protocol, ("Kafka address",), limit_s=8.0),
)
