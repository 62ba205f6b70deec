CREATE OR REPLACE VIEW {views}.alert_changes {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    rule LowCardinality(String) COMMENT 'its uid',
    function LowCardinality(String) COMMENT 'the reward function; empty: the run',
    state LowCardinality(String) COMMENT 'pending, firing, recovering, resolved, inactive (it was pending only) or error',
    reason LowCardinality(String) COMMENT 'of a change that the condition did not cause: run finished, rule changed, no data, ...',
    step Nullable(Int64) COMMENT 'at which it changed; NULL for a rule that is not judged step by step',
    since_step Nullable(Int64) COMMENT 'at which the condition began to hold',
    since Nullable(DateTime64(3, 'UTC')) COMMENT 'the same, of a rule that is judged by time',
    severity LowCardinality(String) COMMENT 'info, warning or critical',
    summary String COMMENT 'the annotation summary, or what a detector said',
    labels Map(LowCardinality(String), String) COMMENT 'of the rule',
    annotations Map(LowCardinality(String), String) COMMENT 'of the rule, with their values filled in',
    expr String COMMENT 'the condition',
    evidence Map(String, Nullable(Float64)) COMMENT 'the values that it was judged by; NULL: unknown',
    window LowCardinality(String) COMMENT 'over which it was judged; empty: the run as it is',
    groups UInt64 COMMENT 'in that window',
    examples Array(Int32) COMMENT 'groups that show it, where a detector found them',
    episode UInt64 COMMENT 'counts the alerts of this rule and function',
    sequence UInt64 COMMENT 'counts their changes',
    rule_version Int64 COMMENT 'of the rule set; see rule_sets',
    project LowCardinality(String) COMMENT 'of the run',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused the change',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, attempt, rule, series AS function, state, reason, if(axis = 'step', at, NULL) AS step,
    if(axis = 'step', a.since, NULL) AS since_step,
    if(axis IN ('time', 'clock'), fromUnixTimestamp64Milli(a.since, 'UTC'), NULL) AS since,
    severity, if(annotations['summary'] != '', annotations['summary'], sentence) AS summary, labels, annotations, expr,
    mapFromArrays(arrayMap(name -> toString(name), names), `values`) AS evidence, window, groups, examples, episode, sequence,
    rule_version, project, append_time, landed_at
FROM {tables}.alert_rows AS a FINAL
COMMENT 'One row for each change of state of an alert, with its evidence';

CREATE OR REPLACE VIEW {views}.alerts {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    rule LowCardinality(String) COMMENT 'its uid',
    function LowCardinality(String) COMMENT 'the reward function; empty: the run',
    state LowCardinality(String) COMMENT 'firing, recovering, resolved, pending, inactive (it was pending only) or error',
    severity LowCardinality(String) COMMENT 'info, warning or critical',
    summary String COMMENT 'what it says, when it fired last or else now',
    reason LowCardinality(String) COMMENT 'of its last change, where the condition did not cause it',
    since_step Nullable(Int64) COMMENT 'at which the condition began to hold; NULL for a rule that is not judged step by step',
    last_step Nullable(Int64) COMMENT 'of its last change',
    fired_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when it fired first; NULL: it was pending only',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when it was resolved; NULL: it fires',
    changed_at DateTime64(3, 'UTC') COMMENT 'of its last change',
    labels Map(LowCardinality(String), String) COMMENT 'of the rule',
    annotations Map(LowCardinality(String), String) COMMENT 'of its last change, with values',
    evidence Map(String, Nullable(Float64)) COMMENT 'the values that it fired by, or else those of its last change',
    examples Array(Int32) COMMENT 'groups that show it, where a detector found them',
    attempt UInt32 COMMENT 'of the run, at its last change',
    episode UInt64 COMMENT 'counts the alerts of this rule and function',
    project LowCardinality(String) COMMENT 'of the run'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, rule, function, argMax(c.state, at) AS state, argMax(c.severity, at) AS severity,
    if(countIf(c.state = 'firing') > 0, argMaxIf(c.summary, at, c.state = 'firing'), argMax(c.summary, at)) AS summary,
    argMax(c.reason, at) AS reason,
    min(c.since_step) AS since_step, max(step) AS last_step,
    if(countIf(c.state = 'firing') > 0, minIf(append_time, c.state = 'firing'), NULL) AS fired_at,
    if(argMax(c.state, at) = 'resolved', max(append_time), NULL) AS resolved_at, max(append_time) AS changed_at,
    argMax(c.labels, at) AS labels, argMax(c.annotations, at) AS annotations,
    if(countIf(c.state = 'firing') > 0, argMaxIf(c.evidence, at, c.state = 'firing'), argMax(c.evidence, at)) AS evidence,
    if(countIf(c.state = 'firing') > 0, argMaxIf(c.examples, at, c.state = 'firing'), argMax(c.examples, at)) AS examples, max(c.attempt) AS attempt, episode, argMax(c.project, at) AS project
FROM (SELECT *, (append_time, sequence) AS at FROM {views}.alert_changes) AS c
GROUP BY run_id, rule, function, episode
COMMENT 'One row for each alert: what it is now, since when, and what it was judged by';

CREATE OR REPLACE VIEW {views}.rule_sets {on_cluster}
(
    version Int64 COMMENT 'offset in the rules topic',
    refused Bool COMMENT 'it has mistakes and was never in force',
    by String COMMENT 'who published it',
    files Map(String, String) COMMENT 'texts by name',
    rules UInt32 COMMENT 'how many it has',
    mistakes Array(String) COMMENT 'what is wrong, with place and remedy',
    published_at DateTime64(3, 'UTC') COMMENT 'when the broker took it'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT version, refused, by, files, rules, mistakes, append_time AS published_at FROM {tables}.rule_set_rows FINAL
COMMENT 'One row for each rule set that was published, and for each that was refused';
