"""Fetching into a cache of the tests' own, which shares the big files with the user's; nothing leaves the machine."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from reward_infra import jars, library
from reward_infra.cache import Verified, pinned
from reward_infra.errors import FetchFailed
from reward_infra.fetch import Installed, fetch
from reward_infra.progress import Silent

pytestmark = pytest.mark.timeout(60)

SMALL = next(pin for pin in pinned("kafka-jars.lock") if "kafka-group-coordinator-api" in pin.coordinate)
LIBRARY = pinned("libchdb.lock")[0]


class Heard(Silent):
    """Remembers what a fetch said."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int]] = []
        self.fetched: dict[str, int] = {}
        self.notes: list[str] = []

    def begin(self, piece: str, total_bytes: int | None, files: int) -> None:
        self.begun.append((piece, files))

    def end(self, piece: str, fetched_bytes: int, seconds: float) -> None:
        self.fetched[piece] = fetched_bytes

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def cache(installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A complete cache: the jars are copies, the big files are the user's own under second names."""
    monkeypatch.setenv("M2_REPO", str(tmp_path / "no-maven-cache"))
    copy = tmp_path / "cache"
    shutil.copytree(installed.jars, copy / installed.jars.name)
    assert installed.aot
    for big in (installed.library, installed.aot):
        try:
            os.link(big, copy / big.name)
        except OSError:  # another file system
            shutil.copy2(big, copy / big.name)
    shutil.copy2(installed.cache / "verified.json", copy / "verified.json")
    return copy


@pytest.fixture
def jar(cache: Path, installed: Installed) -> Path:
    return cache / installed.jars.name / jars.file_name(SMALL)


class Repository(http.server.SimpleHTTPRequestHandler):
    """A Maven repository on the loopback address; a class for each test has its own list of what was asked."""

    asked: list[str]

    def do_GET(self) -> None:
        if self.path.endswith(".jar"):
            self.asked.append(self.path.rsplit("/", 1)[1])
        super().do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[Path, list[str], str]]:
    """(where the small jar lies in a served repository, the names of the jars that were asked for, the repository's URL)"""
    group, artifact, version = SMALL.coordinate.split(":")
    place = tmp_path / "maven" / Path(*group.split(".")) / artifact / version
    place.mkdir(parents=True)
    asked: list[str] = []
    handler = type("Handler", (Repository,), {"asked": asked})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(tmp_path / "maven"))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}"
        yield place / jars.file_name(SMALL), asked, mirror
        server.shutdown()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jars, "_ATTEMPTS", 1)


def test_a_second_fetch_fetches_nothing(cache: Path, no_network: None) -> None:
    fetch(cache)  # looks at the copies, whose times are new
    heard = Heard()
    began = time.monotonic()
    installed = fetch(cache, heard)
    assert time.monotonic() - began < 0.5 and heard.begun == [] and heard.notes == []
    assert installed.library.parent == cache and installed.aot and installed.java.exists()


def test_a_truncated_jar_is_named_and_fetched_anew(cache: Path, jar: Path, repository: tuple[Path, list[str], str]) -> None:
    source, asked, mirror = repository
    shutil.copy(jar, source)
    os.truncate(jar, 5000)
    heard = Heard()
    installed = fetch(cache, heard, mirror)
    assert asked == [jar.name] and heard.begun == [("Kafka", 1)] and heard.fetched == {"Kafka": SMALL.size_bytes}
    (note,) = heard.notes
    assert str(jar) in note and f"it has 5000 bytes, the lock says {SMALL.size_bytes}" in note
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == SMALL.sha256
    # The class cache still fits: a jar's time is part of what Java compares, so every jar gets the same one.
    programs = installed.kafka()
    argv = programs.argv("kafka.tools.StorageTool", "random-uuid", flags=("-XX:AOTMode=on",))
    assert subprocess.run(argv, env=programs.env(), cwd=cache, capture_output=True).returncode == 0


def test_a_jar_of_the_right_size_and_wrong_contents_is_noticed(
    cache: Path, jar: Path, repository: tuple[Path, list[str], str]
) -> None:
    source, asked, mirror = repository
    shutil.copy(jar, source)
    jar.write_bytes(bytes(SMALL.size_bytes))
    heard = Heard()
    fetch(cache, heard, mirror)
    assert asked == [jar.name] and "its sha256 is" in heard.notes[0]


def test_a_repository_that_serves_another_file_is_refused(
    installed: Installed,
    cache: Path,
    jar: Path,
    repository: tuple[Path, list[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jars, "_ATTEMPTS", 2)
    source, asked, mirror = repository
    source.write_bytes(b"not the jar")
    jar.unlink()
    heard = Heard()
    with pytest.raises(FetchFailed, match=r"kafka-group-coordinator-api.*: 11 bytes with sha256") as caught:
        fetch(cache, heard, mirror)
    assert asked == [jar.name] * 2 and "REWARD_MONITOR_LOCAL_MAVEN_REPO" in caught.value.remedy
    assert not jar.exists() and not list(cache.glob("part-*"))
    shutil.copy(installed.jars / jar.name, source)
    fetch(cache, None, mirror)
    assert jar.exists()


def test_the_users_maven_cache_is_used_if_it_fits(
    cache: Path, jar: Path, tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, artifact, version = SMALL.coordinate.split(":")
    place = tmp_path / "m2" / Path(*group.split(".")) / artifact / version
    place.mkdir(parents=True)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    good = jar.read_bytes()
    jar.unlink()
    (place / jar.name).write_bytes(bytes(len(good)))
    with pytest.raises(FetchFailed):  # the wrong one is not taken, and the network is closed
        fetch(cache)
    (place / jar.name).write_bytes(good)
    heard = Heard()
    fetch(cache, heard)
    assert jar.read_bytes() == good and heard.fetched == {"Kafka": 0}
    assert (place / jar.name).read_bytes() == good  # still the user's


def test_two_processes_fetch_a_file_once(cache: Path, jar: Path, repository: tuple[Path, list[str], str]) -> None:
    source, asked, mirror = repository
    jar.rename(source)
    command = [sys.executable, "-m", "reward_monitor.cli", "fetch", "--to", str(cache)]
    environment = {**os.environ, "REWARD_MONITOR_LOCAL_MAVEN_REPO": mirror}
    processes = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=30)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert asked == [jar.name] and jar.exists()


def test_a_wrong_library_is_refused_and_fetched_anew(cache: Path, installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    served = [b"short", b""]

    def run_deno(_package: str, place: Path, *_: object) -> None:
        target = place / "npm" / "registry" / "package" / "libchdb.so"
        target.parent.mkdir(parents=True)
        if contents := served.pop(0):
            target.write_bytes(contents)
        else:
            os.link(installed.library, target)

    monkeypatch.setattr(library, "_run_deno", run_deno)
    path = cache / installed.library.name
    path.unlink()
    with pytest.raises(FetchFailed, match="library was refused: it has 5 bytes, the lock says 566330096"):
        fetch(cache)
    assert not path.exists()
    path.write_bytes(b"damaged")
    heard = Heard()
    fetch(cache, heard)
    assert str(path) in heard.notes[0] and "it has 7 bytes" in heard.notes[0]
    assert heard.begun == [("ClickHouse library", 1)] and path.stat().st_size == LIBRARY.size_bytes


def test_an_npm_client_without_a_network_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FetchFailed, match=r"deno ended with 1[\s\S]*127.0.0.1:9[\s\S]*NPM_CONFIG_REGISTRY"):
        library.fetch(LIBRARY, tmp_path, Verified(tmp_path), lambda *_: None)
