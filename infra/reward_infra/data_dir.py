"""A data directory is held by one process at a time: whose stack runs there."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from .errors import Held, InfraError

_LOCK = "lock"


class Hold:
    """The lock of a data directory, from `hold` to `release`. in_order: the last holder released it."""

    def __init__(self, file: IO[str], in_order: bool) -> None:
        self._file = file
        self.in_order = in_order

    def release(self) -> None:
        """Lets go; an empty lock file says that the end was in order."""
        self._file.truncate(0)
        self._file.close()


def hold(data_dir: Path) -> Hold:
    """Takes the directory, made if there is none. Held if another process has it; InfraError if it can't be written."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = (data_dir / _LOCK).open("a+")
    except OSError as error:
        raise InfraError(
            f"The data directory can't be used: {error.strerror}.", where=str(data_dir), remedy="name another one (--data-dir)"
        ) from error
    file.seek(0)
    before = file.read().strip()
    if not _locked(file, fcntl.LOCK_EX):
        file.close()
        raise held_by(int(before) if before.isdigit() else None, data_dir)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return Hold(file, in_order=not before)


def held_by(pid: int | None, data_dir: Path) -> Held:
    """The error of a start in a directory that another process has."""
    return Held(
        f"A stack runs in this data directory already, held by process {pid or '?'}.",
        pid=pid,
        where=str(data_dir),
        remedy="use that one, stop it (`reward-monitor down`), or name another directory (--data-dir)",
    )


def holder(data_dir: Path) -> int | None:
    """The process whose stack runs in the directory; None if none does."""
    try:
        with (data_dir / _LOCK).open("r") as file:
            pid = file.read().strip()
            # Only where a process of this number lives is the lock tried: a try keeps a stack that just starts from having it.
            return int(pid) if pid.isdigit() and Path("/proc", pid).exists() and not _locked(file, fcntl.LOCK_SH) else None
    except OSError:
        return None


def last_holder(data_dir: Path) -> int | None:
    """The process that held the directory and ended without releasing it; meaningful where nobody holds it now."""
    try:
        pid = (data_dir / _LOCK).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(pid) if pid.isdigit() else None


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
