-- The tables that revision 0005 replaces, letter for letter as 0001 and 0002 left them.

CREATE TABLE metric_statistics (
	run_id TEXT NOT NULL, 
	metric_type TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	mean_ms REAL NOT NULL, 
	p50_ms REAL NOT NULL, 
	p95_ms REAL NOT NULL, 
	p99_ms REAL NOT NULL, 
	min_ms REAL NOT NULL, 
	max_ms REAL NOT NULL, missed INTEGER DEFAULT 0 NOT NULL CONSTRAINT ck_metric_statistics_missed_of_count CHECK (missed BETWEEN 0 AND count), 
	CONSTRAINT pk_metric_statistics PRIMARY KEY (run_id, metric_type), 
	CONSTRAINT ck_metric_statistics_count_positive CHECK (count >= 1), 
	CONSTRAINT ck_metric_statistics_mean_ms_finite CHECK (mean_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_metric_statistics_p50_ms_finite CHECK (p50_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_metric_statistics_p95_ms_finite CHECK (p95_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_metric_statistics_p99_ms_finite CHECK (p99_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_metric_statistics_min_ms_finite CHECK (min_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_metric_statistics_max_ms_finite CHECK (max_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT fk_metric_statistics_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE satellite_statistics (
	run_id TEXT NOT NULL, 
	satellite_id TEXT NOT NULL, 
	metric_type TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	mean_ms REAL NOT NULL, 
	p50_ms REAL NOT NULL, 
	p95_ms REAL NOT NULL, 
	p99_ms REAL, 
	min_ms REAL, 
	max_ms REAL NOT NULL, missed INTEGER DEFAULT 0 NOT NULL CONSTRAINT ck_satellite_statistics_missed_of_count CHECK (missed BETWEEN 0 AND count), 
	CONSTRAINT pk_satellite_statistics PRIMARY KEY (run_id, satellite_id, metric_type), 
	CONSTRAINT ck_satellite_statistics_count_positive CHECK (count >= 1), 
	CONSTRAINT ck_satellite_statistics_mean_ms_finite CHECK (mean_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_satellite_statistics_p50_ms_finite CHECK (p50_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_satellite_statistics_p95_ms_finite CHECK (p95_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_satellite_statistics_p99_ms_finite CHECK (p99_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_satellite_statistics_min_ms_finite CHECK (min_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT ck_satellite_statistics_max_ms_finite CHECK (max_ms BETWEEN 0 AND 1.7976931348623157e308), 
	CONSTRAINT fk_satellite_statistics_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE metric_buckets (
	run_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	bucket INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	missed INTEGER NOT NULL, 
	CONSTRAINT pk_metric_buckets PRIMARY KEY (run_id, position, bucket), 
	CONSTRAINT ck_metric_buckets_count_not_negative CHECK (count >= 0), 
	CONSTRAINT ck_metric_buckets_missed_not_negative CHECK (missed >= 0), 
	CONSTRAINT fk_metric_buckets_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;

CREATE TABLE satellite_buckets (
	run_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	bucket INTEGER NOT NULL, 
	count INTEGER NOT NULL, 
	missed INTEGER NOT NULL, 
	CONSTRAINT pk_satellite_buckets PRIMARY KEY (run_id, position, bucket), 
	CONSTRAINT ck_satellite_buckets_count_not_negative CHECK (count >= 0), 
	CONSTRAINT ck_satellite_buckets_missed_not_negative CHECK (missed >= 0), 
	CONSTRAINT fk_satellite_buckets_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (run_id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;
