"""The shared cache of fetched files: where it lies, what is known to be sound in it, and who may change it.

Layout, all below one directory that several projects and processes share:

    .lock                  held by the one process that is fetching
    verified.json          size, time and sha256 of each file at the moment it was checked
    kafka-<lock>/*.jar     Kafka's jars, by the lock that names them
    libchdb-<sha>.so       ClickHouse's library
    kafka-<key>.aot        Java's class cache
    part-*                 half-done work; whoever holds the lock may remove what it finds
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from .errors import FetchFailed

# Jars get one fixed time: Java ignores its class cache when a jar's time differs from the one it was trained with.
FIXED_TIME_S = 1_000_000_000


@dataclass(frozen=True)
class Pinned:
    """One line of a lock: what it is called where it comes from, and what it must be."""

    coordinate: str
    sha256: str
    size_bytes: int


def pinned(lock: str) -> tuple[Pinned, ...]:
    """The lines of a committed lock, by its file name in the package's data."""
    lines = data_text(lock).splitlines()
    return tuple(Pinned(name, sha256, int(size)) for name, sha256, size in (line.split() for line in lines if line.strip()))


def data_text(name: str) -> str:
    """A data file of this package."""
    return (files(__package__) / "data" / name).read_text(encoding="utf-8")


def default_cache() -> Path:
    """reward-monitor below $XDG_CACHE_HOME, else ~/.cache/reward-monitor."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "reward-monitor"


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def differs(path: Path, pin: Pinned) -> str | None:
    """In what a file differs from its line of the lock, by its contents; None where it fits. Changes nothing."""
    if not path.exists():
        return "it is missing"
    if (size := path.stat().st_size) != pin.size_bytes:
        return f"it has {size} bytes, the lock says {pin.size_bytes}"
    if (found := sha256_of(path)) != pin.sha256:
        return f"its sha256 is {found}, the lock says {pin.sha256}"
    return None


class Verified:
    """What has been hashed and found sound, so that a start need not hash 600 MB again. Safe for threads.

    A file counts as sound while its size and time are those of the moment it was checked.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._path = cache / "verified.json"
        self._lock = threading.Lock()
        try:
            self._known: dict[str, list[Any] | None] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def holds(self, path: Path, pin: Pinned) -> bool:
        """Whether `path` was checked against `pin` and has not changed since; reads no contents."""
        stamp = self._stamp(path, pin.sha256)
        return stamp is not None and self._known.get(str(path.relative_to(self._cache))) == stamp

    def check(self, path: Path, pin: Pinned) -> str | None:
        """Hash `path`; remember it and return None if it fits `pin`, else say in what it differs."""
        if wrong := differs(path, pin):
            return wrong
        os.utime(path, (FIXED_TIME_S, FIXED_TIME_S))
        with self._lock:
            self._known[str(path.relative_to(self._cache))] = self._stamp(path, pin.sha256)
            write_atomically(self._path, json.dumps(self._known, indent=0))
        return None

    @staticmethod
    def _stamp(path: Path, sha256: str) -> list[Any] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return [status.st_size, status.st_mtime_ns, sha256]


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new text, never a part; `mode` holds from the first byte."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


@contextmanager
def sole_writer(cache: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the cache for changing it; `waiting` is told once if another process holds it, then this waits for it."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / ".lock").open("a+")
    except OSError as error:
        raise FetchFailed(
            f"The cache cannot be written: {error.strerror}.",
            where=str(cache),
            remedy="name a directory of yours with REWARD_MONITOR_LOCAL_CACHE",
        ) from error
    with lock:
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    lock.seek(0)
                    waiting(f"process {lock.read().strip() or '?'} is fetching into {cache}; waiting for it")
                    told = True
                time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        for left in cache.glob("part-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextmanager
def workplace(cache: Path, purpose: str) -> Iterator[Path]:
    """A directory for half-done work on the cache's own file system, removed in any case."""
    place = cache / f"part-{purpose}-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
