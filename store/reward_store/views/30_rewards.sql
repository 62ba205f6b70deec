CREATE OR REPLACE VIEW {views}.rewards {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    step Int64 COMMENT 'optimizer step',
    attempt UInt32 COMMENT 'the greatest that has reached this step; rewards of earlier ones are not shown',
    rank UInt32 COMMENT 'of the sender',
    session UInt64 COMMENT 'of the sender process',
    seq UInt64 COMMENT 'of the message in its session',
    completion UInt32 COMMENT 'place in its message, from 0: with rank, session and seq it names the completion',
    `group` Int32 COMMENT 'the prompt, a number that is its own within the step',
    function LowCardinality(String) COMMENT 'the reward function',
    role LowCardinality(String) COMMENT 'trained or audit (measured, never optimised)',
    weight Float64 COMMENT 'in the total, as declared',
    reward Nullable(Float32) COMMENT 'NULL where status is not scored',
    contribution Nullable(Float64) COMMENT 'weight x reward: what it adds to the completion''s total; NULL: nothing known, or an audit',
    status LowCardinality(String) COMMENT 'scored; missing: should have been and was not; not scored: left out on purpose; non finite: NaN or infinite',
    length Nullable(Int32) COMMENT 'of the completion, tokens; NULL: unknown',
    advantage Nullable(Float32) COMMENT 'as the trainer used it; NULL: unknown',
    truncated Nullable(Bool) COMMENT 'whether the completion was cut off; NULL: unknown',
    event_time DateTime64(3, 'UTC') COMMENT 'when the sender made it, by its own clock',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, step, attempt, rank, session, seq, completion, one_group AS `group`, function, role, weight,
    if(one_status = 0 AND isFinite(one_reward), one_reward, NULL) AS reward,
    if(role = 'trained', weight * reward, NULL) AS contribution,
    multiIf(one_status = 1, 'missing', one_status = 2, 'not scored', isFinite(one_reward), 'scored', 'non finite') AS status,
    one_length AS length, if(isFinite(one_advantage), one_advantage, NULL) AS advantage, one_truncated != 0 AS truncated,
    event_time, landed_at
FROM
(
    SELECT
        run_id, step, attempt, rank, session, seq, event_time, landed_at, rewards AS each_reward,
        length(functions) AS k, length(`group`) AS n,
        if(empty(status), arrayWithConstant(k * n, toUInt8(0)), status) AS each_status,
        arrayFlatten(arrayMap(f -> arrayWithConstant(n, f), functions)) AS each_function,
        arrayFlatten(arrayMap(r -> arrayWithConstant(n, r), roles)) AS each_role,
        arrayFlatten(arrayMap(w -> arrayWithConstant(n, w), weights)) AS each_weight,
        arrayFlatten(arrayWithConstant(k, range(n))) AS each_completion,
        arrayFlatten(arrayWithConstant(k, `group`)) AS each_group,
        arrayFlatten(arrayWithConstant(k, if(empty(length), arrayWithConstant(n, NULL), length))) AS each_length,
        arrayFlatten(arrayWithConstant(k, if(empty(advantage), arrayWithConstant(n, NULL), advantage))) AS each_advantage,
        arrayFlatten(arrayWithConstant(k, if(empty(truncated), arrayWithConstant(n, NULL), truncated))) AS each_truncated
    FROM {tables}.rollouts FINAL
    WHERE (run_id, step, attempt) IN (SELECT run_id, step, max(attempt) FROM {tables}.rollouts GROUP BY run_id, step)
)
ARRAY JOIN
    each_reward AS one_reward, each_status AS one_status, each_function AS function, each_role AS role, each_weight AS weight,
    each_completion AS completion, each_group AS one_group, each_length AS one_length, each_advantage AS one_advantage,
    each_truncated AS one_truncated
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row a completion and reward function: the raw rewards';
