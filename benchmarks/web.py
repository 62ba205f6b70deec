"""First paint and updates of the web dashboard over 1, 10 and 200 runs, in a real Chromium.

python benchmarks/web.py [--runs 1 10 200] [--updates 20]

Per page: seconds from the address to what was asked for (a sentence, a chart), then over some updates, which one run that goes on
makes real: bytes that came for each, and how many nodes the page had at their begin and end. The directory has been read by then;
how long that takes is said beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, WebSocket, sync_playwright
from reward_dashboards.web.serve import EVERY_S
from reward_producers.reporter import Reporter, start_run

from tests.dashboards.web.serving import CHROMIUM, served

STEPS, GROUPS, SIZE = 50, 8, 8
FUNCTIONS = {"accuracy": 1.0, "format": 0.2, "length": 0.1}


def main() -> None:
    """Prints a line for each number of runs and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[1, 10, 200])
    parser.add_argument("--updates", type=int, default=20)
    given = parser.parse_args()
    print(f"{'runs':>5} {'page':<9} {'first paint s':>13} {'kB an update':>13} {'nodes':>15}")
    for runs in given.runs:
        with (
            tempfile.TemporaryDirectory() as folder,
            _training(Path(folder), runs),
            served("--data-dir", folder) as url,
            sync_playwright() as p,
        ):
            browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            began = time.perf_counter()
            _looked(browser, url, f"text=run-{runs - 1} · p · live", 0)
            print(f"{runs:>5} read in {time.perf_counter() - began:.1f} s", flush=True)
            for page, wanted in (("", f"text=run-{runs - 1} · p · live"), ("run?run=run-0", "iframe"), ("compare", "iframe")):
                paint, bytes_each, nodes = _looked(browser, f"{url}/{page}", wanted, given.updates)
                print(
                    f"{runs:>5} {page.partition('?')[0] or 'fleet':<9} {paint:>13.1f} {bytes_each / 1e3:>13.1f} {nodes:>15}",
                    flush=True,
                )
            browser.close()


def _looked(browser: Browser, address: str, wanted: str, updates: int) -> tuple[float, float, str]:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(300_000)
    came = [0]

    def hear(payload: str | bytes) -> None:
        came[0] += len(payload)

    def opened(socket: WebSocket) -> None:
        socket.on("framereceived", hear)

    page.on("websocket", opened)
    began = time.perf_counter()
    page.goto(address)
    if wanted == "iframe":
        page.frame_locator("iframe").first.locator(".nsewdrag").first.wait_for()
    else:
        page.locator(wanted).wait_for()
    paint = time.perf_counter() - began
    page.wait_for_timeout(2 * EVERY_S * 1000)
    count = "document.getElementsByTagName('*').length"
    before, came[0] = page.evaluate(count), 0
    page.wait_for_timeout(updates * EVERY_S * 1000)
    found = paint, came[0] / max(updates, 1), f"{before} to {page.evaluate(count)}"
    page.close()
    return found


@contextmanager
def _training(folder: Path, runs: int) -> Iterator[None]:
    """Runs with `STEPS` steps each, of which the last goes on: one step a second."""
    draw, over = np.random.default_rng(0), threading.Event()

    def step(run: Reporter, at: int) -> None:
        rewards = {name: draw.random(GROUPS * SIZE) for name in FUNCTIONS}
        run.log_rollout(at, rewards=rewards, groups=np.repeat(np.arange(GROUPS), SIZE))

    def go_on() -> None:
        at = STEPS
        while not over.wait(1.0):
            step(run, at)
            at += 1

    for i in range(runs):
        run = start_run("p", FUNCTIONS, run_id=f"run-{i}", data_dir=folder)
        for at in range(STEPS):
            step(run, at)
        if i < runs - 1:
            run.finish()
    training = threading.Thread(target=go_on)
    training.start()
    try:
        yield
    finally:
        over.set()
        training.join()
        run.finish()


if __name__ == "__main__":
    main()
