"""The way to Kafka, door after door: the address, the protocol, the certificate, the log-in."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from reward_producers.kafka import KafkaError, KafkaException, admin, consumer
from reward_producers.kafka_settings import Kafka

from reward_infra import ports

from . import kafka_wire
from .context import Context
from .finding import Check, Finding, error, ok, warning
from .network import CONNECT_S, Unreachable, is_loopback, reach_all, split

_ANSWER_S = 4.0
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
    host, port = _first_reachable(kafka)
    where = f"{host}:{port}; {context.setting(_PROTOCOL)}"
    found = kafka_wire.listener(host, port, _tls(kafka, verify=False))
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


def login(context: Context) -> Iterator[Finding]:
    """Whether librdkafka, with all of the settings, is given the cluster's metadata."""
    kafka = context.settings.kafka
    said: list[KafkaError] = []
    client = consumer(kafka, "reward-monitor.doctor", on_error=said.append)  # it joins no group without a subscription
    try:
        context.cluster = client.list_topics(timeout=_ANSWER_S)
        context.admin = admin(kafka)
    except KafkaException as unanswered:
        client.poll(0.1)  # serves on_error
        refused = [reason for reason in said if reason.name() == "_AUTHENTICATION"]
        reason = (refused or said or [unanswered.args[0]])[0]
        if refused:
            yield error(
                f"The broker refuses the user {kafka.sasl_username}: {_last_words(reason)}.",
                f"{kafka.brokers}; {context.setting('kafka.sasl_password_file')}",
                "put the user's password into kafka.sasl_password_file, or correct kafka.sasl_username",
            )
        else:
            yield error(
                f"The broker gives no metadata: {_last_words(reason)}.",
                f"{kafka.brokers}; {context.setting(_BROKERS)}",
                "look into the broker's log: it may be starting, without a controller, or this the controller's port",
            )
    else:
        by = f" as {kafka.sasl_username}" if kafka.sasl else ""
        yield ok(f"the cluster {context.cluster.cluster_id} answers{by}", kafka.brokers)
    finally:
        client.close()


def advertised(context: Context) -> Iterator[Finding]:
    """Whether each broker can be reached where it says it is: clients go there, whatever they were told first."""
    kafka = context.settings.kafka
    first, _ = _first_reachable(kafka)
    places = {broker.id: (str(broker.host), int(broker.port)) for broker in context.cluster.brokers.values()}
    failures = reach_all(list(places.values()), "the broker's advertised.listeners")
    for (number, (host, port)), problem in zip(places.items(), failures, strict=True):
        if problem is None:
            yield ok(f"broker {number} can be reached where it says it is, {host}:{port}")
            continue
        astray = " That address means the client's own machine." if is_loopback(host) and not is_loopback(first) else ""
        yield error(
            f"Broker {number} answers at {kafka.brokers}, and sends clients on to {host}:{port}, which fails from here: "
            f"{problem.what}{astray}",
            f"advertised.listeners of broker {number}",
            f"let advertised.listeners of broker {number} name an address that this machine reaches (in docker-compose.yml: "
            "KAFKA_ADVERTISED_LISTENERS of the Kafka service, with one listener for the containers and one for the host), "
            "restart it, and use that listener's port in kafka.brokers",
        )


def _of_another_part(context: Context, host: str, port: int) -> str:
    """The part of the local stack that has this port, if it isn't Kafka: bytes of Kafka's would end its ClickHouse."""
    known = ports.read(context.data_dir / "ports.json") if is_loopback(host) else {}
    return next((name for name, taken in known.items() if taken == port and name != "kafka"), "")


def _first_reachable(kafka: Kafka) -> tuple[str, int]:
    for host, port in map(split, kafka.brokers.split(",")):
        try:
            socket.create_connection((host, port), timeout=CONNECT_S).close()
            return host, port
        except OSError:
            continue
    raise Unreachable("No bootstrap server answers any more.", where=kafka.brokers, remedy="look again")


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
            socket.create_connection((host, port), timeout=CONNECT_S) as plain,
            _tls(kafka, verify=True).wrap_socket(plain, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as problem:
        return problem.verify_message.rstrip(".")


def _last_words(reason: KafkaError) -> str:
    """librdkafka's text without the name of its thread and address before it and its statistics behind."""
    return reason.str().rpartition("/bootstrap: ")[2].partition(" (after ")[0].rstrip(".")


CHECKS = (
    Check("Kafka address", address, ("settings", "Kafka's secrets")),
    Check("Kafka protocol", protocol, ("Kafka address",), limit_s=8.0),
    Check("Kafka login", login, ("Kafka protocol",)),
    Check("advertised listeners", advertised, ("Kafka login",)),
)
