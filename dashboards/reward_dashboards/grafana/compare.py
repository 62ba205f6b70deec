"""How do runs differ, at the same step and at the same KL?"""

from __future__ import annotations

from typing import Any

from reward_dashboards.grafana.board import baseline, dashboard, functions, runs, verdicts
from reward_dashboards.grafana.look import grafana_unit, meaning, unit
from reward_dashboards.grafana.panels import bars, column, gauges, histogram, measure, rows
from reward_dashboards.grafana.query import THESE_RUNS, reported

THIS = "function IN (${reward:singlequote})"
STEPS = 50  # at the end of a run: what it has come to
PLACES = 20


def build() -> dict[str, Any]:
    """The dashboard."""
    final = gauges(
        "Final reward",
        f"Mean of each run's last {STEPS} steps. " + meaning("mean"),
        f"""
        SELECT s.run_id AS run, avg(s.mean) AS reward
        FROM steps AS s
        INNER JOIN (SELECT run_id, last_step FROM runs WHERE {THESE_RUNS}) AS r USING (run_id)
        WHERE {THIS} AND {THESE_RUNS} AND s.step > r.last_step - {STEPS}
        GROUP BY run
        ORDER BY reward DESC
        LIMIT 25
        """,
    )
    repeated = histogram(
        "Distribution: $run",
        f"Rewards of the last {STEPS} steps, each run in a panel of its own: 200 equally many ones, within 0.8 %.",
        f"""
        SELECT arrayJoin(quantilesExactWeighted({", ".join(f"{(i + 0.5) / 200:.4f}" for i in range(200))})(value, count)) AS reward
        FROM distributions
        WHERE {THIS} AND {THESE_RUNS} AND step > (SELECT ifNull(max(last_step), 0) FROM runs WHERE {THESE_RUNS}) - {STEPS}
        HAVING count() > 0
        """,
        size=(24, 7),
    )
    return dashboard(
        "compare",
        "Reward monitor · compare",
        "How runs differ: against the step, at their end, and for the KL that they spent.",
        [runs(), baseline(), functions(total_first=True)],
        [
            verdicts(),
            _against_the_step(),
            final.unit(unit("mean")),
            _effects(),
            _frontier(),
            measure("mean", "Reward over time", where=THIS),
        ],
        Distributions=[repeated.repeat("run").repeat_direction("h").max_per_row(4)],
    )


def _against_the_step() -> Any:
    return bars(
        "Reward against the step",
        f"Mean of the steps from each place on, in {PLACES} parts of the longest run. " + meaning("mean"),
        f"""
        WITH (SELECT greatest(intDiv(ifNull(max(last_step), 0), {PLACES}), 1) FROM runs WHERE {THESE_RUNS}) AS width
        SELECT toString(intDiv(step, width) * width) AS place, run_id AS run, avg(s.mean) AS value
        FROM steps AS s
        WHERE {THIS} AND {THESE_RUNS}
        GROUP BY intDiv(step, width) AS part, run
        ORDER BY part, run
        """,
    ).unit(unit("mean"))


def _frontier() -> Any:
    return bars(
        "Reward for the KL spent",
        f"Mean reward of the steps whose KL lies from each place on, in {PLACES} parts: the higher at the same KL, the better. "
        + reported("kl").means,
        f"""
        WITH (SELECT max(value) / {PLACES} FROM trainer_steps WHERE name = 'kl' AND {THESE_RUNS}) AS width
        SELECT toString(round(part * width, 4)) AS place, run_id AS run, avg(s.mean) AS value
        FROM steps AS s
        INNER JOIN (SELECT run_id, step, value AS kl FROM trainer_steps WHERE name = 'kl' AND {THESE_RUNS} AND value >= 0) AS k
            USING (run_id, step)
        WHERE {THIS} AND {THESE_RUNS} AND width > 0
        GROUP BY floor(k.kl / width) AS part, run
        ORDER BY part, run
        """,
    ).unit(unit("mean"))


def _effects() -> Any:
    made = rows(
        "Effect",
        f"Each run's last {STEPS} steps against those of the run in `compared with`: the difference of the means, and as an effect "
        "size (difference / standard deviation of the rewards) with the 95 % interval that the groups' standard errors give. It "
        "says nothing of chance between seeds. " + meaning("standard_error"),
        f"""
        SELECT run, reward, reward - base_reward AS difference, sqrt((spread + base_spread) / 2) AS deviation,
            sqrt(pow(error, 2) + pow(base_error, 2)) AS both, ifNotFinite(difference / deviation, NULL) AS effect,
            ifNotFinite((difference - 1.96 * both) / deviation, NULL) AS "effect from",
            ifNotFinite((difference + 1.96 * both) / deviation, NULL) AS "effect to", steps
        FROM
        (
            SELECT s.run_id AS run, avg(s.mean) AS reward, avg(s.variance) AS spread, count() AS steps,
                sqrt(sum(pow(s.standard_error, 2))) / nullIf(count(s.standard_error), 0) AS error,
                anyIf(reward, run IN (${{baseline:singlequote}})) OVER () AS base_reward,
                anyIf(spread, run IN (${{baseline:singlequote}})) OVER () AS base_spread,
                anyIf(error, run IN (${{baseline:singlequote}})) OVER () AS base_error
            FROM steps AS s
            INNER JOIN (SELECT run_id, last_step FROM runs WHERE {THESE_RUNS} OR run_id IN (${{baseline:singlequote}})) AS r USING (run_id)
            WHERE {THIS} AND ({THESE_RUNS} OR run_id IN (${{baseline:singlequote}})) AND s.step > r.last_step - {STEPS}
            GROUP BY run
        )
        ORDER BY effect DESC, run
        LIMIT 200
        """,
        size=(12, 8),
    )
    for name in ("reward", "difference", "effect", "effect from", "effect to"):
        column(made, name, decimals=3)
    for name in ("deviation", "both"):
        column(made, name, decimals=4, unit=grafana_unit("reward"))
    return made
