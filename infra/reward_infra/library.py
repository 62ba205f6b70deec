"""ClickHouse's library, fetched from npm by deno against a committed lock.

The package's file is about 570 MB. deno keeps all of it in memory before it writes the first byte (750 MB at the
peak), so there is no telling how much is downloaded, only how much is written.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .cache import Pinned, Verified, workplace
from .errors import FetchFailed
from .machine import deno

_LOOK_EVERY_S = 0.2


def file_name(pin: Pinned) -> str:
    """The name of the library's file in the cache."""
    return f"libchdb-{pin.sha256[:12]}.so"


def fetch(pin: Pinned, cache: Path, verified: Verified, report: Callable[[int, str], None]) -> int:
    """Put the library into the cache; return its bytes. report(bytes, doing) is told what goes on.

    FetchFailed with deno's own words if it could not be had, or with both sha256 if it is not the file of the lock.
    """
    package, name = pin.coordinate.rsplit("/", 1)
    with workplace(cache, "library") as place:
        _run_deno(package, place, report, pin.size_bytes)
        found = sorted(place.glob(f"npm/**/{name}"))
        if not found:
            raise FetchFailed(
                f"The package {package} holds no {name}.",
                where=str(place),
                remedy="report this: the committed lock names another package than the registry has",
            )
        report(pin.size_bytes, "checking its sha256")
        target = cache / file_name(pin)
        found[0].replace(target)
        if wrong := verified.check(target, pin):
            target.unlink()
            raise FetchFailed(
                f"ClickHouse's library was refused: {wrong}.",
                where=package,
                remedy="fetch again; if it stays so, the registry (NPM_CONFIG_REGISTRY, ~/.npmrc) serves another file",
            )
    return pin.size_bytes


def _run_deno(package: str, place: Path, report: Callable[[int, str], None], total_bytes: int) -> None:
    env = {
        # Behind a proxy that signs certificates itself only the system's store knows its signer.
        "DENO_TLS_CA_STORE": "mozilla,system",
        **os.environ,
        "DENO_DIR": str(place),
        "DENO_NO_UPDATE_CHECK": "1",
        "NO_COLOR": "1",
    }
    # No lock and configuration of a project that happens to lie above the cache; the user's .npmrc still holds.
    options = ("cache", "--quiet", "--no-lock", "--no-config", "--node-modules-dir=none")
    with (place / "deno.log").open("w+b") as said:
        process = subprocess.Popen([deno(), *options, package], cwd=place, env=env, stdout=said, stderr=said)
        try:
            while process.poll() is None:
                written = sum(file.stat().st_size for file in place.glob("npm/*/*/*/*/*"))
                doing = "" if written else f"downloading, {_resident_bytes(process.pid) / 1e6:.0f} MB in memory"
                report(min(written, total_bytes), doing)
                time.sleep(_LOOK_EVERY_S)
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise FetchFailed(
            f"ClickHouse's library could not be fetched (deno ended with {process.returncode}).\n{words}",
            where=package,
            remedy="check the network and HTTPS_PROXY; where only a mirror can be reached, set NPM_CONFIG_REGISTRY",
        )


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
