"""The last doors to Kafka: the log-in, and the addresses to which the cluster then sends its clients."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reward_producers.kafka import Consumer, KafkaError, KafkaException, admin, consumer

from .context import Context
from .finding import Check, Finding, error, ok
from .network import first_reachable, is_loopback, reach_all, split

_ATTEMPTS, _ATTEMPT_S = 4, 1.0
_NAMED = re.compile(r"(?:\w+://)?(\S+:\d+)/(\d+): ")  # an address of a broker's own, as librdkafka's errors begin


def login(context: Context) -> Iterator[Finding]:
    """Whether librdkafka, with all of the settings, is given the cluster's metadata."""
    kafka = context.settings.kafka
    said: list[KafkaError] = []
    client = consumer(kafka, "reward-monitor.doctor", on_error=said.append)  # it joins no group without a subscription
    try:
        context.brokers, unanswered = _metadata(client, said)
    finally:
        client.close()
    by = f" as {kafka.sasl_username}" if kafka.sasl else ""
    where = f"{kafka.brokers}; {context.setting('kafka.brokers')}"
    if context.brokers:
        context.admin = admin(kafka)
        yield ok(f"the cluster answers{by}", kafka.brokers)
    elif refused := next((reason for reason in said if reason.name() == "_AUTHENTICATION"), None):
        yield error(
            f"The broker refuses the user {kafka.sasl_username}: {_last_words(refused)}.",
            f"{kafka.brokers}; {context.setting('kafka.sasl_password_file')}",
            "put the user's password into kafka.sasl_password_file, or correct kafka.sasl_username",
        )
    elif unanswered and unanswered.name() == "_UNSUPPORTED_FEATURE":
        yield error("This is the port of a controller, which serves no clients.", where, "name the port of a broker's listener")
    else:
        reason = [*said, unanswered][0]
        told = f": {_last_words(reason)}" if reason else ""
        yield error(
            f"The broker names no brokers{told}.", where, "look into its log: it may be starting, or without a controller"
        )


def advertised(context: Context) -> Iterator[Finding]:
    """Whether each broker can be reached where it says it is: clients go there, whatever they were told first."""
    kafka = context.settings.kafka
    first, _ = first_reachable(kafka.brokers)
    failures = reach_all(list(context.brokers.values()), "the broker's advertised.listeners")
    for (number, (host, port)), problem in zip(context.brokers.items(), failures, strict=True):
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


def _metadata(client: Consumer, said: list[KafkaError]) -> tuple[dict[int, tuple[str, int]], KafkaError | None]:
    """The brokers by their numbers, as the cluster tells clients to reach them; else what it answered.

    Where none can be reached there, librdkafka may get no answer either: it lets go of the bootstrap server for them. But
    by then it complains of them, with their numbers, and so they are known all the same.
    """
    unanswered = None
    for _ in range(_ATTEMPTS):
        try:
            found = client.list_topics(timeout=_ATTEMPT_S).brokers.values()
            return {broker.id: (str(broker.host), int(broker.port)) for broker in sorted(found, key=lambda b: b.id)}, None
        except KafkaException as problem:
            unanswered = problem.args[0]
        client.poll(0.05)  # serves on_error
        if named := {int(at[2]): split(at[1]) for reason in said if (at := _NAMED.match(reason.str()))}:
            return named, None
        if unanswered.name() != "_TIMED_OUT" or any(reason.name() == "_AUTHENTICATION" for reason in said):
            break
    return {}, unanswered


def _last_words(reason: KafkaError) -> str:
    """librdkafka's text without the name of its thread and address before it and its statistics behind."""
    return reason.str().rpartition("/bootstrap: ")[2].partition(" (after ")[0].rstrip(".")


CHECKS = (
    Check("Kafka login", login, ("Kafka protocol",)),
    Check("advertised listeners", advertised, ("Kafka login",)),
)
