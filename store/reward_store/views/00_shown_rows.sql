-- What the views of steps, windows and the like are made of. A filter on the run, kind, window or slot passes through all of
-- it to the primary key, and columns that a query doesn't ask for are not read.
CREATE OR REPLACE VIEW {tables}.shown_rows {on_cluster}
AS SELECT p.*, project, reported / nullIf(expected, 0) AS coverage
FROM {tables}.pane_rows AS p FINAL
LEFT ANY JOIN (SELECT run_id, project FROM {tables}.run_rows FINAL) AS r USING (run_id)
WHERE {values_said} > 0
QUALIFY attempt = max(attempt) OVER (PARTITION BY run_id, kind, window, slot)
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'Rows of pane_rows that people see, with the project: of the greatest attempt, and of series of which something was said';
