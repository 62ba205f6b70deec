"""Where a run's events go: to Kafka, into files, or nowhere; by argument, else by the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from reward_schemas.events import Identity
from reward_schemas.segments import SUFFIX

from reward_producers import kafka_settings
from reward_producers.counts import Counts
from reward_producers.delivery import Delivery
from reward_producers.files import Files, folder_name
from reward_producers.kafka_settings import Kafka
from reward_producers.sender import Place
from reward_producers.spool import Spool

Mode = Literal["online", "offline", "disabled"]
DATA_DIR = "runs"
FILES_BYTES_MAX = 1024**3


@dataclass(frozen=True)
class Destination:
    """Kafka, or None for files alone; and the directory for files, of which each process's may have so many bytes."""

    kafka: Kafka | None
    data_dir: Path
    files_bytes_max: int

    def open(self, identity: Identity, counts: Counts, queue_bytes_max: int) -> Place:
        """The place of a session. Raises MonitorError where Kafka can't be entered with these settings."""
        folder = self.data_dir / folder_name(identity.run_id)
        name = f"{identity.attempt}-{identity.rank}-{identity.session:016x}"
        if self.kafka is None:
            return Files(folder / f"{name}{SUFFIX}", self.files_bytes_max, counts)
        spool = Spool(folder, name, self.files_bytes_max)
        return Delivery(self.kafka, spool, counts, queue_bytes_max)


def destination(
    mode: Mode | None,
    brokers: str | None,
    data_dir: str | os.PathLike[str] | None,
    files_bytes_max: int | None,
    environment: Mapping[str, str],
) -> Destination | None:
    """Where events go; None of a run that is disabled. Without a mode: online where there are brokers, else offline.

    Raises ValueError for a mode that is none, or online without brokers.
    """
    chosen = mode or environment.get("REWARD_MONITOR_MODE") or None
    if chosen not in (None, *get_args(Mode)):
        raise ValueError(f"mode {chosen!r:.40}: online, offline or disabled is needed (mode=..., or REWARD_MONITOR_MODE)")
    if chosen == "disabled":
        return None
    kafka = None if chosen == "offline" else kafka_settings.of_environment(environment, brokers)
    if chosen == "online" and kafka is None:
        raise ValueError("online, and no brokers: pass brokers='host:port' or set REWARD_MONITOR_KAFKA_BROKERS")
    return Destination(
        kafka,
        Path(data_dir or environment.get("REWARD_MONITOR_DATA_DIR") or DATA_DIR),
        whole_number_of(files_bytes_max, environment, "REWARD_MONITOR_FILES_BYTES_MAX", FILES_BYTES_MAX),
    )


def whole_number_of(given: int | None, environment: Mapping[str, str], name: str, default: int) -> int:
    """What was given, else the environment's; raises ValueError where that is no whole number."""
    if given is not None:
        return given
    text = environment.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name}={text!r} in the environment is not a whole number") from None
