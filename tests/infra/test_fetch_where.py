"""Where a fetch works: which machines, and which directory is the cache."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from reward_infra.cache import Verified, default_cache, pinned
from reward_infra.errors import FetchFailed, Unsupported
from reward_infra.fetch import fetch


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchFailed, match=r"cannot be written[\s\S]*REWARD_MONITOR_LOCAL_CACHE"):
        fetch(tmp_path / "file" / "cache")


@pytest.mark.parametrize(("system", "machine", "libc"), [("Linux", "aarch64", "glibc"), ("Linux", "x86_64", "")])
def test_other_machines_are_told_to_use_containers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, machine: str, libc: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    with pytest.raises(Unsupported, match=f"{system} {machine}[\\s\\S]*docker compose up"):
        fetch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name in "XDG_CACHE_HOME":
        monkeypatch.delenv(name, raising=False)
    assert default_cache() == Path("/home/me/.cache/reward-monitor")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert default_cache() == Path("/x/reward-monitor")


def test_an_empty_cache_holds_nothing(tmp_path: Path) -> None:
    assert not Verified(tmp_path).holds(tmp_path / "libchdb.so", pinned("libchdb.lock")[0])
