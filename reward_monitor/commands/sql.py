"""Asks ClickHouse, read-only: one query, or a console."""

from __future__ import annotations

import argparse
import readline
import sys
import time
from pathlib import Path
from typing import IO

import pyarrow as pa
from reward_infra.errors import InfraError
from reward_store.client import Client
from reward_store.errors import StoreError
from rich.console import Console

from reward_monitor.arguments import Parser, running_settings, whole_number
from reward_monitor.terminal import console, table

_HISTORY = Path("~/.local/state/reward-monitor/sql_history").expanduser()
_HISTORY_LINES = 1_000
_HELP = """end a query with `;`. Besides: \\d  the views · \\d VIEW  its columns · \\q  leave (or Ctrl-D)"""
_VIEWS = "SELECT name AS view, comment AS meaning FROM system.tables WHERE database = currentDatabase() ORDER BY name"
_COLUMNS = (
    "SELECT name AS column, type, comment AS meaning FROM system.columns "
    "WHERE database = currentDatabase() AND table = {view:String} ORDER BY position"
)


def add(parser: Parser) -> None:
    """Declares the arguments."""
    parser.about("Asks ClickHouse as the read-only user: one query, or a console where none is given. `-` reads it from stdin.")
    parser.example(
        'reward-monitor sql "SELECT run_id, max(step) FROM steps GROUP BY run_id"',
        'reward-monitor sql "SELECT * FROM rewards LIMIT 1000000" --format parquet --output rewards.parquet',
        "reward-monitor sql",
    )
    parser.add_argument("query", nargs="?", metavar="SELECT …", help="one query; without: a console")
    parser.add_argument(
        "--format", choices=("table", "csv", "json", "parquet"), default="table", help="of the answer (default: table)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the answer there")
    parser.add_argument("--rows", type=whole_number(1), default=1_000, help="of a table, so many at most (default: %(default)s)")


def run(given: argparse.Namespace) -> int:
    """0; StoreError where the query fails."""
    if given.format == "parquet" and not given.output and sys.stdout.isatty():
        raise InfraError("Parquet is no text for a terminal.", where="--format parquet", remedy="name a file: --output FILE")
    client = running_settings(given, "clickhouse").clickhouse.as_reader().connect()
    try:
        if given.query:
            _answer(client, sys.stdin.read() if given.query == "-" else given.query, given)
        else:
            _console(client, given)
    finally:
        client.close()
    return 0


def _answer(client: Client, query: str, given: argparse.Namespace) -> None:
    answer = _query(client, query)
    if given.format == "table":
        if given.output:
            with given.output.open("w", encoding="utf-8") as out:
                _show(Console(file=out, width=10_000, highlight=False), answer, given.rows)
        else:
            _show(console(), answer, given.rows)
        return
    with given.output.open("wb") if given.output else sys.stdout.buffer as out:
        _write(answer, given.format, out)


def _query(client: Client, text: str) -> pa.Table:
    text = text.strip().rstrip(";").rstrip()
    if text == "\\d":
        return client.query_arrow(_VIEWS)
    if text.startswith("\\d "):
        return client.query_arrow(_COLUMNS, view=text[3:].strip())
    return client.query_arrow(text)


def _show(screen: Console, answer: pa.Table, rows: int) -> None:
    right = [field.name for field in answer.schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
    screen.print(table(answer.column_names, (row.values() for row in answer.slice(0, rows).to_pylist()), right=right))
    if answer.num_rows > rows:
        screen.print(f"{rows:,} of {answer.num_rows:,} rows; --rows shows more", markup=False)


def _write(answer: pa.Table, form: str, out: IO[bytes]) -> None:
    if form == "csv":
        from pyarrow import csv

        csv.write_csv(_flat(answer), out)
    elif form == "parquet":
        from pyarrow import parquet

        parquet.write_table(answer, out)
    else:
        import json

        for row in answer.to_pylist():
            out.write(json.dumps(row, default=str, ensure_ascii=False).encode() + b"\n")


def _flat(answer: pa.Table) -> pa.Table:
    """CSV has no lists and maps: they become text."""
    columns = [
        pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
        if pa.types.is_nested(column.type)
        else column
        for column in answer.columns
    ]
    return pa.table(columns, names=answer.column_names)


def _console(client: Client, given: argparse.Namespace) -> None:
    screen = console()
    screen.print(f"{client.settings.where}, read-only; {_HELP}", markup=False)
    _HISTORY.parent.mkdir(parents=True, exist_ok=True)
    if _HISTORY.exists():
        readline.read_history_file(_HISTORY)
    readline.set_history_length(_HISTORY_LINES)
    try:
        while (query := _read()) is not None:
            _ask(client, screen, query, given.rows)
            readline.write_history_file(_HISTORY)
    finally:
        readline.write_history_file(_HISTORY)


def _read() -> str | None:
    """A query of one or more lines; None at the end of the input."""
    lines: list[str] = []
    asked = sys.stdin.isatty()
    while True:
        try:
            line = input(("... " if lines else "sql> ") if asked else "")
        except EOFError:
            print(end="\n" if asked else "")
            return None
        except KeyboardInterrupt:  # as in any console: this query is forgotten
            print()
            lines.clear()
            continue
        if not lines and line.strip() in ("\\q", "exit", "quit"):
            return None
        lines.append(line)
        if line.rstrip().endswith(";") or (len(lines) == 1 and line.startswith("\\")):
            return "\n".join(lines)


def _ask(client: Client, screen: Console, query: str, rows: int) -> None:
    if query.startswith("\\") and not query.startswith("\\d"):
        screen.print(_HELP, markup=False)
        return
    if not query.strip(" \n;"):
        return
    began = time.monotonic()
    try:
        answer = _query(client, query)
    except StoreError as error:
        screen.print(str(error), style="red", markup=False)
        return
    except KeyboardInterrupt:
        screen.print("stopped")
        return
    _show(screen, answer, rows)
    screen.print(f"{answer.num_rows:,} rows in {time.monotonic() - began:.2f} s", style="dim", markup=False)
