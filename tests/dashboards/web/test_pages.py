"""The pages as a person sees them: what they say, by mouse and by keyboard, and whatever the address says."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.dashboards.web.conftest import HOSTILE
from tests.dashboards.web.serving import CHROMIUM

pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")]


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


def test_rules_are_tried_on_runs_and_mistakes_are_told(page: Page, url: str) -> None:
    page.goto(f"{url}/rules?runs=hacked")
    box = page.get_by_role("textbox", name="Rules")
    expect(box).to_have_value(re.compile("mean < 0.2"))  # it is empty for a moment
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
