"""Tables and indexes as the newest migration leaves them.

Only INTEGER, REAL and TEXT, in STRICT tables, so that every tool reads them
alike. Times are INTEGER microseconds since 1970, UTC. The client chooses the
key; every other table's key begins with it, so that a run can live anywhere as
a whole. WITHOUT ROWID keeps the rows of a run side by side: one search finds
them, and a run with 18 statistics rows takes 2.3 kB instead of 4.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    REAL,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

__all__ = [
    "HEAD_REVISION",
    "VERSION_TABLE",
    "artifacts",
    "metadata",
    "metric_statistics",
    "runs",
    "satellite_statistics",
    "store",
]

HEAD_REVISION: Final = "0001"
"""The schema this code works with; a test holds it against the migrations."""

VERSION_TABLE: Final = "astraguard_schema_version"

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
    return Column("run_id", Text, ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True)


def _statistics_columns(*, optional: bool) -> list[Column[float] | Column[int]]:
    return [
        # The place in the order of first measurement, as the summary file has it.
        Column("position", Integer, nullable=False),
        Column("count", Integer, nullable=False),
        Column("mean_ms", REAL, nullable=False),
        Column("p50_ms", REAL, nullable=False),
        Column("p95_ms", REAL, nullable=False),
        Column("p99_ms", REAL, nullable=optional),
        Column("min_ms", REAL, nullable=optional),
        Column("max_ms", REAL, nullable=False),
    ]


def _statistics_checks() -> list[CheckConstraint]:
    # SQLite stores NaN as NULL, which NOT NULL refuses; infinity needs a bound.
    return [
        CheckConstraint("count >= 1", name="count_positive"),
        CheckConstraint(f"mean_ms BETWEEN 0 AND {_LARGEST}", name="mean_ms_finite"),
        CheckConstraint(f"p50_ms BETWEEN 0 AND {_LARGEST}", name="p50_ms_finite"),
        CheckConstraint(f"p95_ms BETWEEN 0 AND {_LARGEST}", name="p95_ms_finite"),
        CheckConstraint(f"p99_ms BETWEEN 0 AND {_LARGEST}", name="p99_ms_finite"),
        CheckConstraint(f"min_ms BETWEEN 0 AND {_LARGEST}", name="min_ms_finite"),
        CheckConstraint(f"max_ms BETWEEN 0 AND {_LARGEST}", name="max_ms_finite"),
    ]


def _table(
    name: str, *elements: Column[str] | Column[int] | Column[float] | CheckConstraint
) -> Table:
    return Table(name, metadata, *elements, sqlite_strict=True, sqlite_with_rowid=False)


runs = _table(
    "runs",
    Column("run_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("recorded_at_us", Integer, nullable=False),
    Column("total_measurements", Integer, nullable=False),
    # How far the local time of the machine that saved was ahead of UTC; NULL if adopted.
    Column("utc_offset_s", Integer),
    # The save whose files these rows describe; NULL if adopted.
    Column("staging_token", Text),
    CheckConstraint("run_id <> ''", name="run_id_not_empty"),
    CheckConstraint("revision >= 1", name="revision_positive"),
    CheckConstraint("total_measurements >= 0", name="total_measurements_not_negative"),
)

# Covers the list of recent runs; both columns fall, so SQLite reads it backwards.
Index(
    "ix_runs_recorded_at_us_run_id",
    runs.c.recorded_at_us,
    runs.c.run_id,
    runs.c.revision,
    runs.c.total_measurements,
)

metric_statistics = _table(
    "metric_statistics",
    _run_key(),
    Column("metric_type", Text, primary_key=True),
    *_statistics_columns(optional=False),
    *_statistics_checks(),
)

satellite_statistics = _table(
    "satellite_statistics",
    _run_key(),
    Column("satellite_id", Text, primary_key=True),
    Column("metric_type", Text, primary_key=True),
    *_statistics_columns(optional=True),
    *_statistics_checks(),
)

artifacts = _table(
    "artifacts",
    _run_key(),
    Column("kind", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("sha256", Text),
    Column("rows", Integer),
    CheckConstraint("bytes >= 0", name="bytes_not_negative"),
    CheckConstraint("length(sha256) = 64", name="sha256_length"),
    CheckConstraint("rows >= 0", name="rows_not_negative"),
)

# One row, about the database as a whole.
store = _table(
    "store",
    Column("id", Integer, primary_key=True),
    Column("created_at_us", Integer, nullable=False),
    # When the run folders that were there before the database were adopted.
    Column("adopted_at_us", Integer),
    # Counts recoveries: each begins with a commit of its own.
    Column("fence", Integer, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)
