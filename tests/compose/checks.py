"""What docker-compose.yml must hold, a function each: the file as data goes in, what is wrong with it comes out in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
from reward_infra import compose_secrets
from reward_jobs.settings import Settings
from reward_schemas.settings import PREFIX, SettingsError, load

from tests.compose.project import JOBS, ROOT, SECRETS, image_health_command, last_stage

Project = dict[str, Any]
Check = Callable[[Project], Iterator[str]]

SCHEMA = json.loads(Path(__file__).with_name("compose-spec.json").read_text(encoding="utf-8"))
# Images whose own USER is not root, by their Dockerfiles: appuser, and grafana (472).
NON_ROOT_IMAGES = ("apache/kafka:", "grafana/grafana:", "reward-monitor:")
_SECRET_PATH = re.compile(r"/run/secrets/(\w+)")


def specification(project: Project) -> Iterator[str]:
    """The Compose Specification's own schema."""
    for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(project):
        yield f"{'.'.join(map(str, error.absolute_path))}: {error.message}"


def settings(project: Project) -> Iterator[str]:
    """Each variable of ours is a setting that exists, with a value that fits."""
    for name, service in project["services"].items():
        try:
            load(Settings, {k: str(v) for k, v in service.get("environment", {}).items() if k.startswith(PREFIX)})
        except SettingsError as error:
            yield f"{name}: {error}"


def mounts(project: Project) -> Iterator[str]:
    """Each mounted path exists and is read-only; each named volume is declared."""
    for name, service in project["services"].items():
        for source, target, *mode in (volume.split(":") for volume in service.get("volumes", [])):
            if not source.startswith("."):
                if source not in project["volumes"]:
                    yield f"{name}: volume {source} is not declared"
            elif not (ROOT / source).exists():
                yield f"{name}: {source} for {target} does not exist"
            elif mode != ["ro"]:
                yield f"{name}: {source} can be written"


def secrets(project: Project) -> Iterator[str]:
    """Each secret is a file that `make secrets` makes, is mounted where it is read, and none stands in the open."""
    made = {*compose_secrets.PASSWORDS, compose_secrets.USERS}
    for name, secret in project["secrets"].items():
        folder, _, file = secret["file"].removeprefix("./").rpartition("/")
        if folder != SECRETS or file not in made:
            yield f"secret {name}: nothing makes {secret['file']}"
    for name, service in project["services"].items():
        mounted = {s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])}
        if unknown := mounted - project["secrets"].keys():
            yield f"{name}: secrets {unknown} are not declared"
        text = json.dumps([service.get(part) for part in ("environment", "command", "healthcheck")])
        text += "".join(_files(service))
        read = set(_SECRET_PATH.findall(text))
        if missing := read - mounted:
            yield f"{name}: reads {missing}, which it is not given"
        elsewhere = {s["source"] for s in service.get("secrets", []) if isinstance(s, dict)}
        if unread := mounted - read - elsewhere:
            yield f"{name}: is given {unread}, and reads it nowhere"
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN", variable) and not _SECRET_PATH.fullmatch(str(value)):
                yield f"{name}: {variable} holds a secret itself"


def ports(project: Project) -> Iterator[str]:
    """Ports are published on the loopback address only."""
    for name, service in project["services"].items():
        for port in service.get("ports", []):
            if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port):
                yield f"{name}: port {port} is open to others"


def images(project: Project) -> Iterator[str]:
    """Each image has a version; ours has that of the package, and is built here."""
    for name, service in project["services"].items():
        image = service.get("image", "")
        if not re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)*", image):
            yield f"{name}: image {image} is not pinned"
        if (name in JOBS) != (image == f"reward-monitor:{version('reward-monitor')}" and service.get("build") == "."):
            yield f"{name}: image {image} is not this version's"


def containment(project: Project) -> Iterator[str]:
    """No root, no writable root file system, no capabilities; bounded memory, processes and logs; comes back after a failure."""
    for name, service in project["services"].items():
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        logs = service.get("logging", {}).get("options", {})
        wanted = {
            "a user other than root": service.get("user", "0" if not service["image"].startswith(NON_ROOT_IMAGES) else "1")[0]
            != "0",
            "a read-only root file system": service.get("read_only") is True,
            "no capabilities": service.get("cap_drop") == ["ALL"] and not service.get("cap_add"),
            "no new privileges": service.get("security_opt") == ["no-new-privileges:true"],
            "a limit of memory and processes": limits.keys() == {"memory", "pids"},
            "logs that are rotated": {"max-size", "max-file"} <= logs.keys(),
            "a restart policy": service.get("restart") == ("no" if name == "setup" else "unless-stopped"),
            "room in /tmp": "/tmp" in {path.split(":")[0] for path in service.get("tmpfs", [])},
        }
        yield from (f"{name}: lacks {what}" for what, there in wanted.items() if not there)
    if [rest for word, rest in last_stage() if word == "USER"][-1:] in ([], ["0"], ["root"]):
        yield "our image runs as root"


def health(project: Project) -> Iterator[str]:
    """Each service that goes on has a health check: a program that the image has, at a port that the service listens on."""
    for name, service in project["services"].items():
        check = service.get("healthcheck", {})
        if name == "setup":
            continue  # it ends, and its exit code says how
        test = check.get("test") or (image_health_command() if name in JOBS else None)
        if not test or check.get("disable"):
            yield f"{name}: has no health check"
            continue
        if missing := {"interval", "timeout", "retries", "start_period", "start_interval"} - check.keys():
            yield f"{name}: its health check lacks {missing}"
        published = {port.rsplit(":", 1)[1] for port in service.get("ports", [])}
        listeners = set(re.findall(r":(\d+)", service.get("environment", {}).get("KAFKA_LISTENERS", "")))
        for asked in re.findall(r"127\.0\.0\.1:(\d+)", " ".join(test)):
            if asked not in published | listeners:
                yield f"{name}: its health check asks port {asked}, where nothing listens"


def order(project: Project) -> Iterator[str]:
    """Who waits for whom: on something that is there, under a condition that it can meet."""
    for name, service in project["services"].items():
        for other, given in service.get("depends_on", {}).items():
            if other not in project["services"]:
                yield f"{name}: waits for {other}, which does not exist"
            elif (given["condition"] == "service_completed_successfully") != (other == "setup"):
                yield f"{name}: waits for {other} under the wrong condition"
    waits = {name: set(service.get("depends_on", {})) for name, service in project["services"].items()}
    for name, others in {
        "setup": {"kafka", "clickhouse"},
        "aggregate": {"setup"},
        "land": {"setup"},
        "notify": {"setup"},
        "grafana": {"clickhouse"},
    }.items():
        if waits.get(name) != others:
            yield f"{name}: waits for {waits.get(name)} and not for {others}"


def _files(service: dict[str, Any]) -> Iterator[str]:
    """The texts of files from here that a service is given."""
    for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
        path = ROOT / source
        if source.startswith(".") and path.exists():
            yield from (file.read_text(encoding="utf-8") for file in ([path] if path.is_file() else path.rglob("*.*")))


CHECKS: tuple[Check, ...] = (specification, settings, mounts, secrets, ports, images, containment, health, order)
