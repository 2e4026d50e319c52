"""Tables and indexes as the newest migration leaves them.

In SQLite only INTEGER, REAL and TEXT, and one BLOB that nobody but the store reads, in
STRICT tables, so that every tool reads them alike. Times are INTEGER microseconds since
1970, UTC. The client chooses the key; every other table's key begins with it, so that
a run can live anywhere as a whole. WITHOUT ROWID keeps the rows of a run side by side:
one search finds them, and a run with 18 statistics rows takes 2.3 kB instead of 4.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    literal_column,
    text,
)

from astraguard_store.database.dialect import BYTE_ORDERED_TEXT, DOUBLE, INTEGER_64

OF_ALL_SATELLITES: Final[ColumnElement[str]] = literal_column("''", Text)
"""In place of a satellite's id, in rows about all of them together: `sql.ALL_SATELLITES`,
written out."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_LARGEST = "1.7976931348623157e308"


def _run_key() -> Column[str]:
    # The trigger tr_runs_delete deletes the rows too: other programs have the keys off.
    runs_key = ForeignKey("runs.run_id", ondelete="CASCADE")
    return Column("run_id", BYTE_ORDERED_TEXT, runs_key, primary_key=True)


def _table(
    name: str, *elements: Column[str] | Column[int] | Column[float] | CheckConstraint
) -> Table:
    return Table(name, metadata, *elements, sqlite_strict=True, sqlite_with_rowid=False)


runs = _table(
    "runs",
    Column("run_id", BYTE_ORDERED_TEXT, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("recorded_at_us", INTEGER_64, nullable=False),
    Column("total_measurements", INTEGER_64, nullable=False),
    # How far the local time of the machine that saved was ahead of UTC; NULL if adopted.
    Column("utc_offset_s", Integer),
    # The save whose files these rows describe; NULL if adopted.
    Column("staging_token", Text),
    # What the run was: see `Provenance`. NULL where it isn't known.
    Column("scenario", Text),
    Column("seed", INTEGER_64),
    Column("software_version", Text),
    Column("git_commit", Text),
    Column("git_branch", Text),
    Column("git_dirty", Integer),
    Column("host", Text),
    Column("platform", Text),
    Column("python", Text),
    Column("rig", Text),
    Column("firmware", Text),
    Column("started_at_us", INTEGER_64),
    Column("finished_at_us", INTEGER_64),
    Column("percentile_definition", Text),
    # How far the run came; the first three are the recorder's, see `LiveRun`.
    Column("state", Text, nullable=False, server_default=text("'finished'")),
    Column("error", Text),
    Column("last_written_at_us", INTEGER_64),
    # The journal that a recorder writes; NULL as soon as the run is saved.
    Column("live_token", Text),
    # Of the save that is stored, if the caller named it; `save_ids` has all of them.
    Column("save_id", Text),
    Column("save_sha256", Text),
    CheckConstraint("run_id <> ''", name="run_id_not_empty"),
    CheckConstraint("revision >= 1", name="revision_positive"),
    CheckConstraint("total_measurements >= 0", name="total_measurements_not_negative"),
    CheckConstraint("git_dirty IN (0, 1)", name="git_dirty_boolean"),
    CheckConstraint(
        "state IN ('running', 'finished', 'failed', 'interrupted')", name="state_known"
    ),
    CheckConstraint("length(save_sha256) = 64", name="save_sha256_length"),
)

# Covers the list of recent runs; both columns fall, so SQLite reads it backwards.
Index(
    "ix_runs_recorded_at_us_run_id",
    runs.c.recorded_at_us,
    runs.c.run_id,
    runs.c.revision,
    runs.c.total_measurements,
    runs.c.state,
    runs.c.last_written_at_us,
    runs.c.started_at_us,
)

# The few that are being recorded.
Index("ix_runs_live_token", runs.c.live_token, sqlite_where=runs.c.live_token.is_not(None))

# The recent runs of a scenario; runs without one don't take room in it.
Index(
    "ix_runs_scenario_recorded_at_us_run_id",
    runs.c.scenario,
    runs.c.recorded_at_us,
    runs.c.run_id,
    sqlite_where=runs.c.scenario.is_not(None),
)

# A question by the time of `v_runs` uses it: its expression is that of the view.
Index(
    "ix_runs_recorded_at",
    text(
        "strftime('%Y-%m-%dT%H:%M:%S', (recorded_at_us - ((recorded_at_us % 1000000) + 1000000)"
        " % 1000000) / 1000000, 'unixepoch')"
        " || printf('.%06dZ', ((recorded_at_us % 1000000) + 1000000) % 1000000)"
    ),
    _table=runs,
).ddl_if(dialect="sqlite")

run_tags = _table(
    "run_tags",
    _run_key(),
    Column("tag", Text, primary_key=True),
    Column("value", Text, nullable=False),
    CheckConstraint("tag <> ''", name="tag_not_empty"),
)

Index("ix_run_tags_tag_value_run_id", run_tags.c.tag, run_tags.c.value, run_tags.c.run_id)


def _satellite() -> Column[str]:
    return Column("satellite_id", Text, primary_key=True)


def _finite(name: str) -> CheckConstraint:
    # SQLite stores NaN as NULL, which NOT NULL refuses; infinity needs a bound.
    return CheckConstraint(f"{name} BETWEEN 0 AND {_LARGEST}", name=f"{name}_finite")


# One table for both: so a view of it is searched by the keys of what it is joined with.
statistics = _table(
    "statistics",
    _run_key(),
    _satellite(),
    Column("metric_type", Text, primary_key=True),
    # The place in the order of first measurement, as the summary file has it: one order
    # of the rows of all satellites, and one of those of single ones.
    Column("position", Integer, nullable=False),
    Column("count", INTEGER_64, nullable=False),
    Column("mean_ms", DOUBLE, nullable=False),
    # A percentile is a lower bound where its rank is count - missed or more.
    Column("p50_ms", DOUBLE, nullable=False),
    Column("p95_ms", DOUBLE, nullable=False),
    # Old summary files don't tell these two of a satellite.
    Column("p99_ms", DOUBLE),
    Column("min_ms", DOUBLE),
    Column("max_ms", DOUBLE, nullable=False),
    Column("missed", INTEGER_64, nullable=False),
    CheckConstraint("count >= 1", name="count_positive"),
    *map(_finite, ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms")),
    CheckConstraint("missed BETWEEN 0 AND count", name="missed_of_count"),
    CheckConstraint(
        "satellite_id <> '' OR (p99_ms IS NOT NULL AND min_ms IS NOT NULL)", name="all_known"
    ),
)

# Durations counted in logarithmic buckets, beside the row of the same key: those of a
# metric type as one text, see `buckets`, of 350 bytes. A row for each of its hundred
# buckets took 25 bytes and 1.4 µs more.
buckets = _table(
    "buckets",
    _run_key(),
    _satellite(),
    Column("metric_type", Text, primary_key=True),
    Column("counts", Text, nullable=False),
    # Else one row were the end of every question to the view.
    CheckConstraint("json_valid(counts)", name="counts_json").ddl_if(dialect="sqlite"),
)

# Filled only if asked for; the CSV has the same rows.
measurements = _table(
    "measurements",
    _run_key(),
    # Of the satellite's row of `statistics` that has the names. In front of the row: so
    # the view that joins both reads each name's measurements by one search.
    Column("position", Integer, primary_key=True),
    Column("row", INTEGER_64, primary_key=True),
    Column("timestamp", DOUBLE, nullable=False),
    Column("duration_ms", DOUBLE, nullable=False),
    Column("scenario_time_s", DOUBLE, nullable=False),
    Column("missed", Integer, nullable=False),
    CheckConstraint(f"duration_ms BETWEEN 0 AND {_LARGEST}", name="duration_ms_finite"),
    CheckConstraint("missed IN (0, 1)", name="missed_boolean"),
)

artifacts = _table(
    "artifacts",
    _run_key(),
    Column("kind", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("bytes", INTEGER_64, nullable=False),
    Column("sha256", Text),
    Column("rows", INTEGER_64),
    # Whose results folder the files lie in; NULL for the one beside this database.
    Column("store_id", Text),
    CheckConstraint("bytes >= 0", name="bytes_not_negative"),
    CheckConstraint("length(sha256) = 64", name="sha256_length"),
    CheckConstraint("rows >= 0", name="rows_not_negative"),
    CheckConstraint("length(store_id) = 32", name="store_id_length"),
)

# Any files that belong to a run, below `attachments/` in its folder.
attachments = _table(
    "attachments",
    _run_key(),
    Column("name", Text, primary_key=True),
    Column("bytes", INTEGER_64, nullable=False),
    Column("sha256", Text, nullable=False),
    CheckConstraint("bytes >= 0", name="bytes_not_negative"),
    CheckConstraint("length(sha256) = 64", name="sha256_length"),
)

# Which piece of hardware a satellite was: see `Unit`.
units = _table(
    "units",
    _run_key(),
    Column("satellite_id", Text, primary_key=True),
    Column("serial", Text),
    Column("hardware", Text),
    Column("firmware", Text),
)

# Every name that a save of a run was given, and the hash of what it held: so a retry is
# known, also after newer saves. Two stores may have given one name to two runs.
save_ids = _table(
    "save_ids",
    _run_key(),
    Column("save_id", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    CheckConstraint("length(sha256) = 64", name="sha256_length"),
)

Index("ix_save_ids_save_id", save_ids.c.save_id)

# What else the machine did that recorded a run: see `MachineNoise`.
machine_noise = _table(
    "machine_noise",
    _run_key(),
    Column("processors", INTEGER_64),
    *(
        Column(f"{what}_{when}", DOUBLE)
        for what in ("load", "steal", "pressure", "frequency_mhz")
        for when in ("start", "end", "worst")
    ),
)

# A copy of what statistics and artifacts say of a run: see `documents`. Triggers of
# these three tables drop it whenever somebody changes a row, so it is never stale.
# With a rowid: its rows are too long for an index's pages, of which each would take
# one more page of its own.
run_documents = Table(
    "run_documents",
    metadata,
    _run_key(),
    Column("document", LargeBinary, nullable=False),
    sqlite_strict=True,
)

# The names under which runs are judged against: a row for each run of each baseline.
baseline_runs = _table(
    "baseline_runs",
    _run_key(),
    Column("baseline", Text, primary_key=True),
    # The same in all rows of a baseline: another one of that name has another.
    Column("set_at_us", INTEGER_64, nullable=False),
    CheckConstraint("baseline <> ''", name="baseline_not_empty"),
)

Index("ix_baseline_runs_baseline_run_id", baseline_runs.c.baseline, baseline_runs.c.run_id)

# Recorded verdicts, a row for each candidate run of each.
run_verdicts = _table(
    "run_verdicts",
    _run_key(),
    Column("judged_at_us", INTEGER_64, primary_key=True),
    Column("verdict", Text, nullable=False),
    # NULL where the baseline's runs were named.
    Column("baseline", Text),
    Column("noise_source", Text, nullable=False),
    # The whole report, as JSON.
    Column("report", Text, nullable=False),
    CheckConstraint(
        "verdict IN ('regressed', 'improved', 'equivalent', 'inconclusive')",
        name="verdict_known",
    ),
    CheckConstraint(
        "noise_source IN ('measured', 'history', 'assumed')", name="noise_source_known"
    ),
)

# One row, about the database as a whole.
store = _table(
    "store",
    Column("id", Integer, primary_key=True),
    Column("created_at_us", INTEGER_64, nullable=False),
    # When the run folders that were there before the database were adopted.
    Column("adopted_at_us", INTEGER_64),
    # Counts recoveries: each begins with a commit of its own.
    Column("fence", INTEGER_64, nullable=False),
    # The same as in the results folder: database and folder know each other by it.
    Column("store_id", Text),
    CheckConstraint("id = 1", name="one_row"),
    CheckConstraint("length(store_id) = 32", name="store_id_length"),
)

# What each table, view and column means: for those who meet the database alone.
schema_doc = _table(
    "schema_doc",
    Column("object", Text, primary_key=True),
    Column("column", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("unit", Text),
    Column("description", Text, nullable=False),
)
