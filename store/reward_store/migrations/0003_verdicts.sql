-- What the detectors say of a run after every block of steps: the verdict, each detector's part in it, and the quality scores.

CREATE TABLE IF NOT EXISTS {tables}.verdict_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    step Int64 COMMENT 'the last one judged' CODEC(Delta, ZSTD(1)),
    state LowCardinality(String) COMMENT 'too early, flat, learning, unverified, falling, suspicious, hacking or broken',
    sentence String COMMENT 'the verdict, with its reason' CODEC(ZSTD(1)),
    since_step Int64 COMMENT 'it has been so since' CODEC(Delta, ZSTD(1)),
    judged UInt32 COMMENT 'detectors that could judge',
    detectors UInt32 COMMENT 'detectors there are',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused the row' CODEC(Delta, ZSTD(1)),
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    generation UInt32 COMMENT 'of the fold',
    partition UInt32 COMMENT 'of the topic',
    offset Int64 COMMENT 'of the record that caused the row' CODEC(Delta, ZSTD(1)),
    `index` UInt32 COMMENT 'among the results of that record',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays' CODEC(ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
ENGINE = {replacing}(version) ORDER BY (run_id, attempt, step)
COMMENT 'One row for each block of steps of a run: what it was judged to be';

CREATE TABLE IF NOT EXISTS {tables}.detection_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    step Int64 COMMENT 'the last one judged' CODEC(Delta, ZSTD(1)),
    detector LowCardinality(String) COMMENT 'its name',
    level LowCardinality(String) COMMENT 'off, arming, quiet, info, warning or critical',
    needs LowCardinality(String) COMMENT 'what it lacks, where it is off or arming',
    series LowCardinality(String) COMMENT 'the reward function that it is about; empty: the run',
    sentence String COMMENT 'what it found' CODEC(ZSTD(1)),
    since_step Int64 COMMENT 'it has had this level since' CODEC(Delta, ZSTD(1)),
    statistic Nullable(Float64) COMMENT 'what it judges by' CODEC(ZSTD(1)),
    threshold Nullable(Float64) COMMENT 'past which it found something' CODEC(ZSTD(1)),
    p Nullable(Float64) COMMENT 'chance of such a statistic without a cause' CODEC(ZSTD(1)),
    standard_error Nullable(Float64) COMMENT 'of what was compared' CODEC(ZSTD(1)),
    reference_from Int64 COMMENT 'steps that it compared with: from',
    reference_to Int64 COMMENT 'to, exclusive; equal: none',
    recent_from Int64 COMMENT 'steps that it judged: from',
    recent_to Int64 COMMENT 'to, exclusive',
    groups UInt64 COMMENT 'in the steps that it judged' CODEC(ZSTD(1)),
    examples Array(Int32) COMMENT 'groups of the last step that show it' CODEC(ZSTD(1)),
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused the row' CODEC(Delta, ZSTD(1)),
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays' CODEC(ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
ENGINE = {replacing}(version) ORDER BY (run_id, attempt, step, detector)
COMMENT 'One row for each detector and verdict: what it found, by what statistic, in which steps';

CREATE TABLE IF NOT EXISTS {tables}.quality_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    step Int64 COMMENT 'the last one judged' CODEC(Delta, ZSTD(1)),
    series LowCardinality(String) COMMENT 'the reward function, or total',
    score Nullable(Float64) COMMENT '0 to 100; NULL: insufficient' CODEC(ZSTD(1)),
    low Nullable(Float64) COMMENT 'lower end of its 95 % interval' CODEC(ZSTD(1)),
    high Nullable(Float64) COMMENT 'upper end' CODEC(ZSTD(1)),
    coverage Float64 COMMENT 'weight of the components that are known, 0 to 1',
    components Map(LowCardinality(String), Nullable(Float64)) COMMENT 'what it is made of, 0 to 1 each; NULL: unknown' CODEC(ZSTD(1)),
    hacking Float64 COMMENT 'the part that the detectors take from it: 0, 0.25 or 0.6',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused the row' CODEC(Delta, ZSTD(1)),
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays' CODEC(ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
ENGINE = {replacing}(version) ORDER BY (run_id, attempt, step, series)
COMMENT 'One row for each reward function and verdict: how good a signal it is';
