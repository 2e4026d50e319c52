-- The views that revision 0005 makes anew, over the tables `statistics` and `buckets`. What
-- 0002_views.sql says of DuckDB holds here too.

CREATE VIEW v_runs AS
SELECT
    run_id,
    revision,
    strftime('%Y-%m-%dT%H:%M:%S', (recorded_at_us - ((recorded_at_us % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch')
        || printf('.%06dZ', ((recorded_at_us % 1000000) + 1000000) % 1000000) AS recorded_at,
    recorded_at_us,
    total_measurements,
    (SELECT coalesce(sum(s.missed), 0) FROM statistics AS s WHERE s.run_id = runs.run_id AND s.satellite_id = '') AS missed_events,
    utc_offset_s IS NULL AS adopted,
    scenario,
    seed,
    software_version,
    git_commit,
    git_branch,
    git_dirty,
    host,
    platform,
    python,
    rig,
    firmware,
    strftime('%Y-%m-%dT%H:%M:%S', (started_at_us - ((started_at_us % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch')
        || printf('.%06dZ', ((started_at_us % 1000000) + 1000000) % 1000000) AS started_at,
    strftime('%Y-%m-%dT%H:%M:%S', (finished_at_us - ((finished_at_us % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch')
        || printf('.%06dZ', ((finished_at_us % 1000000) + 1000000) % 1000000) AS finished_at,
    percentile_definition,
    (SELECT json_group_object(t.tag, t.value) FROM run_tags AS t WHERE t.run_id = runs.run_id) AS tags
FROM runs;

CREATE VIEW v_latency AS
SELECT
    run_id,
    nullif(satellite_id, '') AS satellite_id,
    metric_type,
    count AS n,
    missed,
    mean_ms,
    CASE WHEN count * 0.5e0 < count - missed THEN p50_ms END AS p50_ms,
    CASE WHEN count * 0.95e0 < count - missed THEN p95_ms END AS p95_ms,
    CASE WHEN count * 0.99e0 < count - missed THEN p99_ms END AS p99_ms,
    min_ms,
    max_ms,
    CASE WHEN count * 0.5e0 >= count - missed THEN p50_ms END AS p50_above_ms,
    CASE WHEN count * 0.95e0 >= count - missed THEN p95_ms END AS p95_above_ms,
    CASE WHEN count * 0.99e0 >= count - missed THEN p99_ms END AS p99_above_ms,
    p50_ms AS p50_at_least_ms,
    p95_ms AS p95_at_least_ms,
    p99_ms AS p99_at_least_ms
FROM statistics;

-- What changed for each pair of two runs: what the baseline has, and what only the candidate
-- has, of all satellites together and of each. A run is looked for first, and then its rows
-- by their whole key, so that it is quick with either run named, and a metric type. The
-- columns of a percentile's row hold its number or, where it falls among the missed events, a
-- lower bound: so a candidate's column less a baseline's number is a lower bound.
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
        b_run.run_id AS baseline,
        c_run.run_id AS candidate,
        NULL AS satellite_id,
        b.metric_type,
        b.count AS baseline_n,
        c.count AS candidate_n,
        b.missed AS baseline_missed,
        c.missed AS candidate_missed,
        b.mean_ms AS baseline_mean_ms,
        c.mean_ms AS candidate_mean_ms,
        CASE WHEN b.count * 0.5e0 < b.count - b.missed THEN b.p50_ms END AS baseline_p50_ms,
        CASE WHEN c.count * 0.5e0 < c.count - c.missed THEN c.p50_ms END AS candidate_p50_ms,
        CASE WHEN b.count * 0.95e0 < b.count - b.missed THEN b.p95_ms END AS baseline_p95_ms,
        CASE WHEN c.count * 0.95e0 < c.count - c.missed THEN c.p95_ms END AS candidate_p95_ms,
        CASE WHEN b.count * 0.99e0 < b.count - b.missed THEN b.p99_ms END AS baseline_p99_ms,
        CASE WHEN c.count * 0.99e0 < c.count - c.missed THEN c.p99_ms END AS candidate_p99_ms,
        b.max_ms AS baseline_max_ms,
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM runs AS b_run
    CROSS JOIN statistics AS b
    CROSS JOIN runs AS c_run
    LEFT JOIN statistics AS c
        ON c.run_id = c_run.run_id AND c.satellite_id = '' AND c.metric_type = b.metric_type
    WHERE b.run_id = b_run.run_id AND b.satellite_id = '' AND b_run.run_id <> c_run.run_id
    UNION ALL
    SELECT
        b_run.run_id AS baseline,
        c_run.run_id AS candidate,
        NULL AS satellite_id,
        c.metric_type,
        NULL AS baseline_n,
        c.count AS candidate_n,
        NULL AS baseline_missed,
        c.missed AS candidate_missed,
        NULL AS baseline_mean_ms,
        c.mean_ms AS candidate_mean_ms,
        NULL AS baseline_p50_ms,
        CASE WHEN c.count * 0.5e0 < c.count - c.missed THEN c.p50_ms END AS candidate_p50_ms,
        NULL AS baseline_p95_ms,
        CASE WHEN c.count * 0.95e0 < c.count - c.missed THEN c.p95_ms END AS candidate_p95_ms,
        NULL AS baseline_p99_ms,
        CASE WHEN c.count * 0.99e0 < c.count - c.missed THEN c.p99_ms END AS candidate_p99_ms,
        NULL AS baseline_max_ms,
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM runs AS c_run
    CROSS JOIN statistics AS c
    CROSS JOIN runs AS b_run
    WHERE c.run_id = c_run.run_id AND c.satellite_id = '' AND NOT EXISTS (
        SELECT 1 FROM statistics AS b
        WHERE b.run_id = b_run.run_id AND b.satellite_id = '' AND b.metric_type = c.metric_type
    )
    UNION ALL
    SELECT
        b_run.run_id AS baseline,
        c_run.run_id AS candidate,
        b.satellite_id,
        b.metric_type,
        b.count AS baseline_n,
        c.count AS candidate_n,
        b.missed AS baseline_missed,
        c.missed AS candidate_missed,
        b.mean_ms AS baseline_mean_ms,
        c.mean_ms AS candidate_mean_ms,
        CASE WHEN b.count * 0.5e0 < b.count - b.missed THEN b.p50_ms END AS baseline_p50_ms,
        CASE WHEN c.count * 0.5e0 < c.count - c.missed THEN c.p50_ms END AS candidate_p50_ms,
        CASE WHEN b.count * 0.95e0 < b.count - b.missed THEN b.p95_ms END AS baseline_p95_ms,
        CASE WHEN c.count * 0.95e0 < c.count - c.missed THEN c.p95_ms END AS candidate_p95_ms,
        CASE WHEN b.count * 0.99e0 < b.count - b.missed THEN b.p99_ms END AS baseline_p99_ms,
        CASE WHEN c.count * 0.99e0 < c.count - c.missed THEN c.p99_ms END AS candidate_p99_ms,
        b.max_ms AS baseline_max_ms,
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM runs AS b_run
    CROSS JOIN statistics AS b
    CROSS JOIN runs AS c_run
    LEFT JOIN statistics AS c
        ON c.run_id = c_run.run_id AND c.satellite_id = b.satellite_id AND c.metric_type = b.metric_type
    WHERE b.run_id = b_run.run_id AND b.satellite_id > '' AND b_run.run_id <> c_run.run_id
    UNION ALL
    SELECT
        b_run.run_id AS baseline,
        c_run.run_id AS candidate,
        c.satellite_id,
        c.metric_type,
        NULL AS baseline_n,
        c.count AS candidate_n,
        NULL AS baseline_missed,
        c.missed AS candidate_missed,
        NULL AS baseline_mean_ms,
        c.mean_ms AS candidate_mean_ms,
        NULL AS baseline_p50_ms,
        CASE WHEN c.count * 0.5e0 < c.count - c.missed THEN c.p50_ms END AS candidate_p50_ms,
        NULL AS baseline_p95_ms,
        CASE WHEN c.count * 0.95e0 < c.count - c.missed THEN c.p95_ms END AS candidate_p95_ms,
        NULL AS baseline_p99_ms,
        CASE WHEN c.count * 0.99e0 < c.count - c.missed THEN c.p99_ms END AS candidate_p99_ms,
        NULL AS baseline_max_ms,
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM runs AS c_run
    CROSS JOIN statistics AS c
    CROSS JOIN runs AS b_run
    WHERE c.run_id = c_run.run_id AND c.satellite_id > '' AND NOT EXISTS (
        SELECT 1 FROM statistics AS b
        WHERE b.run_id = b_run.run_id AND b.satellite_id = c.satellite_id AND b.metric_type = c.metric_type
    )
);

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
    CASE WHEN bucket > -1037 THEN upper_ms * 0.9900000000000001e0 ELSE 0e0 END AS value_ms,
    upper_ms,
    count,
    missed
FROM (
    SELECT
        run_id,
        satellite_id,
        metric_type,
        bucket,
        9.827254087680733e-10
            * CASE WHEN bucket + 1037 & 1 THEN 1.02020202020202e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 2 THEN 1.040812162024283e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 4 THEN 1.0832899566176624e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 8 THEN 1.1735171301086968e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 16 THEN 1.3771424546585525e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 32 THEN 1.896521340422983e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 64 THEN 3.5967931946797878e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 128 THEN 12.936921285294835e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 256 THEN 167.36393234191456e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 512 THEN 28010.685848948957e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 1024 THEN 784598521.7285093e0 ELSE 1e0 END
            * CASE WHEN bucket + 1037 & 2048 THEN 6.15594840298562e+17 ELSE 1e0 END AS upper_ms,
        count,
        missed
    FROM (
        SELECT
            b.run_id,
            nullif(b.satellite_id, '') AS satellite_id,
            b.metric_type,
            CAST(json_extract(part.value, '$[0]') AS INTEGER) + CAST(number.key AS INTEGER) - 2 AS bucket,
            CAST(number.value AS BIGINT) AS count,
            CAST(json_extract(part.value, '$[1]') AS BIGINT) AS missed
        FROM buckets AS b
        CROSS JOIN json_each(b.counts) AS part
        CROSS JOIN json_each(part.value) AS number
        WHERE CAST(number.key AS INTEGER) >= 2
    )
);

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
CROSS JOIN measurements AS m
WHERE m.run_id = s.run_id AND m.position = s.position AND s.satellite_id <> '';
