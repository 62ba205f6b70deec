"""Five questions that people ask of their rewards, as SQL over the views: for the README, the demo and a first look.

The newest run comes first: ids of runs end with the time of their start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A question and its answer in SQL, over the database of the views."""

    title: str
    sql: str


FIVE_QUERIES = (
    Query(
        "Is it learning, or is it cheating? Gain of each function from the first 20 steps to the last 20, and in other runs",
        """
WITH ends AS (SELECT run_id, min(step) AS first, max(step) AS last FROM rewards.steps WHERE closed GROUP BY run_id)
SELECT
    run_id, function, role,
    round(avgIf(mean, step < first + 20), 3) AS at_start,
    round(avgIf(mean, step > last - 20), 3) AS at_end,
    round(at_end - at_start, 3) AS gain,
    round(sqrt(
        sumIf(standard_error * standard_error, step < first + 20) / pow(countIf(step < first + 20), 2)
        + sumIf(standard_error * standard_error, step > last - 20) / pow(countIf(step > last - 20), 2)), 3) AS error,
    round((sum(gain) OVER same - gain) / nullIf(count() OVER same - 1, 0), 3) AS gain_elsewhere
FROM rewards.steps INNER JOIN ends USING (run_id)
WHERE closed
GROUP BY run_id, project, function, role
WINDOW same AS (PARTITION BY project, function)
ORDER BY run_id DESC, role, gain DESC
LIMIT 100
""",
    ),
    Query(
        "Which function carries the advantage signal, and does it go with what nobody optimises? By training phase",
        """
WITH audits AS
(
    SELECT
        run_id, function, intDiv(step, 25) * 25 AS from_step,
        ifNotFinite(round(sum(product) / sqrt(sum(squares) * sum(partner_squares)), 2), NULL) AS goes_with_audit
    FROM rewards.correlations
    WHERE role = 'trained' AND partner_role = 'audit'
    GROUP BY run_id, function, from_step
)
SELECT run_id, from_step, function, carries, gives, goes_with_audit
FROM
(
    SELECT
        run_id, intDiv(step, 25) * 25 AS from_step, function,
        round(avg(variance_contribution), 2) AS carries,
        round(avg(mean_contribution), 2) AS gives
    FROM rewards.steps
    WHERE role = 'trained' AND closed
    GROUP BY run_id, from_step, function
) AS signal
LEFT JOIN audits USING (run_id, from_step, function)
ORDER BY run_id DESC, from_step, carries DESC
LIMIT 2 BY run_id, from_step
LIMIT 200
""",
    ),
    Query(
        "When did groups stop having variance? Shares that teach nothing: too hard, solved, and what chance alone would make",
        """
SELECT
    run_id, function, intDiv(step, 25) * 25 AS from_step,
    sum(groups) AS of_groups,
    round(avg(zero_variance_groups), 3) AS all_equal,
    round(avg(zero_variance_low), 3) AS all_low,
    round(avg(zero_variance_high), 3) AS all_high,
    if(count(zero_variance_expected) = count(), round(avg(zero_variance_expected), 3), NULL) AS by_chance
FROM rewards.steps
WHERE role IN ('total', 'trained') AND closed
GROUP BY run_id, role, function, from_step
ORDER BY run_id DESC, role, function, from_step
LIMIT 500
""",
    ),
    Query(
        "What does the reward cost? Total reward against KL, policy entropy, and the length of completions",
        """
SELECT
    run_id, intDiv(step, 25) * 25 AS from_step,
    round(avgIf(value, name = 'reward'), 3) AS reward,
    round(avgIf(value, name = 'kl'), 4) AS kl,
    round(avgIf(value, name = 'entropy'), 3) AS entropy,
    round(avgIf(value, name = 'length'), 2) AS length,
    round(avgIf(value, name = 'truncated'), 3) AS cut_off,
    round(avgIf(value, name = 'with length'), 2) AS reward_with_length
FROM
(
    SELECT run_id, step, 'reward' AS name, mean AS value FROM rewards.steps WHERE function = 'total'
    UNION ALL SELECT run_id, step, 'with length', length_correlation FROM rewards.steps WHERE function = 'total'
    UNION ALL SELECT run_id, step, name, value FROM rewards.trainer_steps WHERE name IN ('kl', 'entropy')
    UNION ALL SELECT run_id, step, property, mean FROM rewards.completions WHERE property IN ('length', 'truncated')
)
GROUP BY run_id, from_step
ORDER BY run_id DESC, from_step
LIMIT 500
""",
    ),
    Query(
        "Can I trust these numbers? What is missing, late, repeated or dropped, and how fast rows come",
        """
SELECT
    run_id, any(r.state) AS state, any(r.received) AS received, any(r.missing) AS missing, any(r.duplicates) AS duplicates,
    any(r.late) AS late, any(r.invalid) AS invalid, any(r.sender_dropped) AS dropped,
    round(min(s.coverage), 3) AS least_coverage,
    countIf(NOT s.closed) AS open_steps,
    round(quantile(0.5)(date_diff('millisecond', s.event_time, s.landed_at)) / 1000, 2) AS delay_s_p50,
    round(quantile(0.99)(date_diff('millisecond', s.event_time, s.landed_at)) / 1000, 2) AS delay_s_p99
FROM rewards.steps AS s
INNER JOIN rewards.runs AS r USING (run_id)
WHERE s.function = 'total'
GROUP BY run_id
ORDER BY run_id DESC
LIMIT 100
""",
    ),
)
