"""What would hurt later, named before the stack starts: a full disk, little memory, a directory of a newer version."""

from __future__ import annotations

import shutil
from pathlib import Path

from .errors import InfraError

FORMAT = 1  # of a data directory; rises when an older version could not go on with what a newer one has written
FORMAT_FILE = "format"
DISK_BYTES_MIN = 1_000_000_000  # below it ClickHouse's merges and Kafka's segments soon fail
MEMORY_BYTES_MIN = 700_000_000  # of the four parts at rest

_GB = 1e9


def check(data_dir: Path) -> None:
    """Raises InfraError for the first thing that would hurt. The directory exists."""
    check_format(data_dir)
    if (free := free_disk_bytes(data_dir)) < DISK_BYTES_MIN:
        raise InfraError(
            f"The disk is nearly full: {free / _GB:.2f} GB are free, {DISK_BYTES_MIN / _GB:.0f} GB are needed to start.",
            where=str(data_dir),
            remedy="free some, or name a directory on another disk (--data-dir)",
        )
    available = available_memory_bytes()
    if available is not None and available < MEMORY_BYTES_MIN:
        raise InfraError(
            f"There is not enough memory: {available / _GB:.2f} GB are available, {MEMORY_BYTES_MIN / _GB:.1f} GB are needed.",
            where="/proc/meminfo",
            remedy="end other programs, or run the jobs against stores on another machine (`reward-monitor config`)",
        )


def check_format(data_dir: Path) -> None:
    """Marks a new directory with this version's format; InfraError for one that a newer version has written."""
    if not require_known_format(data_dir):
        (data_dir / FORMAT_FILE).write_text(f"{FORMAT}\n", encoding="utf-8")


def require_known_format(data_dir: Path) -> bool:
    """Whether the directory is marked with a format; InfraError for one that a newer version has written."""
    file = data_dir / FORMAT_FILE
    try:
        text = file.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return False
    if not text.isdigit() or int(text) > FORMAT:
        raise InfraError(
            f"The data directory is of format {text!r:.40}, and this version reads {FORMAT} and older.",
            where=str(file),
            remedy="update reward-monitor (`pip install -U reward-monitor`), or name another directory (--data-dir)",
        )
    return True


def free_disk_bytes(path: Path) -> int:
    """What a user may still write on the disk of this path."""
    return shutil.disk_usage(path).free


def available_memory_bytes() -> int | None:
    """What Linux says that programs can still take; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
