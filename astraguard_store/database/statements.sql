-- baselines._baselines_of_run_sql
SELECT baseline_runs.baseline, baseline_runs.set_at_us
FROM baseline_runs
WHERE baseline_runs.run_id = ? ORDER BY baseline_runs.baseline

-- baselines._baselines_sql
SELECT baseline_runs.baseline, baseline_runs.run_id, baseline_runs.set_at_us
FROM baseline_runs ORDER BY baseline_runs.baseline, baseline_runs.run_id

-- baselines._delete_sql
DELETE FROM baseline_runs WHERE baseline_runs.baseline = ?

-- baselines._judged_sql
SELECT DISTINCT run_verdicts.run_id
FROM run_verdicts
WHERE run_verdicts.run_id > ? ORDER BY run_verdicts.run_id
 LIMIT ? OFFSET 0

-- baselines._marks_sql
SELECT run_verdicts.run_id, run_verdicts.judged_at_us
FROM run_verdicts
WHERE run_verdicts.run_id IN (SELECT given.value
FROM json_each(?) AS given)

-- baselines._others_sql
SELECT EXISTS (SELECT *
FROM baseline_runs
WHERE baseline_runs.baseline = ? AND baseline_runs.set_at_us != ?) AS anon_1

-- baselines._verdicts_of_run_sql
SELECT run_verdicts.judged_at_us, run_verdicts.verdict, run_verdicts.baseline, run_verdicts.noise_source, run_verdicts.report
FROM run_verdicts
WHERE run_verdicts.run_id = ? ORDER BY run_verdicts.judged_at_us

-- documents._delete_sql
DELETE FROM run_documents WHERE run_documents.run_id = ?

-- documents._document_sql
SELECT run_documents.document
FROM run_documents
WHERE run_documents.run_id = ?

-- documents._missing_sql
SELECT runs.run_id
FROM runs LEFT OUTER JOIN run_documents ON runs.run_id = run_documents.run_id
WHERE runs.run_id > ? AND (run_documents.document IS NULL OR substr(run_documents.document, 1, 2) != ?) ORDER BY runs.run_id
 LIMIT ? OFFSET 0

-- documents._rows_sql table=artifacts
SELECT artifacts.run_id, artifacts.kind, artifacts.path, artifacts.bytes, artifacts.sha256, artifacts.rows, artifacts.store_id
FROM artifacts
WHERE artifacts.run_id = ?

-- documents._rows_sql table=statistics
SELECT statistics.run_id, statistics.satellite_id, statistics.metric_type, statistics.position, statistics.count, statistics.mean_ms, statistics.p50_ms, statistics.p95_ms, statistics.p99_ms, statistics.min_ms, statistics.max_ms, statistics.missed
FROM statistics
WHERE statistics.run_id = ?

-- documents._write_sql
INSERT INTO run_documents (run_id, document) VALUES (?, ?) ON CONFLICT (run_id) DO UPDATE SET document = excluded.document

-- judged_runs._buckets_sql
SELECT buckets.run_id, buckets.counts
FROM buckets
WHERE buckets.run_id IN (SELECT given.value
FROM json_each(?) AS given) AND buckets.satellite_id = ? AND buckets.metric_type = ?

-- judged_runs._history_sql
SELECT runs.run_id
FROM runs
WHERE runs.scenario = :scenario AND coalesce(nullif(runs.rig, ''), runs.host) = :machine AND NOT (EXISTS (SELECT *
FROM run_tags
WHERE run_tags.run_id = runs.run_id AND run_tags.tag = :excluded)) AND NOT (EXISTS (SELECT *
FROM run_verdicts
WHERE run_verdicts.run_id = runs.run_id AND run_verdicts.verdict = 'regressed')) AND runs.state = 'finished' ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- judged_runs._metrics_sql
SELECT statistics.run_id, statistics.metric_type, statistics.count, statistics.mean_ms, statistics.p50_ms, statistics.p95_ms, statistics.p99_ms, statistics.min_ms, statistics.max_ms, statistics.missed
FROM statistics
WHERE statistics.run_id IN (SELECT given.value
FROM json_each(?) AS given) AND statistics.satellite_id = ''

-- judged_runs._runs_sql
SELECT runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_1, machine_noise.steal_worst, machine_noise.pressure_worst, machine_noise.load_worst / (nullif(machine_noise.processors, 0) + 0.0) AS anon_1, runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, NULL AS anon_2, NULL AS anon__1, runs.percentile_definition
FROM runs LEFT OUTER JOIN machine_noise ON runs.run_id = machine_noise.run_id
WHERE runs.run_id IN (SELECT given.value
FROM json_each(?) AS given)

-- judged_runs._satellites_sql
SELECT statistics.run_id, statistics.metric_type, statistics.satellite_id, statistics.count, statistics.mean_ms, statistics.p50_ms, statistics.p95_ms, statistics.p99_ms, statistics.min_ms, statistics.max_ms, statistics.missed
FROM statistics
WHERE statistics.run_id IN (SELECT given.value
FROM json_each(?) AS given) AND statistics.satellite_id != ''

-- judged_runs._series_sql of_scenario=False since=False statistic=mean
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.mean_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=False since=False statistic=p50
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p50_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=False since=False statistic=p95
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p95_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=False since=False statistic=p99
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p99_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=False since=True statistic=mean
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.mean_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=False since=True statistic=p50
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p50_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=False since=True statistic=p95
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p95_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=False since=True statistic=p99
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p99_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=False statistic=mean
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.mean_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=False statistic=p50
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p50_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=False statistic=p95
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p95_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=False statistic=p99
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p99_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=True statistic=mean
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.mean_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=True statistic=p50
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p50_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=True statistic=p95
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p95_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._series_sql of_scenario=True since=True statistic=p99
SELECT runs.scenario, coalesce(nullif(runs.rig, ''), runs.host) AS coalesce_1, runs.run_id, coalesce(runs.started_at_us, runs.recorded_at_us) AS coalesce_2, statistics.p99_ms
FROM statistics JOIN runs ON runs.run_id = statistics.run_id
WHERE statistics.metric_type = :metric_type AND statistics.satellite_id = '' AND runs.state = 'finished' AND runs.scenario = :scenario AND coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY coalesce(runs.started_at_us, runs.recorded_at_us), runs.run_id

-- judged_runs._served_sql
SELECT statistics.run_id, statistics.metric_type, max(statistics.count) AS max_1, min(statistics.satellite_id) AS min_1, max(statistics.satellite_id) AS max_2
FROM statistics
WHERE statistics.run_id IN (SELECT given.value
FROM json_each(?) AS given) AND statistics.satellite_id != '' GROUP BY statistics.run_id, statistics.metric_type

-- judged_runs._tags_sql
SELECT run_tags.run_id, run_tags.tag, run_tags.value
FROM run_tags
WHERE run_tags.run_id IN (SELECT given.value
FROM json_each(?) AS given)

-- judged_runs._units_sql
SELECT units.run_id, units.satellite_id, units.serial, units.hardware, units.firmware
FROM units
WHERE units.run_id IN (SELECT given.value
FROM json_each(?) AS given)

-- lists._count_runs_sql
SELECT count(*) AS count_1
FROM runs

-- lists._count_sql tag=name
SELECT count(*) AS count_1
FROM (SELECT run_tags.run_id AS run_id
FROM run_tags
WHERE run_tags.tag = :tag
 LIMIT 1000 OFFSET 0) AS anon_1

-- lists._count_sql tag=value
SELECT count(*) AS count_1
FROM (SELECT run_tags.run_id AS run_id
FROM run_tags
WHERE run_tags.tag = :tag AND run_tags.value = :value
 LIMIT 1000 OFFSET 0) AS anon_1

-- lists._marks_sql
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.staging_token, runs.state, runs.last_written_at_us
FROM runs
WHERE runs.run_id > ? ORDER BY runs.run_id
 LIMIT ? OFFSET 0

-- lists._noted_bytes_sql
SELECT sum(artifacts.bytes) AS sum_1
FROM artifacts
WHERE (artifacts.run_id NOT IN (SELECT given.value
FROM json_each(?) AS given)) AND artifacts.store_id IS NULL UNION ALL SELECT sum(attachments.bytes) AS sum_2
FROM attachments
WHERE (attachments.run_id NOT IN (SELECT given.value
FROM json_each(?) AS given))

-- lists._prunable_sql of_all=False
SELECT runs.run_id, runs.recorded_at_us, runs.run_id IN (SELECT run_tags.run_id
FROM run_tags
WHERE run_tags.tag = 'pinned') OR runs.run_id IN (SELECT baseline_runs.run_id
FROM baseline_runs) AS anon_1, CASE WHEN (EXISTS (SELECT *
FROM measurements
WHERE measurements.run_id = runs.run_id)) THEN runs.total_measurements ELSE 0 END AS anon_2, CASE WHEN (runs.run_id IN (SELECT recorded.run_id
FROM runs AS recorded
WHERE recorded.live_token IS NOT NULL)) THEN 'running' ELSE runs.state END AS anon_3
FROM runs
WHERE runs.run_id IN (SELECT given.value
FROM json_each(:run_ids) AS given)

-- lists._prunable_sql of_all=True
SELECT runs.run_id, runs.recorded_at_us, runs.run_id IN (SELECT run_tags.run_id
FROM run_tags
WHERE run_tags.tag = 'pinned') OR runs.run_id IN (SELECT baseline_runs.run_id
FROM baseline_runs) AS anon_1, CASE WHEN (EXISTS (SELECT *
FROM measurements
WHERE measurements.run_id = runs.run_id)) THEN runs.total_measurements ELSE 0 END AS anon_2, CASE WHEN (runs.run_id IN (SELECT recorded.run_id
FROM runs AS recorded
WHERE recorded.live_token IS NOT NULL)) THEN 'running' ELSE runs.state END AS anon_3
FROM runs ORDER BY runs.recorded_at_us DESC, runs.run_id DESC

-- lists._run_ids_sql
SELECT runs.run_id
FROM runs ORDER BY runs.run_id

-- lists._tags_between_sql
SELECT run_tags.run_id, run_tags.tag, run_tags.value
FROM run_tags
WHERE run_tags.run_id > ? AND run_tags.run_id <= ?

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic='max_ms', before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = runs.run_id AND statistics.satellite_id = '' AND statistics.metric_type = :metric_type AND statistics.max_ms > :limit_ms) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic='mean_ms', before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = runs.run_id AND statistics.satellite_id = '' AND statistics.metric_type = :metric_type AND statistics.mean_ms > :limit_ms) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic='p50_ms', before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = runs.run_id AND statistics.satellite_id = '' AND statistics.metric_type = :metric_type AND statistics.p50_ms > :limit_ms) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic='p95_ms', before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = runs.run_id AND statistics.satellite_id = '' AND statistics.metric_type = :metric_type AND statistics.p95_ms > :limit_ms) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic='p99_ms', before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = runs.run_id AND statistics.satellite_id = '' AND statistics.metric_type = :metric_type AND statistics.p99_ms > :limit_ms) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic=None, before=False, state=False, until=True, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE coalesce(runs.started_at_us, runs.recorded_at_us) < :until_us ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic=None, before=False, state=True, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE runs.state = :state ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=False, statistic=None, before=True, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE (runs.recorded_at_us, runs.run_id) < (:before_us, :before_id) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='', few_tagged=False, since=True, statistic=None, before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE coalesce(runs.started_at_us, runs.recorded_at_us) >= :since_us ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='name', few_tagged=False, since=False, statistic=None, before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE EXISTS (SELECT *
FROM run_tags
WHERE run_tags.run_id = runs.run_id AND run_tags.tag = :tag) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='name', few_tagged=True, since=False, statistic=None, before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE runs.run_id IN (SELECT run_tags.run_id
FROM run_tags
WHERE run_tags.tag = :tag) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='value', few_tagged=False, since=False, statistic=None, before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE EXISTS (SELECT *
FROM run_tags
WHERE run_tags.run_id = runs.run_id AND run_tags.tag = :tag AND run_tags.value = :value) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=False, tag='value', few_tagged=True, since=False, statistic=None, before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE runs.run_id IN (SELECT run_tags.run_id
FROM run_tags
WHERE run_tags.tag = :tag AND run_tags.value = :value) ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.filtered_sql shape=_Shape(scenario=True, tag='', few_tagged=False, since=False, statistic=None, before=False, state=False, until=False, recorded_since=False)
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs
WHERE runs.scenario = :scenario ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT :limit OFFSET 0

-- lists.recent_sql
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.state, runs.last_written_at_us
FROM runs ORDER BY runs.recorded_at_us DESC, runs.run_id DESC
 LIMIT ? OFFSET 0

-- live._end_sql
UPDATE runs SET live_token=:none WHERE runs.run_id = :this_run AND runs.live_token = :token

-- live._insert_sql
INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements, utc_offset_s, staging_token, scenario, seed, software_version, git_commit, git_branch, git_dirty, host, platform, python, rig, firmware, started_at_us, finished_at_us, percentile_definition, state, error, last_written_at_us, live_token, save_id, save_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING

-- live._is_new_sql
SELECT EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = runs.run_id) AS anon_1
FROM runs
WHERE runs.run_id = :this_run AND runs.live_token = :token

-- live._live_runs_sql
SELECT runs.run_id, runs.live_token
FROM runs
WHERE runs.live_token IS NOT NULL

-- live._note_end_sql
UPDATE runs SET state=:new_state, error=:new_error, last_written_at_us=:new_last_written_at_us WHERE runs.run_id = :this_run

-- live._set_revision_sql
UPDATE runs SET revision=:new_revision WHERE runs.run_id = :this_run

-- live._take_sql
UPDATE runs SET state=:state, error=:error, last_written_at_us=:written_at_us, live_token=:token WHERE runs.run_id = :this_run AND runs.live_token IS NULL

-- live._touch_sql
UPDATE runs SET total_measurements=CASE WHEN (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = runs.run_id)) THEN runs.total_measurements ELSE :total_measurements_now END, last_written_at_us=:written_at_us WHERE runs.run_id = :this_run AND runs.live_token = :token

-- measurements._labels_sql
SELECT statistics.position, statistics.metric_type, statistics.satellite_id
FROM statistics
WHERE statistics.run_id = ? AND statistics.satellite_id > ''

-- measurements._rows_sql
SELECT measurements.position, measurements.missed, measurements.timestamp, measurements.duration_ms, measurements.scenario_time_s
FROM measurements
WHERE measurements.run_id = ? ORDER BY measurements."row"

-- percentiles._rows_sql by=('day', 'run') of_all=True on=all
SELECT strftime('%Y-%m-%d', ((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000) * 86400, 'unixepoch') AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('day',) of_all=True on=all
SELECT strftime('%Y-%m-%d', ((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000) * 86400, 'unixepoch') AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('firmware', 'run') of_all=True on=all
SELECT runs.firmware AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('firmware',) of_all=True on=all
SELECT runs.firmware AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('git_branch', 'run') of_all=True on=all
SELECT runs.git_branch AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('git_branch',) of_all=True on=all
SELECT runs.git_branch AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('git_commit', 'run') of_all=True on=all
SELECT runs.git_commit AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('git_commit',) of_all=True on=all
SELECT runs.git_commit AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('host', 'run') of_all=True on=all
SELECT runs.host AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('host',) of_all=True on=all
SELECT runs.host AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('month', 'run') of_all=True on=all
SELECT strftime('%Y-%m', ((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000) * 86400, 'unixepoch') AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('month',) of_all=True on=all
SELECT strftime('%Y-%m', ((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000) * 86400, 'unixepoch') AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('platform', 'run') of_all=True on=all
SELECT runs.platform AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('platform',) of_all=True on=all
SELECT runs.platform AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('python', 'run') of_all=True on=all
SELECT runs.python AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('python',) of_all=True on=all
SELECT runs.python AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('rig', 'run') of_all=True on=all
SELECT runs.rig AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('rig',) of_all=True on=all
SELECT runs.rig AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('run',) of_all=True on=all
SELECT runs.run_id AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('satellite', 'run') of_all=True on=each
SELECT statistics.satellite_id AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs JOIN statistics ON statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id > '' LEFT OUTER JOIN buckets ON buckets.run_id = statistics.run_id AND buckets.satellite_id = statistics.satellite_id AND buckets.metric_type = statistics.metric_type
WHERE runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('satellite',) of_all=True on=each
SELECT statistics.satellite_id AS group_0, runs.run_id, buckets.counts
FROM runs JOIN statistics ON statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id > '' LEFT OUTER JOIN buckets ON buckets.run_id = statistics.run_id AND buckets.satellite_id = statistics.satellite_id AND buckets.metric_type = statistics.metric_type
WHERE runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('scenario', 'run') of_all=True on=all
SELECT runs.scenario AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('scenario', 'week') of_all=True on=all
SELECT runs.scenario AS group_0, printf('%s-W%02d', strftime('%Y', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch'), (CAST(strftime('%j', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch') AS INTEGER) + 6) / 7) AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('scenario', 'week', 'run') of_all=True on=all
SELECT runs.scenario AS group_0, printf('%s-W%02d', strftime('%Y', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch'), (CAST(strftime('%j', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch') AS INTEGER) + 6) / 7) AS group_1, runs.run_id AS group_2, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1, group_2

-- percentiles._rows_sql by=('scenario',) of_all=True on=all
SELECT runs.scenario AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('serial', 'run') of_all=True on=each
SELECT units.serial AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs JOIN statistics ON statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id > '' LEFT OUTER JOIN buckets ON buckets.run_id = statistics.run_id AND buckets.satellite_id = statistics.satellite_id AND buckets.metric_type = statistics.metric_type LEFT OUTER JOIN units ON units.run_id = statistics.run_id AND units.satellite_id = statistics.satellite_id
WHERE runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('serial',) of_all=True on=each
SELECT units.serial AS group_0, runs.run_id, buckets.counts
FROM runs JOIN statistics ON statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id > '' LEFT OUTER JOIN buckets ON buckets.run_id = statistics.run_id AND buckets.satellite_id = statistics.satellite_id AND buckets.metric_type = statistics.metric_type LEFT OUTER JOIN units ON units.run_id = statistics.run_id AND units.satellite_id = statistics.satellite_id
WHERE runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('software_version', 'run') of_all=True on=all
SELECT runs.software_version AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('software_version',) of_all=True on=all
SELECT runs.software_version AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=('week', 'run') of_all=True on=all
SELECT printf('%s-W%02d', strftime('%Y', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch'), (CAST(strftime('%j', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch') AS INTEGER) + 6) / 7) AS group_0, runs.run_id AS group_1, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0, group_1

-- percentiles._rows_sql by=('week',) of_all=True on=all
SELECT printf('%s-W%02d', strftime('%Y', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch'), (CAST(strftime('%j', (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 - (((coalesce(runs.started_at_us, runs.recorded_at_us) - (coalesce(runs.started_at_us, runs.recorded_at_us) % 86400000000 + 86400000000) % 86400000000) / 86400000000 + 3) % 7 + 7) % 7) + 3) * 86400, 'unixepoch') AS INTEGER) + 6) / 7) AS group_0, runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY group_0

-- percentiles._rows_sql by=() of_all=False on=all
SELECT runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.run_id IN (SELECT given.value
FROM json_each(:run_ids) AS given) ORDER BY runs.run_id

-- percentiles._rows_sql by=() of_all=True on=all
SELECT runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = ''
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''))) AND runs.state = 'finished' ORDER BY runs.run_id

-- percentiles._rows_sql by=() of_all=True on=one
SELECT runs.run_id, buckets.counts
FROM runs LEFT OUTER JOIN buckets ON buckets.run_id = +runs.run_id AND buckets.metric_type = :metric_type AND buckets.satellite_id = :satellite_id
WHERE (buckets.run_id IS NOT NULL OR (EXISTS (SELECT *
FROM statistics
WHERE statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = :satellite_id))) AND runs.state = 'finished' ORDER BY runs.run_id

-- percentiles._unfinished_sql on=all
SELECT DISTINCT runs.run_id
FROM runs JOIN statistics ON statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = ''
WHERE runs.state != 'finished' ORDER BY runs.run_id

-- percentiles._unfinished_sql on=each
SELECT DISTINCT runs.run_id
FROM runs JOIN statistics ON statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id > ''
WHERE runs.state != 'finished' ORDER BY runs.run_id

-- percentiles._unfinished_sql on=one
SELECT DISTINCT runs.run_id
FROM runs JOIN statistics ON statistics.run_id = +runs.run_id AND statistics.metric_type = :metric_type AND statistics.satellite_id = :satellite_id
WHERE runs.state != 'finished' ORDER BY runs.run_id

-- percentiles._unknown_sql
SELECT given.value
FROM json_each(:run_ids) AS given
WHERE NOT (EXISTS (SELECT *
FROM runs
WHERE runs.run_id = given.value))
 LIMIT 1 OFFSET 0

-- run_files._complete_satellite_sql
UPDATE statistics SET p99_ms=:p99, min_ms=:least WHERE statistics.run_id = :this_run AND statistics.satellite_id = :satellite AND statistics.metric_type = :metric AND statistics.p99_ms IS NULL

-- run_files._has_buckets_sql
SELECT buckets.run_id
FROM buckets
WHERE buckets.run_id = ? AND buckets.satellite_id = ''
 LIMIT 1 OFFSET 0

-- run_files._note_csv_sql
UPDATE artifacts SET sha256=:digest, rows=:counted WHERE artifacts.run_id = :this_run AND artifacts.kind = :file_kind AND artifacts.bytes = :size AND artifacts.sha256 IS NULL

-- run_files._note_file_sql
UPDATE artifacts SET bytes=:size, sha256=:digest WHERE artifacts.run_id = :this_run AND artifacts.path = :where

-- runs._delete_dangling_sql table=artifacts
DELETE FROM artifacts WHERE (artifacts.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=attachments
DELETE FROM attachments WHERE (attachments.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=baseline_runs
DELETE FROM baseline_runs WHERE (baseline_runs.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=buckets
DELETE FROM buckets WHERE (buckets.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=machine_noise
DELETE FROM machine_noise WHERE (machine_noise.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=measurements
DELETE FROM measurements WHERE (measurements.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=run_documents
DELETE FROM run_documents WHERE (run_documents.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=run_tags
DELETE FROM run_tags WHERE (run_tags.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=run_verdicts
DELETE FROM run_verdicts WHERE (run_verdicts.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=save_ids
DELETE FROM save_ids WHERE (save_ids.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=statistics
DELETE FROM statistics WHERE (statistics.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._delete_dangling_sql table=units
DELETE FROM units WHERE (units.run_id NOT IN (SELECT runs.run_id
FROM runs))

-- runs._ids_of_run_sql
SELECT save_ids.save_id, save_ids.sha256, save_ids.revision
FROM save_ids
WHERE save_ids.run_id = ? ORDER BY save_ids.revision, save_ids.save_id

-- runs._keeps_buckets_sql
SELECT EXISTS (SELECT *
FROM buckets
WHERE buckets.run_id = ? AND buckets.satellite_id > '') AS anon_1

-- runs._named_saves_sql
SELECT save_ids.run_id, save_ids.sha256
FROM save_ids
WHERE save_ids.save_id = ?

-- runs._note_save_id_sql
INSERT INTO save_ids (run_id, save_id, sha256, revision) VALUES (?, ?, ?, ?) ON CONFLICT (run_id, save_id) DO UPDATE SET sha256 = excluded.sha256, revision = excluded.revision

-- runs.comparison_sql by_satellite=False
WITH baseline AS NOT MATERIALIZED
(SELECT statistics.satellite_id AS satellite_id, statistics.metric_type AS metric_type, statistics.count AS count, statistics.mean_ms AS mean_ms, statistics.p50_ms AS p50_ms, statistics.p95_ms AS p95_ms, statistics.p99_ms AS p99_ms, statistics.min_ms AS min_ms, statistics.max_ms AS max_ms, statistics.missed AS missed
FROM statistics
WHERE statistics.run_id = ? AND statistics.satellite_id = ''),
candidate AS NOT MATERIALIZED
(SELECT statistics.satellite_id AS satellite_id, statistics.metric_type AS metric_type, statistics.count AS count, statistics.mean_ms AS mean_ms, statistics.p50_ms AS p50_ms, statistics.p95_ms AS p95_ms, statistics.p99_ms AS p99_ms, statistics.min_ms AS min_ms, statistics.max_ms AS max_ms, statistics.missed AS missed
FROM statistics
WHERE statistics.run_id = ? AND statistics.satellite_id = '')
 SELECT 2, baseline.satellite_id, baseline.metric_type, baseline.count, baseline.mean_ms, baseline.p50_ms, baseline.p95_ms, baseline.p99_ms, baseline.min_ms, baseline.max_ms, baseline.missed, candidate.count AS count_1, candidate.mean_ms AS mean_ms_1, candidate.p50_ms AS p50_ms_1, candidate.p95_ms AS p95_ms_1, candidate.p99_ms AS p99_ms_1, candidate.min_ms AS min_ms_1, candidate.max_ms AS max_ms_1, candidate.missed AS missed_1, NULL AS anon_1
FROM baseline LEFT OUTER JOIN candidate ON baseline.satellite_id = candidate.satellite_id AND baseline.metric_type = candidate.metric_type UNION ALL SELECT 2, candidate.satellite_id, candidate.metric_type, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, candidate.count, candidate.mean_ms, candidate.p50_ms, candidate.p95_ms, candidate.p99_ms, candidate.min_ms, candidate.max_ms, candidate.missed, NULL AS anon__8
FROM candidate LEFT OUTER JOIN baseline ON baseline.satellite_id = candidate.satellite_id AND baseline.metric_type = candidate.metric_type
WHERE baseline.metric_type IS NULL UNION ALL SELECT 1, 'baseline', runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, NULL AS anon_1, NULL AS anon__1, runs.percentile_definition, runs.state, machine_noise.steal_worst, machine_noise.pressure_worst, machine_noise.load_worst / (nullif(machine_noise.processors, 0) + 0.0) AS anon_2
FROM runs LEFT OUTER JOIN machine_noise ON runs.run_id = machine_noise.run_id
WHERE runs.run_id = ? UNION ALL SELECT 1, 'candidate', runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, NULL AS anon_1, NULL AS anon__1, runs.percentile_definition, runs.state, machine_noise.steal_worst, machine_noise.pressure_worst, machine_noise.load_worst / (nullif(machine_noise.processors, 0) + 0.0) AS anon_3
FROM runs LEFT OUTER JOIN machine_noise ON runs.run_id = machine_noise.run_id
WHERE runs.run_id = ? UNION ALL SELECT 6, 'baseline', units.satellite_id, units.serial, units.hardware, units.firmware, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12, NULL AS anon__13
FROM units
WHERE units.run_id = ? UNION ALL SELECT 6, 'candidate', units.satellite_id, units.serial, units.hardware, units.firmware, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12, NULL AS anon__13
FROM units
WHERE units.run_id = ?

-- runs.comparison_sql by_satellite=True
WITH baseline AS NOT MATERIALIZED
(SELECT statistics.satellite_id AS satellite_id, statistics.metric_type AS metric_type, statistics.count AS count, statistics.mean_ms AS mean_ms, statistics.p50_ms AS p50_ms, statistics.p95_ms AS p95_ms, statistics.p99_ms AS p99_ms, statistics.min_ms AS min_ms, statistics.max_ms AS max_ms, statistics.missed AS missed
FROM statistics
WHERE statistics.run_id = ? AND statistics.satellite_id > ''),
candidate AS NOT MATERIALIZED
(SELECT statistics.satellite_id AS satellite_id, statistics.metric_type AS metric_type, statistics.count AS count, statistics.mean_ms AS mean_ms, statistics.p50_ms AS p50_ms, statistics.p95_ms AS p95_ms, statistics.p99_ms AS p99_ms, statistics.min_ms AS min_ms, statistics.max_ms AS max_ms, statistics.missed AS missed
FROM statistics
WHERE statistics.run_id = ? AND statistics.satellite_id > '')
 SELECT 2, baseline.satellite_id, baseline.metric_type, baseline.count, baseline.mean_ms, baseline.p50_ms, baseline.p95_ms, baseline.p99_ms, baseline.min_ms, baseline.max_ms, baseline.missed, candidate.count AS count_1, candidate.mean_ms AS mean_ms_1, candidate.p50_ms AS p50_ms_1, candidate.p95_ms AS p95_ms_1, candidate.p99_ms AS p99_ms_1, candidate.min_ms AS min_ms_1, candidate.max_ms AS max_ms_1, candidate.missed AS missed_1, NULL AS anon_1
FROM baseline LEFT OUTER JOIN candidate ON baseline.satellite_id = candidate.satellite_id AND baseline.metric_type = candidate.metric_type UNION ALL SELECT 2, candidate.satellite_id, candidate.metric_type, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, candidate.count, candidate.mean_ms, candidate.p50_ms, candidate.p95_ms, candidate.p99_ms, candidate.min_ms, candidate.max_ms, candidate.missed, NULL AS anon__8
FROM candidate LEFT OUTER JOIN baseline ON baseline.satellite_id = candidate.satellite_id AND baseline.metric_type = candidate.metric_type
WHERE baseline.metric_type IS NULL UNION ALL SELECT 1, 'baseline', runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, NULL AS anon_1, NULL AS anon__1, runs.percentile_definition, runs.state, machine_noise.steal_worst, machine_noise.pressure_worst, machine_noise.load_worst / (nullif(machine_noise.processors, 0) + 0.0) AS anon_2
FROM runs LEFT OUTER JOIN machine_noise ON runs.run_id = machine_noise.run_id
WHERE runs.run_id = ? UNION ALL SELECT 1, 'candidate', runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, NULL AS anon_1, NULL AS anon__1, runs.percentile_definition, runs.state, machine_noise.steal_worst, machine_noise.pressure_worst, machine_noise.load_worst / (nullif(machine_noise.processors, 0) + 0.0) AS anon_3
FROM runs LEFT OUTER JOIN machine_noise ON runs.run_id = machine_noise.run_id
WHERE runs.run_id = ? UNION ALL SELECT 6, 'baseline', units.satellite_id, units.serial, units.hardware, units.firmware, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12, NULL AS anon__13
FROM units
WHERE units.run_id = ? UNION ALL SELECT 6, 'candidate', units.satellite_id, units.serial, units.hardware, units.firmware, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12, NULL AS anon__13
FROM units
WHERE units.run_id = ?

-- runs.delete_of_run_sql table=artifacts
DELETE FROM artifacts WHERE artifacts.run_id = ?

-- runs.delete_of_run_sql table=attachments
DELETE FROM attachments WHERE attachments.run_id = ?

-- runs.delete_of_run_sql table=buckets
DELETE FROM buckets WHERE buckets.run_id = ?

-- runs.delete_of_run_sql table=machine_noise
DELETE FROM machine_noise WHERE machine_noise.run_id = ?

-- runs.delete_of_run_sql table=measurements
DELETE FROM measurements WHERE measurements.run_id = ?

-- runs.delete_of_run_sql table=statistics
DELETE FROM statistics WHERE statistics.run_id = ?

-- runs.delete_of_run_sql table=units
DELETE FROM units WHERE units.run_id = ?

-- runs.delete_run_sql
DELETE FROM runs WHERE runs.run_id = ? AND runs.live_token IS NULL

-- runs.purge_measurements_sql
DELETE FROM measurements WHERE measurements.run_id = ?

-- runs.remove_tag_sql
DELETE FROM run_tags WHERE run_tags.run_id = ? AND run_tags.tag = ?

-- runs.run_exists_sql
SELECT runs.revision
FROM runs
WHERE runs.run_id = ?

-- runs.run_rows_sql
SELECT 0, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.utc_offset_s, runs.staging_token, runs.state, runs.error, runs.last_written_at_us, runs.live_token, runs.save_id, runs.save_sha256, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2
FROM runs
WHERE runs.run_id = ? UNION ALL SELECT 1, runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, runs.started_at_us, runs.finished_at_us, runs.percentile_definition
FROM runs
WHERE runs.run_id = ? UNION ALL SELECT 2, statistics.satellite_id, statistics.metric_type, statistics.position, statistics.count, statistics.mean_ms, statistics.p50_ms, statistics.p95_ms, statistics.p99_ms, statistics.min_ms, statistics.max_ms, statistics.missed, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2
FROM statistics
WHERE statistics.run_id = ? UNION ALL SELECT 3, artifacts.kind, artifacts.path, artifacts.bytes, artifacts.sha256, artifacts.rows, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8
FROM artifacts
WHERE artifacts.run_id = ? UNION ALL SELECT 4, run_tags.tag, run_tags.value, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11
FROM run_tags
WHERE run_tags.run_id = ? UNION ALL SELECT 5, attachments.name, attachments.bytes, attachments.sha256, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10
FROM attachments
WHERE attachments.run_id = ? UNION ALL SELECT 6, units.satellite_id, units.serial, units.hardware, units.firmware, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9
FROM units
WHERE units.run_id = ? UNION ALL SELECT 7, machine_noise.processors, machine_noise.load_start, machine_noise.load_end, machine_noise.load_worst, machine_noise.steal_start, machine_noise.steal_end, machine_noise.steal_worst, machine_noise.pressure_start, machine_noise.pressure_end, machine_noise.pressure_worst, machine_noise.frequency_mhz_start, machine_noise.frequency_mhz_end, machine_noise.frequency_mhz_worst, NULL AS anon_1
FROM machine_noise
WHERE machine_noise.run_id = ?

-- runs.run_with_document_sql
SELECT 0, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.utc_offset_s, runs.staging_token, runs.state, runs.error, runs.last_written_at_us, runs.live_token, runs.save_id, runs.save_sha256, runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, runs.started_at_us, runs.finished_at_us, runs.percentile_definition, run_documents.document
FROM runs LEFT OUTER JOIN run_documents ON runs.run_id = run_documents.run_id
WHERE runs.run_id = ? UNION ALL SELECT 4, run_tags.tag, run_tags.value, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12, NULL AS anon__13, NULL AS anon__14, NULL AS anon__15, NULL AS anon__16, NULL AS anon__17, NULL AS anon__18, NULL AS anon__19, NULL AS anon__20, NULL AS anon__21, NULL AS anon__22, NULL AS anon__23
FROM run_tags
WHERE run_tags.run_id = ? UNION ALL SELECT 5, attachments.name, attachments.bytes, attachments.sha256, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12, NULL AS anon__13, NULL AS anon__14, NULL AS anon__15, NULL AS anon__16, NULL AS anon__17, NULL AS anon__18, NULL AS anon__19, NULL AS anon__20, NULL AS anon__21, NULL AS anon__22
FROM attachments
WHERE attachments.run_id = ? UNION ALL SELECT 6, units.satellite_id, units.serial, units.hardware, units.firmware, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12, NULL AS anon__13, NULL AS anon__14, NULL AS anon__15, NULL AS anon__16, NULL AS anon__17, NULL AS anon__18, NULL AS anon__19, NULL AS anon__20, NULL AS anon__21
FROM units
WHERE units.run_id = ? UNION ALL SELECT 7, machine_noise.processors, machine_noise.load_start, machine_noise.load_end, machine_noise.load_worst, machine_noise.steal_start, machine_noise.steal_end, machine_noise.steal_worst, machine_noise.pressure_start, machine_noise.pressure_end, machine_noise.pressure_worst, machine_noise.frequency_mhz_start, machine_noise.frequency_mhz_end, machine_noise.frequency_mhz_worst, NULL AS anon_1, NULL AS anon__1, NULL AS anon__2, NULL AS anon__3, NULL AS anon__4, NULL AS anon__5, NULL AS anon__6, NULL AS anon__7, NULL AS anon__8, NULL AS anon__9, NULL AS anon__10, NULL AS anon__11, NULL AS anon__12
FROM machine_noise
WHERE machine_noise.run_id = ?

-- runs.save_run_sql
INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements, utc_offset_s, staging_token, scenario, seed, software_version, git_commit, git_branch, git_dirty, host, platform, python, rig, firmware, started_at_us, finished_at_us, percentile_definition, state, error, last_written_at_us, live_token, save_id, save_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET revision = (runs.revision + 1), recorded_at_us = excluded.recorded_at_us, total_measurements = excluded.total_measurements, utc_offset_s = excluded.utc_offset_s, staging_token = excluded.staging_token, scenario = excluded.scenario, seed = excluded.seed, software_version = excluded.software_version, git_commit = excluded.git_commit, git_branch = excluded.git_branch, git_dirty = excluded.git_dirty, host = excluded.host, platform = excluded.platform, python = excluded.python, rig = excluded.rig, firmware = excluded.firmware, started_at_us = excluded.started_at_us, finished_at_us = excluded.finished_at_us, percentile_definition = excluded.percentile_definition, state = excluded.state, error = excluded.error, last_written_at_us = excluded.last_written_at_us, live_token = excluded.live_token, save_id = excluded.save_id, save_sha256 = excluded.save_sha256 WHERE runs.live_token IS NULL RETURNING revision

-- runs.set_tag_sql
INSERT INTO run_tags (run_id, tag, value) VALUES (?, ?, ?) ON CONFLICT (run_id, tag) DO UPDATE SET value = excluded.value

-- runs.tags_sql
SELECT run_tags.tag, run_tags.value
FROM run_tags
WHERE run_tags.run_id = ? ORDER BY run_tags.tag

-- sql._insert_sql table=artifacts
INSERT INTO artifacts (run_id, kind, path, bytes, sha256, rows, store_id) VALUES (?, ?, ?, ?, ?, ?, ?)

-- sql._insert_sql table=attachments
INSERT INTO attachments (run_id, name, bytes, sha256) VALUES (?, ?, ?, ?)

-- sql._insert_sql table=baseline_runs
INSERT INTO baseline_runs (run_id, baseline, set_at_us) VALUES (?, ?, ?)

-- sql._insert_sql table=buckets
INSERT INTO buckets (run_id, satellite_id, metric_type, counts) VALUES (?, ?, ?, ?)

-- sql._insert_sql table=machine_noise
INSERT INTO machine_noise (run_id, processors, load_start, load_end, load_worst, steal_start, steal_end, steal_worst, pressure_start, pressure_end, pressure_worst, frequency_mhz_start, frequency_mhz_end, frequency_mhz_worst) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- sql._insert_sql table=measurements
INSERT INTO measurements (run_id, position, "row", timestamp, duration_ms, scenario_time_s, missed) VALUES (?, ?, ?, ?, ?, ?, ?)

-- sql._insert_sql table=run_tags
INSERT INTO run_tags (run_id, tag, value) VALUES (?, ?, ?)

-- sql._insert_sql table=run_verdicts
INSERT INTO run_verdicts (run_id, judged_at_us, verdict, baseline, noise_source, report) VALUES (?, ?, ?, ?, ?, ?)

-- sql._insert_sql table=statistics
INSERT INTO statistics (run_id, satellite_id, metric_type, position, count, mean_ms, p50_ms, p95_ms, p99_ms, min_ms, max_ms, missed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- sql._insert_sql table=units
INSERT INTO units (run_id, satellite_id, serial, hardware, firmware) VALUES (?, ?, ?, ?, ?)

-- store_row._adopted_sql
SELECT store.adopted_at_us
FROM store

-- store_row._fence_sql
UPDATE store SET fence=(store.fence + 1)

-- store_row._mark_adopted_sql
UPDATE store SET adopted_at_us=?

-- store_row._set_created_sql
UPDATE store SET created_at_us=?

-- store_row._set_store_id_sql
UPDATE store SET store_id=?

-- store_row._store_id_sql
SELECT store.store_id
FROM store

-- whole_runs._insert_new_run_sql
INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements, utc_offset_s, staging_token, scenario, seed, software_version, git_commit, git_branch, git_dirty, host, platform, python, rig, firmware, started_at_us, finished_at_us, percentile_definition, state, error, last_written_at_us, live_token, save_id, save_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO NOTHING

-- whole_runs._select_sql table=artifacts
SELECT artifacts.run_id, artifacts.kind, artifacts.path, artifacts.bytes, artifacts.sha256, artifacts.rows, artifacts.store_id
FROM artifacts
WHERE artifacts.run_id >= ? AND artifacts.run_id <= ? ORDER BY artifacts.run_id, artifacts.kind

-- whole_runs._select_sql table=attachments
SELECT attachments.run_id, attachments.name, attachments.bytes, attachments.sha256
FROM attachments
WHERE attachments.run_id >= ? AND attachments.run_id <= ? ORDER BY attachments.run_id, attachments.name

-- whole_runs._select_sql table=baseline_runs
SELECT baseline_runs.run_id, baseline_runs.baseline, baseline_runs.set_at_us
FROM baseline_runs
WHERE baseline_runs.run_id >= ? AND baseline_runs.run_id <= ? ORDER BY baseline_runs.run_id, baseline_runs.baseline

-- whole_runs._select_sql table=buckets
SELECT buckets.run_id, buckets.satellite_id, buckets.metric_type, buckets.counts
FROM buckets
WHERE buckets.run_id >= ? AND buckets.run_id <= ? ORDER BY buckets.run_id, buckets.satellite_id, buckets.metric_type

-- whole_runs._select_sql table=machine_noise
SELECT machine_noise.run_id, machine_noise.processors, machine_noise.load_start, machine_noise.load_end, machine_noise.load_worst, machine_noise.steal_start, machine_noise.steal_end, machine_noise.steal_worst, machine_noise.pressure_start, machine_noise.pressure_end, machine_noise.pressure_worst, machine_noise.frequency_mhz_start, machine_noise.frequency_mhz_end, machine_noise.frequency_mhz_worst
FROM machine_noise
WHERE machine_noise.run_id >= ? AND machine_noise.run_id <= ? ORDER BY machine_noise.run_id

-- whole_runs._select_sql table=measurements
SELECT measurements.run_id, measurements.position, measurements."row", measurements.timestamp, measurements.duration_ms, measurements.scenario_time_s, measurements.missed
FROM measurements
WHERE measurements.run_id >= ? AND measurements.run_id <= ? ORDER BY measurements.run_id, measurements.position, measurements."row"

-- whole_runs._select_sql table=run_documents
SELECT run_documents.run_id, run_documents.document
FROM run_documents
WHERE run_documents.run_id >= ? AND run_documents.run_id <= ? ORDER BY run_documents.run_id

-- whole_runs._select_sql table=run_tags
SELECT run_tags.run_id, run_tags.tag, run_tags.value
FROM run_tags
WHERE run_tags.run_id >= ? AND run_tags.run_id <= ? ORDER BY run_tags.run_id, run_tags.tag

-- whole_runs._select_sql table=run_verdicts
SELECT run_verdicts.run_id, run_verdicts.judged_at_us, run_verdicts.verdict, run_verdicts.baseline, run_verdicts.noise_source, run_verdicts.report
FROM run_verdicts
WHERE run_verdicts.run_id >= ? AND run_verdicts.run_id <= ? ORDER BY run_verdicts.run_id, run_verdicts.judged_at_us

-- whole_runs._select_sql table=runs
SELECT runs.run_id, runs.revision, runs.recorded_at_us, runs.total_measurements, runs.utc_offset_s, runs.staging_token, runs.scenario, runs.seed, runs.software_version, runs.git_commit, runs.git_branch, runs.git_dirty, runs.host, runs.platform, runs.python, runs.rig, runs.firmware, runs.started_at_us, runs.finished_at_us, runs.percentile_definition, runs.state, runs.error, runs.last_written_at_us, runs.live_token, runs.save_id, runs.save_sha256
FROM runs
WHERE runs.run_id >= ? AND runs.run_id <= ? ORDER BY runs.run_id

-- whole_runs._select_sql table=save_ids
SELECT save_ids.run_id, save_ids.save_id, save_ids.sha256, save_ids.revision
FROM save_ids
WHERE save_ids.run_id >= ? AND save_ids.run_id <= ? ORDER BY save_ids.run_id, save_ids.save_id

-- whole_runs._select_sql table=statistics
SELECT statistics.run_id, statistics.satellite_id, statistics.metric_type, statistics.position, statistics.count, statistics.mean_ms, statistics.p50_ms, statistics.p95_ms, statistics.p99_ms, statistics.min_ms, statistics.max_ms, statistics.missed
FROM statistics
WHERE statistics.run_id >= ? AND statistics.run_id <= ? ORDER BY statistics.run_id, statistics.satellite_id, statistics.metric_type

-- whole_runs._select_sql table=units
SELECT units.run_id, units.satellite_id, units.serial, units.hardware, units.firmware
FROM units
WHERE units.run_id >= ? AND units.run_id <= ? ORDER BY units.run_id, units.satellite_id

-- whole_runs.columns_text table=artifacts
run_id str
kind str
path str
bytes int
sha256 str or null
rows int or null
store_id str or null

-- whole_runs.columns_text table=attachments
run_id str
name str
bytes int
sha256 str

-- whole_runs.columns_text table=baseline_runs
run_id str
baseline str
set_at_us int

-- whole_runs.columns_text table=buckets
run_id str
satellite_id str
metric_type str
counts str

-- whole_runs.columns_text table=machine_noise
run_id str
processors int or null
load_start float or null
load_end float or null
load_worst float or null
steal_start float or null
steal_end float or null
steal_worst float or null
pressure_start float or null
pressure_end float or null
pressure_worst float or null
frequency_mhz_start float or null
frequency_mhz_end float or null
frequency_mhz_worst float or null

-- whole_runs.columns_text table=measurements
run_id str
position int
row int
timestamp float
duration_ms float
scenario_time_s float
missed int

-- whole_runs.columns_text table=run_documents
run_id str
document bytes

-- whole_runs.columns_text table=run_tags
run_id str
tag str
value str

-- whole_runs.columns_text table=run_verdicts
run_id str
judged_at_us int
verdict str
baseline str or null
noise_source str
report str

-- whole_runs.columns_text table=runs
run_id str
revision int
recorded_at_us int
total_measurements int
utc_offset_s int or null
staging_token str or null
scenario str or null
seed int or null
software_version str or null
git_commit str or null
git_branch str or null
git_dirty int or null
host str or null
platform str or null
python str or null
rig str or null
firmware str or null
started_at_us int or null
finished_at_us int or null
percentile_definition str or null
state str
error str or null
last_written_at_us int or null
live_token str or null
save_id str or null
save_sha256 str or null

-- whole_runs.columns_text table=save_ids
run_id str
save_id str
sha256 str
revision int

-- whole_runs.columns_text table=statistics
run_id str
satellite_id str
metric_type str
position int
count int
mean_ms float
p50_ms float
p95_ms float
p99_ms float or null
min_ms float or null
max_ms float
missed int

-- whole_runs.columns_text table=units
run_id str
satellite_id str
serial str or null
hardware str or null
firmware str or null
