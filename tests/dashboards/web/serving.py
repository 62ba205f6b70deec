"""A web dashboard of our own, and the browser that looks at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reward_dashboards.web.serve import serves

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def served(*arguments: str, **environment: str) -> Iterator[str]:
    """The address of a web dashboard."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("reward-monitor")), "web", *arguments, "--port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REWARD_MONITOR_")}
    server = subprocess.Popen(command, env=clean | environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            if serves("127.0.0.1", port):
                break
            assert server.poll() is None, server.stderr and server.stderr.read()
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(20)
        assert not serves("127.0.0.1", port)  # it leaves nobody behind
