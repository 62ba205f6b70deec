"""Fetch what the embedded stack runs on, once for all projects of a user: Kafka's jars, ClickHouse's library.

Everything comes through the packages' own clients (jgo, deno), which know their registries, and is checked against
the locks committed in `data/`. A second fetch reads a few file sizes and fetches nothing.
"""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import class_cache, jars, library
from .cache import Pinned, Verified, data_text, default_cache, pinned, sole_writer
from .embedded_kafka import Programs
from .machine import java, require_supported
from .progress import Progress, Silent

_JARS, _LIBRARY, _CLASSES = "Kafka", "ClickHouse library", "Java class cache"


@dataclass(frozen=True)
class Installed:
    """Where everything is that the embedded stack runs on. aot is None if Java could not write its class cache."""

    cache: Path
    java: Path
    jars: Path
    library: Path
    aot: Path | None

    def kafka(self) -> Programs:
        """What a broker is made of."""
        return Programs(java=self.java, jars=self.jars, class_cache=self.aot)


def fetch(cache: Path | None = None, progress: Progress | None = None, maven_repo: str = "") -> Installed:
    """Return what is installed in `cache` (default: the user's), after fetching what is missing or damaged.

    maven_repo: URL of a mirror of Maven Central, where only that can be reached.

    Safe when several processes do it at once: one fetches, the others wait for it. Unsupported on a machine that the
    stack does not run on; FetchFailed, with the file's name, if something could not be had.
    """
    require_supported()
    fetching = _Fetching((cache or default_cache()).absolute(), progress or Silent(), maven_repo)
    if not fetching.complete():
        with sole_writer(fetching.cache, fetching.progress.note):
            fetching.run()
    return fetching.installed()


def wanted_files(cache: Path) -> tuple[tuple[Path, Pinned], ...]:
    """What has to be in a cache, file by file, with its line of the lock; Java's class cache is made, not fetched."""
    fetching = _Fetching(cache, Silent(), "")
    return fetching.files()


class _Fetching:
    """One fetch: what is wanted, where it goes, and the steps. `run` is called by the cache's sole writer."""

    def __init__(self, cache: Path, progress: Progress, maven_repo: str) -> None:
        self.cache = cache
        self.progress = progress
        self._maven_repo = maven_repo
        self._verified = Verified(cache)
        self._jar_pins = pinned("kafka-jars.lock")
        (self._library_pin,) = pinned("libchdb.lock")
        lock_hash = hashlib.sha256(data_text("kafka-jars.lock").encode()).hexdigest()[:12]
        self._jars = cache / f"kafka-{lock_hash}"
        self._library = cache / library.file_name(self._library_pin)
        self._aot = cache / class_cache.file_name(lock_hash)

    def complete(self) -> bool:
        """Whether everything is there and was found sound; reads no contents."""
        return self._aot.exists() and all(self._verified.holds(path, pin) for path, pin in self.files())

    def files(self) -> tuple[tuple[Path, Pinned], ...]:
        """Every file of the locks."""
        kafka = ((self._jars / jars.file_name(pin), pin) for pin in self._jar_pins)
        return ((self._library, self._library_pin), *kafka)

    def installed(self) -> Installed:
        aot = self._aot if self._aot.exists() else None
        return Installed(cache=self.cache, java=java(), jars=self._jars, library=self._library, aot=aot)

    def run(self) -> None:
        """Fetch what is missing: the library beside the jars, and the class cache as soon as the jars are there."""
        self._verified = Verified(self.cache)  # another process may have fetched while this one waited for it
        java()
        pool = ThreadPoolExecutor(1, thread_name_prefix="library")
        try:
            library_done = pool.submit(self._fetch_library)
            self._fetch_jars()
            self._train()
            library_done.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _fetch_jars(self) -> None:
        wanting = jars.missing(self._jar_pins, self._jars, self._verified, self.progress.note)
        if not wanting:
            return
        began = time.monotonic()
        self.progress.begin(_JARS, sum(pin.size_bytes for pin in wanting), len(wanting))
        came = jars.fetch(
            wanting,
            self._jars,
            self._verified,
            report=lambda files, done: self.progress.update(_JARS, done, files),
            note=self.progress.note,
            mirror=self._maven_repo,
        )
        self.progress.end(_JARS, came, time.monotonic() - began)

    def _fetch_library(self) -> None:
        if self._verified.holds(self._library, self._library_pin):
            return
        if self._library.exists():
            if not (wrong := self._verified.check(self._library, self._library_pin)):
                return
            self.progress.note(f"{self._library} is refused and fetched anew: {wrong}")
            self._library.unlink()
        began = time.monotonic()
        self.progress.begin(_LIBRARY, self._library_pin.size_bytes, 1)
        came = library.fetch(
            self._library_pin,
            self.cache,
            self._verified,
            lambda done, doing: self.progress.update(_LIBRARY, done, 1, doing),
        )
        self.progress.end(_LIBRARY, came, time.monotonic() - began)

    def _train(self) -> None:
        if self._aot.exists():
            return
        began = time.monotonic()
        self.progress.begin(_CLASSES, None, 1)
        self.progress.update(_CLASSES, 0, 0, "one training start of Kafka")
        if problem := class_cache.train(self.installed().kafka(), self.cache, self._aot):
            self.progress.note(f"Java's class cache was not made, so that Kafka starts a second later: {problem}")
        self.progress.end(_CLASSES, 0, time.monotonic() - began)
