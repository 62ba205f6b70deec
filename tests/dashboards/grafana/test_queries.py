"""Every query of every dashboard on the real ClickHouse, as Grafana and both generations of the plugin would send it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from reward_infra.local_stack import LocalStack
from reward_store.client import Client
from reward_store.migrate import migrate

from tests.dashboards.grafana import plugin, sample
from tests.dashboards.grafana.boards import QUERIES, Query
from tests.store.running import FOR_EVER, databases

pytestmark = pytest.mark.timeout(120)

ALL = {"run": sample.RUNS, "reward": ["total"], "baseline": [sample.PLAIN]}
# What a viewer can choose, of each variable that is there.
CHOICES: dict[str, dict[str, list[str]]] = {
    "all": ALL,
    "one": {"run": [sample.PLAIN], "reward": ["correct"], "baseline": [sample.PLAIN]},
    "several": ALL | {"run": [sample.PLAIN, sample.BROKEN], "reward": ["correct"]},
    "a quote": {"run": [sample.QUOTED], "reward": [sample.FUNCTION], "baseline": [sample.QUOTED]},
    "none there": {"run": [], "reward": [], "baseline": []},
    "nothing chosen": {"run": [""], "reward": [""], "baseline": [""]},
}
# What the plugin's frames take, of a row as it comes over the wire.
SCALARS = ("String", "Float", "Int", "UInt", "DateTime", "Bool")
SERIES = [query for query in QUERIES if query.series]


@pytest.fixture(scope="module")
def filled(stack: LocalStack) -> Iterator[Client]:
    """The sample, asked as people ask: the views are the default database."""
    with databases(stack, "dashboards") as made:
        migrate(made, retention=FOR_EVER)
        sample.fill(made)
        asking = replace(made.settings, database=made.settings.views).connect()
        yield asking
        asking.close()


def ask(
    client: Client, query: Query, choice: str, *, window: plugin.Window = sample.WINDOW, dialect: str = "4.x"
) -> list[dict[str, Any]]:
    sql = plugin.expanded(query.sql, window, CHOICES[choice], plugin.DIALECTS[dialect])
    return client.query_arrow(sql).to_pylist()


def same(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    """Whether they are the same rows; a sum in another order may differ in its last digits."""

    def rounded(rows: list[dict[str, Any]]) -> list[list[Any]]:
        return [[float(f"{v:.9g}") if isinstance(v, float) else v for v in row.values()] for row in rows]

    return rounded(some) == rounded(others)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_there_is_something_to_see(filled: Client, query: Query) -> None:
    for choice in ("all", "one", "several", "a quote"):
        found = ask(filled, query, choice)
        trouble = query.title in ("Quarantines", "Late messages")  # they are of one run, and of no choice
        assert found or (choice != "all" and trouble), choice
        if query.kind not in ("variable", "annotation", "table"):
            numbers = [v for row in found for v in row.values() if isinstance(v, int | float) and not isinstance(v, bool)]
            assert numbers, choice
        assert same(ask(filled, query, choice, dialect="3.3"), found) or "now64" in query.sql


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_nothing_is_no_error(filled: Client, query: Query) -> None:
    for choice in ("none there", "nothing chosen"):
        ask(filled, query, choice)
    found = ask(filled, query, "all", window=sample.EMPTY)
    if query.series or query.kind == "annotation":
        assert found == []


@pytest.mark.parametrize("query", SERIES, ids=str)
def test_series_are_what_the_plugin_makes_lines_of(filled: Client, query: Query) -> None:
    for choice in ("all", "one"):
        found = ask(filled, query, choice)
        assert next(iter(found[0])) == "time"
        times = [row["time"] for row in found]
        assert times == sorted(times)
        labels = [(row["time"], *(v for v in row.values() if isinstance(v, str))) for row in found]
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_every_column_is_of_a_type_that_the_plugin_knows(filled: Client, query: Query) -> None:
    sql = plugin.expanded(query.sql, sample.WINDOW, ALL, plugin.MODERN)
    for name, kind in [(row[0], row[1]) for row in filled.query(f"DESCRIBE ({sql})")]:
        bare = kind.removeprefix("LowCardinality(").removeprefix("Nullable(")
        assert bare.startswith(SCALARS), (name, kind)
        if query.series and name != "time":
            assert "String" in bare or "Nullable(DateTime" not in kind


def test_the_worst_run_stands_first(filled: Client) -> None:
    verdicts = [query for query in QUERIES if query.title == "Verdicts, worst first"]
    assert {query.board for query in verdicts} == {"fleet", "run", "function", "compare", "alerts", "health"}
    for query in verdicts:
        first = ask(filled, query, "all")[0]
        assert (first["run"], first["verdict"]) == (sample.BROKEN, "broken")
        assert first["sentence"].startswith("Broken: ")


def test_numbers_are_those_of_the_views(filled: Client) -> None:
    """One panel's numbers, found out another way."""
    (query,) = [query for query in QUERIES if (query.board, query.title) == ("run", "Reward")]
    shown = {row["run"]: row["reward"] for row in ask(filled, query, "all")}
    wanted = "SELECT run_id, mean FROM steps WHERE function = 'total' AND step = (SELECT max(step) FROM steps)"
    assert shown == dict(filled.query(wanted))
    (query,) = [query for query in QUERIES if (query.board, query.title) == ("compare", "Effect")]
    effects = {row["run"]: row for row in ask(filled, query, "several")}
    assert effects[sample.PLAIN]["effect"] == 0 and effects[sample.PLAIN]["steps"] == 50
    for row in effects.values():
        assert row["effect from"] < row["effect"] < row["effect to"]
