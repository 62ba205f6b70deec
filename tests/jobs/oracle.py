"""The oracle: the fold over the whole log, read by a plain consumer, and what has landed, compared bit for bit."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from reward_engine.fold import NO_RULES, Record, fold
from reward_engine.measuring import COLUMNS
from reward_engine.rules.ruleset import RuleSet
from reward_engine.state import Partition
from reward_infra.pipeline import Pipeline
from reward_jobs.rule_sets import RuleSets
from reward_producers.kafka import TopicPartition, consumer
from reward_schemas.events import RuleSwitch
from reward_schemas.parse import parse
from reward_schemas.results_pb2 import Result
from reward_schemas.topics import EVENTS
from reward_store.audit import Problem, audit

from tests.store.logs import rows_of

Key = tuple[str, str, str, str, int, int]


def read_log(brokers: str, topic: str = EVENTS) -> dict[int, list]:
    """Every message of a topic by partition, as far as it reaches now."""
    client = consumer(brokers, "oracle")
    messages: dict[int, list] = {}
    try:
        for partition in client.list_topics(topic, timeout=10).topics[topic].partitions:
            low, high = client.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            messages[partition] = []
            client.assign([TopicPartition(topic, partition, low)])
            while high > low and (not messages[partition] or messages[partition][-1].offset() < high - 1):
                messages[partition] += [m for m in client.consume(1000, 1.0) if not m.error()]
    finally:
        client.close()
    return messages


_folded: dict[Path, tuple[dict[int, Partition], dict[int, RuleSet], list[Result]]] = {}  # by the pipeline's data directory


def replay(monitor: Pipeline) -> list[Result]:
    """The results of one fold over the whole log, without a snapshot. Where it was asked before, it goes on: the tests of
    a module share a log."""
    states, in_force, results = _folded.setdefault(monitor.stack.data_dir, ({}, {}, []))
    published = RuleSets(monitor.brokers)
    published.refresh()
    for partition, messages in read_log(monitor.brokers).items():
        state = states.setdefault(partition, Partition(partition))
        for m in (m for m in messages if m.offset() > state.through):
            event, at_ms = parse(m.key(), m.value()), m.timestamp()[1]
            rules = in_force.get(partition, NO_RULES)
            if isinstance(event, RuleSwitch) and event.version > state.rule_version:
                rules = in_force[partition] = published.of(event.version, at_ms) or rules
            results += fold(state, Record(m.offset(), at_ms, event, m.value() or b""), rules)
    return results


def closed_rows(results: list[Result]) -> dict[Key, tuple]:
    """The last closed row of every (run, kind, window, series, attempt, slot)."""
    rows: dict[Key, tuple] = {}
    for result in results:
        if result.WhichOneof("kind") == "pane" and result.pane.closed:
            pane = result.pane
            for series, said in rows_of(pane).items():
                key = (result.run_id, pane.kind, pane.window, series, pane.attempt, pane.slot)
                rows[key] = (result.partition, result.offset, pane.reported, pane.expected, *said)
    return rows


def landed_rows(monitor: Pipeline, like: str) -> dict[Key, tuple]:
    """The same from ClickHouse, for runs like `like`."""
    client = monitor.writer()
    try:
        found = client.query(
            'SELECT run_id, kind, window, series, attempt, slot, partition, "offset", reported, expected, '
            + ", ".join(("lo", "hi", "sketch_values", "sketch_counts", "partners", "products", *COLUMNS))
            + " FROM rewards_tables.pane_rows FINAL WHERE closed AND run_id LIKE {like:String}",
            like=like,
        )
    finally:
        client.close()
    rows = {tuple(row[:6]): tuple(row[6:]) for row in found}
    assert len(rows) == len(found)
    return rows


def audited(monitor: Pipeline, name: str) -> list[Problem]:
    """What the audit finds wrong with the runs of this name."""
    client = monitor.writer()
    try:
        return [problem for problem in audit(client) if name in problem.place]
    finally:
        client.close()


def await_finished(monitor: Pipeline, run_ids: list[str], timeout_s: float = 90.0) -> None:
    """Waits until the row of every run says that it has finished."""
    deadline, missing = time.monotonic() + timeout_s, set(run_ids)
    while missing:
        try:
            client = monitor.reader()
            missing -= {run for (run,) in client.query("SELECT run_id FROM rewards.runs WHERE state = 'finished'")}
            client.close()
        except Exception as error:  # ClickHouse may be down: that is the test
            last = error
        else:
            last = None
        if missing and time.monotonic() > deadline:
            raise AssertionError(f"not finished after {timeout_s} s: {sorted(missing)}; {last}; {monitor.supervisor.states()}")
        time.sleep(0.3)
    time.sleep(1.5)  # the lander's next flush: the rows beside those


def check_exact(monitor: Pipeline, traffic) -> None:
    """Landed rewards equal sent ones, one by one; closed rows equal the replay, bit for bit, and what the audit makes of the
    landed rewards; step rows equal numpy."""
    expected = {k: v for k, v in closed_rows(replay(monitor)).items() if k[0].startswith(traffic.name + "-")}
    landed = landed_rows(monitor, traffic.name + "-%")
    assert landed.keys() == expected.keys()
    assert {k: v for k, v in landed.items() if v != expected[k]} == {}
    assert {kind for _, kind, *_ in landed} == {"reward", "completion", "trainer"}
    assert audited(monitor, traffic.name) == []
    client = monitor.reader()
    try:
        raw = client.query(
            "SELECT run_id, rank, step, function, groupArray(reward) FROM (SELECT * FROM rewards.rewards"
            " WHERE run_id LIKE {like:String} ORDER BY completion) GROUP BY run_id, rank, step, function",
            like=traffic.name + "-%",
        )
        steps = client.query(
            "SELECT run_id, step, function, count, mean, std, min, max, coverage FROM rewards.steps WHERE run_id LIKE {like:String}",
            like=traffic.name + "-%",
        )
        kl = client.query(
            "SELECT run_id, step, value FROM rewards.trainer_steps WHERE run_id LIKE {like:String}", like=traffic.name + "-%"
        )
        (problems,) = client.query(
            "SELECT sum(missing) + sum(duplicates) FROM rewards.runs WHERE run_id LIKE {like:String}", like=traffic.name + "-%"
        )
    finally:
        client.close()
    names = ("accuracy", "format", "judge")
    got = {(run, rank, step, function): np.array(values, np.float32) for run, rank, step, function, values in raw}
    want = {
        (run, rank, step, name): row
        for (run, rank, step), values in traffic.sent.items()
        for name, row in zip(names, values, strict=True)
    }
    assert got.keys() == want.keys()
    assert all(got[key].tobytes() == want[key].tobytes() for key in want)
    assert problems == (0,)
    assert len(steps) == len({(run, step) for run, _, step in traffic.sent}) * 4
    for run, step, function, count, mean, std, least, most, coverage in steps:
        if function == "total":
            continue
        both = np.concatenate([want[run, rank, step, function] for rank in (0, 1)]).astype(np.float64)
        assert (count, least, most, coverage) == (len(both), both.min(), both.max(), 1.0)
        np.testing.assert_allclose([mean, std], [both.mean(), both.std(ddof=1)], rtol=1e-12, atol=1e-15 * np.abs(both).max())
    assert {(run, step): value for run, step, value in kl} == traffic.kl
