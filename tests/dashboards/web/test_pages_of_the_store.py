"""The pages over ClickHouse: it goes away and comes back, and answers SQL."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from reward_infra.fetch import fetch
from reward_infra.local_stack import CLICKHOUSE, LocalStack
from reward_store.errors import StoreError
from reward_store.migrate import migrate

from tests.dashboards.web.serving import CHROMIUM, served
from tests.store.logs import records, training
from tests.store.running import FOR_EVER, address, land

pytestmark = [pytest.mark.timeout(240), pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed here")]


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
