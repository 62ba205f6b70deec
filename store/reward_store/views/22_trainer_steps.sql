CREATE OR REPLACE VIEW {views}.trainer_steps {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'of the run; empty: none given',
    step Int64 COMMENT 'optimizer step',
    name LowCardinality(String) COMMENT 'of the scalar: kl (nats), entropy (nats a token), loss, ...',
    value Nullable(Float64) COMMENT 'the mean of what ranks reported; NULL: nothing finite',
    reports Nullable(UInt64) COMMENT 'finite values in it, one a rank that reports',
    attempt UInt32 COMMENT 'the greatest that has reached this step; rows of earlier ones are not shown',
    closed Bool COMMENT 'false: reports are still awaited, the value may change',
    event_time DateTime64(3, 'UTC') COMMENT 'the latest in the step',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, project, slot AS step, series AS name,
    {mean} AS value,
    {count} AS reports,
    attempt, closed, event_time, landed_at
FROM {tables}.shown_rows
WHERE kind = 'trainer' AND window = 'step'
COMMENT 'One row a step and scalar of the trainer: kl, entropy, loss, ...';
