"""Which addresses the notifier speaks to: a configuration, or a name server, must not turn it against the network that it is in.

A name is resolved once, all its addresses are checked, and the connection goes to one that was checked: what the name says a
moment later plays no part.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from reward_jobs.notify.errors import Later, Refused

_NAT64 = ip_network("64:ff9b::/96")
# They answer with a machine's credentials, and no receiver lives there: also refused where private ones are allowed.
_METADATA = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"), ip_network("fd00:ec2::/32"), ip_network("100.100.100.200/32"))


def allowed(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host is on a list of names, of which `*.example.org` stands for all below."""
    return any(fnmatchcase(host.lower().rstrip("."), pattern.lower()) for pattern in hosts)


def objection(address: str, *, private: bool) -> str | None:
    """Why nothing is sent to an address; None where it may be. private: those of inner networks are allowed."""
    plain = _unwrapped(ip_address(address.partition("%")[0]))
    if plain.is_loopback:
        return None if private else "is loopback"
    if plain.is_multicast or plain.is_unspecified or plain.is_reserved or any(plain in network for network in _METADATA):
        return "is link-local, of a metadata service, or no host's"
    return None if private or plain.is_global else "is private"


def connect(host: str, port: int, timeout_s: float, *, private: bool) -> socket.socket:
    """A connection to a host, whose addresses are all allowed. Refused where one isn't; Later where it can't be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Later(f"the name {host} can't be resolved: {getattr(error, 'strerror', None) or error}") from error
    for *_, to in found:
        if why := objection(str(to[0]), private=private):
            remedy = "" if private or "metadata" in why else ": allow_private on the receiver allows it"
            raise Refused(f"{host} has the address {to[0]}, which {why}{remedy}")
    failed: OSError | None = None
    for family, kind, protocol, _, to in found:
        made = socket.socket(family, kind, protocol)
        made.settimeout(timeout_s)
        try:
            made.connect(to)
            return made
        except OSError as error:
            made.close()
            failed = error
    raise Later(f"no connection to {host}:{port}: {(failed and failed.strerror) or failed}") from failed


def secured(connected: socket.socket, tls: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """The connection under TLS, whose handshake is still to be done: by then its caller must have it for `deadline` to cut."""
    return tls.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)


@contextmanager
def deadline(current: Callable[[], socket.socket | None], seconds: float) -> Iterator[None]:
    """Cuts the connection that is the current one off after so long, however slowly it trickles."""

    def cut() -> None:
        if connected := current():
            with suppress(OSError):  # it is gone already
                # A plain socket's: TLS would first say good-bye to somebody who doesn't listen.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
