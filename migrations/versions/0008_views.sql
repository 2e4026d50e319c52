-- The views of a server, with the columns of SQLite's. Subqueries have names, which
-- PostgreSQL 15 wants; a bit is compared, and a number's type is written out.

CREATE VIEW v_runs AS
SELECT
    run_id,
    revision,
    to_char(TIMESTAMP 'epoch' + recorded_at_us * INTERVAL '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS recorded_at,
    recorded_at_us,
    total_measurements,
    (SELECT coalesce(sum(s.missed), 0) FROM statistics AS s WHERE s.run_id = runs.run_id AND s.satellite_id = '') AS missed_events,
    utc_offset_s IS NULL AS adopted,
    scenario,
    seed,
    software_version,
    git_commit,
    git_branch,
    git_dirty = 1 AS git_dirty,
    host,
    platform,
    python,
    rig,
    firmware,
    to_char(TIMESTAMP 'epoch' + started_at_us * INTERVAL '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS started_at,
    to_char(TIMESTAMP 'epoch' + finished_at_us * INTERVAL '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS finished_at,
    percentile_definition,
    (SELECT '{' || coalesce(string_agg(to_json(t.tag) || ':' || to_json(t.value), ',' ORDER BY t.tag COLLATE "C"), '') || '}' FROM run_tags AS t WHERE t.run_id = runs.run_id) AS tags,
    state,
    error,
    to_char(TIMESTAMP 'epoch' + last_written_at_us * INTERVAL '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS last_written_at,
    save_id
FROM runs;

CREATE VIEW v_latency AS
SELECT
    run_id,
    nullif(satellite_id, '') AS satellite_id,
    metric_type,
    count AS n,
    missed,
    mean_ms,
    CASE WHEN count * 0.5::float8 < count - missed THEN p50_ms END AS p50_ms,
    CASE WHEN count * 0.95::float8 < count - missed THEN p95_ms END AS p95_ms,
    CASE WHEN count * 0.99::float8 < count - missed THEN p99_ms END AS p99_ms,
    min_ms,
    max_ms,
    CASE WHEN count * 0.5::float8 >= count - missed THEN p50_ms END AS p50_above_ms,
    CASE WHEN count * 0.95::float8 >= count - missed THEN p95_ms END AS p95_above_ms,
    CASE WHEN count * 0.99::float8 >= count - missed THEN p99_ms END AS p99_above_ms,
    p50_ms AS p50_at_least_ms,
    p95_ms AS p95_at_least_ms,
    p99_ms AS p99_at_least_ms
FROM statistics;

-- What changed for each pair of two runs. Which rows there are comes first, by what either
-- side measured, and then the numbers of each side, by their keys. The columns of a
-- percentile's row hold its number or, where it falls among the missed events, a lower
-- bound: so a candidate's column less a baseline's number is a lower bound.
CREATE VIEW v_changes AS
SELECT
    baseline,
    candidate,
    satellite_id,
    metric_type,
    baseline_n,
    candidate_n,
    baseline_missed,
    candidate_missed,
    baseline_mean_ms,
    candidate_mean_ms,
    candidate_mean_ms - baseline_mean_ms AS mean_change_ms,
    (candidate_mean_ms - baseline_mean_ms) / nullif(baseline_mean_ms, 0) AS mean_change,
    baseline_p50_ms,
    candidate_p50_ms,
    candidate_p50_ms - baseline_p50_ms AS p50_change_ms,
    (candidate_p50_ms - baseline_p50_ms) / nullif(baseline_p50_ms, 0) AS p50_change,
    baseline_p95_ms,
    candidate_p95_ms,
    candidate_p95_ms - baseline_p95_ms AS p95_change_ms,
    (candidate_p95_ms - baseline_p95_ms) / nullif(baseline_p95_ms, 0) AS p95_change,
    baseline_p99_ms,
    candidate_p99_ms,
    candidate_p99_ms - baseline_p99_ms AS p99_change_ms,
    (candidate_p99_ms - baseline_p99_ms) / nullif(baseline_p99_ms, 0) AS p99_change,
    baseline_max_ms,
    candidate_max_ms,
    candidate_p50_at_least_ms - baseline_p50_ms AS p50_change_at_least_ms,
    (candidate_p50_at_least_ms - baseline_p50_ms) / nullif(baseline_p50_ms, 0) AS p50_change_at_least,
    candidate_p95_at_least_ms - baseline_p95_ms AS p95_change_at_least_ms,
    (candidate_p95_at_least_ms - baseline_p95_ms) / nullif(baseline_p95_ms, 0) AS p95_change_at_least,
    candidate_p99_at_least_ms - baseline_p99_ms AS p99_change_at_least_ms,
    (candidate_p99_at_least_ms - baseline_p99_ms) / nullif(baseline_p99_ms, 0) AS p99_change_at_least
FROM (
    SELECT
        pair.baseline,
        pair.candidate,
        nullif(pair.satellite_id, '') AS satellite_id,
        pair.metric_type,
        b.count AS baseline_n,
        c.count AS candidate_n,
        b.missed AS baseline_missed,
        c.missed AS candidate_missed,
        b.mean_ms AS baseline_mean_ms,
        c.mean_ms AS candidate_mean_ms,
        CASE WHEN b.count * 0.5::float8 < b.count - b.missed THEN b.p50_ms END AS baseline_p50_ms,
        CASE WHEN c.count * 0.5::float8 < c.count - c.missed THEN c.p50_ms END AS candidate_p50_ms,
        CASE WHEN b.count * 0.95::float8 < b.count - b.missed THEN b.p95_ms END AS baseline_p95_ms,
        CASE WHEN c.count * 0.95::float8 < c.count - c.missed THEN c.p95_ms END AS candidate_p95_ms,
        CASE WHEN b.count * 0.99::float8 < b.count - b.missed THEN b.p99_ms END AS baseline_p99_ms,
        CASE WHEN c.count * 0.99::float8 < c.count - c.missed THEN c.p99_ms END AS candidate_p99_ms,
        b.max_ms AS baseline_max_ms,
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM (
        SELECT b_run.run_id AS baseline, c.run_id AS candidate, c.satellite_id, c.metric_type
        FROM runs AS b_run
        CROSS JOIN statistics AS c
        WHERE b_run.run_id <> c.run_id
        UNION ALL
        SELECT b.run_id AS baseline, c_run.run_id AS candidate, b.satellite_id, b.metric_type
        FROM statistics AS b
        CROSS JOIN runs AS c_run
        WHERE b.run_id <> c_run.run_id AND NOT EXISTS (
            SELECT 1 FROM statistics AS c
            WHERE c.run_id = c_run.run_id AND c.satellite_id = b.satellite_id AND c.metric_type = b.metric_type
        )
    ) AS pair
    LEFT JOIN statistics AS b
        ON b.run_id = pair.baseline AND b.satellite_id = pair.satellite_id AND b.metric_type = pair.metric_type
    LEFT JOIN statistics AS c
        ON c.run_id = pair.candidate AND c.satellite_id = pair.satellite_id AND c.metric_type = pair.metric_type
) AS sides;

-- The text of a row is a list of parts: [bucket, missed in each, count, count of the next
-- bucket, …]. Bucket i holds durations above upper_ms / 1.0202… up to upper_ms, which is
-- (1.01 / 0.99) ** i. Not every SQLite has pow(), so it is a product of squares. Bucket
-- -1037 is zero.
CREATE VIEW v_buckets AS
SELECT
    run_id,
    satellite_id,
    metric_type,
    bucket,
    CASE WHEN bucket > -1037 THEN upper_ms * 0.9900000000000001::float8 ELSE 0::float8 END AS value_ms,
    upper_ms,
    count,
    missed
FROM (
    SELECT
        run_id,
        satellite_id,
        metric_type,
        bucket,
        9.827254087680733e-10::float8
            * CASE WHEN (bucket + 1037) & 1 > 0 THEN 1.02020202020202::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 2 > 0 THEN 1.040812162024283::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 4 > 0 THEN 1.0832899566176624::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 8 > 0 THEN 1.1735171301086968::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 16 > 0 THEN 1.3771424546585525::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 32 > 0 THEN 1.896521340422983::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 64 > 0 THEN 3.5967931946797878::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 128 > 0 THEN 12.936921285294835::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 256 > 0 THEN 167.36393234191456::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 512 > 0 THEN 28010.685848948957::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 1024 > 0 THEN 784598521.7285093::float8 ELSE 1::float8 END
            * CASE WHEN (bucket + 1037) & 2048 > 0 THEN 6.15594840298562e+17::float8 ELSE 1::float8 END AS upper_ms,
        count,
        missed
    FROM (
        SELECT
            b.run_id,
            nullif(b.satellite_id, '') AS satellite_id,
            b.metric_type,
            CAST(part.value->>0 AS INTEGER) + CAST(number.place AS INTEGER) - 3 AS bucket,
            CAST(number.value AS BIGINT) AS count,
            CAST(part.value->>1 AS BIGINT) AS missed
        FROM buckets AS b
        CROSS JOIN LATERAL jsonb_array_elements(CAST(b.counts AS JSONB)) AS part(value)
        CROSS JOIN LATERAL jsonb_array_elements_text(part.value) WITH ORDINALITY AS number(value, place)
        WHERE number.place > 2
    ) AS counted
) AS valued;

CREATE VIEW v_measurements AS
SELECT
    m.run_id,
    m.row,
    m.timestamp,
    s.metric_type,
    s.satellite_id,
    m.duration_ms,
    m.scenario_time_s,
    m.missed
FROM statistics AS s
JOIN measurements AS m ON m.run_id = s.run_id AND m.position = s.position
WHERE s.satellite_id <> '';

CREATE VIEW v_tags AS
SELECT run_id, tag, value
FROM run_tags;

CREATE VIEW v_artifacts AS
SELECT run_id, kind, path, bytes, sha256, rows
FROM artifacts;

CREATE VIEW v_verdicts AS
SELECT
    run_id,
    to_char(TIMESTAMP 'epoch' + judged_at_us * INTERVAL '1 microsecond', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS judged_at,
    judged_at_us,
    verdict,
    baseline,
    noise_source,
    report
FROM run_verdicts;

CREATE VIEW v_effective_events AS
SELECT
    run_id,
    satellite_id,
    metric_type,
    n,
    CASE WHEN n < ticks THEN n ELSE ticks END AS effective_n,
    n >= 20 AND ticks >= 20 AS p50_is_enough,
    n >= 59 AND ticks >= 59 AS p95_is_enough,
    n >= 299 AND ticks >= 299 AS p99_is_enough
FROM v_latency
JOIN (
    SELECT run_id, max(n) AS ticks
    FROM v_latency
    WHERE satellite_id IS NOT NULL
    GROUP BY run_id
) AS served USING (run_id);

CREATE VIEW v_attachments AS
SELECT run_id, name, run_id || '/attachments/' || name AS path, bytes, sha256
FROM attachments;

CREATE VIEW v_units AS
SELECT run_id, satellite_id, serial, hardware, firmware
FROM units;

CREATE VIEW v_machine_noise AS
SELECT
    run_id,
    processors,
    load_start,
    load_end,
    load_worst,
    steal_start,
    steal_end,
    steal_worst,
    pressure_start,
    pressure_end,
    pressure_worst,
    frequency_mhz_start,
    frequency_mhz_end,
    frequency_mhz_worst
FROM machine_noise;
