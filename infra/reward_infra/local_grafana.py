"""A Grafana that is installed on this machine, run beside the stack with our data source and dashboards.

It gets a directory of its own, a free port on the loopback address and a password of its own; what the machine has
otherwise configured for Grafana is neither read nor touched.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from reward_dashboards.grafana import ours
from reward_dashboards.grafana.source import PLUGIN, data_source

from .cache import write_atomically
from .clickhouse_users import new_password
from .embedded_clickhouse import PASSWORDS
from .errors import InfraError
from .local_stack import CLICKHOUSE, LocalStack
from .part import Part
from .ports import HOST, Ports

GRAFANA = "grafana"
_PREFERRED_PORT = 23000
_SYSTEM_HOME, _SYSTEM_PLUGINS = Path("/usr/share/grafana"), Path("/var/lib/grafana/plugins")
_READY_S = 120.0  # it makes its database at the first start


@dataclass(frozen=True)
class Program:
    """A Grafana: how it is started, and the directory of its own files; None: it knows that itself."""

    argv: tuple[str, ...]
    home: Path | None


def find(home: Path | None = None) -> Program | None:
    """The Grafana in `home`, else the one on the PATH; None where there is none. InfraError where `home` has none."""
    for name, more in (("grafana", ("server",)), ("grafana-server", ())):
        found = shutil.which(name, path=str(home / "bin") if home else None)
        if found:
            own = Path(found).resolve().parent.parent
            known = (each for each in (own, _SYSTEM_HOME) if (each / "public").is_dir())
            return Program((found, *more), next(known, None))
    if home:
        raise InfraError(
            "There is no Grafana in this directory.",
            where=str(home.absolute()),
            remedy="name the directory that it was unpacked to, with bin/grafana in it",
        )
    return None


class LocalGrafana:
    """The Grafana of a running stack. Nothing happens before `part`."""

    def __init__(self, program: Program, stack: LocalStack) -> None:
        self._program = program
        self._stack = stack
        self.home = stack.data_dir / GRAFANA
        self.port = 0
        self._ports = Ports(self.home / "ports.json", stack.installed.cache / "ports")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def password_file(self) -> Path:
        """The password of its user `admin`."""
        return self.home / "admin_password"

    @property
    def lacks(self) -> str:
        """What it cannot draw without, and how to get it; empty where nothing lacks."""
        plugins = self._plugins()
        if (plugins / PLUGIN).is_dir():
            return ""
        cli = (
            (self._program.argv[0], "cli")
            if len(self._program.argv) > 1
            else (f"{self._program.argv[0].removesuffix('-server')}-cli",)
        )
        return f"the ClickHouse plugin: {' '.join(cli)} --pluginsDir {plugins} plugins install {PLUGIN}, and start again"

    def part(self) -> Part:
        """Chooses its port, writes its provisioning, and returns it as a part for the supervisor."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.port = self._ports.choose({GRAFANA: _PREFERRED_PORT})[GRAFANA]
        if not self.password_file.exists():
            write_atomically(self.password_file, new_password(), 0o600)
        self._provision()
        argv = self._program.argv + (("--homepath", str(self._program.home)) if self._program.home else ())
        return Part(
            GRAFANA,
            argv,
            env=self._environment(),
            cwd=self.home,
            ready=self._ready,
            ready_timeout_s=_READY_S,
            after=(CLICKHOUSE,),
        )

    def _provision(self) -> None:
        """The files as Grafana reads them: YAML, of which JSON is a part. A $ of ours stands twice."""
        address = self._stack.clickhouse
        source = data_source(address.host, address.http_port, "reader", address.database)
        password = str(self._stack.data_dir / CLICKHOUSE / PASSWORDS / "reader").replace("$", "$$")
        source |= {"isDefault": True, "editable": False, "secureJsonData": {"password": f"$__file{{{password}}}"}}
        provider = {
            "name": ours.TAG,
            "type": "file",
            "folder": "Reward monitor",
            "allowUiUpdates": False,
            "options": {"path": str(_dashboards()).replace("$", "$$")},
        }
        for kind, content in (("datasources", source), ("dashboards", provider)):
            file = self.home / "provisioning" / kind / "reward-monitor.yaml"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(
                file, json.dumps({"apiVersion": 1, "providers" if kind == "dashboards" else kind: [content]}, indent=1)
            )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GF_")}
        return inherited | {
            "GF_PATHS_DATA": str(self.home / "data"),
            "GF_PATHS_LOGS": str(self.home / "data" / "log"),
            "GF_PATHS_PLUGINS": str(self._plugins()),
            "GF_PATHS_PROVISIONING": str(self.home / "provisioning"),
            "GF_SERVER_HTTP_ADDR": HOST,
            "GF_SERVER_HTTP_PORT": str(self.port),
            "GF_SECURITY_ADMIN_PASSWORD__FILE": str(self.password_file),
            "GF_AUTH_ANONYMOUS_ENABLED": "false",
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(_dashboards() / "fleet.json"),
            "GF_LOG_MODE": "console",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        }

    def _plugins(self) -> Path:
        """Where the plugin is, or else where it belongs."""
        known = [*([self._program.home / "data" / "plugins"] if self._program.home else []), _SYSTEM_PLUGINS]
        return next((each for each in known if (each / PLUGIN).is_dir()), self.home / "plugins")

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=1)
        try:
            connection.request("GET", "/api/health", headers={"Connection": "close"})
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _dashboards() -> Path:
    """The directory of the committed dashboards."""
    return Path(str(ours.paths()["fleet"])).parent
