CREATE OR REPLACE VIEW {views}.steps {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'of the run; empty: none given',
    step Int64 COMMENT 'optimizer step',
    function LowCardinality(String) COMMENT 'the reward function; total: the weighted sum of the trained ones',
    role LowCardinality(String) COMMENT 'trained, audit (measured, never optimised) or total',
    weight Float64 COMMENT 'in the total, as declared',
    lo Nullable(Float64) COMMENT 'lower end of the declared range; NULL: none',
    hi Nullable(Float64) COMMENT 'upper end of the declared range; NULL: none',
    attempt UInt32 COMMENT 'the greatest that has reached this step; rows of earlier ones are not shown',
    closed Bool COMMENT 'false: senders are still awaited, the numbers may change',
    reported UInt32 COMMENT 'senders that have said all of this step',
    expected UInt32 COMMENT 'senders that are awaited',
    coverage Nullable(Float64) COMMENT 'reported / expected',
    flags Array(LowCardinality(String)) COMMENT 'gap: records were gone before they were aggregated; reborn: the run had been forgotten',
    {measure_columns},
    event_time DateTime64(3, 'UTC') COMMENT 'the latest in the step',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, project, slot AS step, series AS function, role, weight, lo, hi, attempt, closed, reported, expected, coverage, flags,
    {measures},
    event_time, landed_at
FROM {tables}.shown_rows
WHERE kind = 'reward' AND window = 'step'
SETTINGS prefer_column_name_to_alias = 1
COMMENT 'One row a step and reward function, with its measures';
