"""users.xml: who may do what in a ClickHouse of ours, embedded or in a container, from one template."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from string import Template

from .cache import data_text
from .clickhouse_server import START_QUERIES


@dataclass(frozen=True)
class Credentials:
    """The passwords of the two users: `writer` for the lander and migrations, `reader` for people and dashboards."""

    writer: str = field(repr=False)
    reader: str = field(repr=False)


def new_password() -> str:
    """A random one, of letters, digits, - and _."""
    return secrets.token_urlsafe(24)


def users_xml(credentials: Credentials, reader_memory_bytes: int) -> str:
    """The file's text, with hashes of the passwords. reader_memory_bytes: the most that all of the reader's queries may take."""
    values = {
        "writer_sha256": hashlib.sha256(credentials.writer.encode()).hexdigest(),
        "reader_sha256": hashlib.sha256(credentials.reader.encode()).hexdigest(),
        "reader_memory_bytes": reader_memory_bytes,
        "start_queries": len(START_QUERIES),
    }
    return Template(data_text("clickhouse-users.xml.tmpl")).substitute(values)
