"""The files with passwords and keys: readable by us, and by nobody else. Nothing of what is in them is ever told."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from reward_producers.kafka_settings import Kafka
from reward_schemas.errors import MonitorError
from reward_schemas.settings import secret

from .context import Context
from .finding import Check, Finding, error, ok, warning

_READABLE_BY_OTHERS = 0o004
_MOUNTED = (Path("/run/secrets"), Path("/var/run/secrets"))  # container engines put them there, and choose the modes


def look(section: str, context: Context) -> Iterator[Finding]:
    """The files that a section of the settings names."""
    values = getattr(context.settings, section)
    named = {name: getattr(values, name) for name in values.__struct_fields__ if name.endswith("_file")}
    files = {name: file for name, file in named.items() if file is not None}
    usable = 0
    for name, file in files.items():
        setting = context.setting(f"{section}.{name}")
        if problem := _unusable(name, file):
            yield error(f"{section}.{name} names no file that can be used: {problem}.", _place(file, setting), _remedy(name))
            continue
        usable += 1
        if name.endswith(("password_file", "key_file")) and _open_to_others(file):
            yield warning(f"Every user of this machine can read {file}.", setting, f"chmod 600 {file}")
    if section == "kafka" and usable == len(files) and (problem := _unfit(values)):
        yield error(
            f"The client's certificate and key can't be used: {problem}.",
            context.setting("kafka.ssl_key_file"),
            "name the key of that certificate (PEM), and the key's password, if it has one, in kafka.ssl_key_password_file",
        )
    elif usable:
        yield ok(f"{usable} file{'s' if usable > 1 else ''} with secrets or certificates can be read")


def _unusable(name: str, file: Path) -> str:
    try:
        if name.endswith("password_file"):
            secret(file)
        elif name.endswith("ca_file"):
            ssl.create_default_context(cafile=str(file))
        elif "-----BEGIN" not in file.read_text(encoding="ascii", errors="replace"):
            return "it is no PEM text"
    except MonitorError as problem:
        return problem.what.rstrip(".")
    except ssl.SSLError:
        return "it holds no certificates in PEM text"
    except OSError as problem:
        return str(problem.strerror)
    return ""


def _unfit(kafka: Kafka) -> str:
    """Why a certificate and its key don't go together, in OpenSSL's words; empty where they do."""
    try:
        kafka.tls_context()
    except ssl.SSLError as problem:
        return (problem.reason or "it can't be read").lower().replace("_", " ")
    return ""


def _place(file: Path, setting: str) -> str:
    """The file and its setting; the setting alone where what stands there may be the password itself."""
    looks_like_one = file.exists() or (len(file.parts) > 2 and file.parent.is_dir())
    return f"{file}; {setting}" if looks_like_one else setting


def _remedy(name: str) -> str:
    if name.endswith("password_file"):
        return "put the password alone into a file that this user can read, and name the file (never the password) in the setting"
    return "name a PEM file that this user can read"


def _open_to_others(file: Path) -> bool:
    mounted = any(place in file.absolute().parents for place in _MOUNTED)
    # A directory that others can't enter closes what is in it.
    enterable = all(folder.stat().st_mode & 0o001 for folder in file.resolve().parents)
    return not mounted and enterable and bool(file.stat().st_mode & _READABLE_BY_OTHERS)


CHECKS = (
    Check("Kafka's secrets", partial(look, "kafka"), ("settings",)),
    Check("ClickHouse's secrets", partial(look, "clickhouse"), ("settings",)),
)
