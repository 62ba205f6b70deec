"""Kafka's jars, fetched by jgo against a committed lock. jgo is used as a downloader only.

jgo merely warns of a wrong checksum and takes a truncated file in its cache for good, so it works in a private
directory and every file is hashed here. It never resolves dependencies: the lock names all of them.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .cache import Pinned, Verified, sha256_of, workplace
from .errors import FetchFailed, InfraError

_WORKERS = 8
_ATTEMPTS = 3
_TIMEOUT_S = 60


def file_name(pin: Pinned) -> str:
    """The name of a jar's file: artifact-version.jar."""
    _, artifact, version = pin.coordinate.split(":")
    return f"{artifact}-{version}.jar"


def missing(pins: Sequence[Pinned], directory: Path, verified: Verified, note: Callable[[str], None]) -> list[Pinned]:
    """The jars that have to be fetched. A file that does not fit the lock is removed, and `note` is told."""
    wanting = []
    for pin in pins:
        path = directory / file_name(pin)
        if verified.holds(path, pin):
            continue
        if not path.exists():
            wanting.append(pin)
        elif wrong := verified.check(path, pin):
            note(f"{path} is refused and fetched anew: {wrong}")
            path.unlink()
            wanting.append(pin)
    return wanting


def fetch(
    pins: Sequence[Pinned],
    directory: Path,
    verified: Verified,
    *,
    report: Callable[[int, int], None],
    note: Callable[[str], None],
    mirror: str = "",
) -> int:
    """Fetch jars into `directory`, from a mirror of Maven Central if one is named; return the bytes that came over the network.

    report(files, bytes) is told what is done; note(text) of a file that was refused. FetchFailed names the first jar
    that could not be had.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with workplace(directory.parent, "jars") as place:
        downloads = _Downloads(place, report, note, mirror)

        def one(pin: Pinned) -> None:
            path = directory / file_name(pin)
            downloads.sound_file(pin).replace(path)
            if wrong := verified.check(path, pin):
                raise FetchFailed(f"{file_name(pin)}: {wrong}.", where=str(path), remedy="look for a failing disk")
            downloads.finished()

        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="jars")
        try:
            for _ in pool.map(one, sorted(pins, key=lambda pin: -pin.size_bytes)):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
    return downloads.network_bytes


class _Downloads:
    """jgo in a private directory, several files at once."""

    def __init__(self, place: Path, report: Callable[[int, int], None], note: Callable[[str], None], mirror: str) -> None:
        try:
            from jgo.maven import MavenContext, PythonResolver
        except ImportError as error:
            remedy = "pip install 'reward-monitor[local]' into this Python environment"
            raise InfraError("The Maven client is not installed.", where=f"package jgo: {error}", remedy=remedy) from error
        self._context = MavenContext(
            resolver=PythonResolver(progress_callback=self._streaming),
            repo_cache=place,
            remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,  # None: the one that jgo knows itself
            timeout=_TIMEOUT_S,
        )
        self._place = place
        self._report = report
        self._note = note
        self._lock = threading.Lock()
        self._files = 0
        self.network_bytes = 0

    def sound_file(self, pin: Pinned) -> Path:
        """A file in the private directory with the wanted contents, from the user's Maven cache or the network."""
        group, artifact, version = pin.coordinate.split(":")
        below = Path(*group.split("."), artifact, version)
        # $M2_REPO and ~/.m2 as Maven itself has them: who works with Kafka in Java has these files.
        users = Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository") / below / file_name(pin)
        if users.is_file() and users.stat().st_size == pin.size_bytes and sha256_of(users) == pin.sha256:
            return Path(shutil.copyfile(users, self._place / file_name(pin)))
        problem: object = None
        for attempt in range(_ATTEMPTS):
            shutil.rmtree(self._place / below, ignore_errors=True)
            time.sleep(attempt)
            try:
                path = self._context.create_dependency(pin.coordinate).artifact.resolve()
            except Exception as error:  # noqa: BLE001 - jgo passes on whatever its HTTP client raises
                problem = error
                continue
            if (found := sha256_of(path)) == pin.sha256:
                return path
            problem = f"{path.stat().st_size} bytes with sha256 {found} came; the lock says {pin.size_bytes}, {pin.sha256}"
            self._note(f"{file_name(pin)} is refused: {problem}")
        raise FetchFailed(
            f"The jar {pin.coordinate} could not be fetched in {_ATTEMPTS} attempts: {problem}",
            where="its Maven repository",
            remedy="check the network and HTTPS_PROXY; where only a mirror can be reached, set REWARD_MONITOR_LOCAL_MAVEN_REPO",
        )

    def finished(self) -> None:
        """One more file is in its place."""
        with self._lock:
            self._files += 1
            self._report(self._files, self.network_bytes)

    @contextmanager
    def _streaming(self, _name: str, _total_bytes: int) -> Iterator[Callable[[int], None]]:
        def came(count: int) -> None:
            with self._lock:
                self.network_bytes += count
                self._report(self._files, self.network_bytes)

        yield came
