"""The topic catalogue (`topics.yaml`) as frozen values. The settings are data: nothing else names a topic's settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

EVENTS = "rewards.events.v1"
RESULTS = "rewards.results.v1"
SNAPSHOTS = "rewards.snapshots.v1"
RULES = "rewards.rules.v1"

# What a trainer may send in one message: the topic's limit less room for the record's own header and the batch's.
EVENT_BYTES_MAX = 4194304 - 4096


@dataclass(frozen=True)
class Topic:
    """One topic: its name, what its key is, its number of partitions, and its broker settings by Kafka's names."""

    name: str
    key: str
    partitions: int
    writers: str
    config: dict[str, str]


@cache
def _data() -> dict[str, Any]:
    import yaml  # only the jobs read the catalogue; a trainer's environment need not have PyYAML

    data: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("topics.yaml").read_text(encoding="utf-8"))
    return data


def source_partitions(setting: str) -> int:
    """Number of partitions of the events topic in a setting, "embedded" or "cluster"."""
    return int(_data()["source_partitions"][setting])


def catalogue(partitions: int) -> tuple[Topic, ...]:
    """Every topic, for an events topic of `partitions` partitions."""
    return tuple(
        Topic(
            name=topic["name"],
            key=topic["key"],
            partitions=partitions if topic["partitions"] == "source" else topic["partitions"],
            writers=topic["writers"],
            config={key: str(value) for key, value in topic["config"].items()},
        )
        for topic in _data()["topics"]
    )
