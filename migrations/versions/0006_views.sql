CREATE VIEW v_verdicts AS
SELECT
    run_id,
    strftime('%Y-%m-%dT%H:%M:%S', (judged_at_us - ((judged_at_us % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch')
        || printf('.%06dZ', ((judged_at_us % 1000000) + 1000000) % 1000000) AS judged_at,
    judged_at_us,
    verdict,
    baseline,
    noise_source,
    report
FROM run_verdicts;

-- On top of v_latency, whatever that reads. DuckDB has no min of two numbers.
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
