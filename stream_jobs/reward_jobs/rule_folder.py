"""A directory of rules that is followed: what is saved there is published, and so in force within seconds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from reward_producers.kafka import KafkaException
from reward_producers.kafka_settings import Kafka
from reward_producers.rule_files import RulesRefused, bare_names, checked, texts

from reward_jobs.rule_sets import RuleSets, publish

log = logging.getLogger(__name__)


class RuleFolder:
    """Files or directories of rules. `look` publishes what has changed; what has mistakes is published as refused, and what was in
    force stays."""

    def __init__(self, kafka: Kafka | str, paths: Sequence[Path]) -> None:
        self._kafka, self._paths = kafka, paths
        self._seen: dict[str, str] | None = None  # what was looked at last
        self._saved: dict[str, str] = {}  # what may be in the middle of being saved
        published = RuleSets(kafka)
        try:
            published.refresh()
            last = published.said(published.last)
        finally:
            published.close()
        self._published = last.files if last else {}

    def look(self) -> str | None:
        """What became of a change, in words; None where nothing has changed. An error of Kafka's is told, and tried again."""
        try:
            files = bare_names(texts(*self._paths))
        except RulesRefused as error:  # gone, no text, or two of one name
            return str(error)
        if files == self._seen or (self._seen is not None and files != self._saved):
            self._saved = files  # the next look finds it whole
            return None
        try:
            said = self._follow(files)
        except (KafkaException, TimeoutError) as error:
            return f"the rules can't be published yet: {error}"
        self._seen = files
        return said

    def _follow(self, files: dict[str, str]) -> str:
        if files == self._published:
            return f"rules: {', '.join(files)}, as they were published"
        try:
            rules = checked(files)
        except RulesRefused as error:
            version = publish(self._kafka, files, refused=True)
            self._published = files
            return f"the rules are not in force, what was stays (told as version {version}). {error}"
        version = publish(self._kafka, files)
        self._published = files
        return f"rules: version {version}, {len(rules.rules)} rules of {', '.join(files)}"
