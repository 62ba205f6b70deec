CREATE OR REPLACE VIEW {views}.verdicts {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    step Int64 COMMENT 'the last one judged',
    state LowCardinality(String) COMMENT 'too early, flat, learning, unverified (it rises, and nothing independent measures the gain), falling, suspicious, hacking or broken',
    sentence String COMMENT 'the verdict, with its reason',
    since_step Int64 COMMENT 'it has been so since',
    judged UInt32 COMMENT 'detectors that could judge: see detections for what the others lack',
    detectors UInt32 COMMENT 'detectors there are',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused it',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT run_id, attempt, step, state, sentence, since_step, judged, detectors, append_time, landed_at
FROM {tables}.verdict_rows FINAL
COMMENT 'One row for each block of steps of a run: is it learning, or is it cheating?';

CREATE OR REPLACE VIEW {views}.detections {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    step Int64 COMMENT 'the last one judged',
    detector LowCardinality(String) COMMENT 'its name: see reward-monitor measures',
    level LowCardinality(String) COMMENT 'off and arming (see needs), quiet, info, warning or critical',
    needs LowCardinality(String) COMMENT 'what it lacks, where it is off or arming',
    function LowCardinality(String) COMMENT 'the reward function that it is about; empty: the run',
    sentence String COMMENT 'what it found',
    since_step Int64 COMMENT 'it has had this level since',
    statistic Nullable(Float64) COMMENT 'what it judges by',
    threshold Nullable(Float64) COMMENT 'past which it found something',
    p Nullable(Float64) COMMENT 'chance of such a statistic without a cause',
    standard_error Nullable(Float64) COMMENT 'of what was compared',
    reference_from Nullable(Int64) COMMENT 'steps that it compared with: from; NULL: none',
    reference_to Nullable(Int64) COMMENT 'to, exclusive',
    recent_from Int64 COMMENT 'steps that it judged: from',
    recent_to Int64 COMMENT 'to, exclusive',
    groups UInt64 COMMENT 'in the steps that it judged',
    examples Array(Int32) COMMENT 'groups of the last step that show it',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, attempt, step, detector, level, needs, series AS function, sentence, since_step, statistic, threshold, p,
    standard_error, if(reference_to > reference_from, d.reference_from, NULL) AS reference_from,
    if(d.reference_to > d.reference_from, d.reference_to, NULL) AS reference_to, recent_from, recent_to, groups, examples, landed_at
FROM {tables}.detection_rows AS d FINAL
COMMENT 'One row for each detector and verdict: what it found, by what statistic, in which steps';

CREATE OR REPLACE VIEW {views}.quality {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    step Int64 COMMENT 'the last one judged',
    function LowCardinality(String) COMMENT 'the reward function, or total',
    score Nullable(Float64) COMMENT 'how good a signal it is, 0 to 100; NULL: too little is known of it (coverage)',
    low Nullable(Float64) COMMENT 'lower end of its 95 % interval',
    high Nullable(Float64) COMMENT 'upper end',
    coverage Float64 COMMENT 'weight of the components that are known, 0 to 1',
    components Map(LowCardinality(String), Nullable(Float64)) COMMENT 'what it is made of, 0 to 1 each; NULL: unknown',
    hacking Float64 COMMENT 'the part that the detectors take from it: 0, 0.25 or 0.6',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT run_id, attempt, step, series AS function, score, low, high, coverage, components, hacking, landed_at
FROM {tables}.quality_rows FINAL
COMMENT 'One row for each reward function and verdict: the quality score with its interval and components';
