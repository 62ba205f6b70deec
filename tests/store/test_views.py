"""What people see: the greatest attempt, NULL for the unknown, each reward once, and nothing but the views."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from reward_infra.local_stack import LocalStack
from reward_schemas.events import Tick
from reward_store.audit import audit
from reward_store.client import ClickHouse, Client
from reward_store.errors import Rejected, Unavailable
from reward_store.migrate import migrate
from reward_store.settings import Retention

from tests.store.logs import functions, records, rollout, training
from tests.store.running import address, land, rows

pytestmark = pytest.mark.timeout(60)
ALL = [
    "alert_changes", "alerts", "completion_distributions", "completions", "correlations", "dead_letters", "detections", "distributions", "event_log", "gaps", "groups",
    "late_events", "quality", "quarantines", "rewards", "rule_sets", "runs", "steps", "trainer_steps", "verdicts", "windows",
]  # fmt: skip


def test_a_training_in_all_views(client: Client) -> None:
    log = records([*training("run-a", steps=10), Tick(), b"\xff", Tick()])
    land(client, log)
    assert rows(
        client, "SELECT run_id, project, state, last_step, received, missing, sender_dropped, tags['owner'] FROM {views}.runs"
    ) == [("run-a", "maths", "finished", 9, 36, 0, 1, "me")]
    assert rows(client, "SELECT count(), uniqExact(step), min(coverage), min(closed), any(project) FROM {views}.steps") == [
        (40, 10, 1.0, True, "maths")
    ]
    assert rows(
        client, "SELECT groupUniqArray(window), countIf(step IS NULL) = countIf(window IN ('10s', '5m')) FROM {views}.windows"
    )[0][1]
    assert rows(
        client, "SELECT value, reports FROM {views}.trainer_steps WHERE name = 'loss' AND step IN (0, 3) ORDER BY step"
    ) == [
        (1.0, 1),
        (None, 0),
    ]
    assert rows(client, "SELECT field, run_id, rank FROM {views}.dead_letters") == [("message", "", None)]
    same = """
        SELECT max(abs(s.mean - r.mean)), max(abs(s.std - r.std)), sum(s.count) - sum(r.n) FROM {views}.steps AS s INNER JOIN
        (SELECT run_id, step, function, avg(reward) AS mean, stddevSamp(reward) AS std, count(reward) AS n FROM {views}.rewards
        GROUP BY run_id, step, function) AS r USING (run_id, step, function)"""
    mean, std, count = rows(client, same)[0]
    assert mean < 1e-7 and std < 1e-6 and count == 0
    assert audit(client) == []


def test_only_the_greatest_attempt_of_a_step_is_shown(client: Client) -> None:
    """
    attempt 1   |--0--|--1--|--2--|--3--|
    attempt 2               |--2--|           resumed from the checkpoint after step 1, with another function
    shown       |--1--|--1--|--2--|--1--|
    """
    first = [rollout("r", 0, step, step, senders=1) for step in range(4)]
    second = [rollout("r", 0, 4, 2, attempt=2, senders=1, functions=functions("correct other"))]
    land(client, records([*first, *second]))
    shown = rows(
        client,
        "SELECT step, groupUniqArray(attempt), arraySort(groupArray(function)) FROM {views}.steps GROUP BY step ORDER BY step",
    )
    assert [(step, attempts) for step, attempts, _ in shown] == [(0, [1]), (1, [1]), (2, [2]), (3, [1])]
    assert shown[2][2] == ["correct", "other", "total"]
    for view in ("rewards", "groups"):
        got = rows(client, f"SELECT step, groupUniqArray(attempt) FROM {{views}}.{view} GROUP BY step ORDER BY step")
        assert got == [(step, attempts) for step, attempts, _ in shown]
    assert rows(client, "SELECT uniqExact(attempt) FROM {tables}.pane_rows FINAL WHERE slot = 2 AND window = 'step'") == [(2,)]


def test_unknown_is_null(client: Client) -> None:
    rewards = np.array([[1, np.nan, 5, 7], [np.inf, 2, 3, 4]], np.float32)
    status = np.array([[0, 0, 1, 2], [0, 0, 0, 0]], np.uint8)
    sent = rollout("r", 0, 0, 1, n=4, senders=1, functions=functions("a b", ""), rewards=rewards, status=status, length=None)
    land(client, records([sent]))
    got = rows(
        client, "SELECT function, completion, reward, status, length, advantage, truncated FROM {views}.rewards ORDER BY 1, 2"
    )
    assert [row[1:4] for row in got[:4]] == [
        (0, 1.0, "scored"),
        (1, None, "non finite"),
        (2, None, "missing"),
        (3, None, "not scored"),
    ]
    assert [row[2] for row in got[4:]] == [None, 2.0, 3.0, 4.0]
    assert {row[4:] for row in got} == {(None, None, None)}
    steps = rows(
        client,
        "SELECT count, missing, not_scored, non_finite, mean, variance, std, min, max FROM {views}.steps WHERE function = 'a'",
    )
    assert steps == [(1, 1, 1, 1, 1.0, None, None, 1.0, 1.0)]


def test_groups(client: Client) -> None:
    rewards = np.array([[1e8, 1e8 + 8, 3, 3, 9, np.nan]], np.float32)
    group = np.array([0, 0, 1, 1, 2, 2], np.int32)
    more = rollout(
        "r", 1, 0, 1, n=2, rewards=np.array([[4, 6]], np.float32), functions=functions("a"), group=np.array([5, 5], np.int32)
    )
    land(client, records([rollout("r", 0, 0, 1, n=6, rewards=rewards, group=group, functions=functions("a")), more]))
    got = rows(client, "SELECT group, completions, count, mean, std, min, max, zero_variance FROM {views}.groups ORDER BY group")
    assert got[0][:4] == (0, 2, 2, 1e8 + 4) and got[0][4] == pytest.approx(32**0.5) and not got[0][7]
    assert got[1] == (1, 2, 2, 3.0, 0.0, 3.0, 3.0, True)
    assert got[2] == (2, 2, 1, 9.0, None, 9.0, 9.0, None)
    assert got[3] == (5, 2, 2, 5.0, pytest.approx(2**0.5), 4.0, 6.0, False)


def test_each_reward_once_however_often_it_came(client: Client) -> None:
    log = records([*training("r", steps=5), Tick(), *training("r", steps=5), Tick()])  # the whole session again
    land(client, log)
    land(client, log)
    counts = "SELECT count(), uniqExact(step, rank, session, seq, completion, function) FROM {views}.rewards"
    assert rows(client, counts) == [(5 * 2 * 8 * 3,) * 2]
    assert rows(client, "SELECT duplicates, received FROM {views}.runs") == [(21, 21)]
    assert audit(client) == []


ALWAYS = {"run_id", "kind", "window", "slot", "series", "attempt", "count", "missing", "not_scored", "non_finite"}


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("step, mean FROM {views}.steps WHERE function = 'correct'", {"centre"}),
        ("step, std, pass_at_4 FROM {views}.steps WHERE function = 'correct'", {"squares", "pass_4", "tried_4"}),
        ("step, p50 FROM {views}.windows WHERE window = '100 steps'", {"p50"}),
        ("value FROM {views}.trainer_steps WHERE name = 'kl'", {"centre"}),
        ("step, max FROM {views}.completions WHERE property = 'length'", {"maximum"}),
        ("correlation FROM {views}.correlations WHERE function = 'correct'", {"partners", "products", "within"}),
        ("value, count FROM {views}.distributions WHERE function = 'correct'", {"sketch_values", "sketch_counts"}),
        ("value, count FROM {views}.completion_distributions", {"sketch_values", "sketch_counts"}),
    ],
)
def test_a_question_reads_its_run_and_the_columns_that_it_asks_for(client: Client, query: str, read: set[str]) -> None:
    """Not the other measures' columns; and the run reaches the primary key through all that a view is made of."""
    land(client, records(training("run-a", steps=1)))
    where = "AND" if "WHERE" in query else "WHERE"
    ((text,),) = rows(client, f"EXPLAIN json = 1, header = 1, indexes = 1 SELECT {query} {where} run_id = 'run-a'")
    reads = [node for node in _nodes(json.loads(text)[0]["Plan"]) if node["Node Type"] == "ReadFromMergeTree"]
    columns: set[str] = set()
    for node in reads:
        (key,) = (index for index in node["Indexes"] if index["Type"] == "PrimaryKey")
        assert "(run_id in ['run-a', 'run-a'])" in key["Condition"], node["Description"]
        if node["Description"].endswith("pane_rows"):
            assert key["Keys"] == ["run_id", "kind", "window"]
            columns |= {column["Name"] for column in node["Header"]}
    assert columns - ALWAYS == read


def _nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@pytest.fixture
def reader(stack: LocalStack) -> Client:
    """The people's user, over the databases that users.xml grants."""
    writer = address(stack).connect()
    migrate(writer, retention=Retention(raw_days=0, log_days=0))
    land(writer, records(training("run-a")))
    return address(stack, "reader").connect()


def test_the_reader_reads_the_views_and_nothing_else(reader: Client) -> None:
    assert sorted(name for (name,) in reader.query("SHOW TABLES FROM rewards")) == ALL
    for view in ALL:
        reader.query(f"SELECT * FROM rewards.{view} LIMIT 5")
    assert reader.query("SELECT count() FROM rewards.steps WHERE run_id = {run:String}", run="run-a' OR 1=1 --") == [(0,)]
    assert reader.query(
        "SELECT comment != '' FROM system.columns WHERE database = 'rewards' AND table = 'steps' AND name = 'mean'"
    ) == [(1,)]
    for statement in (
        "SELECT * FROM rewards_tables.pane_rows",
        "SELECT count() FROM rewards_tables.rollouts",
        "INSERT INTO rewards_tables.gap_rows (epoch) VALUES (1)",
        "DROP VIEW rewards.steps",
        "ALTER TABLE rewards_tables.rollouts DELETE WHERE 1",
        "SELECT * FROM url('http://127.0.0.1:1', 'CSV', 'a String')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    ):
        with pytest.raises(Rejected) as caught:
            reader.query(statement)
        assert caught.value.code in (164, 497), statement


def test_limits_hold_behind_the_views(reader: Client) -> None:
    """The views run with their owner's rights, but within the reader's limits."""
    for limit in ("max_execution_time = 0", "max_memory_usage = 0", "max_result_rows = 0", "readonly = 0"):
        with pytest.raises((Rejected, Unavailable)):
            reader.query(f"SELECT count() FROM rewards.steps SETTINGS {limit}")
    with pytest.raises(Unavailable, match="(?i)memory limit"):
        reader.query(
            "SELECT groupArray(tuple(*)) FROM rewards.rewards SETTINGS max_memory_usage = 1000, max_untracked_memory = 0"
        )
    with pytest.raises((Rejected, Unavailable), match="(?i)timeout|limit"):
        reader.query("SELECT sum(cityHash64(a.reward, b.reward, c.reward, d.reward)) FROM rewards.rewards a, rewards.rewards b,"
                     " rewards.rewards c, rewards.rewards d"
                     " SETTINGS max_execution_time = 0.3")  # fmt: skip


def test_a_server_that_is_not_there_is_unavailable(stack: LocalStack) -> None:
    gone = ClickHouse("127.0.0.1", 1, "writer", "x")
    with pytest.raises(Unavailable, match="writer@127.0.0.1:1.*->"):
        gone.connect()
    wrong = ClickHouse(stack.clickhouse.host, stack.clickhouse.http_port, "writer", "wrong")
    with pytest.raises(Rejected, match="wrong user or password") as caught:
        wrong.connect()
    assert caught.value.code == 516 and "wrong'" not in repr(wrong)
