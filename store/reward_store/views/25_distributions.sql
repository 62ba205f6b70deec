CREATE OR REPLACE VIEW {views}.distributions {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'of the run; empty: none given',
    step Int64 COMMENT 'optimizer step',
    function LowCardinality(String) COMMENT 'the reward function; total: the weighted sum of the trained ones',
    role LowCardinality(String) COMMENT 'trained, audit (measured, never optimised) or total',
    attempt UInt32 COMMENT 'the greatest that has reached this step; rows of earlier ones are not shown',
    closed Bool COMMENT 'false: senders are still awaited, the numbers may change',
    value Float32 COMMENT 'rewards that lie within 0.8 % of it; exact for 0, 0.5, 1, 3 and other short binary numbers',
    count UInt32 COMMENT 'how many. Adds up: over several steps the median is quantileExactWeighted(0.5)(value, count)'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT run_id, project, slot AS step, series AS function, role, attempt, closed, value, number AS count
FROM {tables}.shown_rows
ARRAY JOIN sketch_values AS value, sketch_counts AS number
WHERE kind = 'reward' AND window = 'step'
COMMENT 'One row a step, reward function and value that occurred: for heatmaps, and for quantiles over any steps';

CREATE OR REPLACE VIEW {views}.completion_distributions {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'of the run; empty: none given',
    step Int64 COMMENT 'optimizer step',
    property LowCardinality(String) COMMENT 'of the completions: length (tokens), advantage, ...; see completions',
    attempt UInt32 COMMENT 'the greatest that has reached this step; rows of earlier ones are not shown',
    closed Bool COMMENT 'false: senders are still awaited, the numbers may change',
    value Float32 COMMENT 'completions that lie within 0.8 % of it',
    count UInt32 COMMENT 'how many. Adds up: over several steps the median is quantileExactWeighted(0.5)(value, count)'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT run_id, project, slot AS step, series AS property, attempt, closed, value, number AS count
FROM {tables}.shown_rows
ARRAY JOIN sketch_values AS value, sketch_counts AS number
WHERE kind = 'completion' AND window = 'step'
COMMENT 'One row a step, property of its completions and value that occurred: for heatmaps of lengths or advantages';
