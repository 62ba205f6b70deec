"""What the pages get: the same of a directory and of ClickHouse, and curves that stay small."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from reward_dashboards.runs import NoRun
from reward_dashboards.web.directory_source import DirectorySource
from reward_dashboards.web.figures import View, lines, shaded, smoothed
from reward_dashboards.web.source import AlertCard, Curve, Reading, RunCard, Source, bucketed
from reward_dashboards.web.store_source import StoreSource
from reward_engine.rules.ruleset import load
from reward_producers.reporter import start_run
from reward_schemas.errors import MonitorError
from reward_schemas.segments import read, segments
from reward_store.client import Client
from reward_store.event_rows import Arrived

from tests.store.running import client, empty, land, stack  # noqa: F401 - fixtures


def hacked(folder: Path, run_id: str = "hacked", steps: int = 120) -> None:
    """A training in which the reward rises while the audit falls."""
    from reward_schemas.events import RewardFunction, Role

    functions = [RewardFunction("correct", 1.0), RewardFunction("audit", 0.0, Role.AUDIT)]
    draw = np.random.default_rng(0)
    with start_run("maths", functions, run_id=run_id, data_dir=folder, config={"planned_steps": steps}) as run:
        for step in range(steps):
            rise = max(step - 40, 0) / 100
            rewards = {"correct": draw.normal(0.4 + rise, 0.2, 64), "audit": draw.normal(0.5 - rise / 2, 0.2, 64)}
            run.log_rollout(step, rewards=rewards, groups=np.repeat(np.arange(16), 4), lengths=draw.integers(90, 110, 64))
            run.log_trainer(step, kl=0.001 * step)


def answered(ask: Callable[[], object], timeout_s: float = 60.0) -> object:
    """An answer, once the directory has been read."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except Reading:
            assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs")
    hacked(made)
    return made


@pytest.fixture(scope="module")
def directory(folder: Path) -> DirectorySource:
    source = DirectorySource(folder)
    answered(source.runs)
    return source


def facts(source: Source) -> dict[str, object]:
    """Everything that a page can ask, of one run."""
    (card,) = source.runs()
    curves = {
        (kind, name, measure): source.curve("hacked", kind, name, measure)
        for kind, name, measure in (
            ("reward", "total", "mean"), ("reward", "correct", "p95"), ("reward", "audit", "zero_variance_groups"),
            ("reward", "correct", "variance_contribution"), ("trainer", "kl", "mean"), ("completion", "length", "mean"), ("reward", "none", "mean"),
        )
    }  # fmt: skip
    for span, points in ((None, 25), ((30.0, 59.0), 25), ((-9.0, 0.0), 25), ((500.0, 600.0), 25)):
        curves["reward", "correct", f"mean {span}"] = source.curve("hacked", "reward", "correct", "mean", span, points)
    return {
        "card": replace(card, started=None, last=None),
        "functions": source.functions("hacked"),
        "reported": sorted(source.reported("hacked")),
        "verdicts": [(v.step, v.state, v.sentence) for v in source.verdicts("hacked")],
        "detections": sorted((d.detector, d.level, d.sentence, list(d.examples)) for d in source.detections("hacked")),
        "quality": sorted((q.series, round(q.score, 6)) for q in source.quality("hacked")),
        "alerts": [replace(a, fired=None, ended=None) for a in sorted(source.alerts(), key=lambda a: (a.rule, a.function))],
        "curves": {
            key: (c.steps.tolist(), c.times.tolist(), np.round([c.mean, c.low, c.high], 9).tolist(), c.total)
            for key, c in curves.items()
        },
    }


def test_clickhouse_and_a_directory_say_the_same(client: Client, folder: Path, directory: DirectorySource) -> None:  # noqa: F811
    frames = [frame for file in segments(folder) for frame in read(file)]
    log = [Arrived(0, i, frame.time_ms, frame.key, frame.value) for i, frame in enumerate(frames)]
    from importlib.resources import files

    rules, _ = load({"grpo.yaml": files("reward_engine.rules").joinpath("packs", "grpo.yaml").read_text()})
    land(client, log, rules=rules)
    stored = StoreSource(replace(client.settings, database=client.settings.views))
    ours, theirs = facts(directory), facts(stored)
    assert ours["card"].verdict in ("suspicious", "hacking") and len(ours["alerts"]) > 1
    nan = [str(each) for each in (ours.pop("curves"), theirs.pop("curves"))]
    assert nan[0] == nan[1]
    assert ours == theirs
    assert [rule.uid for rule in directory.rules().rules.rules][:2] == ["hacking", "trained-audit-split"]
    assert stored.rules().rules.rules == () and stored.rules().mistakes == ()
    health = stored.health()
    assert health.facts["rules"] == "none published" and not health.problems
    assert stored.query("SELECT run_id FROM runs", 10).to_pylist() == [{"run_id": "hacked"}]
    for wrong in ("SELEC 1", "INSERT INTO runs VALUES (1)", "SELECT * FROM nowhere"):
        with pytest.raises(MonitorError):
            stored.query(wrong, 10)
    assert stored.functions("no such run") == {} and stored.alerts(["no such run"]) == []


def test_a_directory_that_grows_is_followed(tmp_path: Path) -> None:
    with start_run("p", {"f": 1.0}, run_id="grows", data_dir=tmp_path) as run:
        run.log_rollout(0, rewards={"f": [0.0, 1.0]}, groups=[0, 0])
        source = DirectorySource(tmp_path)
        deadline = time.monotonic() + 20
        for steps in (1, 6):
            while len(source.curve("grows", "reward", "f", "mean").steps) < steps:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            for step in range(1, 6) if steps == 1 else ():
                run.log_rollout(step, rewards={"f": [0.0, 1.0]}, groups=[0, 0])
        (card,) = source.runs()
        assert (card.state, card.step, card.reward) == ("live", 5, 0.5)


def test_where_there_is_nothing_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoRun, match="start_run"):
        DirectorySource(tmp_path).runs()


def test_a_long_curve_is_told_in_buckets() -> None:
    steps = np.arange(10_000)
    values = np.sin(steps / 500)
    values[5_000] = 9.0
    values[:100] = np.nan
    curve = bucketed(steps, steps * 1000, values, None, 1_000)
    assert len(curve.steps) == 1_000 and curve.total == 10_000 and curve.badge == "1,000 of 10,000 steps"
    assert np.nanmax(curve.high) == 9.0  # no peak is lost
    assert np.isnan(curve.mean[:10]).all() and np.nanmax(np.abs(curve.mean[11:400] - np.sin(curve.steps[11:400] / 500))) < 0.02
    assert curve.times[1] == np.datetime64(19_000, "ms")  # the last of its ten steps


def test_of_a_long_curve_a_span_has_every_step_and_the_rest_is_still_there() -> None:
    steps = np.arange(10_000)
    curve = bucketed(steps, steps, steps.astype(float), (4_995.5, 5_104.2), 1_000)
    inside = (curve.steps >= 4_995) & (curve.steps <= 5_104)
    assert curve.steps[inside].tolist() == list(range(4_995, 5_105)) and (curve.mean[inside] == curve.steps[inside]).all()
    assert (np.diff(curve.steps) > 0).all() and curve.steps[0] == 0 and curve.steps[-1] == 9_990
    for nowhere in ((-10.0, -5.0), (20_000.0, 30_000.0)):
        assert bucketed(steps, steps, steps.astype(float), nowhere, 1_000).steps.tolist() == list(range(0, 10_000, 10))


def test_figures() -> None:
    steps = np.arange(5)
    times = np.array([0, 1, 2, 3, 4], "datetime64[s]").astype("datetime64[ms]")
    curve = Curve(steps + 10, times, np.array([1.0, 2.0, np.nan, 4.0, 5.0]), np.zeros(5), np.ones(5), 5)
    figure = lines({"<b>x</b>": curve}, "reward", View("relative"))
    assert list(figure.data[0].x) == [0, 1, 2, 3, 4] and str(list(figure.data[0].y)) == str([*np.float32([1, 2, np.nan, 4, 5])])
    assert (lines({"x": curve}, "", View("wall clock")).data[0].x == times).all()
    assert figure.data[0].name == "&lt;b&gt;x&lt;/b&gt;"
    smooth = lines({"x": curve}, "reward", View(smoothing=0.5))
    assert len(smooth.data) == 2 and smooth.data[0].opacity == 0.3
    assert smoothed(np.ones(4), 0.9).tolist() == pytest.approx([1.0] * 4)
    ramp = np.arange(1_000.0)
    whole, buckets = smoothed(ramp, 0.9), smoothed(ramp.reshape(100, 10).mean(axis=1), 0.9, 10)
    assert np.abs(whole.reshape(100, 10)[20:].mean(axis=1) - buckets[20:]).max() < 5  # less than the smoothing itself lags: 9
    band = lines({"x": Curve(steps, times, curve.mean, np.zeros(5), np.ones(5), 50)}, "", View())
    assert band.data[0].fill == "toself"

    def alert(severity: str, since: int, last: int | None, state: str = "resolved") -> AlertCard:
        return AlertCard("r", "rule", "", state, severity, "", since, last, None, None)

    alerts = [alert("warning", 1, 3), alert("warning", 2, 4), alert("critical", 3, 3, "firing"), alert("info", 0, 4)]
    shapes = shaded(figure, alerts, 9).layout.shapes
    assert [(shape.x0, shape.x1) for shape in shapes] == [(1, 4), (3, 9)]


def test_the_worst_run_comes_first() -> None:
    def card(run_id: str, state: str, verdict: str, **firing: int) -> RunCard:
        return RunCard(run_id, "", state, verdict, "", None, None, None, None, None, firing)

    cards = [
        card("a", "finished", "hacking"),
        card("b", "live", "learning"),
        card("c", "live", "learning", critical=1),
        card("d", "live", "suspicious"),
    ]
    assert [each.run_id for each in sorted(cards, key=lambda each: each.rank)] == ["c", "d", "b", "a"]


def test_runs_keep_their_places_whichever_was_heard_last() -> None:
    one, two = (
        RunCard(name, "", "live", "learning", "", None, None, None, datetime(2026, 1, day, tzinfo=timezone.utc), None)
        for name, day in (("earlier", 1), ("later", 2))
    )
    for heard in (one, two):
        now = [replace(card, last=datetime(2026, 2, 1, tzinfo=timezone.utc)) if card is heard else card for card in (one, two)]
        assert [card.run_id for card in sorted(now, key=lambda card: card.rank)] == ["later", "earlier"]


def test_many_may_ask_at_once(client: Client) -> None:  # noqa: F811
    from concurrent.futures import ThreadPoolExecutor

    source = StoreSource(replace(client.settings, database=client.settings.views))
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: source.query("SELECT 1 AS one", 5).num_rows, range(40))] == [1] * 40
    assert 1 <= len(source._idle) <= 8
    away = StoreSource(replace(client.settings, port=1))
    with pytest.raises(MonitorError, match="127.0.0.1:1"):
        away.runs()
