"""The web dashboard as a person sees it: a real Chromium, a real server, runs that go on meanwhile."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import pyarrow.parquet
import pytest
from playwright.sync_api import ConsoleMessage, Page, expect, sync_playwright
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
LONG = 2_000  # steps; of 1,000 points at most are all of them drawn
EVERY_S = 0.5
HOSTILE = "<script>document.title='owned'</script>'; DROP TABLE runs; -- ünï"
pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")]


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
        server.terminate()
        server.wait(20)
        assert not serves("127.0.0.1", port)  # it leaves nobody behind


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


def zoom(page: Page) -> dict:
    """Zooms the first chart to its middle, as a person does; what it shows then."""
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
    return zoomed


def test_a_hundred_updates_keep_the_zoom_and_leave_nothing_behind_and_a_pause_holds_them(page: Page, url: str) -> None:
    came: list[int] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda payload: came.append(len(payload))))
    page.goto(f"{url}/run?run=goes-on")
    zoomed = zoom(page)
    frame = page.frame_locator("iframe").first.locator("body")
    frame.evaluate(
        """() => { window.updates = 0;
        document.querySelector(".js-plotly-plot").on("plotly_afterplot", () => window.updates++); }"""
    )

    def after(updates: int) -> tuple[int, int]:
        """Nodes of the page and its frame after so many updates, and bytes that came by then."""
        deadline = time.monotonic() + 120
        while frame.evaluate("() => window.updates") < updates:
            assert time.monotonic() < deadline
            page.wait_for_timeout(200)
        count = "() => document.getElementsByTagName('*').length"
        return page.evaluate(count) + frame.evaluate(count), sum(came)

    (nodes, first), (_, middle), (nodes_at_end, last) = after(5), after(52), after(100)
    assert nodes_at_end < 1.1 * nodes  # a label of an axis more or less
    assert last - middle < 1.5 * (middle - first)
    now = chart(page)
    assert now["points"] > zoomed["points"] + 100 and now["range"] == zoomed["range"]
    assert page.locator("iframe").count() == 1
    page.get_by_text("Pause").click()
    page.wait_for_timeout(4_000)
    held = chart(page)
    page.wait_for_timeout(4_000)
    assert chart(page) == held


def test_all_charts_are_zoomed_together_and_get_finer_points_there(page: Page, url: str) -> None:
    page.goto(f"{url}/run?run=long")
    chart(page)
    steps = "chart => [...chart._fullData.find(trace => trace.fill !== 'toself').x]"
    frame = page.frame_locator("iframe").first
    assert len(frame.locator(".js-plotly-plot").first.evaluate(steps)) == LONG / 2
    start, end = zoom(page)["range"]
    assert {
        tuple(each) for each in frame.locator("body").evaluate(
            "() => [...document.querySelectorAll('.js-plotly-plot')].map(chart => chart._fullLayout.xaxis.range)"
        )
    } == {(start, end)}  # fmt: skip
    for _ in range(100):
        inside = [x for x in frame.locator(".js-plotly-plot").first.evaluate(steps) if start <= x <= end]
        if len(inside) > 0.9 * (end - start):
            break
        page.wait_for_timeout(200)
    assert 0.9 * (end - start) < len(inside)


def test_a_view_is_kept_under_a_name_and_its_points_can_be_taken_along(page: Page, url: str) -> None:
    page.goto(f"{url}/compare?runs=hacked&function=total&measure=mean&measure=std&axis=relative")
    chart(page)
    page.get_by_role("button", name="Save view").click()
    page.get_by_role("textbox", name="Name").fill("of mine")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Save", exact=True).click()
    link = page.get_by_role("link", name="of mine")
    expect(link).to_be_visible()
    page.goto(f"{url}/compare")
    chart(page)
    address = link.get_attribute("href")
    assert address
    page.goto(f"{url}/{address}")
    frame = page.frame_locator("iframe").first
    expect(frame.locator("figcaption")).to_have_count(2)
    with page.expect_download() as told:
        frame.get_by_role("button", name="CSV of total: std").click()
    lines = told.value.path().read_text(encoding="utf-8").splitlines()
    assert told.value.suggested_filename == "total-std.csv" and len(lines) == 121 and lines[0] == "name,x,y"
    assert lines[1].startswith("hacked,0,")
    with page.expect_download() as told:
        page.get_by_role("button", name="Parquet").click()
    table = pyarrow.parquet.read_table(told.value.path())
    assert table.num_rows == 240 and set(table.column("measure").to_pylist()) == {"mean", "std"}


def test_rules_are_tried_on_runs_and_mistakes_are_told(page: Page, url: str) -> None:
    page.goto(f"{url}/rules?runs=hacked")
    box = page.get_by_role("textbox", name="Rules")
    good = box.input_value()
    box.fill(good.replace("mean <", "maen <"))
    page.get_by_role("button", name="Backtest").click()
    expect(page.get_by_text("here.yaml:7")).to_be_visible()
    box.fill(good.replace("mean < 0.2", "mean > 0"))
    page.get_by_role("button", name="Backtest").click()
    report = page.frame_locator("iframe").first
    expect(report.get_by_text("1 rules over 1 runs")).to_be_visible()
    expect(report.get_by_role("cell", name="low-reward").first).to_be_visible()


def test_it_is_used_by_keyboard_alone(page: Page, url: str) -> None:
    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            told = "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()"
            if page.evaluate(told).endswith(name):  # before it, an icon's name
                return
        raise AssertionError(f"{name} isn't reached")

    page.goto(url)
    expect(page.get_by_role("link", name="open hacked")).to_be_visible()
    tab_to("open hacked")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Run", exact=True)).to_be_visible()
    assert "run=hacked" in page.url
    tab_to("Compare")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Compare", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 1920])
def test_nothing_is_wider_than_the_window_and_dark_is_dark(
    page: Page, url: str, scheme: Literal["light", "dark"], width: int
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1000})
    for name in ("", "run?run=hacked", "function?runs=hacked"):
        page.goto(f"{url}/{name}")
        expect(page.locator("iframe" if name else "text=open").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        shade = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor.match(/\\d+/)[0]")
        assert (int(shade) < 128) is (scheme == "dark")


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
        "function?runs=hacked&runs=no-such-run",
        "alerts",
        "rules",
        "health",
        "run?run=no-such-run",
        f"run?run={quote(HOSTILE)}",
        f"compare?runs={'x' * 10_000}&function={'y' * 10_000}",
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
            ("SELECT groupArray(number) FROM numbers(1e10)", "memory limit"),
            ("SELECT run_id, last_step FROM runs", " rows"),
        ):
            box.fill(text)
            box.press("Control+Enter")
            page.get_by_role("button", name="Ask").click()
            expect(page.get_by_text(said).first).to_be_visible()
        expect(page.get_by_text("CSV", exact=True)).to_be_visible()
