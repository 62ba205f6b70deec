"""Whether this machine can carry the local stack: its kind, disk, memory, and the directory that everything is kept in."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from reward_infra import preflight
from reward_infra.data_dir import holder
from reward_infra.machine import require_supported

from .context import Context
from .finding import Check, Finding, Unseen, error, ok, warning

_GB = 1e9
_NAMES = {"kafka": "Kafka", "clickhouse": "ClickHouse"}
_ROOMY_BYTES = 5 * preflight.DISK_BYTES_MIN  # some days of a few runs


def wanted(context: Context) -> Iterator[Finding]:
    """Whether the stack on this machine is what is meant at all."""
    if not context.local:
        named = [name for section, name in _NAMES.items() if section in context.elsewhere]
        raise Unseen(f"{' and '.join(named)} {'are' if len(named) > 1 else 'is'} set elsewhere")
    yield ok("the stack on this machine is the one that is meant", str(context.data_dir))


def kind(_: Context) -> Iterator[Finding]:
    """Operating system, processor and C library."""
    require_supported()
    yield ok(f"{platform.system()} {platform.machine()} with {' '.join(platform.libc_ver())}")


def directory(context: Context) -> Iterator[Finding]:
    """Whether the data directory can be made or written, and is of a format that this version knows."""
    place = existing(context.data_dir)
    if not place.is_dir():
        yield error(f"{place} is no directory.", str(context.data_dir), "name another one (--data-dir)")
    elif not os.access(place, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        yield error(
            f"This user may not write into {place}.",
            str(context.data_dir),
            f"name a directory of yours (--data-dir), or let its owner give it to you: chown -R {os.geteuid()} {place}",
        )
    else:
        preflight.require_known_format(context.data_dir)
        yield ok("can be written" if place == context.data_dir else f"can be made in {place}", str(context.data_dir))


def disk(context: Context) -> Iterator[Finding]:
    """The room on the disk of the data directory."""
    free = preflight.free_disk_bytes(existing(context.data_dir))
    told, where = f"{free / _GB:.1f} GB are free", str(context.data_dir)
    remedy = "free some, name a directory on another disk (--data-dir), or keep less: retention.raw_days, retention.log_days"
    if free < preflight.DISK_BYTES_MIN:
        yield error(f"The disk is nearly full: {told}, {preflight.DISK_BYTES_MIN / _GB:.0f} GB are needed.", where, remedy)
    elif free < _ROOMY_BYTES:
        yield warning(f"The disk fills: {told}.", where, remedy)
    else:
        yield ok(told, where)


def memory(context: Context) -> Iterator[Finding]:
    """What programs can still take, where the stack is still to be started."""
    if holder(context.data_dir):
        yield ok("enough: the stack runs")
        return
    available = preflight.available_memory_bytes()
    if available is None:
        raise Unseen("only Linux tells it")
    if available < preflight.MEMORY_BYTES_MIN:
        yield error(
            f"{available / _GB:.2f} GB of memory are available, {preflight.MEMORY_BYTES_MIN / _GB:.1f} GB are needed.",
            "/proc/meminfo",
            "end other programs, or use stores on another machine (kafka.brokers, clickhouse.host)",
        )
    else:
        yield ok(f"{available / _GB:.1f} GB are available")


def existing(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


CHECKS = (
    Check("local stack", wanted),
    Check("platform", kind, ("local stack",)),
    Check("data directory", directory, ("local stack",)),
    Check("disk", disk, ("local stack",)),
    Check("memory", memory, ("local stack",)),
)
