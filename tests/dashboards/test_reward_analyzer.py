"""RewardAnalyzer: the same report of a directory, of arrays and of ClickHouse; honest about what it can't judge."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from reward_dashboards.report_html import html
from reward_dashboards.reward_analyzer import RewardAnalyzer
from reward_dashboards.runs import NoRun, of_store
from reward_producers.reporter import start_run
from reward_schemas.events import RewardFunction, Role
from reward_store.client import Client

from tests.store.logs import records, training
from tests.store.running import client, empty, land, rows, stack  # noqa: F401 - fixtures

GROUPS = np.repeat(np.arange(16), 4)


def learning(steps: int, seed: int = 0, top: float = 0.9) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [
        {"accuracy": (rng.random(64) < min(0.2 + step / 150, top)).astype(float), "style": rng.random(64)}
        for step in range(steps)
    ]


def of_arrays(steps: list, **more: object) -> RewardAnalyzer:
    return RewardAnalyzer.of_arrays(steps, groups=GROUPS, ranges={"accuracy": (0, 1), "style": (0, 1)}, **more)


def test_of_arrays_the_report_says_what_happened() -> None:
    made = of_arrays(learning(200)).report.runs[0]
    assert made.verdict.state == "unverified" and made.steps == (0, 199)
    total, accuracy, style = made.functions
    assert (total.name, accuracy.name, style.name) == ("total", "accuracy", "style")
    assert accuracy.trend.direction == 1 and style.trend.direction == 0
    assert accuracy.gain.low > 0.3 and style.gain.low < 0 < style.gain.high
    assert accuracy.shape.clear and not style.shape.clear and style.change_points == []
    assert {q.series for q in made.quality} == {"total", "accuracy", "style"}


def test_a_directory_and_arrays_agree(tmp_path: Path) -> None:
    steps = learning(60)
    functions = [RewardFunction(name, lo=0.0, hi=1.0) for name in ("accuracy", "style")]
    with start_run("p", functions, data_dir=tmp_path, run_id="run") as run:
        for step, rewards in enumerate(steps):
            run.log_rollout(step, rewards=rewards, groups=GROUPS)
    one, other = RewardAnalyzer.of_directory(tmp_path), of_arrays(steps)
    assert one.json() == other.json() and one.text() == other.text()


def test_a_run_that_was_killed_is_reported_to_its_last_step(tmp_path: Path) -> None:
    run = start_run("p", {"f": 1.0}, data_dir=tmp_path, run_id="killed")
    for step in range(25):
        run.log_rollout(step, rewards={"f": np.arange(64.0)}, groups=GROUPS)
    run._sender.close(5)  # and no more is said
    assert RewardAnalyzer.of_directory(tmp_path).report.runs[0].steps == (0, 24)


def test_runs_are_compared_with_a_correction_for_many() -> None:
    runs = [of_arrays(learning(120, seed, top), run_id=f"r{seed}").runs[0] for seed, top in enumerate((0.9, 0.9, 0.5))]
    made = RewardAnalyzer(runs).report
    assert len(made.comparisons) == 3 * 3
    found = {(c.one, c.other, c.function): c for c in made.comparisons}
    assert found["r0", "r2", "accuracy"].p < 0.001 and found["r0", "r2", "accuracy"].effect < -0.5
    assert found["r0", "r2", "accuracy"].difference.high < 0
    assert found["r0", "r1", "style"].p > 0.05 and found["r0", "r1", "accuracy"].p > 0.05
    text = RewardAnalyzer(runs).text()
    assert "p is adjusted for all these comparisons" in text and re.search(r"r2 − r0 +accuracy +-0\.3", text)


@pytest.mark.parametrize(
    "steps",
    [
        [{"f": [1.0]}],
        [{"f": [np.nan, np.nan]}] * 30,
        [{"f": [0.5] * 8}] * 30,
        [{"f": [1.0, 2.0]}] * 3,
        [{f"f{step % 3}": [1.0, step]} for step in range(30)],
        [{"f": [3.4e38, -3.4e38]}] * 30,
    ],
)
def test_what_cannot_be_judged_says_so_without_a_warning(steps: list) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        analyzer = RewardAnalyzer.of_arrays(steps)
        text, told, page = analyzer.text(), json.loads(analyzer.json()), analyzer.html()
    assert text.startswith("run: steps 0 to") and "nan" not in text.lower() and "nan" not in page.split("</script>")[-1].lower()
    assert told["runs"][0]["functions"][0]["trend"] in ({"needs": "6 values, has 1"}, {"needs": "6 values, has 3"}, *(
        [told["runs"][0]["functions"][0]["trend"]] if len(steps) > 3 else []
    ))  # fmt: skip


def test_arrays_that_do_not_fit_are_refused_with_their_step() -> None:
    with pytest.raises(ValueError, match=r"step 1: the functions have different numbers of rewards: \{'a': 2, 'b': 3\}"):
        RewardAnalyzer.of_arrays([{"a": [1, 2], "b": [1, 2]}, {"a": [1, 2], "b": [1, 2, 3]}])
    with pytest.raises(ValueError, match="step 0: 3 groups for 2 completions"):
        RewardAnalyzer.of_arrays([{"a": [1, 2]}], groups=[0, 0, 1])
    with pytest.raises(ValueError, match="step 0: 1 lengths for 2 completions"):
        RewardAnalyzer.of_arrays([{"a": [1, 2]}], lengths=[[5]])


def test_nothing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NoRun, match="There are no runs here.*data_dir"):
        RewardAnalyzer.of_directory(tmp_path)
    with pytest.raises(NoRun, match="No rewards were reported"):
        RewardAnalyzer.of_arrays([])
    with pytest.raises(NoRun, match="nothing to report of"):
        RewardAnalyzer([])


def test_hostile_names_stay_text() -> None:
    name = "<script>alert(1)</script>\x1b[31m"
    analyzer = RewardAnalyzer.of_arrays([{name: np.arange(8.0) + step} for step in range(60)], run_id=name)
    page = analyzer.html()
    assert "<script>alert" not in page.replace("\\u003cscript\\u003e", "") and "\x1b" not in analyzer.text()


def test_the_page_needs_nothing_else_and_has_the_verdict_first() -> None:
    analyzer = of_arrays(learning(60))
    page = html(analyzer.report, analyzer.runs)
    body = page[page.index("<body>") :]
    assert body.index('class="verdict"') < body.index("<h3>Detectors") < body.index("plotly-graph-div")
    assert (
        not re.search(r'(src|href)="', body)
        and not re.search(r'<(script|link)[^>]*="http', page)
        and page.count("plotly-graph-div") >= 3
    )


def test_clickhouse_has_the_same_report(client: Client) -> None:  # noqa: F811
    functions = (RewardFunction("correct", 1.0, lo=-9.0, hi=9.0), RewardFunction("audit", 0.0, Role.AUDIT))
    land(client, log := records(training("run-x", steps=64, functions=functions)))
    reader = _on_views(client)
    stored = RewardAnalyzer([of_store(reader, "run-x")])
    from reward_dashboards.runs import of_events
    from reward_schemas.parse import parse

    direct = RewardAnalyzer(of_events((record.append_time_ms, parse(record.key, record.value)) for record in log))
    ours, theirs = stored.report.runs[0], direct.report.runs[0]
    assert ours.sentence == theirs.sentence and {f.name for f in ours.functions} == {f.name for f in theirs.functions}
    by_name = {f.name: f for f in theirs.functions}
    for function in ours.functions:
        same = by_name[function.name]
        assert function.gain.value == pytest.approx(same.gain.value) and function.first.low == pytest.approx(same.first.low)
        assert function.shape == same.shape
    said = [{d.detector: (d.level, d.sentence, list(d.examples)) for d in of.detections} for of in (ours, theirs)]
    assert said[0] == said[1] and any(examples for _, _, examples in said[0].values())
    assert len(ours.quality) == len(theirs.quality)
    assert stored.html().startswith("<!doctype html>")
    with pytest.raises(NoRun, match="There is no run 'gone'"):
        of_store(reader, "gone")
    assert rows(client, "SELECT count() FROM {views}.verdicts")


def _on_views(client: Client) -> object:  # noqa: F811
    """A client whose queries see the test's views, as a reader's do."""

    class OnViews:
        settings = client.settings

        def query(self, sql: str, **parameters: object) -> list[tuple]:
            views = ("completions", "trainer_steps", "distributions", "verdicts", "detections", "quality", "steps")
            for view in views:
                sql = re.sub(rf"FROM {view}\b", f"FROM {client.settings.views}.{view}", sql)
            return client.query(sql, **parameters)

    return OnViews()
