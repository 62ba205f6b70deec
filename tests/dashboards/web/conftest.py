"""A real Chromium, and a server of a directory of runs, one of which goes on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
from reward_producers.reporter import start_run

from tests.dashboards.web.serving import CHROMIUM, served
from tests.dashboards.web.test_sources import hacked

LONG = 2_000  # steps; of 1,000 points at most are all of them drawn
EVERY_S = 0.5
HOSTILE = "<script>document.title='owned'</script>'; DROP TABLE runs; -- ünï"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a run that ended, a long one, one with a hostile name, and one that goes on as long as the tests do."""
    folder = tmp_path_factory.mktemp("runs")
    hacked(folder)
    with start_run("p", {"f": 1.0}, run_id="long", data_dir=folder) as run:
        for step in range(LONG):
            run.log_rollout(step, rewards={"f": [step % 7, 1.0]}, groups=[0, 0])
    with start_run("p", {HOSTILE: 1.0}, run_id=HOSTILE, data_dir=folder) as run:
        for step in range(12):
            run.log_rollout(step, rewards={HOSTILE: [0.0, 1.0, 1.0, 1.0]}, groups=[0, 0, 1, 1])
    over = threading.Event()

    def train() -> None:
        draw = np.random.default_rng(1)
        with start_run("p", {"f": 1.0}, run_id="goes-on", data_dir=folder) as run:
            for step in range(10_000):
                run.log_rollout(step, rewards={"f": draw.random(16)}, groups=np.repeat(np.arange(4), 4))
                if over.wait(0.2):
                    return

    training = threading.Thread(target=train)
    training.start()
    yield folder
    over.set()
    training.join()


@pytest.fixture(scope="module")
def url(live: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    own = {"XDG_DATA_HOME": str(tmp_path_factory.mktemp("views"))}
    with served("--data-dir", str(live), "--every", str(EVERY_S), **own) as address:
        yield address


def probes(said: ConsoleMessage) -> bool:
    """Whether it is Streamlit looking for its own root, which it finds at the second address that it tries."""
    return "/_stcore/" in said.location["url"]


@pytest.fixture
def page() -> Iterator[Page]:
    """A page that has had no error of its own at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = browser.new_page(viewport={"width": 1280, "height": 1000})
        errors: list[str] = []
        made.on("pageerror", lambda error: errors.append(str(error)))
        made.on("console", lambda said: errors.append(said.text) if said.type == "error" and not probes(said) else None)
        made.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield made
        assert errors == [] and made.locator(".stException").count() == 0
        browser.close()
