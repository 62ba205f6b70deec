"""Stops what `up` started, in order."""

from __future__ import annotations

import argparse
import os
import signal
import time

from reward_infra.data_dir import holder
from reward_infra.errors import InfraError

from reward_monitor.arguments import Parser, settings
from reward_monitor.terminal import console


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.example("reward-monitor down", "reward-monitor down --data-dir /data/rewards")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="how long to wait for the end (default: 60)")


def run(given: argparse.Namespace) -> int:
    """0 once nothing runs any more, also where nothing did."""
    data_dir = settings(given).value.local.dir.absolute()
    pid = holder(data_dir)
    if pid is None:
        console().print(f"nothing runs in {data_dir}", markup=False)
        return 0
    began = time.monotonic()
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as error:
        raise InfraError(
            f"Process {pid} belongs to another user.", where=str(data_dir), remedy="let that user stop it"
        ) from error
    while holder(data_dir) is not None:
        if time.monotonic() - began > given.timeout:
            raise InfraError(
                f"Process {pid} has not ended in {given.timeout:.0f} s.",
                where=str(data_dir),
                remedy=f"look what it waits for (`reward-monitor status`), or kill it: `kill -9 {pid}`; nothing that was landed is lost",
            )
        time.sleep(0.05)
    console().print(f"all parts stopped after {time.monotonic() - began:.1f} s; everything is kept in {data_dir}", markup=False)
    return 0
