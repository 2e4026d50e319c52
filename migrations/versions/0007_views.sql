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
