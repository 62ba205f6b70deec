"""What `fetch` has downloaded, held against the lock: every byte is hashed, so that damage on the disk is found too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from reward_infra.cache import default_cache, differs
from reward_infra.fetch import wanted_files

from .context import Context
from .finding import Check, Finding, error, note, ok

_SHOWN = 5


def look(context: Context) -> Iterator[Finding]:
    """Kafka's jars, ClickHouse's library, and what a broken fetch has left behind."""
    set_to = context.loaded.value.local.cache if context.loaded else None
    cache = (set_to or default_cache()).absolute()
    began = time.monotonic()
    files = wanted_files(cache)
    there = [(path, pin) for path, pin in files if path.exists()]
    left = [place for place in cache.glob("part-*") if place.is_dir()]
    if left:
        yield note(
            f"{_bytes(left) / 1e6:.0f} MB are half fetched.",
            str(left[0]),
            "the next `reward-monitor fetch` removes them and goes on",
        )
    if not there:
        yield note("Nothing is fetched yet (650 MB).", str(cache), "`reward-monitor up` does it, or now: `reward-monitor fetch`")
        return
    wrong = [(path, problem) for path, pin in files if (problem := differs(path, pin))]
    for path, problem in wrong[:_SHOWN]:
        yield error(f"{path.name}: {problem}.", str(path.parent), "`reward-monitor fetch` fetches it anew")
    if len(wrong) > _SHOWN:
        yield error(f"{len(wrong) - _SHOWN} more files are missing or damaged.", str(cache), "`reward-monitor fetch`")
    if not wrong:
        size = sum(pin.size_bytes for _, pin in files)
        yield ok(f"{len(files)} files are whole: {size / 1e6:.0f} MB hashed in {time.monotonic() - began:.1f} s", str(cache))


def _bytes(places: list[Path]) -> int:
    return sum(file.stat().st_size for place in places for file in place.rglob("*") if file.is_file())


CHECKS = (Check("programs", look, ("platform",), limit_s=8.0),)
