"""What Kafka's refusals mean, each with the setting that mends it. librdkafka's own words name its options, not ours."""

from __future__ import annotations

import logging
import re

from reward_schemas.errors import MonitorError


class KafkaUnreachable(MonitorError):
    """No broker answers, or none does what it is asked: the same try may succeed later."""


class KafkaRefused(MonitorError, ValueError):
    """Kafka can't be entered with these settings: the same try will fail again."""


# The error's name, what its text must have, what that means, and the remedy.
_REFUSALS = (
    (
        "_AUTHENTICATION",
        "",
        "Kafka refuses the user or the password",
        "check kafka.sasl_username, kafka.sasl_mechanism and the file that kafka.sasl_password_file names",
    ),
    (
        "_SSL|_TRANSPORT",
        "certificate verify failed",
        "The broker's certificate can't be verified",
        "name the file of the authority that signed it (kafka.ssl_ca_file), and brokers as their certificates name them",
    ),
    (
        "_TRANSPORT",
        "certificate required|bad certificate|certificate unknown|unknown ca",
        "Kafka wants a certificate of this client that it trusts",
        "name one that its authority signed, and its key: kafka.ssl_certificate_file and kafka.ssl_key_file",
    ),
    (
        "_INVALID_ARG",
        r"ssl\.ca\.",
        "The file of trusted authorities can't be used",
        "kafka.ssl_ca_file must name a PEM file with their certificates",
    ),
    (
        "_INVALID_ARG",
        r"ssl\.(key|certificate)\.",
        "The client's certificate or its key can't be used",
        "kafka.ssl_certificate_file, kafka.ssl_key_file and kafka.ssl_key_password_file must name what belongs together, as PEM",
    ),
    (
        ".*AUTHORIZATION_FAILED",
        "",
        "Kafka lets this user in, but forbids what it asks",
        "grant it: the topics rewards.* and the groups reward-monitor.*",
    ),
)
_FRAME = re.compile(
    r"^\S+/(bootstrap|\d+): | \(after \d+ms in state \w+\).*$|error:[0-9A-F]{8}:|\w+ routines::|, verify that ssl\.ca\.location.*$"
)


def explained(name: str, text: str, brokers: str) -> MonitorError:
    """An error of Kafka's client, by its name and text, in words of ours: KafkaRefused where it can't pass by itself."""
    words = _FRAME.sub("", text).strip().rstrip(".")
    for of_name, of_text, meaning, remedy in _REFUSALS:
        if re.fullmatch(of_name, name) and re.search(of_text, text):
            return KafkaRefused(f"{meaning}: {words}.", where=f"Kafka at {brokers}", remedy=remedy)
    if not name.startswith("_"):  # a broker has answered
        return KafkaUnreachable(f"Kafka refuses for now: {words}.", where=f"Kafka at {brokers}", remedy="see the brokers' logs")
    return KafkaUnreachable(
        f"Kafka gives no answer: {words}.",
        where=f"Kafka at {brokers}",
        remedy="check that it runs, that this address leads to it, and that its listener there speaks what kafka.security_protocol says",
    )


def warn(log: logging.Logger, name: str, text: str, brokers: str) -> None:
    """Logs an error in these words. Its meaning stands in the format, by which a `Sparse` log knows what it has said already."""
    meaning, _, words = str(explained(name, text, brokers)).partition(": ")
    form = f"{meaning}: %s"
    log.warning(form, words)
