CREATE OR REPLACE VIEW {views}.event_log {on_cluster}
(
    epoch UInt32 COMMENT 'counts re-creations of the events topic',
    partition UInt32 COMMENT 'of the events topic',
    offset Int64 COMMENT 'of the record in its partition',
    append_time DateTime64(3, 'UTC') COMMENT 'when the broker took it',
    run_id String COMMENT 'the message key: the run; empty for our own control records',
    kind LowCardinality(String) COMMENT 'rollout, trainer_step, run_event, sender_report, tick, rule_switch or invalid',
    payload String COMMENT 'the message as it was sent',
    landed_at DateTime64(3, 'UTC') COMMENT 'when this row was written'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT epoch, partition, offset, append_time, key AS run_id, kind, payload, landed_at FROM {tables}.event_log FINAL
COMMENT 'Every message as it was sent: what a backtest of rules folds again';
