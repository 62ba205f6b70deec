"""One POST with JSON: to a host that is allowed, without redirects, with an end in time and in length."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import NoReturn
from urllib.parse import urlsplit

from reward_jobs.notify.address import allowed, connect, deadline, secured
from reward_jobs.notify.errors import Later, Refused

TIMEOUT_S = 10.0  # of each step
_DEADLINE_S = 20.0  # of all of them
_ANSWER_BYTES = 2_048
_AFTER_S_MAX = 3_600.0  # a longer Retry-After is not honoured
_AGAIN = (408, 429)
_HEADERS = {"User-Agent": "reward-monitor", "Connection": "close"}


class Poster:
    """Sends to one receiver's address. hosts: that are allowed; ca_file: of authorities beside the system's."""

    def __init__(self, hosts: tuple[str, ...], *, private: bool, ca_file: str) -> None:
        self._hosts, self._private = hosts, private
        self._tls = ssl.create_default_context(cafile=ca_file or None)

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str], now_s: float) -> None:
        """Returns when it was taken. Raises Refused, Later; no text in them has what the address says beside its host."""
        host, port, path, secure = _parts(url)
        if not allowed(host, self._hosts):
            raise Refused(f"the host {host} is not among allow_hosts")
        connected = connect(host, port, TIMEOUT_S, private=self._private)
        connection = _Connection(host, port, connected, self._tls if secure else None)
        try:
            with deadline(lambda: connection.current, _DEADLINE_S):
                connection.request("POST", path, body, {"Host": urlsplit(url).netloc, **_HEADERS, **headers})
                answer = connection.getresponse()
                if not 200 <= answer.status < 300:
                    _refuse(answer.status, answer.getheader("Retry-After"), answer.read(_ANSWER_BYTES), now_s)
        except TimeoutError as error:
            raise Later(f"{host} didn't answer in {TIMEOUT_S:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise Later(f"the certificate of {host} is not to be trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Later(f"{host} broke off: {type(error).__name__}") from error
        finally:
            connection.close()
            connection.current.close()


class _Connection(http.client.HTTPConnection):
    """Over a socket that is connected already, so that no name is looked up again."""

    def __init__(self, host: str, port: int, connected: socket.socket, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=TIMEOUT_S)
        self.current, self._tls = connected, tls  # http.client lets go of `sock` while an answer is still being read

    def connect(self) -> None:
        if self._tls:
            self.current = encrypted = secured(self.current, self._tls, self.host)
            encrypted.do_handshake()
        self.sock = self.current


def _parts(url: str) -> tuple[str, int, str, bool]:
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
    except ValueError:
        parts, secure, port = urlsplit(""), False, 0
    if parts.scheme not in ("http", "https") or not parts.hostname or any(ord(c) <= 32 or ord(c) > 126 for c in url):
        raise Refused("the address is none of a server: https://host/path is needed")
    if parts.username or parts.password:
        raise Refused("a password stands in the address: `token` is the place for it")
    return parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), secure


def _refuse(status: int, retry_after: str | None, body: bytes, now_s: float) -> NoReturn:
    said = " ".join(body.decode("utf-8", "replace").split())
    reason = f"HTTP {status}" + (f": {said:.200}" if said.isprintable() and said else "")
    if 300 <= status < 400:
        raise Refused(f"HTTP {status}: it sends elsewhere, which is not followed; name the address where it ends")
    if 400 <= status < 500 and status not in _AGAIN:
        raise Refused(reason)
    raise Later(reason, _after_s(retry_after, now_s))


def _after_s(text: str | None, now_s: float) -> float:
    """What a server asks for: seconds, or a date."""
    if text is None:
        return 0.0
    try:
        seconds = float(text) if text.strip().isdigit() else _until(text) - now_s
    except (ValueError, TypeError, OverflowError):
        return 0.0  # it says nothing that we understand: our own pace
    return min(max(seconds, 0.0), _AFTER_S_MAX)


def _until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
