"""What is asked of the tables and written to them; rows become values here.

The statements run on the driver's connection: the list of recent runs takes
12 µs so, and 60 through SQLAlchemy's.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from astraguard_store.database.statements import (
    OF_ARTIFACT,
    OF_METRIC,
    OF_RUN,
    OF_SATELLITE,
    STATISTICS,
    statements,
)
from astraguard_store.model import (
    Artifact,
    FrozenMapping,
    MetricChange,
    MetricSummary,
    RunHeader,
    RunSummary,
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


_KIND_AND_POSITION = itemgetter(0, 3)


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
    return [
        RunHeader(run_id, revision, utc_from_epoch_us(recorded_at_us), total)
        for run_id, revision, recorded_at_us, total in connection.execute(
            statements().recent, (limit,)
        )
    ]


def load_run(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
    """Return the run with all its rows, None if there is none; one statement."""
    rows = connection.execute(statements().run, (run_id,) * 4).fetchall()
    # By kind of row, and then by position.
    rows.sort(key=_KIND_AND_POSITION)
    if not rows or rows[0][0] != OF_RUN:
        return None
    metrics: dict[str, MetricSummary] = {}
    satellites: dict[str, dict[str, MetricSummary]] = {}
    files: list[Artifact] = []
    for row in rows:
        kind, name = row[:2]
        if kind == OF_SATELLITE:
            satellites.setdefault(name, {})[row[2]] = MetricSummary._make(row[4:])
        elif kind == OF_METRIC:
            metrics[name] = MetricSummary._make(row[4:])
        elif kind == OF_ARTIFACT:
            files.append(Artifact._make(row[1:6]))
    _, staging_token, _, revision, recorded_at_us, total, utc_offset_s, *_ = rows[0]
    summary = RunSummary(
        run_id,
        revision,
        utc_from_epoch_us(recorded_at_us),
        total,
        FrozenMapping(metrics),
        FrozenMapping({name: FrozenMapping(of_one) for name, of_one in satellites.items()}),
        tuple(sorted(files)),
    )
    return StoredRun(summary, utc_offset_s, staging_token)


def run_exists(connection: sqlite3.Connection, run_id: str) -> bool:
    """Return whether the run has a row."""
    try:
        row = connection.execute(statements().exists, (run_id,)).fetchone()
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
    rows = connection.execute(joined, (baseline, candidate)).fetchall()
    keys = 2 if by_satellite else 1
    rows.sort(key=itemgetter(slice(keys)))
    middle = keys + len(STATISTICS)
    return tuple(
        MetricChange(
            row[keys - 1],
            row[0] if by_satellite else None,
            None if row[keys] is None else MetricSummary._make(row[keys:middle]),
            None if row[middle] is None else MetricSummary._make(row[middle:]),
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
    # Rows in the order of the columns: a summary's numbers come as the tables have them.
    sql, run_id = statements(), summary.run_id
    connection.executemany(
        sql.insert_metric,
        [
            (run_id, metric_type, position, *statistics)
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
            (run_id, satellite_id, metric_type, position, *statistics)
            for position, (satellite_id, metric_type, statistics) in enumerate(by_satellite)
        ],
    )
    connection.executemany(
        sql.insert_artifact, [(run_id, *artifact) for artifact in summary.artifacts]
    )
