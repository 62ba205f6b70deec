"""The demo as a user runs it: to its end, interrupted, and once more over the same data."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from reward_dashboards.web.serve import serves
from reward_store.queries import FIVE_QUERIES


def start(data_dir: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "reward_monitor.cli", "demo", "--data-dir", str(data_dir), *arguments]
    environment = {**os.environ, "COLUMNS": "140", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def left_over(data_dir: Path) -> list[list[str]]:
    """Processes that still work in the directory."""
    found = psutil.process_iter(["cmdline", "cwd"])
    return [p.info["cmdline"] for p in found if str(data_dir) in " ".join([*(p.info["cmdline"] or ()), p.info["cwd"] or ""])]


@pytest.mark.timeout(240)
def test_the_demo(tmp_path: Path) -> None:
    whole = start(tmp_path, "--steps", "12", "--pause-ms", "20", "--no-web")
    text, _ = whole.communicate(timeout=120)
    assert whole.returncode == 0, text
    assert "new data directory" in text
    assert re.search(r"^ *11 .* ± ", text, re.MULTILINE), text  # the row of the last step
    places = [text.index(query.title) for query in FIVE_QUERIES]
    assert places == sorted(places)
    assert "all parts stopped" in text
    assert left_over(tmp_path) == []

    interrupted = start(tmp_path, "--steps", "100000", "--pause-ms", "50")
    seen = ""
    while not (found := re.search(r"web dashboard, .*: http://127.0.0.1:(\d+)\n", seen)):
        seen += interrupted.stdout.readline()
    assert "found 1 runs with" in seen and "steps of GRPO" in seen
    assert serves("127.0.0.1", int(found[1]))
    interrupted.send_signal(signal.SIGINT)
    text, _ = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, text
    assert "Traceback" not in text
    assert "all parts stopped" in text
    assert left_over(tmp_path) == []


def test_a_command_that_does_not_fit_is_told_without_a_traceback() -> None:
    for arguments in (["demo", "--steps", "0"], ["demo", "--seed", "x"], ["dmo"], []):
        done = subprocess.run(
            [sys.executable, "-m", "reward_monitor.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
