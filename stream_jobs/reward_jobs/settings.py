"""Every setting of an installation: one struct of sections, from the environment or one YAML file."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field
from reward_producers.kafka_settings import Kafka
from reward_schemas.settings import FILE_VARIABLE, Loaded, SettingsError, load
from reward_schemas.topics import source_partitions
from reward_store.settings import ClickHouseSettings, Retention

EXIT_CONFIGURATION = 78  # of a job: what a restart doesn't mend


class Topics(Struct, frozen=True, kw_only=True):
    """How topics are created. The partition count of the events topic never changes afterwards."""

    partitions: Annotated[int, Meta(ge=1, le=4096, description="of the events topic, and of what follows it")] = field(
        default_factory=lambda: source_partitions("cluster")
    )
    replication: Annotated[int, Meta(ge=-1, le=16, description="copies of each partition; -1: the cluster's default")] = -1


class Jobs(Struct, frozen=True, kw_only=True):
    """What the jobs need beside the two stores."""

    epoch: Annotated[int, Meta(ge=0, le=255, description="of the lander: counts re-creations of the topics")] = 0
    instance: Annotated[
        str, Meta(max_length=200, description="of a lander: a name that it alone has, by which it is back at once after a kill")
    ] = ""
    snapshot_s: Annotated[float, Meta(gt=0, le=3600, description="seconds between two snapshots of a partition")] = 30.0
    data_dir: Annotated[
        Path,
        Meta(
            description="where a job keeps a small status file, see reward_jobs.health, and the notifier what it must not forget"
        ),
    ] = field(default_factory=lambda: Path(tempfile.gettempdir()) / "reward-monitor-jobs")
    notify_config: Annotated[Path | None, Meta(description="of the notifier: YAML file of routes and receivers")] = None


class Local(Struct, frozen=True, kw_only=True):
    """The stack on this machine (`demo`, `up`)."""

    dir: Annotated[Path, Meta(description="where everything is kept")] = Path(".reward-monitor")
    cache: Annotated[Path | None, Meta(description="where fetched programs are kept; else ~/.cache/reward-monitor")] = None
    maven_repo: Annotated[str, Meta(description="a mirror of Maven Central to fetch Kafka from")] = ""


class Settings(Struct, frozen=True, kw_only=True):
    """All sections."""

    kafka: Kafka = Kafka()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    topics: Topics = field(default_factory=Topics)
    retention: Retention = Retention()
    jobs: Jobs = field(default_factory=Jobs)
    local: Local = Local()


def settings(file: Path | None = None) -> Loaded[Settings]:
    """The settings of this process. Raises SettingsError with every mistake."""
    return load(Settings, os.environ, file)


def of_process(program: str, description: str) -> Settings:
    """The settings of a job's own process, with `--config`; ends it with EXIT_CONFIGURATION where they can't be used."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument(
        "--config", type=Path, help=f"YAML file of settings (default: ${FILE_VARIABLE}); see `reward-monitor config`"
    )
    try:
        return settings(parser.parse_args().config).value
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_CONFIGURATION)
