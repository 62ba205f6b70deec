"""What lands is what was sent, bit for bit, and a message that is sent twice is one row."""

from __future__ import annotations

import numpy as np
import pytest
from reward_engine.emit import version
from reward_schemas.encode import encode_event
from reward_schemas.events import RewardFunction
from reward_schemas.results_pb2 import PaneRow, Result, RunRow
from reward_store.client import Client
from reward_store.columns import run_month
from reward_store.landing import EVENTS, RESULTS, Batch
from reward_store.result_rows import Malformed, read_result

from tests.store.logs import NAN_WITH_PAYLOAD, T0_MS, Arrived, as_records, event, folded, functions, records, rollout, training
from tests.store.running import land, rows

pytestmark = pytest.mark.timeout(60)

ODD = np.array([np.nan, NAN_WITH_PAYLOAD, np.inf, -np.inf, -0.0, 1e-45, 3.4e38, 0.1], np.float32)


def arrow(client: Client, sql: str):
    return client.query_arrow(sql.replace("{tables}", client.settings.tables))


def test_vectors_come_back_bit_for_bit(client: Client) -> None:
    rewards = np.stack([ODD, ODD[::-1], np.arange(8, dtype=np.float32)])
    status = np.array([[0, 1, 2, 0, 0, 0, 0, 0]] * 3, np.uint8)
    table = (RewardFunction("correct", 1.0, lo=-1.0, hi=1.0), RewardFunction("format", 2.0, hi=0.5), *functions()[2:])
    sent = rollout(
        "r", 0, 0, 5, rewards=rewards, status=status, advantage=ODD, truncated=np.array([0, 1] * 4, np.uint8),
        functions=table, columns={"kl": ODD, "staleness": ODD[::-1]}, group_size=4,
    )  # fmt: skip
    bare = rollout("r", 0, 1, 6, length=None)
    land(client, records([sent, bare]))
    got = arrow(client, "SELECT * FROM {tables}.rollouts FINAL ORDER BY step").to_pylist()
    raw = arrow(client, "SELECT rewards, advantage, column_values FROM {tables}.rollouts FINAL ORDER BY step")
    for i, body in enumerate((sent.body, bare.body)):
        assert raw["rewards"][i].values.to_numpy().tobytes() == body.rewards.tobytes()
    assert raw["advantage"][0].values.to_numpy().tobytes() == ODD.tobytes()
    assert raw["column_values"][0].values.to_numpy().tobytes() == ODD.tobytes() + ODD[::-1].tobytes()
    first, second = got
    assert (first["lo"], first["hi"], first["group_size"]) == ([-1.0, None, None], [1.0, 0.5, None], 4)
    assert (first["columns"], second["columns"], second["column_values"]) == (["kl", "staleness"], [], [])
    assert (first["functions"], first["weights"]) == (["correct", "format", "length"], [1.0, 2.0, 3.0])
    assert first["roles"] == ["trained", "trained", "audit"]
    assert first["status"] == status.reshape(-1).tolist() and first["truncated"] == [0, 1] * 4
    assert first["group"] == sent.body.group.tolist() and first["length"] == sent.body.length.tolist()
    assert (second["status"], second["length"], second["advantage"], second["truncated"]) == ([], [], [], [])
    assert (first["run_id"], first["session"], first["month"], first["offset"]) == ("r", 7, 0, 0)
    assert first["event_time"].timestamp() * 1000 == sent.event_time_ms


def test_event_log_keeps_every_record_as_it_was_sent(client: Client) -> None:
    log = records([*training("r", steps=2), b"\xff not protobuf \x00", b""], partition=3, start=40)
    log.append(Arrived(3, log[-1].offset + 1, T0_MS, None, None))
    land(client, log, results=[])
    got = arrow(
        client, "SELECT partition, offset, hex(key) k, hex(payload) p, kind FROM {tables}.event_log FINAL ORDER BY offset"
    ).to_pylist()
    assert [(r["partition"], r["offset"]) for r in got] == [(3, record.offset) for record in log]
    assert [bytes.fromhex(r["p"]) for r in got] == [record.value or b"" for record in log]
    assert [bytes.fromhex(r["k"]) for r in got] == [record.key or b"" for record in log]
    assert {r["kind"] for r in got} == {"rollout", "trainer_step", "run_event", "sender_report", "invalid"}


def test_the_same_twice_changes_nothing(client: Client) -> None:
    log = records([*training("r"), b"bad"])
    land(client, log)
    names = ["event_log", "rollouts", "pane_rows", "run_rows", "dead_letter_rows", "ingest_audit"]
    look = [f"SELECT * EXCEPT landed_at FROM {{tables}}.{name} FINAL ORDER BY ALL" for name in names]
    once = [rows(client, sql) for sql in look]
    assert all(once)
    for half in (log[:7], log[5:], log):
        land(client, half, results=as_records(folded(log)))
    again = [rows(client, sql) for sql in look]
    assert [len(a) for a in again[:-1]] == [len(a) for a in once[:-1]]
    assert repr(again[:-1]) == repr(once[:-1])  # as text: NaN differs from itself


def test_of_a_repeated_message_the_first_stays_and_of_a_row_the_last(client: Client) -> None:
    first = rollout("r", 0, 0, 1, seed=1)
    repeated = rollout("r", 0, 0, 1, seed=2)
    land(client, [*records([first]), *records([repeated], start=9)], results=[])
    land(client, records([repeated], start=9), results=[])
    assert rows(client, "SELECT offset FROM {tables}.rollouts FINAL") == [(0,)]
    states = [Result(run_id="r", offset=o, run=RunRow(state=s)) for o, s in ((3, "live"), (9, "finished"), (5, "lost"))]
    for result in states:
        land(client, [], results=as_records([result]))
    assert rows(client, "SELECT state, version FROM {tables}.run_rows FINAL") == [("finished", version(states[1]))]


def test_results_that_cannot_be_read_are_landed_with_their_reason(client: Client) -> None:
    good = Result(run_id="r", offset=1, run=RunRow(state="live"))
    pane = PaneRow(window="step", series=["a", "b"], weights=[1, 1], roles=["trained"] * 2, sums=["count"], values=b"1234")
    bad = [
        b"\xff",
        b"",
        Result(run_id="r", offset=2, pane=pane).SerializeToString(),
        Result(epoch=256, run=RunRow()).SerializeToString(),
    ]
    whole = {"series": ["a", "b"], "weights": [1, 1], "roles": ["trained"] * 2, "sums": ["count"], "values": bytes(16)}
    for wrong, says in (
        ({"lo": [0.0]}, "2 series with 1, 0 ends"),
        ({"lo": [0.0, 1.0], "hi": [1.0]}, "2 series with 2, 1 ends"),
        ({"sketch_sizes": [1]}, "and 1 sketches"),
        ({"sketch_sizes": [1, 1], "sketch_values": bytes(8), "sketch_counts": bytes(4)}, "8, 4 bytes of sketches for 2 values"),
        ({"sketch_values": bytes(4), "sketch_counts": bytes(4)}, "4, 4 bytes of sketches for 0 values"),
        ({"products": bytes(8 * 3)}, "24 bytes of products for 2 series"),
        ({"products": bytes(8 * 9)}, "72 bytes of products for 2 series"),
    ):
        with pytest.raises(Malformed, match=says):
            read_result(Result(pane=PaneRow(**whole, **wrong)).SerializeToString())
    read_result(Result(pane=PaneRow(**whole)).SerializeToString())
    batch = Batch()
    for offset, value in enumerate([*bad, good.SerializeToString()]):
        batch.add(RESULTS, Arrived(2, offset, T0_MS, b"r", value))
    for table, landed in batch.tables():
        client.insert_arrow(table, landed)
    assert [reason for _, reason in batch.unreadable] == [
        pytest.raises(Malformed, read_result, value).value.args[0] for value in bad
    ]
    got = rows(
        client,
        "SELECT partition, offset, field, reason, payload_bytes, rank FROM {views}.dead_letters WHERE source = 'results' ORDER BY offset",
    )
    assert [row[:3] for row in got] == [(2, offset, "result") for offset in range(4)]
    assert "4 bytes of values for 2 series of 1 sums" in got[2][3] and "epoch 256" in got[3][3]
    assert rows(client, "SELECT state FROM {views}.runs") == [("live",)]


def test_rows_of_an_older_and_of_a_newer_fold(client: Client) -> None:
    """An older one says nothing of `maximum`, of ranges, distributions and products; a newer one's sums are left out."""
    old = PaneRow(window="step", kind="reward", series=["f"], weights=[1], roles=["trained"], closed=True)
    old.sums.extend(["centre", "count", "squares", "minimum", "of_tomorrow"])
    old.values = np.array([2.5, 2.0, 0.5, 2.0, 99.0], "<f8").tobytes()
    ours = next(r for r in folded(records([rollout("r", 0, 0, 1, senders=1)])) if r.WhichOneof("kind") == "pane")
    land(client, [], results=as_records([Result(run_id="old", pane=old), ours]))
    sql = "SELECT count, mean, min, max, missing, lo, p50, entropy FROM {views}.steps WHERE run_id = 'old'"
    assert rows(client, sql) == [(2, 2.5, 2.0, None, None, None, None, None)]
    assert rows(client, "SELECT DISTINCT run_id FROM {views}.distributions") == [("r",)]


def test_rows_of_many_months_in_one_insert(client: Client) -> None:
    """A spool that is sent late: more partitions than ClickHouse takes by default."""
    runs = [f"{1_600_000_000_000 + i * 2_600_000_000:012x}" for i in range(150)]
    runs = [f"{t[:8]}-{t[8:]}-7abc-8def-0123456789ab" for t in runs]
    land(client, records([rollout(run, 0, 0, 1) for run in runs]))
    assert len({run_month(run) for run in runs}) > 140
    assert rows(client, "SELECT uniqExact(month), countIf(month = 0) FROM {tables}.rollouts FINAL") == [
        (len({run_month(r) for r in runs}), 0)
    ]


@pytest.mark.parametrize(
    ("run_id", "month"),
    [
        ("0197c5f3-2c00-7abc-8def-0123456789ab", 202507),
        ("grpo-0197C5F32C007ABC8DEF0123456789AB", 202507),
        ("0197c5f3-2c00-4abc-8def-0123456789ab", 0),  # a random one
        ("ffffffff-ffff-7abc-8def-0123456789ab", 0),  # no time
        ("00000000-0001-7abc-8def-0123456789ab", 0),
        ("run-1", 0),
        ("", 0),
    ],
)
def test_the_month_follows_from_the_id(run_id: str, month: int) -> None:
    assert run_month(run_id) == month


def test_a_batch_forgets_what_others_read_now() -> None:
    batch = Batch()
    log = records(training("r", steps=1)) + records([rollout("s", 0, 0, 1)], partition=1)
    for record in log:
        batch.add(EVENTS, record)
    batch.forget([(EVENTS, 0), (RESULTS, 5)])
    assert (batch.rows, batch.ends()) == (1, {(EVENTS, 1): 1})
    assert [t.num_rows for _, t in batch.tables()] == [1, 1, 1]
    assert batch.bytes == log[-1].size


def test_a_hole_in_the_log_is_a_hole_in_the_audit(client: Client) -> None:
    log = records([encode_event(event("r", 0, i, rollout("r", 0, i, 1, functions=functions("a")).body)) for i in range(9)])
    land(client, [r for r in log if r.offset not in (3, 4)], results=[])
    assert rows(client, "SELECT from_offset, to_offset, rows FROM {tables}.ingest_audit FINAL ORDER BY 1") == [
        (0, 3, 3),
        (5, 9, 4),
    ]
