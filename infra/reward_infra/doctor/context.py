"""What the checks look at: the settings, and what earlier checks found out for later ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reward_schemas.settings import DEFAULT

from reward_infra.data_dir import holder
from reward_infra.local_stack import SETTINGS_FILE

from .finding import Unseen

if TYPE_CHECKING:  # at run time these need what the extra [jobs] brings, and its absence is something to find
    from reward_jobs.settings import Settings
    from reward_producers.kafka import AdminClient
    from reward_schemas.settings import Loaded
    from reward_store.client import Client

    from reward_infra.status import JobLag
    from reward_infra.topics import TopicState


class Context:
    """One examination.

    loaded: None where the settings can't be had; `mistakes` says why, empty where packages are missing. elsewhere: the
    sections ("kafka", "clickhouse") that name a place other than the local stack's. now_s: this machine's clock.
    """

    brokers: dict[int, tuple[str, int]]  # by number, as they say they are to be reached; by the check "Kafka login"
    admin: AdminClient  # the same
    topics: Sequence[TopicState]  # by "topics"
    lags: dict[str, JobLag]  # by "worker" and "lander", under the job's name
    reader: Client  # by "ClickHouse reader"
    writer: Client  # by "ClickHouse writer"

    def __init__(
        self,
        data_dir: Path,
        loaded: Loaded[Settings] | None,
        *,
        mistakes: Sequence[str] = (),
        elsewhere: frozenset[str] = frozenset(),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.loaded, self.mistakes, self.elsewhere, self.now_s = loaded, mistakes, elsewhere, now_s
        self.lags = {}
        self.epoch: int | None = None  # of the fold, by "snapshots"

    @property
    def settings(self) -> Settings:
        """The effective settings."""
        if self.loaded is None:
            raise Unseen("the settings are not known")
        return self.loaded.value

    @property
    def local(self) -> bool:
        """Whether the stack in the data directory is the one that is meant, for Kafka or for ClickHouse."""
        return not self.elsewhere or (len(self.elsewhere) == 1 and (self.data_dir / SETTINGS_FILE).is_file())

    def require(self, section: str) -> None:
        """Unseen where there is no place at which a section could be looked for."""
        if section in self.elsewhere:
            return
        if not self.local:
            raise Unseen(f"no {section} is set")
        if holder(self.data_dir) is None:
            raise Unseen("the local stack does not run")

    def default(self, name: str) -> bool:
        """Whether nobody has set a setting."""
        return self.loaded is None or self.loaded.sources[name] == DEFAULT

    def setting(self, name: str) -> str:
        """A setting's name and where its value comes from: a place for a finding."""
        source = self.loaded.sources.get(name, "") if self.loaded else ""
        return f"{name}, {source}" if source else name
