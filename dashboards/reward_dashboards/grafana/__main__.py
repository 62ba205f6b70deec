"""Writes the dashboards of this package into `json/`, or with --check says which differ from what is committed there.

python -m reward_dashboards.grafana [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reward_dashboards.grafana import alerts, compare, fleet, function, health, ours, run

BUILDERS: dict[str, Callable[[], dict[str, Any]]] = {
    "fleet": fleet.build,
    "run": run.build,
    "function": function.build,
    "compare": compare.build,
    "alerts": alerts.build,
    "health": health.build,
}


def text(name: str) -> str:
    """A dashboard's file, as it must be."""
    return json.dumps(BUILDERS[name](), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """0; with --check 1 where a file is not what the builders make."""
    stale = []
    for name, path in ours.paths().items():
        file = Path(str(path))
        made = text(name)
        if not file.exists() or file.read_text(encoding="utf-8") != made:
            stale.append(file.name)
            if "--check" not in arguments:
                file.write_text(made, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"{', '.join(stale)}: not what the builders make; run `make grafana`")
        return 1
    print(f"{len(BUILDERS)} dashboards: " + (f"wrote {', '.join(stale)}" if stale else "as committed"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
