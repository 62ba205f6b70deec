"""The command that serves the web dashboard, for who starts it."""

from __future__ import annotations

import sys
import urllib.request
from importlib.resources import files

PORT = 8501
EVERY_S = 2.0  # between updates


def command(address: str, port: int) -> tuple[str, ...]:
    """Streamlit's command line; arguments of ours follow after "--"."""
    options = {
        "server.address": address,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "theme.light.primaryColor": "#4477aa",  # Streamlit's own red looks like a mistake here
        "theme.dark.primaryColor": "#4477aa",
    }
    app = str(files(__package__).joinpath("app.py"))
    return (
        sys.executable,
        "-m",
        "streamlit",
        "run",
        app,
        *(part for name, value in options.items() for part in (f"--{name}", str(value))),
    )


def serves(address: str, port: int) -> bool:
    """Whether it answers."""
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/_stcore/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
