"""How a command is told where ClickHouse is. The password is read from a file, never given."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from reward_store.client import ClickHouse, credentials


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --clickhouse-host, -port, -secure, -user and --credentials; defaults from REWARD_CLICKHOUSE_* and REWARD_CREDENTIALS."""
    env = os.environ.get
    parser.add_argument("--clickhouse-host", default=env("REWARD_CLICKHOUSE_HOST", "127.0.0.1"))
    parser.add_argument("--clickhouse-port", type=int, default=int(env("REWARD_CLICKHOUSE_PORT", "8123")), help="HTTP")
    parser.add_argument("--clickhouse-secure", action="store_true", help="HTTPS")
    parser.add_argument("--clickhouse-user", default=env("REWARD_CLICKHOUSE_USER", "writer"))
    parser.add_argument(
        "--clickhouse-compression", choices=("", "lz4", "zstd"), default="", help="of inserts, where the network is slow"
    )
    parser.add_argument(
        "--credentials",
        type=Path,
        default=env("REWARD_CREDENTIALS"),
        required="REWARD_CREDENTIALS" not in os.environ,
        help='JSON file: {"writer": password, "reader": password}',
    )


def clickhouse(given: argparse.Namespace) -> ClickHouse:
    """The settings that were given; StoreError where the credentials file has no password of the user."""
    return ClickHouse(
        host=given.clickhouse_host,
        port=given.clickhouse_port,
        user=given.clickhouse_user,
        password=credentials(Path(given.credentials), given.clickhouse_user),
        secure=given.clickhouse_secure,
        compression=given.clickhouse_compression,
    )
