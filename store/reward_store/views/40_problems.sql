CREATE OR REPLACE VIEW {views}.dead_letters {on_cluster}
(
    source LowCardinality(String) COMMENT 'events: a message of a sender; results: one of our own',
    partition UInt32 COMMENT 'of the topic',
    offset Int64 COMMENT 'of the message in it',
    run_id String COMMENT 'the run; empty where it could not be read',
    rank Nullable(UInt32) COMMENT 'of the sender; NULL where it could not be read',
    session Nullable(UInt64) COMMENT 'of the sender process',
    seq Nullable(UInt64) COMMENT 'of the message in its session',
    field String COMMENT 'what is wrong',
    reason String COMMENT 'why',
    payload String COMMENT 'the first 64 KiB of the message',
    payload_bytes UInt64 COMMENT 'its whole size',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    source, partition, offset, run_id, if(run_id = '', NULL, rank) AS rank, if(run_id = '', NULL, session) AS session,
    if(run_id = '', NULL, seq) AS seq, field, reason, payload, payload_bytes, append_time, landed_at
FROM {tables}.dead_letter_rows FINAL
COMMENT 'Messages that could not be used';

CREATE OR REPLACE VIEW {views}.late_events {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    attempt UInt32 COMMENT 'of the message',
    rank UInt32 COMMENT 'of the sender',
    session UInt64 COMMENT 'of the sender process',
    seq UInt64 COMMENT 'of the message in its session',
    axis LowCardinality(String) COMMENT 'step or time',
    kind LowCardinality(String) COMMENT 'reward or trainer',
    step Nullable(Int64) COMMENT 'that it was late for; NULL on the axis of time',
    time Nullable(DateTime64(3, 'UTC')) COMMENT 'start of the slot that it was late for; NULL on the axis of steps',
    lateness Int64 COMMENT 'behind the newest closed one: steps, or ms',
    fate LowCardinality(String) COMMENT 'amended: it is in the measures; raw only: it is in rewards alone',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, attempt, rank, session, seq, axis, kind, if(axis = 'step', slot, NULL) AS step,
    if(axis = 'step', NULL, fromUnixTimestamp64Milli(slot, 'UTC')) AS time, lateness, fate, append_time, landed_at
FROM {tables}.late_event_rows FINAL
COMMENT 'Messages that came after their step or slot of time had closed';

CREATE OR REPLACE VIEW {views}.gaps {on_cluster}
(
    partition UInt32 COMMENT 'of the events topic',
    from_offset Int64 COMMENT 'the first record that is gone',
    to_offset Int64 COMMENT 'the first that is there again',
    reason String COMMENT 'why',
    append_time DateTime64(3, 'UTC') COMMENT 'time of the log when it was noticed',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT partition, from_offset, to_offset, reason, append_time, landed_at FROM {tables}.gap_rows FINAL
COMMENT 'Records that were gone before they were aggregated: steps of that time are flagged gap';

CREATE OR REPLACE VIEW {views}.quarantines {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    released Bool COMMENT 'true: aggregated again from here on; false: no longer aggregated, its raw rewards still land',
    error String COMMENT 'in one line',
    traceback String COMMENT 'for a developer',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took the record that caused it',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT run_id, released, error, traceback, append_time, landed_at FROM {tables}.quarantine_rows FINAL
COMMENT 'Runs that are not aggregated after an error of ours, and their releases';
