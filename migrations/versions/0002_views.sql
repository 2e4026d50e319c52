-- What analysts ask. Names are plain, times ISO 8601 in UTC, durations milliseconds;
-- the views stay the same when the tables below them change.
--
-- DuckDB reads a view of an attached database in its own dialect, so what is written here
-- means the same in both: numbers have an exponent (without, DuckDB's are decimal), and a
-- rank int(n * q) is below a whole k where n * q is (DuckDB's CAST rounds, its / isn't whole).

CREATE VIEW v_runs AS
SELECT
    run_id,
    revision,
    strftime('%Y-%m-%dT%H:%M:%S', (recorded_at_us - ((recorded_at_us % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch')
        || printf('.%06dZ', ((recorded_at_us % 1000000) + 1000000) % 1000000) AS recorded_at,
    recorded_at_us,
    total_measurements,
    (SELECT coalesce(sum(m.missed), 0) FROM metric_statistics AS m WHERE m.run_id = runs.run_id) AS missed_events,
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

CREATE VIEW v_tags AS
SELECT run_id, tag, value
FROM run_tags;

CREATE VIEW v_latency AS
SELECT
    run_id,
    NULL AS satellite_id,
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
FROM metric_statistics
UNION ALL
SELECT
    run_id,
    satellite_id,
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
FROM satellite_statistics;

-- Every pair of runs: ask with baseline = … AND candidate = …, which reads only these two.
-- Two branches a table: what the baseline has, and what only the candidate has.
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
    candidate_max_ms
FROM (
    SELECT
        b.run_id AS baseline,
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
        c.max_ms AS candidate_max_ms
    FROM metric_statistics AS b
    CROSS JOIN runs AS c_run
    LEFT JOIN metric_statistics AS c
        ON c.run_id = c_run.run_id AND c.metric_type = b.metric_type
    UNION ALL
    SELECT
        b_run.run_id AS baseline,
        c.run_id AS candidate,
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
        c.max_ms AS candidate_max_ms
    FROM runs AS b_run
    CROSS JOIN metric_statistics AS c
    WHERE NOT EXISTS (
        SELECT 1 FROM metric_statistics AS b
        WHERE b.run_id = b_run.run_id AND b.metric_type = c.metric_type
    )
    UNION ALL
    SELECT
        b.run_id AS baseline,
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
        c.max_ms AS candidate_max_ms
    FROM satellite_statistics AS b
    CROSS JOIN runs AS c_run
    LEFT JOIN satellite_statistics AS c
        ON c.run_id = c_run.run_id AND c.metric_type = b.metric_type AND c.satellite_id = b.satellite_id
    UNION ALL
    SELECT
        b_run.run_id AS baseline,
        c.run_id AS candidate,
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
        c.max_ms AS candidate_max_ms
    FROM runs AS b_run
    CROSS JOIN satellite_statistics AS c
    WHERE NOT EXISTS (
        SELECT 1 FROM satellite_statistics AS b
        WHERE b.run_id = b_run.run_id AND b.metric_type = c.metric_type AND b.satellite_id = c.satellite_id
    )
);

-- Bucket i holds durations above upper_ms / 1.0202… up to upper_ms = (1.01 / 0.99) ** i;
-- not every SQLite has pow(), so the power is a product of squares. Bucket -1037 is zero.
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
            b.run_id, b.bucket, b.count, b.missed, s.metric_type, NULL AS satellite_id
        FROM metric_buckets AS b
        JOIN metric_statistics AS s ON s.run_id = b.run_id AND s.position = b.position
        UNION ALL
        SELECT
            b.run_id, b.bucket, b.count, b.missed, s.metric_type, s.satellite_id AS satellite_id
        FROM satellite_buckets AS b
        JOIN satellite_statistics AS s ON s.run_id = b.run_id AND s.position = b.position
    )
);

CREATE VIEW v_artifacts AS
SELECT run_id, kind, path, bytes, sha256, rows
FROM artifacts;

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
FROM satellite_statistics AS s
CROSS JOIN measurements AS m ON m.run_id = s.run_id AND m.position = s.position;

