"""docker-compose.yml holds what `checks` asks, and each check refuses a file that doesn't."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from tests.compose import checks
from tests.compose.project import ROOT, project

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_the_file(check: checks.Check) -> None:
    assert list(check(project())) == []


def test_the_file_with_other_ports() -> None:
    chosen = project({"KAFKA_PORT": "39092", "CLICKHOUSE_HTTP_PORT": "38123", "GRAFANA_PORT": "33000"})
    assert [problem for check in checks.CHECKS for problem in check(chosen)] == []
    assert chosen["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].endswith("HOST://127.0.0.1:39092")
    assert chosen["services"]["kafka"]["ports"] == ["127.0.0.1:39092:29092"]


# A check, the place of a change to the file, the value there (None: it is taken out), and words of what must be said.
BAD: list[tuple[checks.Check, str, Any, str]] = [
    (checks.specification, "services.kafka.imgae", "x", "imgae"),
    (checks.specification, "services.kafka.restart", 7, "restart"),
    (checks.specification, "services.land.depends_on.setup.condition", "service_done", "service_done"),
    (checks.settings, "services.land.environment.REWARD_MONITOR_KAFKA_BROKER", "kafka:9092", "did you mean"),
    (checks.settings, "services.land.environment.REWARD_MONITOR_KAFKA_BROKERS", "kafka", "kafka.brokers"),
    (checks.mounts, "services.clickhouse.volumes", ["./infra/docker/gone.xml:/etc/gone.xml:ro"], "does not exist"),
    (checks.mounts, "services.clickhouse.volumes", ["./infra/docker:/etc/clickhouse-server"], "can be written"),
    (checks.mounts, "services.clickhouse.volumes", ["data:/var/lib/clickhouse"], "not declared"),
    (checks.secrets, "secrets.grafana_admin.file", "./infra/docker/secrets/admin", "nothing makes"),
    (checks.secrets, "services.land.secrets", [], "which it is not given"),
    (checks.secrets, "services.grafana.secrets", ["grafana_admin"], "which it is not given"),
    (checks.secrets, "services.aggregate.secrets", ["clickhouse_writer"], "reads it nowhere"),
    (checks.secrets, "services.aggregate.secrets", ["other"], "not declared"),
    (checks.secrets, "services.grafana.environment.GF_SECURITY_ADMIN_PASSWORD", "admin", "holds a secret itself"),
    (checks.ports, "services.kafka.ports", ["29092:29092"], "open to others"),
    (checks.ports, "services.kafka.ports", ["0.0.0.0:29092:29092"], "open to others"),
    (checks.images, "services.grafana.image", "grafana/grafana:latest", "not pinned"),
    (checks.images, "services.grafana.image", "grafana/grafana", "not pinned"),
    (checks.images, "services.land.image", "reward-monitor:0.0.1", "not this version's"),
    (checks.images, "services.land.build", None, "not this version's"),
    (checks.containment, "services.clickhouse.user", None, "a user other than root"),
    (checks.containment, "services.clickhouse.user", "0:0", "a user other than root"),
    (checks.containment, "services.land.read_only", False, "a read-only root"),
    (checks.containment, "services.land.cap_drop", None, "no capabilities"),
    (checks.containment, "services.land.cap_add", ["NET_ADMIN"], "no capabilities"),
    (checks.containment, "services.land.security_opt", None, "no new privileges"),
    (checks.containment, "services.land.deploy", None, "a limit of memory"),
    (checks.containment, "services.land.deploy.resources.limits.memory", None, "a limit of memory"),
    (checks.containment, "services.land.logging", None, "logs that are rotated"),
    (checks.containment, "services.land.restart", "no", "a restart policy"),
    (checks.containment, "services.land.tmpfs", None, "room in /tmp"),
    (checks.health, "services.kafka.healthcheck", None, "has no health check"),
    (checks.health, "services.land.healthcheck", {"disable": True}, "has no health check"),
    (checks.health, "services.grafana.healthcheck.start_period", None, "start_period"),
    (checks.health, "services.grafana.healthcheck.test", ["CMD", "curl", "http://127.0.0.1:3001"], "port 3001"),
    (checks.order, "services.land.depends_on", None, "and not for"),
    (checks.order, "services.land.depends_on.setup.condition", "service_healthy", "wrong condition"),
    (checks.order, "services.setup.depends_on.kafka.condition", "service_completed_successfully", "wrong condition"),
    (checks.order, "services.setup.depends_on.kafak", {"condition": "service_healthy"}, "does not exist"),
]


@pytest.mark.parametrize(("check", "place", "value", "words"), BAD)
def test_a_bad_file_is_refused(check: checks.Check, place: str, value: Any, words: str) -> None:
    bad = copy.deepcopy(project())
    *way, last = place.split(".")
    part = bad
    for name in way:
        part = part[name]
    if value is None:
        part.pop(last)
    else:
        part[last] = value
    assert [problem for problem in check(bad) if words in problem]


def test_every_check_is_seen_to_refuse() -> None:
    assert {check for check, *_ in BAD} == {*checks.CHECKS}


def test_grafanas_data_source_is_the_reader_of_the_container() -> None:
    from reward_dashboards.grafana.source import data_source
    from reward_store.settings import ClickHouseSettings

    folder = ROOT / "infra/docker/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/clickhouse.yaml").read_text())["datasources"]
    told, defaults = source["jsonData"], ClickHouseSettings()
    assert (told["username"], told["defaultDatabase"], told["port"]) == (defaults.reader, defaults.views, defaults.http_port)
    assert told["host"] in project()["services"] and told["protocol"] == "http" and not told["secure"]
    assert source["secureJsonData"] == {"password": "$__file{/run/secrets/clickhouse_reader}"}
    made = data_source(told["host"], told["port"], told["username"], told["defaultDatabase"])
    assert {key: source[key] for key in made} == made
    (provider,) = yaml.safe_load((folder / "dashboards/dashboards.yaml").read_text())["providers"]
    targets = [volume.split(":")[1] for volume in project()["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets
    plugin = project()["services"]["grafana"]["environment"]["GF_PLUGINS_PREINSTALL_SYNC"]
    assert plugin.partition("@")[0] == source["type"]


def test_the_readers_memory_fits_the_container() -> None:
    from reward_infra.compose_secrets import READER_MEMORY_BYTES

    limit = project()["services"]["clickhouse"]["deploy"]["resources"]["limits"]["memory"]
    assert limit.endswith("G") and int(limit[:-1]) * 2**30 > 2 * READER_MEMORY_BYTES


def test_kafka_may_load_what_it_unpacks() -> None:
    """Docker mounts memory without exec, and from there Java loads neither zstd, lz4 nor snappy: seen, with produce failing."""
    assert "/tmp:exec" in project()["services"]["kafka"]["tmpfs"]
