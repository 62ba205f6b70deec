CREATE OR REPLACE VIEW {views}.completions {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'of the run; empty: none given',
    step Int64 COMMENT 'optimizer step',
    property LowCardinality(String) COMMENT 'of the completions: length (tokens), advantage, truncated (1: cut off), or a further column of the trainer: kl, entropy, importance, staleness, duplicate, ...',
    attempt UInt32 COMMENT 'the greatest that has reached this step; rows of earlier ones are not shown',
    closed Bool COMMENT 'false: senders are still awaited, the numbers may change',
    reported UInt32 COMMENT 'senders that have said all of this step',
    expected UInt32 COMMENT 'senders that are awaited',
    coverage Nullable(Float64) COMMENT 'reported / expected',
    flags Array(LowCardinality(String)) COMMENT 'gap: records were gone before they were aggregated; reborn: the run had been forgotten',
    {value_measure_columns},
    event_time DateTime64(3, 'UTC') COMMENT 'the latest in the step',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, project, slot AS step, series AS property, attempt, closed, reported, expected, coverage, flags,
    {value_measures},
    event_time, landed_at
FROM {tables}.shown_rows
WHERE kind = 'completion' AND window = 'step'
SETTINGS prefer_column_name_to_alias = 1
COMMENT 'One row a step and property of its completions, with the measures of its values: advantages, lengths, importance weights, ...';
