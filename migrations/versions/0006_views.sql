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
