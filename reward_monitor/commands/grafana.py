"""The dashboards in a Grafana of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from reward_dashboards.grafana.api import Grafana
from reward_dashboards.grafana.publish import FOLDER, apply, plan
from reward_dashboards.grafana.source import SOURCE_UID
from reward_schemas.settings import secret

from reward_monitor.arguments import Parser, add_common, settings
from reward_monitor.terminal import console, table


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about("Publishes the dashboards into a Grafana that is there.")
    parser.example(
        "reward-monitor grafana publish --url https://grafana.example.org --token-file token --dry-run --diff",
        "reward-monitor grafana publish --url https://grafana.example.org --token-file token --datasource-uid clickhouse-prod",
    )
    parts = parser.add_subparsers(dest="part", required=True, metavar="publish", parser_class=Parser)
    publish = parts.add_parser("publish", help="a folder, a data source and six dashboards; writes only what differs")
    publish.about(
        "Makes a folder, a data source and six dashboards there, or brings those that it made to this version. It touches nothing "
        "else: what it did not make stays, and is told. The token is that of a service account with the role Admin, or Editor "
        "with --datasource-uid."
    )
    publish.example("reward-monitor grafana publish --url https://grafana.example.org --token-file token --dry-run --diff")
    add_common(publish, below=True)
    publish.add_argument("--url", required=True, help="of Grafana, with the path that it is served under")
    publish.add_argument("--token-file", required=True, type=Path, metavar="FILE", help="file with the service account's token")
    publish.add_argument("--folder", default=FOLDER, metavar="NAME", help="where the dashboards go (default: %(default)s)")
    publish.add_argument(
        "--datasource-uid",
        metavar="UID",
        help=f"a ClickHouse data source that is there; else `{SOURCE_UID}` is made, for the ClickHouse of the settings",
    )
    publish.add_argument("--dry-run", action="store_true", help="tell what would be done, and write nothing")
    publish.add_argument("--diff", action="store_true", help="tell what differs, line by line")


def run(given: argparse.Namespace) -> int:
    """0; MonitorError where Grafana refuses, or something there would have to be overwritten."""
    token = secret(given.token_file)
    clickhouse = None if given.datasource_uid else settings(given).value.clickhouse.as_reader()
    screen = console()
    with Grafana(given.url, token) as grafana:
        made = plan(grafana, folder=given.folder, source_uid=given.datasource_uid, clickhouse=clickhouse)
        if given.diff:
            for change in made.changes:
                for line in change.diff():
                    screen.print(line, markup=False)
        screen.print(table(("", "what", "name"), [(change.action, change.kind, change.name) for change in made.changes]))
        if given.dry_run:
            screen.print("nothing was written (--dry-run)", markup=False)
            return 0
        said = apply(grafana, made, clickhouse)
    screen.print(f"published at {grafana.url}" + (f"; the data source says: {said}" if said else ""), markup=False)
    return 0
