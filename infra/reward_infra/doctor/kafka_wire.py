"""As much of Kafka's protocol as tells how a port wants to be spoken to: two requests over a plain socket.

librdkafka says of a wrong protocol only that the connection was closed. The requests are ApiVersions (key 18), which
every broker answers to anybody, and SaslHandshake (key 17), which a listener without log-in refuses and one with it
answers with the mechanisms that it offers. Neither logs in, so that nothing is counted as a failed attempt.
"""

from __future__ import annotations

import socket
import ssl
import struct
from dataclasses import dataclass

_API_VERSIONS, _SASL_HANDSHAKE = 18, 17
_OFFERS = (0, 33)  # of SaslHandshake: the mechanism is known; it is not, and here are those that are
_CLIENT = b"reward-monitor-doctor"
_ANSWER_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Listener:
    """How a port of a broker is spoken to. mechanisms: of its log-in, None where there is none."""

    tls: bool
    mechanisms: tuple[str, ...] | None = None
    wants_certificate: bool = False  # of the client, and the one that it got (or none) was refused

    @property
    def protocol(self) -> str:
        """As `kafka.security_protocol` calls it."""
        named = {(False, False): "plaintext", (True, False): "ssl", (False, True): "sasl_plaintext", (True, True): "sasl_ssl"}
        return named[self.tls, self.mechanisms is not None]


def listener(host: str, port: int, tls: ssl.SSLContext, timeout_s: float) -> Listener | None:
    """What listens there; None where it is no broker. tls: for the attempt with TLS, which checks no certificate.

    TimeoutError where it says nothing, neither to Kafka's requests nor to TLS.
    """
    silent = 0
    for context in (None, tls):
        try:
            with socket.create_connection((host, port), timeout=timeout_s) as plain:
                connection = context.wrap_socket(plain, server_hostname=host) if context else plain
                return Listener(context is not None, _mechanisms(connection))
        except ssl.SSLError as error:
            if "CERTIFICATE" in str(error) or "UNKNOWN_CA" in str(error):  # an alert on ours: theirs isn't looked at
                return Listener(tls=True, wants_certificate=True)
        except TimeoutError:
            silent += 1
        except (OSError, ValueError, struct.error):
            continue  # closed, or an answer in another language
    if silent == 2:
        raise TimeoutError
    return None


def _mechanisms(connection: socket.socket) -> tuple[str, ...] | None:
    _ask(connection, _API_VERSIONS, 0, b"")
    name = b"PLAIN"
    answer = _ask(connection, _SASL_HANDSHAKE, 1, struct.pack(">h", len(name)) + name)
    error, count = struct.unpack_from(">hi", answer)
    if error not in _OFFERS:
        return None
    offered, at = [], struct.calcsize(">hi")
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        offered.append(answer[at + 2 : at + 2 + length].decode())
        at += 2 + length
    return tuple(sorted(offered))


def _ask(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    """The answer to one request, after its header. ValueError where it is none of Kafka's."""
    request = struct.pack(">hhih", key, version, key, len(_CLIENT)) + _CLIENT + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    (size,) = struct.unpack(">i", _read(connection, 4))
    if not 4 <= size <= _ANSWER_BYTES_MAX:
        raise ValueError("no answer of Kafka's")
    answer = _read(connection, size)
    if struct.unpack_from(">i", answer) != (key,):
        raise ValueError("an answer to something else")
    return answer[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        if not (piece := connection.recv(size - len(read))):
            raise ValueError("closed")
        read += piece
    return read
