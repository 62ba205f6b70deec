"""Downloads what the local stack runs on, and nothing else."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from reward_infra.fetch import fetch
from reward_infra.progress import choose

from reward_monitor.arguments import Parser, settings
from reward_monitor.terminal import console


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about("Downloads Kafka and the ClickHouse library, checked against a lock, into the cache that all projects share.")
    parser.example(
        "reward-monitor fetch", "reward-monitor fetch --to /media/stick  # then, elsewhere: reward-monitor up --from /media/stick"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="into this directory, for machines without internet")


def run(given: argparse.Namespace) -> int:
    """0; FetchFailed with the file's name."""
    local = settings(given).value.local
    began, progress = time.monotonic(), choose()
    try:
        installed = fetch(given.to or local.cache, progress, local.maven_repo)
    finally:
        progress.close()
    console().print(f"{installed.cache}: complete after {time.monotonic() - began:.1f} s", markup=False)
    return 0
