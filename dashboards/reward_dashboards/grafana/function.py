"""One reward function: what it gives, how it spreads, and what it goes with, in one run and across runs."""

from __future__ import annotations

from typing import Any

from reward_engine.detectors.length import CORRELATED
from reward_engine.detectors.signal import MISSING, STRAY

from reward_dashboards.grafana.board import dashboard, functions, runs, verdicts
from reward_dashboards.grafana.look import AMBER, GREEN, RED, meaning, unit
from reward_dashboards.grafana.panels import histogram, judged, limit, lines, measure, measures, number
from reward_dashboards.grafana.query import IN_TIME, THESE_RUNS, latest, measured
from reward_dashboards.grafana.run import density_of

THIS = "function IN (${reward:singlequote})"
BROKEN = "(sum(s.missing) + sum(s.non_finite)) / nullIf(sum(s.count) + sum(s.missing) + sum(s.non_finite), 0)"


def build() -> dict[str, Any]:
    """The dashboard."""
    correlated = lines(
        "Correlation with the total",
        meaning("total_correlation"),
        measured("avg(s.total_correlation) AS value", where=THIS),
    ).unit(unit("total_correlation"))
    with_length = lines(
        "Correlation with length",
        meaning("length_correlation") + f"\n\nThe detector of length exploitation looks from {CORRELATED} on.",
        measured("avg(s.length_correlation) AS value", where=THIS),
    ).unit(unit("length_correlation"))
    broken = lines(
        "Missing and non-finite rewards",
        f"Share of them. The detector of signal integrity warns from {MISSING:.0%} missing or {STRAY:.0%} non-finite ones on. "
        + meaning("missing", "non_finite"),
        measured(f"{BROKEN} AS value", where=THIS),
    ).unit("percentunit")
    return dashboard(
        "function",
        "Reward monitor · reward function",
        "One reward function: what it gives, how it spreads, what it goes with, and the same in other runs.",
        [runs(), functions()],
        [
            verdicts(),
            *_numbers(),
            measure("mean", "Value by run", where=THIS),
            density_of(THIS, "Distribution over time"),
            _histogram(),
            correlated.min(-1).max(1),
            limit(with_length.min(-1).max(1), CORRELATED, AMBER),
            measure("saturation_high", "Saturation at the upper end", where=THIS),
            limit(broken, MISSING, RED),
        ],
        Range_and_spread=[
            measure("out_of_range", "Out of the declared range", where=THIS),
            measure("saturation_low", "Saturation at the lower end", where=THIS),
            measures(("std", "group_std"), "Standard deviation", where=THIS),
            measure("entropy", "Entropy of the rewards", where=THIS),
            _pairs(),
        ],
    )


def _numbers() -> list[Any]:
    mean = number(
        "Mean", "The newest. " + meaning("mean"), latest("argMax(s.mean, s.step) AS mean", where=THIS), width=6, each_row=True
    )
    share = number(
        "Share of the signal",
        "The newest. " + meaning("variance_contribution"),
        latest("argMax(s.variance_contribution, s.step) AS share", where=THIS),
        width=6,
        each_row=True,
    )
    saturation = number(
        "Saturation",
        "The newest. " + meaning("saturation_high"),
        latest("argMax(s.saturation_high, s.step) AS saturation", where=THIS),
        width=6,
        each_row=True,
    )
    errors = number(
        "Errors",
        "Share of the rewards in this window that are missing or not finite.",
        latest(f"{BROKEN} AS errors", where=THIS),
        width=6,
        each_row=True,
    )
    return [
        mean.unit(unit("mean")),
        share.unit(unit("variance_contribution")),
        saturation.unit(unit("saturation_high")),
        judged(errors.unit("percentunit"), (None, GREEN), (STRAY, AMBER), (MISSING, RED)),
    ]


def _histogram() -> Any:
    return histogram(
        "Histogram",
        "Rewards of the whole window as 200 equally many ones, from the exact distribution within 0.8 %.",
        f"""
        SELECT arrayJoin(quantilesExactWeighted({", ".join(f"{(i + 0.5) / 200:.4f}" for i in range(200))})(value, count)) AS reward
        FROM distributions AS d
        INNER JOIN
        (
            SELECT run_id, step FROM steps WHERE {IN_TIME} AND {THESE_RUNS} AND {THIS} GROUP BY run_id, step
        ) AS t USING (run_id, step)
        WHERE {THESE_RUNS} AND {THIS}
        HAVING count() > 0
        """,
    )


def _pairs() -> Any:
    return lines(
        "Correlation with other functions",
        "Of the two rewards within groups, over the steps in each interval, -1 to 1.",
        f"""
        SELECT $__timeInterval(event_time) AS time, run_id AS run, partner,
            sum(c.product) / nullIf(sqrt(sum(c.squares) * sum(c.partner_squares)), 0) AS value
        FROM correlations AS c
        WHERE {IN_TIME} AND {THESE_RUNS} AND {THIS}
        GROUP BY time, run, partner
        ORDER BY time, run, partner
        """,
        by=("partner", "run"),
    )
