"""Every measure has two formulas: over the same random sums, ClickHouse must say what numpy says."""

from __future__ import annotations

import numpy as np
import pytest
from reward_engine import sums
from reward_engine.measures import MEASURES, measure
from reward_schemas.results_pb2 import PaneRow, Result
from reward_store.client import Client
from reward_store.landing import RESULTS, Batch

from tests.store.logs import as_records
from tests.store.running import rows

pytestmark = pytest.mark.timeout(60)


def sums_of(values: np.ndarray, status: np.ndarray | None) -> np.ndarray:
    return sums.reduce(sums.Block(values[None], None if status is None else status[None]))[0]


def random_table(seed: int) -> np.ndarray:
    """Sums: no values, one, equal ones, huge ones with a small spread, some not finite, some not scored."""
    rng = np.random.default_rng(seed)
    tables = []
    for case in range(120):
        n = [1, 1, 2, 3, 64][case % 5]
        base = [0.0, 1.0, 1e8, -1e-9, 1e150][case // 5 % 5]
        values = base + rng.normal(size=n) * [0.0, 0.3, 1.0][case % 3]
        status = None
        if case % 4 == 1:
            values[rng.random(n) < 0.3] = [np.nan, np.inf, -np.inf][case % 3]
        if case % 4 == 2:
            status = rng.integers(0, 3, n).astype(np.uint8)
        if case % 5 == 0:
            status = np.full(n, 2, np.uint8)  # nothing scored
        tables.append(sums_of(values, status))
    return np.array(tables)


def test_sql_equals_numpy(client: Client) -> None:
    table = random_table(7)
    pane = PaneRow(window="step", kind="reward", attempt=1, slot=3, closed=True, reported=1, expected=1, panes=1, event_time_ms=1)
    names = [f"f{i:03}" for i in range(len(table))]
    pane.series.extend(names)
    pane.weights.extend([1.0] * len(names))
    pane.roles.extend(["trained"] * len(names))
    pane.sums.extend(sums.NAMES)
    pane.values = table.astype("<f8").tobytes()
    batch = Batch()
    batch.add(RESULTS, as_records([Result(run_id="r", offset=1, pane=pane)])[0])
    for name, landed in batch.tables():
        client.insert_arrow(name, landed)
    expected = measure(table)
    for m in MEASURES:
        got = rows(client, f"SELECT `{m.name}` FROM {{views}}.steps ORDER BY function")
        got = np.array([np.nan if value is None else value for (value,) in got], np.float64)
        wanted = np.where(np.isfinite(expected[m.name]), expected[m.name], np.nan)
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=0, equal_nan=True, err_msg=m.name)
    unknown = rows(
        client,
        "SELECT countIf(count = 0 AND mean IS NULL), countIf(count = 1 AND std IS NULL), countIf(isNaN(mean)) FROM {views}.steps",
    )
    assert unknown[0][0] >= 24 and unknown[0][1] >= 20 and unknown[0][2] == 0
