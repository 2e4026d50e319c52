-- Every pair of two runs: ask with baseline = … AND candidate = …, which reads only these two.
-- Two branches a table: what the baseline has, and what only the candidate has.
-- The columns of a percentile's row hold its number or, where it falls among the missed
-- events, a lower bound: so a candidate's column less a baseline's number is a lower bound.
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
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM metric_statistics AS b
    CROSS JOIN runs AS c_run
    LEFT JOIN metric_statistics AS c
        ON c.run_id = c_run.run_id AND c.metric_type = b.metric_type
    WHERE b.run_id <> c_run.run_id
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
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
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
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM satellite_statistics AS b
    CROSS JOIN runs AS c_run
    LEFT JOIN satellite_statistics AS c
        ON c.run_id = c_run.run_id AND c.metric_type = b.metric_type AND c.satellite_id = b.satellite_id
    WHERE b.run_id <> c_run.run_id
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
        c.max_ms AS candidate_max_ms,
        c.p50_ms AS candidate_p50_at_least_ms,
        c.p95_ms AS candidate_p95_at_least_ms,
        c.p99_ms AS candidate_p99_at_least_ms
    FROM runs AS b_run
    CROSS JOIN satellite_statistics AS c
    WHERE NOT EXISTS (
        SELECT 1 FROM satellite_statistics AS b
        WHERE b.run_id = b_run.run_id AND b.metric_type = c.metric_type AND b.satellite_id = c.satellite_id
    )
);
