"""Publishing by the command, into a server that takes nothing but what Grafana's API knows."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reward_dashboards.grafana import ours

from reward_monitor.cli import main
from tests.dashboards.grafana.server import TOKEN, FakeGrafana

Publish = Callable[..., tuple[int, str]]


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with FakeGrafana() as fake:
        yield fake
        assert fake.problems == []


@pytest.fixture
def publish(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Publish:
    """The command: its exit code and all that it says. What it says never has the token or a password in it."""
    token, password = tmp_path / "token", tmp_path / "reader"
    token.write_text(TOKEN + "\n")
    password.write_text("right\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWARD_MONITOR_CLICKHOUSE_HOST", "clickhouse.example")
    monkeypatch.setenv("REWARD_MONITOR_CLICKHOUSE_READER_PASSWORD_FILE", str(password))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("COLUMNS", "200")  # a worker of pytest-xdist has 80

    def run(url: str, *more: str) -> tuple[int, str]:
        code = main(["grafana", "publish", "--url", url, "--token-file", str(token), *more])
        told = capsys.readouterr()
        assert TOKEN not in told.out + told.err and "Traceback" not in told.err
        return code, told.out + told.err

    return run


def test_it_makes_a_folder_a_data_source_and_six_dashboards(grafana: FakeGrafana, publish: Publish) -> None:
    code, said = publish(grafana.url)
    assert code == 0 and said.count("create") == 8 and "Data source is working" in said
    assert [*grafana.folders.values()] == ["Reward monitor"]
    source = grafana.sources["reward-monitor"]
    assert source["jsonData"]["host"] == "clickhouse.example" and source["jsonData"]["defaultDatabase"] == "rewards"
    assert grafana.passwords["reward-monitor"] == "right"
    for board in ours.dashboards().values():
        stored = grafana.boards[board["uid"]]
        assert stored["panels"] == board["panels"]
        assert stored["templating"]["list"][0]["current"] == {
            "selected": True,
            "text": "reward-monitor",
            "value": "reward-monitor",
        }


def test_a_second_time_writes_nothing(grafana: FakeGrafana, publish: Publish) -> None:
    publish(grafana.url)
    grafana.writes.clear()
    code, said = publish(grafana.url, "--diff")
    assert (code, grafana.writes) == (0, []) and said.count("unchanged") == 8 and "+++" not in said


def test_only_what_differs_is_written(grafana: FakeGrafana, publish: Publish) -> None:
    publish(grafana.url)
    grafana.writes.clear()
    grafana.boards["reward-monitor-run"]["panels"][0]["title"] = "Mine"
    code, said = publish(grafana.url, "--diff")
    assert (code, grafana.writes) == (0, ["POST /dashboards/db"])
    assert '-   "title": "Mine"' in said and '+   "title": "Verdicts, worst first"' in said
    assert grafana.boards["reward-monitor-run"]["version"] == 2
    assert grafana.boards["reward-monitor-fleet"]["version"] == 1


def test_a_dry_run_writes_nothing(grafana: FakeGrafana, publish: Publish) -> None:
    code, said = publish(grafana.url, "--dry-run", "--diff")
    assert (code, grafana.writes) == (0, []) and said.count("create") == 8 and "nothing was written" in said
    assert '+ "title": "Reward monitor · fleet"' in said


def test_a_data_source_and_a_folder_that_are_there_are_used_and_stay(grafana: FakeGrafana, publish: Publish) -> None:
    grafana.folders["f1"] = "Training"
    theirs = {"name": "CH prod", "uid": "ch", "type": "grafana-clickhouse-datasource", "access": "proxy", "jsonData": {}}
    grafana.sources["ch"] = copy.deepcopy(theirs)
    code, _ = publish(grafana.url, "--datasource-uid", "ch", "--folder", "Training")
    assert code == 0 and grafana.sources == {"ch": theirs} and set(grafana.writes) == {"POST /dashboards/db"}
    assert {meta["folderUid"] for meta in grafana.metas.values()} == {"f1"}
    chosen = {json.dumps(board["templating"]["list"][0]["current"], sort_keys=True) for board in grafana.boards.values()}
    assert chosen == {'{"selected": true, "text": "CH prod", "value": "ch"}'}


def test_a_new_password_is_seen_by_the_check(grafana: FakeGrafana, publish: Publish) -> None:
    publish(grafana.url)
    grafana.passwords["reward-monitor"] = "old"
    grafana.writes.clear()
    code, said = publish(grafana.url)
    assert (code, grafana.writes) == (0, ["PUT /datasources/uid/reward-monitor"]) and "update" in said
    assert grafana.passwords["reward-monitor"] == "right"


@pytest.mark.parametrize("of_somebody", ["a tag less", "provisioned"])
def test_a_dashboard_of_somebody_else_is_left_alone(grafana: FakeGrafana, publish: Publish, of_somebody: str) -> None:
    provisioned = of_somebody == "provisioned"
    board = {
        "uid": "reward-monitor-run",
        "id": 1,
        "version": 4,
        "title": "Theirs",
        "tags": [ours.TAG] if provisioned else ["other"],
    }
    grafana.boards["reward-monitor-run"] = copy.deepcopy(board)
    grafana.metas["reward-monitor-run"] = {"folderTitle": "General", "provisioned": provisioned}
    code, said = publish(grafana.url)
    assert (code, grafana.writes) == (1, []) and "reward-monitor-run (Theirs)" in said and "Nothing was written" in said
    assert grafana.boards["reward-monitor-run"] == board


def test_a_data_source_of_somebody_else_is_left_alone(grafana: FakeGrafana, publish: Publish) -> None:
    grafana.sources["reward-monitor"] = {"uid": "reward-monitor", "type": "prometheus", "name": "x", "jsonData": {}}
    code, said = publish(grafana.url)
    assert (code, grafana.writes) == (1, []) and "--datasource-uid reward-monitor" in said


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/folders?limit=1000", (401, {"message": "Invalid API key"}), ["HTTP 401, Invalid API key", "the token is unknown"]),
        ("/folders", (403, {"message": "no permission"}), ["POST /folders: HTTP 403", "the role Editor"]),
        ("/datasources", (403, {"message": "no permission"}), ["HTTP 403", "--datasource-uid"]),
        ("/datasources", (409, {"message": "same name"}), ["HTTP 409, same name", "--datasource-uid"]),
        (
            "/dashboards/db",
            (412, {"message": "changed", "status": "version-mismatch"}),
            ["HTTP 412, changed", "--dry-run --diff"],
        ),
        ("/dashboards/db", (500, {"message": "boom"}), ["HTTP 500, boom", "Grafana's log"]),
        ("/dashboards/db", (500, b"<html>"), ["HTTP 500.", "Grafana's log"]),
        ("/health", (200, b"<html>hello</html>"), ["no Grafana"]),
        ("/health", (200, {"status": "up"}), ["no Grafana"]),
        ("/health", (404, {"message": "gone"}), ["no Grafana"]),
        ("/health", (302, b""), ["sends elsewhere"]),
        ("/dashboards/db", (302, b""), ["sends elsewhere"]),
    ],
)
def test_what_it_refuses_is_told_with_its_remedy(
    grafana: FakeGrafana, publish: Publish, path: str, answer: tuple[int, Any], words: list[str]
) -> None:
    grafana.answers[path] = answer
    code, said = publish(grafana.url)
    assert code == 1 and said.splitlines()[-1].startswith("reward-monitor grafana: ")
    assert all(word in said for word in [*words, grafana.url, "->"]), said


def test_a_wrong_token(grafana: FakeGrafana, publish: Publish, tmp_path: Path) -> None:
    for text, words in (("glsa_other", "HTTP 401"), ("two words", "no token"), ("ключ", "no token"), ("", "is empty")):
        (tmp_path / "token").write_text(text)
        code, said = publish(grafana.url)
        assert code == 1 and words in said and (text not in said or not text)
    (tmp_path / "token").unlink()
    assert publish(grafana.url)[0] == 1 and grafana.writes == []


def test_somebody_who_saves_meanwhile_is_not_overwritten(grafana: FakeGrafana, publish: Publish) -> None:
    publish(grafana.url)
    grafana.boards["reward-monitor-run"]["title"] = "Mine"

    def saves() -> None:
        grafana.boards["reward-monitor-run"].update(version=7, title="Ours")

    grafana.before_write = saves
    code, said = publish(grafana.url)
    assert code == 1 and "HTTP 412" in said and grafana.boards["reward-monitor-run"]["title"] == "Ours"


def test_the_plugin_is_lacking_or_clickhouse_is_not_reached(grafana: FakeGrafana, publish: Publish) -> None:
    grafana.plugin = False
    code, said = publish(grafana.url)
    assert code == 1 and "grafana cli plugins install grafana-clickhouse-datasource" in said
    grafana.plugin, grafana.password = True, "another"
    code, said = publish(grafana.url)
    assert code == 1 and "Authentication failed" in said and "REWARD_MONITOR_CLICKHOUSE_HOST" in said
    code, said = publish(grafana.url, "--datasource-uid", "nowhere")
    assert code == 1 and "There is no data source nowhere" in said


def test_nobody_is_there(publish: Publish) -> None:
    with FakeGrafana() as fake:
        url = fake.url
    code, said = publish(url)
    assert code == 1 and "gives no answer" in said and url in said


@pytest.mark.parametrize(
    "url", ["grafana.example", "ftp://x", "http://", "http://user:word@x", "http://x:port", "http://x/?orgId=2", "http://[::1"]
)
def test_an_address_that_is_none(publish: Publish, url: str) -> None:
    code, said = publish(url)
    assert code == 1 and "no address of a Grafana" in said and "word@" not in said


def test_under_a_path(publish: Publish) -> None:
    with FakeGrafana(prefix="/monitoring/grafana") as fake:
        assert publish(fake.url + "/")[0] == 0 and fake.problems == [] and len(fake.boards) == 6
