"""Stands in for the program `grafana server`: checks what it is given as Grafana would, and answers /api/health.

What it doesn't understand ends it with exit code 1 and a word of why. Of Python's own library alone, since it runs from a
folder of its own.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

KNOWN = {
    "GF_PATHS_DATA", "GF_PATHS_LOGS", "GF_PATHS_PLUGINS", "GF_PATHS_PROVISIONING", "GF_SERVER_HTTP_ADDR", "GF_SERVER_HTTP_PORT",
    "GF_SECURITY_ADMIN_PASSWORD__FILE", "GF_AUTH_ANONYMOUS_ENABLED", "GF_USERS_ALLOW_SIGN_UP", "GF_LOG_MODE",
    "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", "GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES",
}  # fmt: skip
given = {name: value for name, value in os.environ.items() if name.startswith("GF_")}
home = Path(__file__).resolve().parent.parent


def need(condition, why):
    if not condition:
        sys.exit(f"grafana: {why}")


need(sys.argv[1:] == ["server", "--homepath", str(home)], f"arguments {sys.argv[1:]}")
need(given.keys() == KNOWN, f"variables {sorted(given.keys() ^ KNOWN)}")
need(given["GF_SERVER_HTTP_ADDR"] == "127.0.0.1" and given["GF_AUTH_ANONYMOUS_ENABLED"] == "false", "open to others")
password = Path(given["GF_SECURITY_ADMIN_PASSWORD__FILE"])
need(password.stat().st_mode & 0o077 == 0 and len(password.read_text()) > 20, "the password")
need(json.loads(Path(given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).read_text())["panels"], "no home dashboard")

provisioning = Path(given["GF_PATHS_PROVISIONING"])
(file,) = (provisioning / "datasources").iterdir()
(source,) = json.loads(file.read_text())["datasources"]
need(source["type"] == "grafana-clickhouse-datasource" and source["jsonData"]["defaultDatabase"] == "rewards", "data source")
secret = source["secureJsonData"]["password"]
need(secret.startswith("$__file{") and Path(secret[8:-1].replace("$$", "$")).read_text(), f"password {secret}")
(file,) = (provisioning / "dashboards").iterdir()
(provider,) = json.loads(file.read_text())["providers"]
need(len([*Path(provider["options"]["path"]).glob("*.json")]) == 6 and provider["type"] == "file", "dashboards")


class Health(BaseHTTPRequestHandler):
    """Answers /api/health."""

    def do_GET(self):
        body = b'{"database": "ok"}'
        self.send_response(200 if self.path == "/api/health" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer(("127.0.0.1", int(given["GF_SERVER_HTTP_PORT"])), Health).serve_forever()
