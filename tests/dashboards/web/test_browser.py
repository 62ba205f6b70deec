"""The web dashboard as a person sees it: a real Chromium, a real server, runs that go on meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from reward_dashboards.web.serve import serves
from reward_infra.fetch import fetch
from reward_infra.local_stack import CLICKHOUSE, LocalStack
from reward_producers.reporter import start_run
from reward_store.errors import StoreError
from reward_store.migrate import migrate

from tests.dashboards.web.test_sources import hacked
from tests.store.logs import records, training
from tests.store.running import FOR_EVER, address, land

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HOSTILE = "<script>document.title='owned'</script>'; DROP TABLE runs; -- ünï"
pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a run that ended, one with a hostile name, and one that goes on as long as the tests do."""
    folder = tmp_path_factory.mktemp("runs")
    hacked(folder)
    with start_run("p", {HOSTILE: 1.0}, run_id=HOSTILE, data_dir=folder) as run:
        for step in range(12):
            run.log_rollout(step, rewards={HOSTILE: [0.0, 1.0, 1.0, 1.0]}, groups=[0, 0, 1, 1])
    over = threading.Event()

    def train() -> None:
        draw = np.random.default_rng(1)
        with start_run("p", {"f": 1.0}, run_id="goes-on", data_dir=folder) as run:
            for step in range(10_000):
                run.log_rollout(step, rewards={"f": draw.random(16)}, groups=np.repeat(np.arange(4), 4))
                if over.wait(0.3):
                    return

    training = threading.Thread(target=train)
    training.start()
    yield folder
    over.set()
    training.join()


@contextmanager
def served(*arguments: str, **environment: str) -> Iterator[str]:
    """The address of a web dashboard."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("reward-monitor")), "web", *arguments, "--port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REWARD_MONITOR_")}
    server = subprocess.Popen(command, env=clean | environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            if serves("127.0.0.1", port):
                break
            assert server.poll() is None, server.stderr and server.stderr.read()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


@pytest.fixture(scope="module")
def url(live: Path) -> Iterator[str]:
    with served("--data-dir", str(live)) as address:
        yield address


@pytest.fixture
def page() -> Iterator[Page]:
    """A page that has had no error of its own at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = browser.new_page(viewport={"width": 1280, "height": 1000})
        errors: list[str] = []
        made.on("pageerror", lambda error: errors.append(str(error)))
        made.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield made
        assert errors == [] and made.locator(".stException").count() == 0
        browser.close()


def test_the_fleet_says_of_every_run_what_it_is(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.get_by_text("hacked · maths · finished")).to_be_visible()
    expect(page.get_by_text("goes-on · p · live")).to_be_visible()
    sentence = page.get_by_text("goes along with the reward less").or_(page.get_by_text("fell from")).first
    expect(sentence).to_be_visible()
    page.get_by_placeholder("run, project or verdict").fill("goes-on")
    page.keyboard.press("Enter")
    expect(page.get_by_text("hacked · maths · finished")).to_have_count(0)
    assert "find=goes-on" in page.url
    opening = page.get_by_role(
        "link", name="open goes-on"
    )  # by its name: the first card's link is still that of another run for a moment
    expect(opening).to_have_count(1)
    opening.click()
    expect(page.get_by_role("heading", name="Run", exact=True)).to_be_visible()
    assert "run=goes-on" in page.url


def chart(page: Page) -> dict:
    """The range of the first chart's axis, and how many points it has."""
    frame = page.frame_locator("iframe").first
    frame.locator(".nsewdrag").first.wait_for()
    script = "chart => ({range: chart._fullLayout.xaxis.range, points: chart._fullData[0].x.length})"
    found: dict = frame.locator(".js-plotly-plot").first.evaluate(script)
    return found


def test_a_zoom_is_kept_while_the_run_goes_on_and_a_pause_holds_it(page: Page, url: str) -> None:
    page.goto(f"{url}/run?run=goes-on")
    before = chart(page)
    box = page.frame_locator("iframe").first.locator(".nsewdrag").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.7 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_timeout(300)
    zoomed = chart(page)
    assert zoomed["range"] != before["range"]
    for _ in range(120):
        if (now := chart(page))["points"] > zoomed["points"] + 5:
            break
        page.wait_for_timeout(500)
    assert now["points"] > zoomed["points"] + 5 and now["range"] == zoomed["range"]
    assert page.locator("iframe").count() == 1
    page.get_by_text("Pause").click()
    page.wait_for_timeout(4_000)
    held = chart(page)
    page.wait_for_timeout(4_000)
    assert chart(page) == held


def test_a_run_shows_its_evidence(page: Page, url: str) -> None:
    page.goto(f"{url}/run?run=hacked&smoothing=0.6")
    assert chart(page)["points"] == 120
    captions = page.frame_locator("iframe").first.locator("figcaption")
    expect(captions.first).to_contain_text("Mean reward")
    titles = " ".join(captions.all_inner_texts())
    assert "Groups whose rewards are all equal" in titles and "kl" in titles and "length, mean of the completions" in titles
    expect(page.get_by_role("heading", name="Detectors")).to_be_visible()


@pytest.mark.parametrize(
    "name",
    [
        "compare",
        "alerts",
        "rules",
        "health",
        "run?run=no-such-run",
        f"run?run={quote(HOSTILE)}",
        "compare?function=none&measure=maen",
    ],
)
def test_every_page_draws_whatever_the_url_says(page: Page, url: str, name: str) -> None:
    page.goto(f"{url}/{name}")
    expect(page.get_by_role("heading", name=name.partition("?")[0].capitalize(), exact=True)).to_be_visible()
    page.wait_for_timeout(3_000)
    if "no-such-run" in name:
        expect(page.get_by_text("There is no run")).to_be_visible()
    assert page.title() == "Reward monitor" or page.title().lower().startswith(name.partition("?")[0])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A ClickHouse of our own, which may be killed, with one run in it."""
    with LocalStack(tmp_path_factory.mktemp("stack"), installed=fetch()) as running:
        running.start()
        client = address(running).connect()
        migrate(client, retention=FOR_EVER)
        land(client, records(training("stored", steps=30)))
        client.close()
        yield running


def test_clickhouse_goes_away_and_comes_back_without_a_reload(page: Page, store: LocalStack) -> None:
    with served("--data-dir", str(store.data_dir)) as url:
        page.goto(url)
        expect(page.get_by_text("stored · maths · finished")).to_be_visible()
        store.supervisor.kill(CLICKHOUSE)  # the supervisor starts it again; its connections are gone
        deadline = time.monotonic() + 60
        while True:
            try:
                client = address(store).connect()
                land(client, records(training("later", steps=3)))
                break
            except StoreError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        client.close()
        expect(page.get_by_text("later · maths · finished")).to_be_visible()


def test_sql_that_is_wrong_is_told_and_an_answer_can_be_taken_along(page: Page, store: LocalStack) -> None:
    with served("--data-dir", str(store.data_dir)) as url:
        page.goto(f"{url}/sql")
        box = page.get_by_role("textbox", name="SQL")
        for text, said in (
            ("SELEC 1", "Syntax error"),
            ("INSERT INTO runs VALUES (1)", "privileges"),
            ("SELECT run_id, last_step FROM runs", " rows"),
        ):
            box.fill(text)
            box.press("Control+Enter")
            page.get_by_role("button", name="Ask").click()
            expect(page.get_by_text(said).first).to_be_visible()
        expect(page.get_by_text("CSV", exact=True)).to_be_visible()
