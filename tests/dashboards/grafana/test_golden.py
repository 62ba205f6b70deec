"""The committed dashboards are what the builders make, and what Grafana's own model reads and writes."""

from __future__ import annotations

import json
import sys

import pytest

from tests.dashboards.grafana.boards import BOARDS

pytestmark = [
    pytest.mark.pure,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="Grafana's builder needs Python 3.11"),
    pytest.mark.filterwarnings("ignore:Prefer using dashboardv2"),  # which older Grafanas can't read
]


@pytest.mark.parametrize("name", BOARDS)
def test_the_builders_make_what_is_committed(name: str) -> None:
    from reward_dashboards.grafana import ours
    from reward_dashboards.grafana.__main__ import text

    assert ours.paths()[name].read_text(encoding="utf-8") == text(name), "run `make grafana`"


def test_a_file_that_differs_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from reward_dashboards.grafana import __main__ as program

    assert program.main(["--check"]) == 0
    monkeypatch.setitem(program.BUILDERS, "fleet", lambda: {"title": "other"})
    assert program.main(["--check"]) == 1
    assert "fleet.json: not what the builders make" in capsys.readouterr().out


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_model_reads_all_of_it(name: str) -> None:
    """Of the placement, which older Grafanas do not know, the model makes its own default."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(BOARDS[name])))
    for each in (*read["links"], *read["annotations"]["list"]):
        assert each.pop("placement") == "inControlsMenu"
    assert _bare(read) == _bare(BOARDS[name])


def _bare(value: object) -> object:
    """Without what the model adds as a default, which is nothing: null, false, an empty list."""
    if isinstance(value, dict):
        return {key: _bare(each) for key, each in value.items() if each not in (None, False, [], {}, "", 0)}
    return [_bare(each) for each in value] if isinstance(value, list) else value
