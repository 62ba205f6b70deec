"""Brings ClickHouse's tables and views to this version."""

from __future__ import annotations

import argparse

from reward_store.migrate import migrate

from reward_monitor.arguments import Parser, running_settings
from reward_monitor.terminal import console


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "Applies the numbered migrations that are missing, sets retention, and creates the views anew. Safe at any time, and twice."
    )
    parser.example("reward-monitor migrate --config cluster.yaml")


def run(given: argparse.Namespace) -> int:
    """0; StoreError where ClickHouse refuses."""
    chosen = running_settings(given, "clickhouse")
    client = chosen.clickhouse.as_writer().connect()
    try:
        done = migrate(client, retention=chosen.retention)
    finally:
        client.close()
    applied = "applied " + ", ".join(f"{m.version:04}_{m.name}" for m in done) if done else "nothing to apply"
    console().print(f"{applied}; the views are up to date ({client.settings.where})", markup=False)
    return 0
