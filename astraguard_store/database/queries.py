"""What is asked of the tables and written to them; rows become values here.

The statements run on the driver's connection: the list of recent runs takes
12 µs so, and 60 through SQLAlchemy's.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from astraguard_store.database.statements import STATISTICS, statements
from astraguard_store.model import (
    Artifact,
    MetricChange,
    MetricSummary,
    RunHeader,
    RunSummary,
    ValueChange,
    epoch_us,
    utc_from_epoch_us,
)

__all__ = [
    "StoredRun",
    "adopted",
    "changes",
    "delete_run",
    "fence",
    "insert_new_run",
    "load_run",
    "mark_adopted",
    "recent_headers",
    "run_exists",
    "save_run",
]


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run with what only the store itself needs to know.

    Attributes:
        summary: The run; its revision is ignored when it is saved.
        utc_offset_s: How far local time was ahead of UTC where it was saved,
            seconds; None if it was adopted.
        staging_token: The save its files belong to; None if it was adopted.
    """

    summary: RunSummary
    utc_offset_s: int | None
    staging_token: str | None


def recent_headers(connection: sqlite3.Connection, limit: int) -> list[RunHeader]:
    """Return the newest *limit* runs; reads the covering index and nothing else."""
    rows = connection.execute(statements().recent, {"limit": limit})
    return [
        RunHeader(run_id, revision, utc_from_epoch_us(recorded_at_us), total)
        for run_id, revision, recorded_at_us, total in rows
    ]


def load_run(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
    """Return the run with all its rows, None if there is none; four searches by key."""
    sql = statements()
    key = {"run_id": run_id}
    header = connection.execute(sql.run, key).fetchone()
    if header is None:
        return None
    revision, recorded_at_us, total, utc_offset_s, staging_token = header
    metrics = {
        metric_type: MetricSummary(*values)
        for _, metric_type, *values in sorted(connection.execute(sql.metrics, key))
    }
    satellites: dict[str, dict[str, MetricSummary]] = {}
    rows = sorted(connection.execute(sql.satellites, key))
    for _, satellite_id, metric_type, *values in rows:
        satellites.setdefault(satellite_id, {})[metric_type] = MetricSummary(*values)
    files = tuple(Artifact(*row) for row in connection.execute(sql.artifacts, key))
    summary = RunSummary(
        run_id,
        revision,
        utc_from_epoch_us(recorded_at_us),
        total,
        metrics,
        satellites,
        files,
    )
    return StoredRun(summary, utc_offset_s, staging_token)


def run_exists(connection: sqlite3.Connection, run_id: str) -> bool:
    """Return whether the run has a row."""
    try:
        row = connection.execute(statements().exists, {"run_id": run_id}).fetchone()
    except UnicodeEncodeError:
        # A folder's name that is no text can't be a run's.
        return False
    return row is not None


def changes(
    connection: sqlite3.Connection, baseline: str, candidate: str, *, by_satellite: bool
) -> tuple[MetricChange, ...]:
    """Return what both runs have, and what only one has, by one joined statement."""
    sql = statements()
    joined = sql.compare_satellites if by_satellite else sql.compare_metrics
    rows = connection.execute(joined, {"baseline": baseline, "candidate": candidate}).fetchall()
    keys = 2 if by_satellite else 1
    rows.sort(key=lambda row: row[:keys])
    middle = keys + len(STATISTICS)
    return tuple(
        MetricChange(
            row[keys - 1],
            row[0] if by_satellite else None,
            *map(ValueChange, row[keys:middle], row[middle:]),
        )
        for row in rows
    )


def save_run(connection: sqlite3.Connection, run: StoredRun) -> int:
    """Write a run in place of what is stored under its id.

    Returns:
        Its revision.
    """
    sql = statements()
    row = connection.execute(sql.save_run, _run_row(run)).fetchall()
    revision: int = row[0][0]
    if revision > 1:
        for delete_rows in sql.delete_children:
            connection.execute(delete_rows, {"run_id": run.summary.run_id})
    _insert_children(connection, run.summary)
    return revision


def insert_new_run(connection: sqlite3.Connection, run: StoredRun) -> bool:
    """Write a run if there is none of its id; return whether it was written."""
    if connection.execute(statements().insert_new_run, _run_row(run)).rowcount == 0:
        return False
    _insert_children(connection, run.summary)
    return True


def delete_run(connection: sqlite3.Connection, run_id: str) -> bool:
    """Delete a run with all its rows; return whether there was one."""
    return connection.execute(statements().delete_run, {"run_id": run_id}).rowcount > 0


def adopted(connection: sqlite3.Connection) -> bool:
    """Return whether the run folders from before the database have been adopted."""
    row = connection.execute(statements().adopted).fetchone()
    return row is not None and row[0] is not None


def mark_adopted(connection: sqlite3.Connection, now_us: int) -> None:
    """Note that they have."""
    connection.execute(statements().mark_adopted, {"now_us": now_us})


def fence(connection: sqlite3.Connection) -> None:
    """Write something, so that the commit overwrites what a failed one left in the log."""
    connection.execute(statements().fence)


def _run_row(run: StoredRun) -> dict[str, Any]:
    summary = run.summary
    return {
        "run_id": summary.run_id,
        "recorded_at_us": epoch_us(summary.recorded_at),
        "total_measurements": summary.total_measurements,
        "utc_offset_s": run.utc_offset_s,
        "staging_token": run.staging_token,
    }


def _insert_children(connection: sqlite3.Connection, summary: RunSummary) -> None:
    sql, key = statements(), {"run_id": summary.run_id}
    connection.executemany(
        sql.insert_metric,
        [
            {**key, "metric_type": metric_type, "position": position, **_values(statistics)}
            for position, (metric_type, statistics) in enumerate(summary.metrics.items())
        ],
    )
    by_satellite = (
        (satellite_id, metric_type, statistics)
        for satellite_id, metrics in summary.satellites.items()
        for metric_type, statistics in metrics.items()
    )
    connection.executemany(
        sql.insert_satellite,
        [
            {
                **key,
                "satellite_id": satellite_id,
                "metric_type": metric_type,
                "position": position,
                **_values(statistics),
            }
            for position, (satellite_id, metric_type, statistics) in enumerate(by_satellite)
        ],
    )
    connection.executemany(
        sql.insert_artifact,
        [
            {
                **key,
                "kind": artifact.kind,
                "path": artifact.path,
                "bytes": artifact.bytes,
                "sha256": artifact.sha256,
                "rows": artifact.rows,
            }
            for artifact in summary.artifacts
        ],
    )


def _values(statistics: MetricSummary) -> dict[str, Any]:
    return {name: getattr(statistics, name) for name in STATISTICS}
