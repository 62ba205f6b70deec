"""The audit: nothing of a healthy stream, whatever came in it, and every kind of damage by its place."""

from __future__ import annotations

import numpy as np
import pytest
from reward_schemas.encode import function_table
from reward_schemas.events import Event, RewardFunction, Role, Rollout
from reward_store import recompute
from reward_store.audit import Problem, audit
from reward_store.client import Client

from tests.store.logs import event, records, training
from tests.store.running import land, rows

pytestmark = pytest.mark.timeout(60)

FUNCTIONS = function_table(
    (
        RewardFunction("accuracy", 1.0, lo=0.0, hi=1.0),
        RewardFunction("judge", -0.5),
        RewardFunction("quality", 0.0, Role.AUDIT, lo=-1.0, hi=2.0),
    )
)


def odd_rollout(rank: int, seq: int, step: int, **fields) -> Event:
    """Some of three prompts' eighteen completions, which are spread over three ranks and come mixed; some not scored."""
    rng = np.random.default_rng([rank, seq, step])
    n = 6
    rewards = np.stack([rng.integers(0, 2, n), 1e8 + rng.normal(size=n), rng.normal(size=n)]).astype("<f4")
    rewards[1, rng.integers(n)] = np.nan
    body = {
        "rewards": rewards,
        "status": rng.choice(np.array([0, 0, 0, 1, 2], np.uint8), (3, n)),
        "group": np.array([2, 0, 1, 2, 1, 0], np.int32),
        "group_size": 6,
        "length": rng.integers(1, 900, n).astype("<i4"),
        "truncated": rng.integers(0, 2, n).astype("u1"),
        "columns": {"kl": rng.normal(size=n).astype("<f4")},
    } | fields
    return event("odd", rank, seq, Rollout(step=step, table=FUNCTIONS, **body), senders=3)


def test_groups_that_are_spread_out_late_messages_and_columns(client: Client) -> None:
    """The same numbers from the raw rewards: the code that makes them is the fold's."""
    sent = [odd_rollout(rank, step, step) for step in range(20) for rank in (2, 0, 1) if (rank, step) != (1, 0)]
    sent += [odd_rollout(1, 30, 0), odd_rollout(1, 31, 3, length=None), odd_rollout(0, 32, 5, group_size=0)]
    land(client, records(sent))
    assert rows(client, "SELECT fate, count() FROM {views}.late_events WHERE axis = 'step' GROUP BY 1") == [("amended", 3)]
    assert rows(client, "SELECT count() FROM {views}.steps WHERE groups > 0") == [(80,)]
    assert audit(client) == []


def test_steps_of_many_messages_round_as_in_the_fold(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums of so many messages are merged in portions; in another order the last digits would be others."""
    monkeypatch.setattr(recompute, "_RELATIVE", 0.0)
    sent = [odd_rollout(rank, 40 * step + i, step, more=i < 39) for step in range(2) for i in range(40) for rank in range(3)]
    late = [odd_rollout(rank, 100 + rank, 1) for rank in range(3)]
    land(client, records([*sent, *late]))
    assert audit(client) == []


def test_what_was_landed_before_all_was_kept_is_left_out(client: Client) -> None:
    land(client, records(training("r", steps=2)))
    client.command(
        f"ALTER TABLE {client.settings.tables}.rollouts UPDATE lo = [], rewards = [] WHERE 1 SETTINGS mutations_sync = 1"
    )
    assert audit(client) == []


def test_what_is_wrong_is_found(client: Client) -> None:
    log = records(training("r", steps=5))
    land(client, log)
    tables = client.settings.tables
    client.command(f"ALTER TABLE {tables}.rollouts DELETE WHERE step = 3 AND rank = 1 SETTINGS mutations_sync = 1")
    client.command(f"ALTER TABLE {tables}.event_log DELETE WHERE offset = 4 SETTINGS mutations_sync = 1")
    land(client, records(training("s", steps=1), start=log[-1].offset + 8), results=[])
    found = audit(client)
    assert sorted({problem.kind for problem in found}) == ["log", "offsets", "sums"]
    assert {place(problem) for problem in found if problem.kind == "sums"} == {"run r step 3"}
    assert "count 16.0, from raw 8.0" in next(problem.what for problem in found if problem.place.endswith("reward total"))
    assert any(problem.place.endswith("completion length") for problem in found)
    assert [problem.what for problem in found if problem.kind == "offsets"] == ["records 21 to 27 were never landed"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("squares = squares * (1 + 1e-8)", "squares "),
        ("length_product = 0", "length_product 0.0, from raw "),
        ("entropy = NULL", "entropy nan, from raw "),
        ("sketch_counts = arrayMap(c -> c + 1, sketch_counts)", "another distribution"),
        ("products = arrayMap(p -> p + 1, products)", "product with correct "),
    ],
)
def test_a_changed_row_is_found(client: Client, damage: str, told: str) -> None:
    land(client, records(training("r", steps=3)))
    where = "window = 'step' AND slot = 1 AND series = 'format'"
    client.command(f"ALTER TABLE {client.settings.tables}.pane_rows UPDATE {damage} WHERE {where} SETTINGS mutations_sync = 1")
    (problem,) = audit(client)
    assert problem.place == "run r step 1 attempt 1 reward format" and told in problem.what


def place(problem: Problem) -> str:
    return problem.place.split(" attempt")[0]
