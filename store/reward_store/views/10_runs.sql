CREATE OR REPLACE VIEW {views}.runs {on_cluster}
(
    run_id LowCardinality(String) COMMENT 'the run',
    project LowCardinality(String) COMMENT 'as its trainer says; empty: none given',
    state LowCardinality(String) COMMENT 'live; finished: a sender said so; lost: no sender spoke for minutes; forgotten: long over, starts afresh if it speaks again',
    verdict LowCardinality(String) COMMENT 'too early, flat, learning, unverified, falling, suspicious, hacking or broken; empty: not judged yet. See verdicts',
    verdict_sentence String COMMENT 'the verdict in one sentence, with its reason',
    verdict_since_step Nullable(Int64) COMMENT 'it has been so since',
    attempt UInt32 COMMENT 'rises at each resume of the run',
    started_at DateTime64(3, 'UTC') COMMENT 'event time of its first event',
    last_event_at Nullable(DateTime64(3, 'UTC')) COMMENT 'its latest event time',
    last_step Nullable(Int64) COMMENT 'the greatest step of this attempt',
    senders_expected UInt32 COMMENT 'ranks that are awaited',
    senders_active UInt32 COMMENT 'ranks that speak',
    silent_ranks Array(UInt32) COMMENT 'ranks that have been silent for long and had not finished',
    received UInt64 COMMENT 'messages, each once',
    duplicates UInt64 COMMENT 'messages that came again, and were dropped',
    missing UInt64 COMMENT 'messages that were sent and have not come (yet)',
    late UInt64 COMMENT 'messages for a step or slot of time that had closed: see late_events',
    invalid UInt64 COMMENT 'messages that could not be used: see dead_letters',
    refused UInt64 COMMENT 'messages past a bound of the run: see dead_letters',
    sender_dropped Nullable(UInt64) COMMENT 'messages that senders say they dropped; NULL: none has reported',
    counts Map(LowCardinality(String), UInt64) COMMENT 'every count by name, these among them',
    flags Array(LowCardinality(String)) COMMENT 'reborn: it had been forgotten, and rows from before may be replaced',
    reason String COMMENT 'of its end',
    tags Map(LowCardinality(String), String) COMMENT 'as its trainer says',
    trainer String COMMENT 'name and version',
    config_json String COMMENT 'configuration as its trainer says',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    run_id, project, state, v.state AS verdict, v.sentence AS verdict_sentence,
    if(v.state = '', NULL, v.since_step) AS verdict_since_step, attempt, started_at,
    if(last_event_at > toDateTime64(0, 3, 'UTC'), last_event_at, NULL) AS last_event_at,
    if(last_step >= 0, last_step, NULL) AS last_step,
    expected AS senders_expected, active AS senders_active, silent_ranks,
    counts['received'] AS received, counts['duplicates'] AS duplicates, counts['missing'] AS missing,
    counts['late'] AS late, counts['invalid'] AS invalid, counts['refused'] AS refused,
    if(mapContains(counts, 'sender_dropped'), counts['sender_dropped'], NULL) AS sender_dropped,
    counts, flags, reason, tags, trainer, config_json, landed_at
FROM {tables}.run_rows AS r FINAL
LEFT ANY JOIN
(
    SELECT run_id, tupleElement(latest, 1) AS state, tupleElement(latest, 2) AS sentence, tupleElement(latest, 3) AS since_step
    FROM (SELECT run_id, argMax((state, sentence, since_step), (attempt, step, version)) AS latest FROM {tables}.verdict_rows GROUP BY run_id)
) AS v USING (run_id)
COMMENT 'One row a run: what is known of it';
