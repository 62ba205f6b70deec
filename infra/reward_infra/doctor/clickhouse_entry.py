"""The way to ClickHouse, door after door: the address, HTTP or HTTPS, the two users."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from reward_store.client import ClickHouse, Client
from reward_store.errors import Rejected
from reward_store.settings import ClickHouseSettings

from . import network
from .context import Context
from .finding import Check, Finding, Unseen, error, ok
from .network import Unreachable, reach

_ANSWER_S = 4.0
_HOST, _PORT, _SECURE = "clickhouse.host", "clickhouse.http_port", "clickhouse.secure"
_NATIVE = re.compile(r"Port \d+ is for clickhouse-client program\s+You must use port (\d+) for HTTP")
# Unknown users and wrong passwords: on purpose the server answers both, and addresses that are not allowed, in one way.
_NOT_LET_IN = {192, 193, 194, 516}


def address(context: Context) -> Iterator[Finding]:
    """Whether the port can be connected to."""
    context.require("clickhouse")
    clickhouse = context.settings.clickhouse
    if "/" in clickhouse.host:
        yield error(
            f"clickhouse.host is {clickhouse.host}, and a host name or address is needed.",
            context.setting(_HOST),
            "set it to the name alone; the port is clickhouse.http_port, https is clickhouse.secure",
        )
        return
    reach(clickhouse.host, clickhouse.http_port, f"{context.setting(_HOST)}; {context.setting(_PORT)}")
    yield ok(f"{clickhouse.host}:{clickhouse.http_port} can be connected to")


def protocol(context: Context) -> Iterator[Finding]:
    """Whether it is ClickHouse's HTTP that answers, encrypted or not as the settings say."""
    clickhouse = context.settings.clickhouse
    where = f"{clickhouse.host}:{clickhouse.http_port}"
    # Plain first, even where HTTPS is set: this engine ends when a native port is sent the first bytes of TLS.
    try:
        plain = _ping(clickhouse, None)
    except TimeoutError:
        raise Unreachable(
            f"{where} takes connections and says nothing.",
            where=f"{where}; {context.setting(_PORT)}",
            remedy="look whether the server hangs, or is short of memory; or whether something else has the port",
        ) from None
    if native := _NATIVE.search(plain):
        yield error(
            f"Port {clickhouse.http_port} is ClickHouse's native one, and HTTP is spoken here.",
            f"{where}; {context.setting(_PORT)}",
            f"set {_PORT} to {native[1]}",
        )
    elif plain == "Ok.\n":
        if clickhouse.secure:
            yield error(
                f"Port {clickhouse.http_port} speaks plain HTTP, the settings say HTTPS.",
                f"{where}; {context.setting(_SECURE)}",
                f"set {_SECURE} to false, or {_PORT} to the server's https_port",
            )
        else:
            yield ok("HTTP, as the settings say")
    elif _ping(clickhouse, _unverified()) == "Ok.\n":
        if not clickhouse.secure:
            yield error(
                f"Port {clickhouse.http_port} speaks HTTPS, the settings say HTTP.",
                f"{where}; {context.setting(_SECURE)}",
                f"set {_SECURE} to true, or {_PORT} to the server's http_port",
            )
        elif problem := _untrusted(clickhouse):
            yield error(
                f"The server's certificate is not trusted: {problem}.",
                f"{where}; {context.setting('clickhouse.ca_file')}",
                "set clickhouse.ca_file to the authority that signed it (PEM), and use a host name that stands in it",
            )
        else:
            yield ok("HTTPS with a trusted certificate")
    else:
        yield error(
            f"What answers at {where} is no ClickHouse.",
            f"{where}; {context.setting(_PORT)}",
            f"set {_HOST} and {_PORT} to the server's http_port (8123 by default; in compose the published one)",
        )


def login(role: str, context: Context) -> Iterator[Finding]:
    """Whether the server lets one of the two users in, as whom later checks then ask."""
    settings = context.settings.clickhouse
    user, file = getattr(settings, role), getattr(settings, f"{role}_password_file")
    if role == "writer" and file is None and "clickhouse" in context.elsewhere:
        raise Unseen("no clickhouse.writer_password_file is set, which only the lander's machine needs")
    access = settings.as_writer() if role == "writer" else settings.as_reader()
    try:
        setattr(context, role, _connect(access))
    except Rejected as refused:
        if refused.code not in _NOT_LET_IN:
            raise
        how = f"with the password in {file}" if file else f"without a password (no clickhouse.{role}_password_file is set)"
        yield error(
            f"ClickHouse does not let {user} in, {how}: unknown user, wrong password, or not from this address.",
            f"{access.where}; {context.setting(f'clickhouse.{role}_password_file')}",
            f"put its password into clickhouse.{role}_password_file, correct clickhouse.{role}, or let the user in from here "
            "(<networks> of users.xml)",
        )
    else:
        yield ok(f"{user} is let in", access.where)


def _connect(access: ClickHouse) -> Client:
    # In no database: whether ours is there is another question.
    return replace(access, database="", timeout_s=_ANSWER_S).connect()


def _ping(clickhouse: ClickHouseSettings, tls: ssl.SSLContext | None) -> str:
    """What the server says of itself; empty where it isn't HTTP. TimeoutError where it says nothing."""
    where = (clickhouse.host, clickhouse.http_port)
    connection = (
        http.client.HTTPSConnection(*where, timeout=network.CONNECT_S, context=tls)
        if tls
        else http.client.HTTPConnection(*where, timeout=network.CONNECT_S)
    )
    try:
        connection.request("GET", "/ping", headers={"Connection": "close"})
        return connection.getresponse().read(4096).decode(errors="replace")
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _untrusted(clickhouse: ClickHouseSettings) -> str:
    """Why the certificate is not trusted, in OpenSSL's words; empty where it is."""
    context = ssl.create_default_context(cafile=str(clickhouse.ca_file) if clickhouse.ca_file else None)
    try:
        with (
            socket.create_connection((clickhouse.host, clickhouse.http_port), timeout=network.CONNECT_S) as plain,
            context.wrap_socket(plain, server_hostname=clickhouse.host),
        ):
            return ""
    except ssl.SSLCertVerificationError as problem:
        return problem.verify_message.rstrip(".")


CHECKS = (
    Check("ClickHouse address", address, ("settings", "ClickHouse's secrets")),
    Check("ClickHouse protocol", protocol, ("ClickHouse address",), limit_s=8.0),
    Check("ClickHouse reader", partial(login, "reader"), ("ClickHouse protocol",)),
    Check("ClickHouse writer", partial(login, "writer"), ("ClickHouse protocol",)),
)
