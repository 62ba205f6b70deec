"""The web dashboard, in the foreground."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from reward_dashboards.web import serve
from reward_infra.local_stack import SETTINGS_FILE
from reward_schemas.errors import MonitorError
from reward_schemas.segments import segments
from reward_schemas.settings import variables

from reward_monitor.arguments import Parser, running_settings, whole_number


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Serves the web dashboard until Ctrl-C: of the local stack or the ClickHouse of the settings; with a --data-dir that holds offline "
        "runs (start_run(…, data_dir=DIR)), of those, without any service. It listens to this machine alone, unless --address says otherwise; "
        "it asks for no password."
    )
    parser.example("reward-monitor web", "reward-monitor web --data-dir runs --port 8080")
    parser.add_argument("--port", type=whole_number(1), default=serve.PORT, help="default: %(default)s")
    parser.add_argument(
        "--every", type=_seconds, default=serve.EVERY_S, metavar="SECONDS", help="between updates (default: %(default)s)"
    )
    parser.add_argument("--address", default="127.0.0.1", help="where it listens (default: %(default)s)")


def run(given: argparse.Namespace) -> int:
    """Becomes Streamlit, so that whoever stops this process has stopped the server."""
    environment, arguments = dict(os.environ), ["--", "--every", str(given.every)]
    if _offline(given.data_dir):
        arguments += ["--data-dir", str(given.data_dir)]
    else:
        environment |= variables("clickhouse", running_settings(given, "clickhouse").clickhouse)
    print(f"http://{given.address}:{given.port}", file=sys.stderr, flush=True)
    with Path(os.devnull).open("wb") as nowhere:  # for what Streamlit says of itself
        os.dup2(nowhere.fileno(), 1)
    command = [*serve.command(given.address, given.port), *arguments]
    os.execve(command[0], command, environment)  # no shell is wanted


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: from 0.1 to 3600")
    return value


def _offline(folder: Path | None) -> bool:
    """Whether a directory has offline runs, and no local stack."""
    if folder is None or (folder / SETTINGS_FILE).exists():
        return False
    if not folder.is_dir() or not segments(folder):
        raise MonitorError(
            "There are neither offline runs here nor a local stack.",
            where=str(folder),
            remedy="start_run(…, data_dir=DIR) writes runs; `reward-monitor up --data-dir DIR` starts a stack",
        )
    return True
