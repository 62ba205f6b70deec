-- Changes of state of alerts: of one rule in one run, and in one reward function where the rule is judged for each.

CREATE TABLE IF NOT EXISTS {tables}.alert_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    rule LowCardinality(String) COMMENT 'its uid',
    rule_version Int64 COMMENT 'of the rule set: its offset in the rules topic; -1: none was published',
    series LowCardinality(String) COMMENT 'the reward function; empty: the run',
    state LowCardinality(String) COMMENT 'pending, firing, recovering, resolved, inactive (it was pending only) or error',
    reason LowCardinality(String) COMMENT 'of a change that the condition did not cause',
    episode UInt64 COMMENT 'counts the alerts of this rule and series',
    sequence UInt64 COMMENT 'counts their changes',
    axis LowCardinality(String) COMMENT 'step, time or clock',
    at Int64 COMMENT 'the step, the start of the slot of time in ms, or the clock of the log in ms' CODEC(Delta, ZSTD(1)),
    since Int64 COMMENT 'on the same axis: where the condition began to hold' CODEC(Delta, ZSTD(1)),
    severity LowCardinality(String) COMMENT 'info, warning or critical',
    labels Map(LowCardinality(String), String) COMMENT 'of the rule',
    annotations Map(LowCardinality(String), String) COMMENT 'of the rule, with their values filled in' CODEC(ZSTD(1)),
    expr String COMMENT 'the condition' CODEC(ZSTD(1)),
    window LowCardinality(String) COMMENT 'over which it was judged; empty: the run as it is',
    window_from Int64 COMMENT 'the first pane of it' CODEC(Delta, ZSTD(1)),
    window_to Int64 COMMENT 'the last one' CODEC(Delta, ZSTD(1)),
    groups UInt64 COMMENT 'in them' CODEC(ZSTD(1)),
    names Array(LowCardinality(String)) COMMENT 'what the condition is of',
    `values` Array(Nullable(Float64)) COMMENT 'of each; NULL: unknown' CODEC(ZSTD(1)),
    examples Array(Int32) COMMENT 'groups that show it, where a detector found them' CODEC(ZSTD(1)),
    sentence String COMMENT 'what a detector said' CODEC(ZSTD(1)),
    project LowCardinality(String) COMMENT 'of the run',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused the row' CODEC(Delta, ZSTD(1)),
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    generation UInt32 COMMENT 'of the fold',
    partition UInt32 COMMENT 'of the topic',
    offset Int64 COMMENT 'of the record that caused the row' CODEC(Delta, ZSTD(1)),
    `index` UInt32 COMMENT 'among the results of that record',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays' CODEC(ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
-- With attempt and point in the key a replay that begins later, and so counts anew, replaces no other alert.
ENGINE = {replacing}(version) ORDER BY (run_id, rule, series, attempt, at, sequence)
COMMENT 'One row for each change of state of an alert';

CREATE TABLE IF NOT EXISTS {tables}.rule_set_rows {on_cluster}
(
    version Int64 COMMENT 'offset in the rules topic',
    refused Bool COMMENT 'it has mistakes and was never in force',
    by String COMMENT 'who published it',
    files Map(String, String) COMMENT 'texts by name' CODEC(ZSTD(3)),
    rules UInt32 COMMENT 'how many it has',
    mistakes Array(String) COMMENT 'what is wrong, with place and remedy' CODEC(ZSTD(1)),
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it',
    epoch UInt32 COMMENT 'counts re-creations of the topics',
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(landed_at) ORDER BY (epoch, version)
COMMENT 'One row for each rule set that was published';
