-- What the measures need beside the sums: of pane_rows the declared range, the distribution and the products with the other
-- functions; of rollouts what these are recomputed from. Rows of before have NULL or empty arrays: not known.

ALTER TABLE {tables}.pane_rows {on_cluster}
    ADD COLUMN IF NOT EXISTS lo Nullable(Float64) COMMENT 'lower end of the declared range; NULL: none' CODEC(ZSTD(1)) AFTER role,
    ADD COLUMN IF NOT EXISTS hi Nullable(Float64) COMMENT 'upper end of the declared range; NULL: none' CODEC(ZSTD(1)) AFTER lo,
    ADD COLUMN IF NOT EXISTS sketch_values Array(Float32) COMMENT 'of a step: the finite values rounded to within 0.8 %, each once, ascending' CODEC(Delta, ZSTD(1)) AFTER hi,
    ADD COLUMN IF NOT EXISTS sketch_counts Array(UInt32) COMMENT 'how often each of sketch_values came' CODEC(T64, ZSTD(1)) AFTER sketch_values,
    ADD COLUMN IF NOT EXISTS partners Array(LowCardinality(String)) COMMENT 'of a step: the functions that products are with, the first of the run' CODEC(ZSTD(1)) AFTER sketch_counts,
    ADD COLUMN IF NOT EXISTS products Array(Float64) COMMENT 'for each of partners, the sum of (value - its group mean) x (value of the partner - its group mean)' CODEC(ZSTD(1)) AFTER partners,
    COMMENT COLUMN kind 'reward, completion (what is known of completions beside rewards) or trainer',
    COMMENT COLUMN series 'the reward function, total, the property of the completions, or the trainer scalar',
    COMMENT COLUMN role 'trained, audit, total, completion or trainer';

ALTER TABLE {tables}.rollouts {on_cluster}
    ADD COLUMN IF NOT EXISTS lo Array(Nullable(Float64)) COMMENT 'K: lower end of the declared range of each; NULL: none' AFTER roles,
    ADD COLUMN IF NOT EXISTS hi Array(Nullable(Float64)) COMMENT 'K: upper end' AFTER lo,
    ADD COLUMN IF NOT EXISTS group_size UInt32 COMMENT 'completions of each prompt, where groups are spread over messages; 0: each is whole here' AFTER `group`,
    ADD COLUMN IF NOT EXISTS columns Array(LowCardinality(String)) COMMENT 'C: names of further numbers of each completion: kl, entropy, ...' AFTER truncated,
    ADD COLUMN IF NOT EXISTS column_values Array(Float32) COMMENT 'C x n, column after column, bit for bit' CODEC(ZSTD(1)) AFTER columns;

ALTER TABLE {tables}.late_event_rows {on_cluster}
    COMMENT COLUMN kind 'reward (with what came beside the rewards) or trainer';
