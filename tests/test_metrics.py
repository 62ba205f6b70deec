"""docs/METRICS.md is what the catalogues give, and says what people look for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from reward_engine import topics
from reward_engine.measures import BY_NAME
from reward_engine.reported import REPORTED
from reward_engine.sums import NAMES
from reward_engine.topics import TOPICS

from scripts import metrics

pytestmark = pytest.mark.pure


def test_it_is_up_to_date() -> None:
    assert metrics.FILE.read_text(encoding="utf-8") == metrics.text()


def test_a_stale_one_fails(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(metrics, "FILE", tmp_path / "METRICS.md")
    monkeypatch.setattr(sys, "argv", ["metrics.py", "--check"])
    assert metrics.main() == 1
    metrics.FILE.write_text(metrics.text() + " ", encoding="utf-8")
    assert metrics.main() == 1
    assert "METRICS.md is not what the catalogues give: run make metrics" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["metrics.py"])
    assert metrics.main() == 0
    monkeypatch.setattr(sys, "argv", ["metrics.py", "--check"])
    assert metrics.main() == 0


def test_make_check_looks_at_it() -> None:
    made = subprocess.run(["make", "--dry-run", "check"], cwd=metrics.FILE.parent.parent, capture_output=True, text=True)
    assert "scripts/metrics.py --check" in made.stdout


def test_each_measure_stands_in_one_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [name for topic in TOPICS for name in topic.names]
    assert sorted(told) == sorted(BY_NAME)
    monkeypatch.setattr(metrics, "TOPICS", TOPICS[1:])
    with pytest.raises(SystemExit, match="each measure stands in one topic; not so .*'count'"):
        metrics.text()


def test_every_name_and_the_words_that_people_look_for_are_there() -> None:
    text = metrics.text()
    for name in (*BY_NAME, *NAMES, *(each.name for each in REPORTED)):
        assert f"| `{name}` |" in text, name
    for words in (
        "Mean, std, variance, min, max and total", "signal-to-noise ratio", "entropy", "Individual scores and contributions",
        "KL divergence", "policy entropy", "advantages", "kl_estimator",
    ):  # fmt: skip
        assert words in text, words


def test_ranges_in_words() -> None:
    words = {name: topics.range_of(BY_NAME[name]) for name in ("mean", "std", "zero_share", "intraclass_correlation")}
    assert words == {"mean": "", "std": "≥ 0", "zero_share": "0 to 1", "intraclass_correlation": "≤ 1"}
