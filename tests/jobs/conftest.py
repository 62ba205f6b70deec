"""The whole pipeline, for tests of the jobs on the real parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reward_infra.fetch import fetch
from reward_infra.pipeline import Pipeline

pytest.register_assert_rewrite("tests.jobs.oracle")


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Kafka, ClickHouse, worker and lander of one test module, under their supervisor."""
    with Pipeline(tmp_path_factory.mktemp("monitor"), installed=fetch()) as running:
        running.start()
        yield running
