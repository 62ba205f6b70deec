CREATE OR REPLACE VIEW {views}.correlations {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'of the run; empty: none given',
    step Int64 COMMENT 'optimizer step',
    function LowCardinality(String) COMMENT 'the reward function, or total',
    partner LowCardinality(String) COMMENT 'another one: each pair stands twice, once either way; of a run''s first 32 functions and total',
    role LowCardinality(String) COMMENT 'of the function: trained, audit (measured, never optimised) or total',
    partner_role LowCardinality(String) COMMENT 'of the partner',
    attempt UInt32 COMMENT 'the greatest that has reached this step; rows of earlier ones are not shown',
    closed Bool COMMENT 'false: senders are still awaited, the numbers may change',
    correlation Nullable(Float64) COMMENT 'of the two rewards within groups, -1 to 1; unknown where one doesn''t vary within any group, or scored less than 95 % of the completions',
    chance Nullable(Float64) COMMENT 'standard deviation that the correlation of two unrelated functions has, about: 1 / sqrt(rewards - groups)',
    scored Nullable(Float64) COMMENT 'share of the completions that the function scored. Where it is 95 %, the correlation may be 2.5 % too small',
    partner_scored Nullable(Float64) COMMENT 'share that the partner scored',
    product Nullable(Float64) COMMENT 'sum of (reward - its group''s mean) x (the partner''s - its group''s mean). Adds up: over several steps the correlation is sum(product) / sqrt(sum(squares) * sum(partner_squares))',
    squares Nullable(Float64) COMMENT 'sum of (reward - its group''s mean)^2',
    partner_squares Nullable(Float64) COMMENT 'the same of the partner',
    event_time DateTime64(3, 'UTC') COMMENT 'the latest in the step',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, project, step, function, partner, role, partner_role, attempt, closed,
    ifNotFinite(product / sqrt(squares * partner_squares), NULL) AS correlation,
    ifNotFinite(1 / sqrt(count - groups), NULL) AS chance,
    scored, partner_scored,
    -- The squares are of all that a function scored, the product of what both did: the more they differ, the less they fit.
    if(least(scored, partner_scored) >= 0.95, f.product, NULL) AS product,
    if(least(scored, partner_scored) >= 0.95, f.squares, NULL) AS squares,
    if(least(scored, partner_scored) >= 0.95, p.squares, NULL) AS partner_squares,
    event_time, landed_at
FROM
(
    SELECT
        run_id, project, slot AS step, series AS function, partner, role, attempt, closed, product, within AS squares,
        count / ({values_said}) AS scored, count, groups, event_time, landed_at
    FROM {tables}.shown_rows
    ARRAY JOIN partners AS partner, products AS product
    WHERE kind = 'reward' AND window = 'step' AND partner != series
) AS f
INNER JOIN
(
    SELECT run_id, slot AS step, series AS partner, role AS partner_role, within AS squares, count / ({values_said}) AS partner_scored
    FROM {tables}.shown_rows
    WHERE kind = 'reward' AND window = 'step'
) AS p USING (run_id, step, partner)
COMMENT 'One row a step and pair of reward functions: how they go together within groups';
