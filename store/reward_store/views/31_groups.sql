CREATE OR REPLACE VIEW {views}.groups {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    step Int64 COMMENT 'optimizer step',
    attempt UInt32 COMMENT 'the greatest that has reached this step; groups of earlier ones are not shown',
    `group` Int32 COMMENT 'the prompt, a number that is its own within the step',
    function LowCardinality(String) COMMENT 'the reward function',
    role LowCardinality(String) COMMENT 'trained or audit (measured, never optimised)',
    completions UInt64 COMMENT 'of the prompt',
    count UInt64 COMMENT 'finite rewards among them',
    mean Nullable(Float64) COMMENT 'arithmetic mean of the finite rewards',
    std Nullable(Float64) COMMENT 'sample standard deviation (n - 1); unknown for fewer than two',
    min Nullable(Float32) COMMENT 'smallest finite reward',
    max Nullable(Float32) COMMENT 'largest finite reward',
    zero_variance Nullable(Bool) COMMENT 'all finite rewards are equal, so the group teaches nothing; unknown for fewer than two'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, step, attempt, `group`, function, any(role) AS role,
    count() AS completions, count(reward) AS count, avg(reward) AS mean,
    if(count(reward) > 1, stddevSampStable(toFloat64(reward)), NULL) AS std,
    min(reward) AS min, max(reward) AS max,
    if(count(reward) > 1, min(reward) = max(reward), NULL) AS zero_variance
FROM {views}.rewards
GROUP BY run_id, step, attempt, `group`, function
COMMENT 'One row a group (the completions of one prompt) and reward function';
