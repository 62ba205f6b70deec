"""By what our dashboards are known in a Grafana: their uids, and the tag without which nothing of that uid is ours."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

TAG = "reward-monitor"
UIDS = {name: f"reward-monitor-{name}" for name in ("fleet", "run", "function", "compare", "alerts", "health")}


def dashboards() -> dict[str, dict[str, Any]]:
    """The committed dashboards by name, in the order in which they are read."""
    return {name: json.loads(file.read_text(encoding="utf-8")) for name, file in paths().items()}


def paths() -> dict[str, Any]:
    """The files of the committed dashboards."""
    folder = files(__package__).joinpath("json")
    return {name: folder.joinpath(f"{name}.json") for name in UIDS}
