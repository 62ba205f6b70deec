"""Five questions that people ask of their rewards, as SQL over the views: for the README, the demo and a first look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """A question and its answer in SQL, over the database of the views."""

    title: str
    sql: str


FIVE_QUERIES = (
    Query(
        "Where does each run stand? Its latest closed step, with mean ± std of each reward function",
        """
SELECT run_id, project, function, step, round(mean, 4) AS mean, round(std, 4) AS std, count, coverage
FROM rewards.steps
WHERE closed
ORDER BY step DESC
LIMIT 1 BY run_id, function
LIMIT 100
""",
    ),
    Query(
        "Which reward functions improve, and which are hacked? First 20 steps against the last 20",
        """
WITH ends AS (SELECT run_id, min(step) AS first, max(step) AS last FROM rewards.steps WHERE closed GROUP BY run_id)
SELECT
    run_id, function, role,
    round(avgIf(mean, step < first + 20), 4) AS at_start,
    round(avgIf(mean, step > last - 20), 4) AS at_end,
    round(at_end - at_start, 4) AS gain
FROM rewards.steps INNER JOIN ends USING (run_id)
WHERE closed
GROUP BY run_id, function, role
ORDER BY run_id, gain DESC
LIMIT 100
""",
    ),
    Query(
        "How many groups teach nothing? Share of groups whose rewards are all equal, over the training",
        """
SELECT
    run_id, function, intDiv(step, 20) * 20 AS from_step,
    count() AS groups,
    round(countIf(zero_variance) / count(), 3) AS without_variance
FROM rewards.groups
WHERE role = 'trained'
GROUP BY run_id, function, from_step
ORDER BY run_id, function, from_step
LIMIT 500
""",
    ),
    Query(
        "What does the reward cost? Mean total reward against the trainer's KL, by training phase",
        """
SELECT
    r.run_id AS run_id, intDiv(r.step, 20) * 20 AS from_step,
    round(avg(r.mean), 4) AS reward,
    round(avg(k.value), 5) AS kl,
    round(avg(r.mean) / nullIf(avg(k.value), 0), 2) AS reward_per_nat
FROM rewards.steps AS r
INNER JOIN rewards.trainer_steps AS k ON r.run_id = k.run_id AND r.step = k.step
WHERE r.function = 'total' AND k.name = 'kl' AND r.closed
GROUP BY run_id, from_step
ORDER BY run_id, from_step
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
ORDER BY run_id
LIMIT 100
""",
    ),
)
