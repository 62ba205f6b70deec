"""The file that takes what a part prints."""

from __future__ import annotations

import os
from pathlib import Path

from reward_infra.part import LogFile


def test_a_log_file_is_cut_while_its_part_writes(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log", bytes_max=1000)
    descriptor = log.open()
    os.write(descriptor, b"a" * 1500 + b"\n")
    log.trim()
    os.write(descriptor, b"later\n")
    os.close(descriptor)
    assert log.path.read_text() == "later\n"
    assert (tmp_path / "x.log.1").stat().st_size > 1500
    assert log.tail() == "later"


def test_the_tail_is_of_the_current_run_alone(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "x.log")
    for text in (b"first run\n", b"second run\n"):
        descriptor = log.open()
        os.write(descriptor, text)
        os.close(descriptor)
    assert log.tail() == "second run"
