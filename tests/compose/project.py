"""docker-compose.yml and Dockerfile as tests read them: with variables filled in, as Compose and Docker do it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
SECRETS = "infra/docker/secrets"  # relative to ROOT
JOBS = ("setup", "aggregate", "land", "notify")  # the services of our own image

_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def project(variables: Mapping[str, str] = {}) -> dict[str, Any]:
    """The file with its YAML merges done and `${NAME:-default}` filled in."""
    text = _VARIABLE.sub(lambda found: variables.get(found[1], found[2]), COMPOSE_FILE.read_text(encoding="utf-8"))
    assert "$" not in re.sub(r"(?m)#.*$", "", text), "a variable in a form that this doesn't read"
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def environment(service: str, replaced: Mapping[str, str] = {}, variables: Mapping[str, str] = {}) -> dict[str, str]:
    """What the container's program finds set, by image and by Compose, with texts in it replaced: hosts, paths, ports."""
    given = project(variables)["services"][service].get("environment", {})
    made = {**(image_environment() if service in JOBS else {}), **{name: str(value) for name, value in given.items()}}
    for old, new in replaced.items():
        made = {name: value.replace(old, new) for name, value in made.items()}
    return made


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with what follows them, in order."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8")).replace("\\\n", " ")
    return [
        (word.upper(), " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)
    ]


def last_stage() -> list[tuple[str, str]]:
    """Those of the image itself."""
    found = instructions()
    return found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]


def image_environment() -> dict[str, str]:
    """The image's ENV, without PATH, which is of its files."""
    pairs = [pair.partition("=") for word, rest in last_stage() if word == "ENV" for pair in shlex.split(rest)]
    return {name: value for name, _, value in pairs if name != "PATH"}


def image_health_command() -> list[str]:
    """The image's health check, in the form that runs without a shell."""
    (rest,) = [rest for word, rest in last_stage() if word == "HEALTHCHECK"]
    command: list[str] = json.loads(rest[rest.index("CMD ") + 4 :])
    return command
