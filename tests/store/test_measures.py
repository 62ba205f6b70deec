"""Measures in ClickHouse: every formula says there what numpy says, and what is landed for them is what the fold said."""

from __future__ import annotations

import numpy as np
import pytest
from reward_engine import formula, sketch, sums
from reward_engine.block import Block
from reward_engine.groups import Groups
from reward_engine.measures import MEASURES, SKETCHED
from reward_engine.measuring import COLUMNS, measured
from reward_engine.sketch import Sketch
from reward_schemas.encode import function_table
from reward_schemas.events import RewardFunction, Role, Rollout
from reward_schemas.results_pb2 import PaneRow, Result
from reward_store.catalogue import of_values
from reward_store.client import Client

from tests.store.logs import as_records, event, folded, records, rows_of
from tests.store.running import land, rows

pytestmark = pytest.mark.timeout(60)

ROLES = ("trained", "audit", "total")
FUNCTIONS = (
    RewardFunction("accuracy", 1.0, lo=0.0, hi=1.0),
    RewardFunction("judge", -0.5),
    RewardFunction("flat", 2.0),
    RewardFunction("quality", 0.0, Role.AUDIT, lo=0.0, hi=2.0),
)


# --- formulas


def of_blocks(rng: np.random.Generator, count: int = 150) -> np.ndarray:
    """Sums of values: none, one, equal ones, huge ones with a small spread, some unknown, with groups, lengths and a range."""
    tables = []
    for case in range(count):
        n = [1, 1, 2, 3, 64][case % 5]
        base = [0.0, 1.0, 1e8, -1e-9, 1e60][case // 5 % 5]
        values = base + rng.normal(size=(3, n)) * [0.0, 0.3, 1.0][case % 3]
        if case % 7 == 0:
            values = rng.integers(0, 2, (3, n)).astype(np.float64)  # binary
        if case % 4 == 1:
            values[rng.random((3, n)) < 0.3] = [np.nan, np.inf, -np.inf][case % 3]
        status = rng.integers(0, 3, (3, n)).astype(np.uint8) if case % 4 == 2 else None
        if case % 11 == 0:
            status = np.full((3, n), 2, np.uint8)  # nothing scored
        block = Block(
            values,
            status,
            lo=np.array([np.nan, 0.0, -1.0]),
            hi=np.array([np.nan, 1.0, 2.0]),
            groups=Groups((np.arange(n) // [1, 4, 8][case % 3]).astype(np.int32)) if case % 6 else None,
            lengths=rng.integers(1, 900, n).astype(np.int32) if case % 5 else None,
            weights=np.array([1.0, 0.5, 0.0]) if case % 5 != 1 else None,
        )
        tables.append(sums.reduce(block))
    return np.concatenate(tables)


def of_anything(rng: np.random.Generator, count: int = 400) -> np.ndarray:
    """Numbers that no values have for sums, so that every formula divides by zero, overflows and underflows somewhere."""
    magnitudes = np.array([0.0, 1.0, 2.0, 3.0, 1e-300, 1e300, 1e-9, 1e8])
    table = magnitudes[rng.integers(0, len(magnitudes), (count, len(sums.NAMES)))] * rng.choice([1.0, 1.0, -1.0], (count, 1))
    table[rng.random(table.shape) < 0.02] = np.nan
    return table


@pytest.mark.parametrize("view", ["steps", "windows"])
def test_sql_equals_numpy(client: Client, view: str) -> None:
    rng = np.random.default_rng(7)
    table = np.concatenate([of_blocks(rng), of_anything(rng)])
    whole = [sums.INDEX[m.formula] for m in MEASURES if m.whole]
    table[:, whole] = np.abs(np.nan_to_num(table[:, whole])) % 1e6 // 1  # counts are whole numbers
    table[(table[:, whole[:4]] == 0).all(axis=1), whole[1]] = 1.0  # a row of which nothing was said is not shown
    table = np.concatenate([table, rng.normal(size=(len(table), len(SKETCHED)))], axis=1)
    table[rng.random(len(table)) < 0.1, -len(SKETCHED) :] = np.nan
    names = [f"f{i:04}" for i in range(len(table))]
    weights = rng.choice([0.0, 1.0, -0.3, 1e9], len(table))
    roles = [ROLES[i] for i in rng.integers(0, 3, len(table))]
    pane = PaneRow(
        window="step" if view == "steps" else "5m", kind="reward", slot=3, closed=True, series=names, weights=weights, roles=roles
    )
    pane.sums.extend(COLUMNS)
    pane.values = table.astype("<f8").tobytes()
    land(client, [], results=as_records([Result(run_id="r", offset=1, pane=pane)]))

    columns = ", ".join(f"`{m.name}`" for m in MEASURES)
    got = np.array(rows(client, f"SELECT {columns} FROM {{views}}.{view} ORDER BY function"), np.float64)
    assert len(got) == len(table)
    unknown = rows(client, f"SELECT countIf(isNaN(mean)) + countIf(isInfinite(std)) + countIf(isNaN(p50)) FROM {{views}}.{view}")
    assert unknown == [(0,)]
    expected = measured(table, roles)
    for m, landed in zip(MEASURES, got.T, strict=True):
        wanted = expected[m.name]
        assert np.isfinite(wanted).sum() > 10 and (m.whole or np.isnan(wanted).any()), m.name
        # Both do the same operations in the same order; pow and log10 may differ in the last place.
        apart = np.abs(wanted) + 3 if m.name in ("kurtosis", "signal_to_noise_db") else np.abs(wanted)
        assert (np.isnan(landed) == np.isnan(wanted)).all(), m.name
        assert (np.abs(landed - wanted)[np.isfinite(wanted)] <= 4e-15 * apart[np.isfinite(wanted)]).all(), m.name


def test_an_audit_function_contributes_nothing(client: Client) -> None:
    land(client, records([step_of(0)]))
    got = rows(
        client, "SELECT function, mean_contribution, variance_contribution, total_correlation FROM {views}.steps ORDER BY 1"
    )
    known = {name: [value is not None for value in values] for name, *values in got}
    assert known["quality"] == [False, False, True] and known["accuracy"] == [True, True, True]
    parts = {name: part for name, _, part, _ in got if name not in ("quality", "total")}
    assert sum(parts.values()) == pytest.approx(1.0) and parts["flat"] == 0.0


# --- what is landed


def step_of(step: int, seed: int = 5, n: int = 24, **fields) -> Rollout:
    """A step of `FUNCTIONS` in groups of six, with what is known of completions."""
    rng = np.random.default_rng([seed, step])
    accuracy = rng.integers(0, 2, n)
    rewards = np.stack([accuracy, accuracy + rng.normal(size=n), np.full(n, 0.1), rng.random(n)]).astype("<f4")
    body = {
        "rewards": rewards,
        "group": np.arange(n, dtype=np.int32) // 6,
        "length": rng.integers(1, 900, n).astype("<i4"),
        "advantage": rng.normal(size=n).astype("<f4"),
        "truncated": rng.integers(0, 2, n).astype("u1"),
        "columns": {
            "kl": np.abs(rng.normal(size=n)).astype("<f4"),
            "entropy": np.append(rng.random(n - 1), np.nan).astype("<f4"),
        },
    } | fields
    return event("r", 0, step, Rollout(step=step, table=function_table(FUNCTIONS), **body), senders=1)


def test_what_lands_is_what_the_fold_said(client: Client) -> None:
    """Of every row its range, its distribution, its products and its sums, bit for bit; NULL or empty where there is none."""
    log = records([step_of(step) for step in range(3)])
    land(client, log)
    said = {
        (pane.kind, pane.window, pane.slot, name): row
        for pane in (result.pane for result in folded(log) if result.WhichOneof("kind") == "pane")
        for name, row in rows_of(pane).items()
    }
    columns = ", ".join(("lo", "hi", "sketch_values", "sketch_counts", "partners", "products", *COLUMNS))
    landed = rows(client, f"SELECT kind, window, slot, series, {columns} FROM {{tables}}.pane_rows FINAL")
    assert len(landed) == len(said)
    for kind, window, slot, name, *row in landed:
        assert repr(tuple(row)) == repr(said[kind, window, slot, name])  # as text: 0 and -0 are told apart
    full = rows(client, "SELECT kind, window, sum(length(sketch_counts)) > 0, sum(length(products)) FROM {tables}.pane_rows FINAL"
                        " WHERE window IN ('step', '5m') GROUP BY 1, 2 ORDER BY 1, 2")  # fmt: skip
    assert full == [("completion", "step", True, 0), ("reward", "step", True, 3 * 25)]


# --- views of what is landed


def test_quantiles_over_several_steps(client: Client) -> None:
    land(client, records([step_of(step) for step in range(8)]))
    for view, of, name in (("distributions", "function", "judge"), ("completion_distributions", "property", "length")):
        kind = "reward" if of == "function" else "completion"
        panes = [r.pane for r in folded(records([step_of(step) for step in range(2, 7)])) if r.WhichOneof("kind") == "pane"]
        whole = sketch.merged([sketch_of(p, name) for p in panes if p.window == "step" and p.kind == kind])
        for q in (0.0, 0.05, 0.25, 0.5, 0.77, 0.95, 1.0):
            sql = f"SELECT quantileExactWeighted({q})(value, count) FROM {{views}}.{view} WHERE {of} = '{name}' AND step BETWEEN 2 AND 6"
            assert rows(client, sql) == [(sketch.quantiles(whole, 1, [q])[0, 0],)], (view, q)


def sketch_of(pane: PaneRow, name: str) -> Sketch:
    """The sketch of one series of a pane row, as series 0."""
    row = list(pane.series).index(name)
    start, end = sum(pane.sketch_sizes[:row]), sum(pane.sketch_sizes[: row + 1])
    values = np.frombuffer(pane.sketch_values, "<f4")[start:end].astype(np.float64)
    keys = sketch.counted(np.array([0]), values[None], np.isfinite(values[None])).keys
    return Sketch(keys, np.frombuffer(pane.sketch_counts, "<u4")[start:end])


def test_correlations_equal_numpy_over_raw_rewards(client: Client) -> None:
    steps = [step_of(step) for step in range(4)]
    land(client, records(steps))
    names = [f.name for f in FUNCTIONS]
    centred = []
    for sent in steps:
        groups = sent.body.rewards.astype(np.float64).reshape(len(names), -1, 6)
        centred.append((groups - groups.mean(axis=2, keepdims=True)).reshape(len(names), -1))
    at = [names.index(name) for name in ("accuracy", "judge", "quality")]

    sql = "SELECT step, function, partner, correlation, role, partner_role, chance FROM {views}.correlations ORDER BY 1, 2, 3"
    found = rows(client, sql)
    assert len(found) == 4 * 5 * 4  # with the total, either way
    one = {(step, *pair): value for step, *pair, value, _, _, _ in found}
    for step, apart in enumerate(centred):
        want = np.corrcoef(apart[at])
        got = [[one.get((step, names[i], names[j]), 1.0) for j in at] for i in at]
        np.testing.assert_allclose(got, want, rtol=1e-9)
    assert {value for (_, *pair), value in one.items() if "flat" in pair} == {None}
    assert {row[4:] for row in found if row[1:3] == ("accuracy", "quality")} == {("trained", "audit", (24 - 4) ** -0.5)}

    sql = "SELECT sum(product) / sqrt(sum(squares) * sum(partner_squares)) FROM {views}.correlations WHERE function = 'accuracy' AND partner = 'judge'"
    assert rows(client, sql)[0][0] == pytest.approx(np.corrcoef(np.concatenate(centred, axis=1)[:2])[0, 1], rel=1e-9)


def test_a_sample_has_no_correlation_that_could_be_believed(client: Client) -> None:
    """Of a function that scored few completions the squares are of these, and its partner's of all: together they mislead."""
    status = np.zeros((4, 120), np.uint8)
    status[0, :3] = 1  # 2.5 % are missing
    status[3, 30:] = 2  # a quarter was looked at
    sent = step_of(
        1, n=120, status=status, rewards=np.repeat(np.random.default_rng(1).normal(size=(1, 120)), 4, axis=0).astype("<f4")
    )
    land(client, records([sent]))
    sql = "SELECT function, partner, correlation, scored, partner_scored, product IS NULL FROM {views}.correlations"
    found = {(one, other): row for one, other, *row in rows(client, sql)}
    assert found["judge", "quality"] == [None, 1.0, 0.25, True] and found["quality", "judge"] == [None, 0.25, 1.0, True]
    correlation, *scored = found["accuracy", "judge"]
    assert scored == [0.975, 1.0, False] and 0.97 < correlation < 1.0
    assert found["judge", "flat"][0] == pytest.approx(1.0)


def test_completions(client: Client) -> None:
    sent = step_of(3)
    land(client, records([sent]))
    names = {m.name for m in of_values()}
    assert names.isdisjoint({"groups", "missing", "saturation_high", "mean_contribution", "pass_at_2", "length_slope"})
    sql = "SELECT property, count, non_finite, mean, std, min, max, p50, effective_share FROM {views}.completions WHERE step = 3"
    got = {name: values for name, *values in rows(client, sql)}
    assert got.keys() == {"length", "advantage", "truncated", "kl", "entropy"}
    for name, column in sent.body.of_completions.items():
        x = column.astype(np.float64)[np.isfinite(column)]
        count, non_finite, *values = got[name]
        assert (count, non_finite) == (len(x), len(column) - len(x))
        share = np.abs(x).sum() ** 2 / (x * x).sum() / len(x)
        np.testing.assert_allclose(values, [x.mean(), x.std(ddof=1), x.min(), x.max(), values[4], share], rtol=1e-12)
        assert values[4] == pytest.approx(np.quantile(x, 0.5, method="inverted_cdf"), rel=sketch.RELATIVE_ERROR)


def test_formulas_name_what_there_is() -> None:
    """A misspelt sum would be an error at a reader's query."""
    for m in MEASURES:
        known = {*sums.NAMES, "sqrt", "abs", "log10", "pow"}
        assert set(formula._NAME.findall(m.formula)) <= known, m.name
