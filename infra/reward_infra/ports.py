"""Ports on the loopback address: chosen once for a data directory, and the same again at its next start.

They lie below the range from which the system takes ports for outgoing connections. Inside that range a client that
reconnects to a broker which is just down can be given the broker's own port, and the broker could not come back.
"""

from __future__ import annotations

import fcntl
import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from .cache import write_atomically
from .errors import PortTaken

HOST = "127.0.0.1"
_FIRST, _LAST = 20_000, 31_999


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port in TIME_WAIT is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether something accepts connections on this port of the loopback address."""
    try:
        with socket.create_connection((HOST, port), timeout=0.2):
            return True
    except OSError:
        return False


def require_free(port: int, part: str) -> None:
    """Raise PortTaken, naming the port and the part that wanted it, unless it is free."""
    if not is_free(port):
        raise PortTaken(
            f"Port {port} is taken: {part} cannot listen on it.",
            where=f"{HOST}:{port}",
            remedy=f"end the program that listens there (`ss -ltnp 'sport = :{port}'` names it) or choose another port",
        )


class Ports:
    """Ports for the parts of one data directory, claimed among the processes of this user until `release`.

    remembered: the file that keeps the choice. claims: a directory of lock files, shared by everything that chooses
    ports this way, so that two stacks that start at the same moment do not choose the same.
    """

    def __init__(self, remembered: Path | None, claims: Path) -> None:
        self._remembered = remembered
        self._claims = claims
        self._held: dict[int, IO[str] | None] = {}

    def choose(self, preferred: Mapping[str, int]) -> dict[str, int]:
        """One port for each name: the remembered one if it is free, else the preferred one, else any free one."""
        before = read(self._remembered) if self._remembered else {}
        chosen = {name: self._take(before.get(name), port) for name, port in preferred.items()}
        if self._remembered and chosen != before:
            write_atomically(self._remembered, json.dumps(chosen, indent=1))
        return chosen

    def release(self) -> None:
        """Give the claims back; the choice stays remembered."""
        while self._held:
            _, file = self._held.popitem()
            if file:
                file.close()

    def _take(self, *wanted: int | None) -> int:
        candidates = [port for port in wanted if port]
        candidates += random.sample(range(_FIRST, _LAST), 500)
        for port in candidates:
            if port not in self._held and is_free(port) and self._claim(port):
                return port
        raise PortTaken(
            "No free port was found.",
            where=f"{HOST}:{_FIRST}-{_LAST}, 500 of them tried",
            remedy="see with `ss -ltn` what listens there, and end some of it",
        )

    def _claim(self, port: int) -> bool:
        try:
            self._claims.mkdir(parents=True, exist_ok=True)
            file = (self._claims / str(port)).open("a")
        except OSError:  # a cache that cannot be written has no claims; the bind decides
            self._held[port] = None
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._held[port] = file
        return True


def read(remembered: Path) -> dict[str, int]:
    """The remembered choice; empty if there is none."""
    try:
        chosen: dict[str, int] = json.loads(remembered.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return chosen
