"""The schema: applied once, again without harm, by two at once, and refused where it is another one's."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from reward_engine import measures, sums
from reward_engine.measures import MEASURES, Measure
from reward_engine.sums import SUMS, Sum
from reward_store import catalogue
from reward_store.client import Client
from reward_store.errors import Rejected, SchemaMismatch
from reward_store.migrate import Migration, check, migrate, migrations
from reward_store.settings import Retention

from tests.store.logs import records, training
from tests.store.running import land, rows

pytestmark = pytest.mark.timeout(60)


LATER = Migration(9999, "later", "")


def schema(client: Client) -> list[tuple]:
    return client.query(
        "SELECT database, name, create_table_query FROM system.tables WHERE database IN ({t:String}, {v:String}) ORDER BY 1, 2",
        t=client.settings.tables,
        v=client.settings.views,
    )


def test_a_second_time_changes_nothing(empty: Client) -> None:
    assert [m.version for m in migrate(empty)] == [m.version for m in migrations()]
    check(empty)
    made = schema(empty)
    assert migrate(empty) == []
    assert schema(empty) == made


def test_two_at_once_do_no_harm(empty: Client) -> None:
    errors: list[Exception] = []

    def one() -> None:
        try:
            migrate(empty.settings.connect())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    check(empty)
    assert migrate(empty) == []


def test_a_database_without_tables_is_told(empty: Client) -> None:
    with pytest.raises(SchemaMismatch, match="no tables yet.*reward-monitor migrate"):
        check(empty)


def test_a_newer_database_is_refused_before_anything_is_changed(client: Client) -> None:
    made = schema(client)
    migrate(client, known=(*migrations(), LATER), retention=Retention(raw_days=0, log_days=0))
    with pytest.raises(SchemaMismatch, match="at migration 9999_later, this version knows none beyond 00.*update"):
        migrate(client)
    with pytest.raises(SchemaMismatch, match="9999_later"):
        check(client)
    assert schema(client) == made


def test_an_older_database_is_told_what_it_lacks(client: Client) -> None:
    with pytest.raises(SchemaMismatch, match="lacks migrations 9999_later"):
        check(client, known=(*migrations(), LATER))


def test_a_changed_file_is_refused(client: Client) -> None:
    changed = tuple(replace(m, text=m.text + "\n-- another word") for m in migrations())
    with pytest.raises(SchemaMismatch, match="0001_tables was applied with another text.*new one"):
        migrate(client, known=changed)


def test_retention_is_set_changed_and_removed(empty: Client) -> None:
    def ttl(table: str) -> str:
        sql = "SELECT engine_full FROM system.tables WHERE database = {d:String} AND name = {n:String}"
        engine = empty.query(sql, d=empty.settings.tables, n=table)[0][0]
        return engine.partition(" TTL ")[2].partition(" SETTINGS ")[0]

    migrate(empty)
    assert ttl("rollouts") == ttl("event_log") == "toDateTime(append_time) + toIntervalDay(30)"
    assert ttl("pane_rows") == ttl("run_rows") == ""
    migrate(empty, retention=Retention(raw_days=3, log_days=0))
    assert ttl("rollouts") == "toDateTime(append_time) + toIntervalDay(3)"
    assert ttl("event_log") == ""


def test_a_new_sum_and_a_new_measure_are_a_row_each(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of before have NULL: what was never summed is not zero."""
    land(client, records(training("run-a", steps=2)))
    monkeypatch.setattr(
        catalogue, "SUMS", (*SUMS, Sum("odd", "add", lambda b: (b.values % 2 == 1).sum(axis=1), "values that are odd"))
    )
    share = Measure("odd_share", "share", "odd / count", "it's the odd ones")
    monkeypatch.setattr(catalogue, "MEASURES", (*MEASURES, share))
    with pytest.raises(SchemaMismatch, match="lacks sums \\['odd'\\]"):
        check(client)
    migrate(client, retention=Retention(raw_days=0, log_days=0))
    check(client)
    assert rows(client, "SELECT uniqExact(odd_share), countIf(odd_share IS NULL), count() FROM {views}.steps") == [(0, 8, 8)]
    sql = "SELECT DISTINCT comment FROM system.columns WHERE database = {d:String} AND name = 'odd_share'"
    assert rows(client, sql, d=client.settings.views) == [("it's the odd ones [share]",)]


def test_everything_is_explained(client: Client) -> None:
    databases = {"t": client.settings.tables, "v": client.settings.views}
    unexplained = (  # shown_rows, of which the views are made, has the columns of pane_rows
        "SELECT {} FROM system.{} WHERE database IN ({{t:String}}, {{v:String}}) AND comment = ''"
        " AND {} NOT IN ('schema_migrations', 'shown_rows')"
    )
    assert client.query(unexplained.format("table, name", "columns", "table"), **databases) == []
    assert client.query(unexplained.format("name", "tables", "name"), **databases) == []
    named = {
        name
        for (name,) in client.query(
            "SELECT name FROM system.columns WHERE database = {v:String} AND table = 'steps'", v=databases["v"]
        )
    }
    assert named >= set(measures.BY_NAME)
    assert {
        name for (name,) in client.query("SELECT name FROM system.columns WHERE database = {t:String}", t=databases["t"])
    } >= set(sums.NAMES)


def test_a_wrong_statement_names_itself(empty: Client) -> None:
    with pytest.raises(Rejected, match="Unknown table.*->.*reward-monitor migrate") as caught:
        empty.query("SELECT count() FROM nowhere")
    assert caught.value.code == 60
