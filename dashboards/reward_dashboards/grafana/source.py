"""The data source that the dashboards ask, as Grafana's API and its provisioning files take it; without the password."""

from __future__ import annotations

from typing import Any

PLUGIN = "grafana-clickhouse-datasource"
SOURCE_UID = "reward-monitor"


def data_source(host: str, port: int, user: str, database: str, *, secure: bool = False) -> dict[str, Any]:
    """ClickHouse as Grafana reaches it, over HTTP. Where a password belongs: `secureJsonData.password`."""
    return {
        "name": SOURCE_UID,
        "uid": SOURCE_UID,
        "type": PLUGIN,
        "access": "proxy",
        "jsonData": {
            "host": host,
            "port": port,
            "protocol": "http",
            "secure": secure,
            "username": user,
            "defaultDatabase": database,
            "dialTimeout": "10",
            # With the 5 s that the plugin adds below the reader's limit; a number would make the plugin fail.
            "queryTimeout": "30",
        },
    }
