"""One run: is it learning, what drives it, and do its groups still teach?"""

from __future__ import annotations

from typing import Any

from reward_dashboards.grafana.board import dashboard, runs, verdicts
from reward_dashboards.grafana.look import GREEN, LEVELS, RED, grafana_unit, meaning, meaning_of_told, unit
from reward_dashboards.grafana.panels import column, density, judged, lines, measure, measures, number, rows, stacked, wrapped
from reward_dashboards.grafana.query import IN_TIME, THESE_RUNS, latest, measured, reported, rows_told, told

BY_FUNCTION = "run_id AS run, function"


def build() -> dict[str, Any]:
    """The dashboard."""
    by = ("function", "run")
    trained = "function != 'total'"
    components = lines("Components", "Mean reward of each function, audits too. " + meaning("mean"),
                       measured("avg(s.mean) AS value", where=trained, labels=BY_FUNCTION), by=by).unit(unit("mean"))  # fmt: skip
    contribution = lines(
        "Which function drives the signal",
        meaning("variance_contribution"),
        measured("avg(s.variance_contribution) AS value", where="role = 'trained'", labels=BY_FUNCTION),
        by=by,
    )
    return dashboard(
        "run",
        "Reward monitor · run",
        "One run, or a few: is it learning, what drives it, and do its groups still teach?",
        [runs(every=False)],
        [
            verdicts(),
            *_numbers(),
            measures(("p05", "p25", "p50", "p75", "p95"), "Reward: its spread"),
            density_of("function = 'total'", "Distribution of the reward"),
            components,
            stacked(contribution.unit(unit("variance_contribution"))),
            measures(("zero_variance_low", "zero_variance_high", "zero_variance_expected"), "Groups that teach nothing"),
        ],
        Policy=[*(_told(name) for name in ("kl", "entropy", "length", "truncated", "clip_fraction", "importance", "staleness"))],
        Signal=[
            measure("intraclass_correlation", "Variance between groups"),
            measure("effective_groups", "Groups that carry the signal"),
            measures(("std", "group_std"), "Standard deviation"),
            measures(("pass_at_2", "pass_at_4", "pass_at_8"), "Pass at k", where="role = 'trained'"),
            measure("standard_error", "Standard error of the mean"),
            measure("signal_to_noise", "Signal to noise"),
        ],
        Detectors=[_detectors()],
    )


def density_of(where: str, title: str) -> Any:
    """How often each reward occurs over time: each interval as 40 equally many rewards."""
    return density(
        title,
        "How often each reward occurs: each interval of time as 40 equally many rewards, from the exact distribution within 0.8 %.",
        f"""
        SELECT time, arrayJoin(rewards) AS reward
        FROM
        (
            SELECT $__timeInterval(at) AS time,
                quantilesExactWeighted({", ".join(f"{(i + 0.5) / 40:.4f}" for i in range(40))})(value, count) AS rewards
            FROM distributions AS d
            INNER JOIN
            (
                SELECT run_id, step, max(event_time) AS at FROM steps WHERE {IN_TIME} AND {THESE_RUNS} AND {where} GROUP BY run_id, step
            ) AS t USING (run_id, step)
            WHERE {THESE_RUNS} AND {where}
            GROUP BY time
        )
        ORDER BY time, reward
        """,
    )


def _numbers() -> list[Any]:
    newest = "the newest in this window. "
    quality = number(
        "Quality",
        "How good a signal the total is, 0 to 100, and the part that detectors of hacking take from it (h).",
        f"""
        SELECT run_id AS run, argMax(score, (attempt, step)) AS quality, argMax(hacking, (attempt, step)) AS h
        FROM quality
        WHERE function = 'total' AND {THESE_RUNS}
        GROUP BY run
        ORDER BY run
        """,
        each_row=True,
    )
    step = number(
        "Step",
        "Optimizer steps that have been reached.",
        f"SELECT run_id AS run, last_step AS step FROM runs WHERE {THESE_RUNS} ORDER BY run",
        each_row=True,
    )
    kl = number(
        "KL",
        "Mean, " + newest + meaning_of_told("kl"),
        f"SELECT run_id AS run, argMax(value, event_time) AS kl FROM ({rows_told('kl')}) GROUP BY run ORDER BY run",
        each_row=True,
    )
    alerts = number(
        "Alerts",
        "Alerts that fire now, of any severity.",
        f"SELECT countIf(state IN ('firing', 'recovering')) AS alerts FROM alerts WHERE {THESE_RUNS}",
    )
    return [
        number("Reward", "Mean, " + newest + meaning("mean"), latest("argMax(s.mean, s.step) AS reward"), each_row=True).unit(
            unit("mean")
        ),
        number("Std", "Of the rewards, " + newest + meaning("std"), latest("argMax(s.std, s.step) AS std"), each_row=True).unit(
            unit("std")
        ),
        column(quality.decimals(0), "h", decimals=2),
        step.unit("none"),
        kl.unit(grafana_unit(reported("kl").unit)),
        judged(alerts, (None, GREEN), (1, RED)),
    ]


def _told(name: str) -> Any:
    title = {"kl": "KL from the reference", "clip_fraction": "Clipped tokens"}.get(name, name.capitalize())
    return lines(title, meaning_of_told(name), told(name), size=(8, 7)).unit(grafana_unit(reported(name).unit))


def _detectors() -> Any:
    made = rows(
        "What the detectors found",
        "Each detector's newest finding, with its evidence; `needs` is what it lacks to judge.",
        f"""
        SELECT run_id AS run, detector, argMax(level, s) AS level, argMax(function, s) AS function, argMax(sentence, s) AS sentence,
            argMax(needs, s) AS needs, argMax(since_step, s) AS "since step", argMax(statistic, s) AS statistic,
            argMax(threshold, s) AS threshold, argMax(p, s) AS p
        FROM (SELECT *, (attempt, step) AS s FROM detections WHERE {THESE_RUNS}) AS d
        GROUP BY run, detector
        ORDER BY indexOf(['critical', 'warning', 'info', 'quiet', 'arming', 'off'], level), run, detector
        LIMIT 500
        """,
        size=(24, 10),
    )
    column(made, "level", width=90, colours=LEVELS)
    wrapped(made, "sentence")
    column(made, "statistic", decimals=3)
    column(made, "threshold", decimals=3)
    return column(made, "p", decimals=5)
