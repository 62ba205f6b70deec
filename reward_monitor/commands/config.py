"""The effective settings, and where each came from."""

from __future__ import annotations

import argparse
import json
import sys

from reward_jobs.settings import Settings
from reward_schemas.settings import DEFAULT, declared
from rich.text import Text

from reward_monitor.arguments import Parser, settings
from reward_monitor.terminal import console, table


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about(
        "The effective settings, and where each came from. A setting `kafka.brokers` is REWARD_MONITOR_KAFKA_BROKERS in the "
        "environment, or `kafka: {brokers: …}` in the YAML file; the environment wins. Secrets are read from files, never printed."
    )
    parser.example(
        "reward-monitor config", "reward-monitor config --explain", "reward-monitor config --config cluster.yaml --json"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--explain", action="store_true", help="with the variable and the meaning of each")


def run(given: argparse.Namespace) -> int:
    """0; SettingsError with every mistake."""
    loaded = settings(given)
    rows = []
    for setting in declared(Settings):
        value = getattr(getattr(loaded.value, setting.section), setting.field)
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        rows.append((setting, text, loaded.sources[setting.name]))
    if given.json:
        told = {setting.name: {"value": value, "from": source} for setting, value, source in rows}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return 0
    columns = ("setting", "value", "from", *(("variable", "meaning") if given.explain else ()))
    cells = [
        (
            setting.name,
            value,
            Text(source, style="dim" if source == DEFAULT else ""),
            *((setting.variable, setting.meaning) if given.explain else ()),
        )
        for setting, value, source in rows
    ]
    console().print(table(columns, cells))
    return 0
