CREATE OR REPLACE VIEW {views}.windows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'of the run; empty: none given',
    window LowCardinality(String) COMMENT 'what it spans, as 100 steps or 5m; 10s is the finest of time',
    step Nullable(Int64) COMMENT 'the last step of a window of steps; NULL for one of time',
    time Nullable(DateTime64(3, 'UTC')) COMMENT 'start of the last 10 s of a window of time; NULL for one of steps',
    function LowCardinality(String) COMMENT 'the reward function; total: the weighted sum of the trained ones',
    role LowCardinality(String) COMMENT 'trained, audit (measured, never optimised) or total',
    weight Float64 COMMENT 'in the total, as declared',
    lo Nullable(Float64) COMMENT 'lower end of the declared range; NULL: none',
    hi Nullable(Float64) COMMENT 'upper end of the declared range; NULL: none',
    attempt UInt32 COMMENT 'the greatest that has reached this place; rows of earlier ones are not shown',
    panes UInt32 COMMENT 'steps, or slots of 10 s, that are in it',
    closed Bool COMMENT 'false: senders are still awaited, the numbers may change',
    reported UInt32 COMMENT 'senders that are in the last step or slot',
    expected UInt32 COMMENT 'senders that are awaited',
    coverage Nullable(Float64) COMMENT 'reported / expected',
    flags Array(LowCardinality(String)) COMMENT 'gap: records were gone before they were aggregated; reborn: the run had been forgotten',
    {measure_columns},
    event_time DateTime64(3, 'UTC') COMMENT 'the latest in the last step or slot',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, project, window,
    if(match(window, ' steps?$'), slot, NULL) AS step,
    if(match(window, ' steps?$'), NULL, fromUnixTimestamp64Milli(slot, 'UTC')) AS time,
    series AS function, role, weight, lo, hi, attempt, panes, closed, reported, expected, coverage, flags,
    {measures},
    event_time, landed_at
FROM {tables}.shown_rows
WHERE kind = 'reward' AND window != 'step'
SETTINGS prefer_column_name_to_alias = 1
COMMENT 'One row a window and reward function, with its measures: a window ends with each step, or each 10 s';
