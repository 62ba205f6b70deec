"""How long Grafana's queries take with ten million rewards stored, as the reader whom Grafana asks as.

    python benchmarks/grafana.py [--runs 14] [--steps 500] [--completions 512] [--show 15]

One run goes through the real fold; the others are copies of its rows, made in the tables. Each query of each dashboard is
asked five times, of one run and of all; told are the best, which other programs on the machine disturb least, and the median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from reward_infra.local_stack import LocalStack
from reward_jobs.settings import Settings
from reward_schemas.events import Tick
from reward_schemas.settings import load
from reward_store.client import Client
from reward_store.migrate import migrate

from tests.dashboards.grafana import plugin, sample
from tests.dashboards.grafana.boards import QUERIES
from tests.store.logs import T0_MS, records
from tests.store.running import FOR_EVER, land

STEP_MS = 30_000
TIMES = 5
OF_RUNS = ("rollouts", "pane_rows", "run_rows", "verdict_rows", "detection_rows", "quality_rows", "alert_rows")


def fill(client: Client, runs: int, steps: int, completions: int) -> int:
    """Stores so many runs, and returns the number of rewards."""
    events = sample.training("run-0", 0, steps=steps, completions=completions, step_ms=STEP_MS)
    events.append(Tick())  # at which the fold says how far the run is
    log = [record._replace(append_time_ms=T0_MS + STEP_MS * i // 2) for i, record in enumerate(records(events))]
    land(client, log, rules=sample.rules())
    tables = client.settings.tables
    for table in OF_RUNS:
        client.command(
            f"INSERT INTO {tables}.{table} SELECT t.* REPLACE (concat('run-', toString(n.number)) AS run_id)"
            f" FROM {tables}.{table} AS t CROSS JOIN numbers(1, {runs - 1}) AS n"
        )
    client.command(
        f"INSERT INTO {tables}.event_log SELECT t.* REPLACE (toUInt32(n.number) AS partition, concat('run-', toString(n.number)) AS key)"
        f" FROM {tables}.event_log AS t CROSS JOIN numbers(1, {runs - 1}) AS n"
    )
    ((stored,),) = client.query(f"SELECT sum(length(rewards)) FROM {tables}.rollouts")
    return int(stored)


def milliseconds(client: Client, sql: str) -> tuple[float, float, bool]:
    """The best and the median of several answers' times, and whether there was anything in them."""
    taken, rows = [], 0
    for _ in range(TIMES):
        began = time.perf_counter()
        rows = client.query_arrow(sql).num_rows
        taken.append((time.perf_counter() - began) * 1000)
    return min(taken), statistics.median(taken), rows > 0


def main() -> None:
    """Prints a row a query."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=14)
    arguments.add_argument("--steps", type=int, default=500)
    arguments.add_argument("--completions", type=int, default=512, help="of each step; three functions score them")
    arguments.add_argument("--show", type=int, default=15, help="so many of the slowest")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch, LocalStack(Path(scratch) / "stack") as stack:
        stack.start()
        settings = load(Settings, {}, stack.settings_file).value.clickhouse
        writer = settings.as_writer().connect()
        migrate(writer, retention=FOR_EVER)
        stored = fill(writer, given.runs, given.steps, given.completions)
        reader = settings.as_reader().connect()
        window = plugin.Window(T0_MS // 1000, T0_MS // 1000 + given.steps * STEP_MS // 1000, interval_s=30)
        names = [f"run-{i}" for i in range(given.runs)]
        other = {"reward": ["total"], "baseline": ["run-1"]}
        took, empty = [], []
        for query in QUERIES:
            one, every = (
                milliseconds(reader, plugin.expanded(query.sql, window, {"run": chosen} | other, plugin.MODERN))
                for chosen in (names[:1], names)
            )
            took.append((one, every, query))
            empty += [] if every[2] else [f"{query.board}: {query.title}"]
        print(f"{stored / 1e6:.1f} million rewards in {given.runs} runs of {given.steps} steps; {len(took)} queries, ms")
        print(
            f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; without a row: {', '.join(empty) or 'none'}"
        )
        for at, of in enumerate(("one run", "all runs")):
            for which, kind in enumerate(("best", "median")):
                times = sorted(row[at][which] for row in took)
                slow = sum(each > 200 for each in times)
                print(
                    f"{of:>8}, {kind:>6} of {TIMES}: half take {statistics.median(times):.0f}, the slowest {times[-1]:.0f}, over 200: {slow}"
                )
        print(f"{'one run':>8} {'all runs':>8}  slowest, best of {TIMES}")
        for one, every, query in sorted(took, key=lambda row: -row[1][0])[: given.show]:
            print(f"{one[0]:>8.0f} {every[0]:>8.0f}  {query.board}: {query.title} ({query.kind})")


if __name__ == "__main__":
    main()
