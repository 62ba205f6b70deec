"""The committed dashboards as tests look at them: every panel, and every query with where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reward_dashboards.grafana import ours

BOARDS = ours.dashboards()


@dataclass(frozen=True)
class Query:
    """A query of a dashboard. kind: the panel's type, "variable" or "annotation"; series: one that becomes series."""

    board: str
    title: str
    kind: str
    sql: str
    series: bool = False

    def __str__(self) -> str:
        return f"{self.board}-{self.title}"


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Its panels without the rows, those in rows among them."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def queries() -> Iterator[Query]:
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Query(name, panel["title"], panel["type"], target["rawSql"], target["format"] == 0)
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(name, variable["name"], "variable", variable["query"])
        for annotation in board["annotations"]["list"]:
            yield Query(name, annotation["name"], "annotation", annotation["target"]["rawSql"])


QUERIES = list(queries())
