"""Reaching an address, and saying why it can't be reached: each cause has its own remedy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from reward_infra.errors import InfraError

CONNECT_S = 2.0
_ALL_S = 4.0
_LOOPBACK = ("localhost", "127.", "::1", "[::1]")


class Unreachable(InfraError):
    """Nothing answers at an address; `what` begins with the address."""


def split(address: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[address]:port"."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def reach(host: str, port: int, setting: str) -> None:
    """Connects and lets go. Unreachable with the cause; `setting` names what to change if the address is wrong."""
    where = f"{host}:{port}; {setting}"
    change = f"or change {setting.partition(',')[0]}"
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except socket.gaierror as error:
        container = "" if "." in host else "; the names of compose's services are known inside its network only"
        raise Unreachable(
            f"The name {host} is unknown here: {error.strerror}.",
            where=where,
            remedy=f"check its spelling and this machine's DNS{container}: from outside use a published port; {change}",
        ) from error
    except ConnectionRefusedError as error:
        inside = "; inside a container this address is the container itself" if is_loopback(host) and _in_container() else ""
        raise Unreachable(
            f"Nothing listens at {host}:{port}{inside}.",
            where=where,
            remedy=f"start the server, look on which port it is, {change}",
        ) from error
    except TimeoutError as error:
        raise Unreachable(
            f"{host}:{port} gave no answer in {CONNECT_S:.0f} s: a firewall drops it, or the host is down.",
            where=where,
            remedy=f"let this machine through to port {port} (firewall, security group, network policy), {change}",
        ) from error
    except OSError as error:
        raise Unreachable(
            f"{host}:{port} can't be reached: {error.strerror or error}.", where=where, remedy=f"mend the route, {change}"
        ) from error


def reach_all(addresses: Sequence[tuple[str, int]], setting: str) -> list[Unreachable | None]:
    """What keeps each from being reached, None for nothing; all at once, so that many that are silent take no longer than one."""
    found: list[Unreachable | None] = [
        Unreachable(
            f"{host}:{port} gave no answer in {_ALL_S:.0f} s; the name's look-up may be what hangs.",
            where=f"{host}:{port}; {setting}",
            remedy="look up the name by hand (`getent hosts NAME`); mend this machine's DNS",
        )
        for host, port in addresses
    ]

    def one(place: int) -> None:
        try:
            reach(*addresses[place], setting)
        except Unreachable as problem:
            found[place] = problem
        else:
            found[place] = None

    # Daemons: a look-up knows no time-out, and must not keep the process from ending.
    threads = [threading.Thread(target=one, args=(place,), daemon=True) for place in range(len(addresses))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _ALL_S
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return list(found)


def first_reachable(addresses: str) -> tuple[str, int]:
    """The first of "host:port,host:port" that can be connected to."""
    for host, port in map(split, addresses.split(",")):
        try:
            socket.create_connection((host, port), timeout=CONNECT_S).close()
        except OSError:
            continue
        return host, port
    raise Unreachable("None of them answers any more.", where=addresses, remedy="look again")


def is_loopback(host: str) -> bool:
    """Whether an address means the machine that uses it."""
    return host.startswith(_LOOPBACK)


def _in_container() -> bool:
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))
