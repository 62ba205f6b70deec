-- Tables of the lander. Every row has its natural key (ORDER BY) and a version; of the rows of one key the one with the
-- greatest version stays, so writing a row twice changes nothing. Replacing works within a partition of the table only,
-- so PARTITION BY follows from the key: `month` is a function of run_id. Sums are added as columns by the catalogue.

CREATE TABLE IF NOT EXISTS {tables}.event_log {on_cluster}
(
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    partition UInt32 COMMENT 'of the events topic',
    offset Int64 COMMENT 'of the record in its partition',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it' CODEC(Delta, ZSTD(1)),
    key String COMMENT 'the message key: the run' CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'rollout, trainer_step, run_event, sender_report, tick, rule_switch or invalid',
    payload String COMMENT 'the message as it was sent' CODEC(ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(landed_at) PARTITION BY toDate(append_time) ORDER BY (epoch, partition, offset)
COMMENT 'Every record of the events topic, as it was sent: what a rebuild replays';

CREATE TABLE IF NOT EXISTS {tables}.rollouts {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    step Int64 COMMENT 'optimizer step',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    rank UInt32 COMMENT 'of the sender',
    session UInt64 COMMENT 'of the sender process',
    seq UInt64 COMMENT 'of the message in its session',
    event_time DateTime64(3, 'UTC') COMMENT 'when the sender made it, by its own clock' CODEC(Delta, ZSTD(1)),
    more Bool COMMENT 'further messages of this rank and step follow',
    functions Array(LowCardinality(String)) COMMENT 'the K reward functions',
    weights Array(Float64) COMMENT 'K: weight of each as declared',
    roles Array(LowCardinality(String)) COMMENT 'K: trained or audit',
    rewards Array(Float32) COMMENT 'K x n, function after function, bit for bit' CODEC(ZSTD(1)),
    status Array(UInt8) COMMENT 'K x n: 0 scored, 1 missing, 2 not scored; empty: all scored' CODEC(ZSTD(1)),
    `group` Array(Int32) COMMENT 'n: the prompt of each completion' CODEC(ZSTD(1)),
    length Array(Int32) COMMENT 'n: tokens; empty: unknown' CODEC(ZSTD(1)),
    advantage Array(Float32) COMMENT 'n; empty: unknown' CODEC(ZSTD(1)),
    truncated Array(UInt8) COMMENT 'n; empty: unknown' CODEC(ZSTD(1)),
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it' CODEC(Delta, ZSTD(1)),
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    partition UInt32 COMMENT 'of the events topic',
    offset Int64 COMMENT 'of the record in its partition' CODEC(Delta, ZSTD(1)),
    month UInt32 COMMENT 'when the run started, as its id says: YYYYMM, or 0',
    version UInt64 COMMENT 'falls with the place in the log: of a message that came twice the first stays, as in the fold' CODEC(ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
ENGINE = {replacing}(version) PARTITION BY month ORDER BY (run_id, step, attempt, rank, session, seq)
SETTINGS index_granularity_bytes = 1048576
COMMENT 'One row a message: the raw rewards of one batch of one rank';

CREATE TABLE IF NOT EXISTS {tables}.pane_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    kind LowCardinality(String) COMMENT 'reward or trainer',
    window LowCardinality(String) COMMENT 'step, 10s, or the name of a longer window',
    slot Int64 COMMENT 'the step, or the start of the slot of time in ms' CODEC(Delta, ZSTD(1)),
    attempt UInt32 COMMENT 'rises at each resume of the run',
    series LowCardinality(String) COMMENT 'the reward function, total, or the name of a trainer scalar',
    weight Float64 COMMENT 'in the total, as declared' CODEC(ZSTD(1)),
    role LowCardinality(String) COMMENT 'trained, audit, total or trainer',
    closed Bool COMMENT 'false: partial, a later row follows',
    reported UInt32 COMMENT 'senders that have said all',
    expected UInt32 COMMENT 'senders that are awaited',
    panes UInt32 COMMENT 'slots merged into the row',
    flags Array(LowCardinality(String)) COMMENT 'what to know of the row: gap, reborn',
    event_time DateTime64(3, 'UTC') COMMENT 'the latest in it' CODEC(Delta, ZSTD(1)),
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused the row' CODEC(Delta, ZSTD(1)),
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    generation UInt32 COMMENT 'of the fold',
    partition UInt32 COMMENT 'of the events topic',
    offset Int64 COMMENT 'of the record that caused the row' CODEC(Delta, ZSTD(1)),
    `index` UInt32 COMMENT 'among the results of that record',
    month UInt32 COMMENT 'when the run started, as its id says: YYYYMM, or 0',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays' CODEC(ZSTD(1)),
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
ENGINE = {replacing}(version) PARTITION BY month ORDER BY (run_id, kind, window, slot, attempt, series)
COMMENT 'Sums of each series over a step, a slot of time or a longer window; measures are computed from them in the views';

CREATE TABLE IF NOT EXISTS {tables}.run_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    state LowCardinality(String) COMMENT 'live, finished, lost or forgotten',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    project LowCardinality(String) COMMENT 'as its trainer says; empty: none given',
    tags Map(LowCardinality(String), String) COMMENT 'as its trainer says',
    trainer String COMMENT 'name and version',
    config_json String COMMENT 'configuration as its trainer says' CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') COMMENT 'event time of the first event',
    last_event_at DateTime64(3, 'UTC') COMMENT 'the latest event time; 1970: none yet',
    last_step Int64 COMMENT '-1: none yet',
    expected UInt32 COMMENT 'senders that are awaited',
    active UInt32 COMMENT 'senders that speak',
    silent_ranks Array(UInt32) COMMENT 'senders that have been silent for long and had not finished',
    counts Map(LowCardinality(String), UInt64) COMMENT 'messages received, duplicates, missing, late, ...',
    flags Array(LowCardinality(String)) COMMENT 'what to know of the run: reborn',
    reason String COMMENT 'of its end',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused the row',
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    generation UInt32 COMMENT 'of the fold',
    partition UInt32 COMMENT 'of the topic',
    offset Int64 COMMENT 'of the record that caused the row',
    `index` UInt32 COMMENT 'among the results of that record',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays',
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(version) ORDER BY run_id
COMMENT 'One row a run: what is known of it';

CREATE TABLE IF NOT EXISTS {tables}.late_event_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    rank UInt32 COMMENT 'of the sender',
    session UInt64 COMMENT 'of the sender process',
    seq UInt64 COMMENT 'of the message in its session',
    axis LowCardinality(String) COMMENT 'step or time',
    kind LowCardinality(String) COMMENT 'reward or trainer',
    slot Int64 COMMENT 'the step, or the start of the slot of time in ms',
    lateness Int64 COMMENT 'behind the newest closed slot: steps, or ms',
    fate LowCardinality(String) COMMENT 'amended: it is in the sums; raw only: it is not',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it',
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    generation UInt32 COMMENT 'of the fold',
    partition UInt32 COMMENT 'of the topic',
    offset Int64 COMMENT 'of the record that caused the row',
    `index` UInt32 COMMENT 'among the results of that record',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays',
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(version) ORDER BY (run_id, attempt, rank, session, seq, axis)
COMMENT 'Messages that came after their step or slot of time had closed';

CREATE TABLE IF NOT EXISTS {tables}.dead_letter_rows {on_cluster}
(
    source LowCardinality(String) COMMENT 'events: a sender message; results: one of our own that could not be read',
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    partition UInt32 COMMENT 'of the topic',
    offset Int64 COMMENT 'of the message',
    run_id String COMMENT 'empty where it could not be read',
    rank UInt32 COMMENT 'of the sender',
    session UInt64 COMMENT 'of the sender process',
    seq UInt64 COMMENT 'of the message in its session',
    field String COMMENT 'what is wrong',
    reason String COMMENT 'why',
    payload String COMMENT 'the first 64 KiB of the message' CODEC(ZSTD(1)),
    payload_bytes UInt64 COMMENT 'its whole size',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it',
    generation UInt32 COMMENT 'of the fold',
    `index` UInt32 COMMENT 'among the results of that record',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays',
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(version) ORDER BY (source, epoch, partition, offset)
COMMENT 'Messages that could not be used';

CREATE TABLE IF NOT EXISTS {tables}.gap_rows {on_cluster}
(
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    partition UInt32 COMMENT 'of the topic',
    from_offset Int64 COMMENT 'the first record that is gone',
    to_offset Int64 COMMENT 'the first that is there again',
    reason String COMMENT 'why',
    append_time DateTime64(3, 'UTC') COMMENT 'time of the log when it was noticed',
    generation UInt32 COMMENT 'of the fold',
    offset Int64 COMMENT 'of the record that caused the row',
    `index` UInt32 COMMENT 'among the results of that record',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays',
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(version) ORDER BY (epoch, partition, from_offset)
COMMENT 'Records that were gone before they were aggregated';

CREATE TABLE IF NOT EXISTS {tables}.quarantine_rows {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    partition UInt32 COMMENT 'of the topic',
    offset Int64 COMMENT 'of the record that caused it',
    released Bool COMMENT 'true: aggregated again from here on',
    error String COMMENT 'in one line',
    traceback String COMMENT 'for a developer' CODEC(ZSTD(1)),
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took that record',
    generation UInt32 COMMENT 'of the fold',
    `index` UInt32 COMMENT 'among the results of that record',
    version UInt64 COMMENT 'epoch, generation and offset packed: the greatest stays',
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(version) ORDER BY (run_id, epoch, partition, offset)
COMMENT 'Runs that are not aggregated after an error of ours, and their releases';

CREATE TABLE IF NOT EXISTS {tables}.ingest_audit {on_cluster}
(
    topic LowCardinality(String) COMMENT 'events or results',
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    partition UInt32 COMMENT 'of the topic',
    from_offset Int64 COMMENT 'the first record of the batch',
    to_offset Int64 COMMENT 'after its last one',
    rows UInt64 COMMENT 'records in it: to_offset - from_offset',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the last one',
    landed_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written'
)
ENGINE = {replacing}(to_offset) ORDER BY (topic, epoch, partition, from_offset)
COMMENT 'What the lander has written, batch by batch';
