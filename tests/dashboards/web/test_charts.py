"""Charts as a person sees them: zoomed, live, paused, taken along."""

from __future__ import annotations

import time

import pyarrow.parquet
import pytest
from playwright.sync_api import Page, expect

from tests.dashboards.web.conftest import LONG
from tests.dashboards.web.serving import CHROMIUM

pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")]


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


def test_a_run_shows_its_evidence(page: Page, url: str) -> None:
    page.goto(f"{url}/run?run=hacked&smoothing=0.6")
    assert chart(page)["points"] == 120
    captions = page.frame_locator("iframe").first.locator("figcaption")
    expect(captions.first).to_contain_text("Mean reward")
    titles = " ".join(captions.all_inner_texts())
    assert "Groups whose rewards are all equal" in titles and "kl" in titles and "length, mean of the completions" in titles
    expect(page.get_by_role("heading", name="Detectors")).to_be_visible()
