"""The pictures of docs/MONITORING.md, from two real trainings: one that gets hacked, one that learns.

python scripts/web_pictures.py docs/images
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.dashboards.web.serving import CHROMIUM, served

SIZE = {"width": 1280, "height": 900}
RUN = "iframe >> nth=0"


def main() -> None:
    """Trains, serves, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        for seed, name in ((0, "pays-for-length"), (3, "learns")):
            train = [sys.executable, "-m", "reward_producers.numpy_grpo", "--seed", str(seed), "--steps", "200", "--run-id", name]
            subprocess.run([*train, "--data-dir", scratch], check=True, stdout=subprocess.DEVNULL)
        with served("--data-dir", scratch) as url:
            _take(url, folder)


def _take(url: str, folder: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]  # a mapping of its two sizes
        page.set_default_timeout(60_000)
        for name, where, charts in (
            ("web-runs", "", False),
            ("web-run", "run?run=pays-for-length", True),
            ("web-compare", "compare?function=true_quality&smoothing=0.6", True),
            ("web-alerts", "alerts?show=all", False),
        ):
            page.goto(f"{url}/{where}")
            _settle(page, charts=charts)
            page.screenshot(path=folder / f"{name}.png")
        page.goto(f"{url}/run?run=pays-for-length")
        _settle(page, charts=True)
        page.get_by_role("heading", name="Detectors").scroll_into_view_if_needed()
        page.mouse.move(640, 500)
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(2_000)
        page.screenshot(path=folder / "web-evidence.png")
        browser.close()


def _settle(page: Page, *, charts: bool) -> None:
    if charts:
        page.frame_locator(RUN).locator(".nsewdrag").first.wait_for()
    page.wait_for_timeout(5_000)


if __name__ == "__main__":
    main()
