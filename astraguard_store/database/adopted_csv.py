"""What a run's files tell that its rows don't say yet: put into them by a check."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import bindparam, literal_column, select, update
from sqlalchemy.dialects import sqlite

from astraguard_store.database.documents import renew_document
from astraguard_store.database.rows import insert_buckets
from astraguard_store.database.runs import load_run
from astraguard_store.database.schema import artifacts, metric_buckets, satellite_statistics
from astraguard_store.model import Artifact, MetricSummary
from astraguard_store.statistics import RunStatistics

__all__ = ["add_buckets", "note_csv", "note_file"]


def note_csv(
    connection: sqlite3.Connection,
    run_id: str,
    csv: Artifact,
    satellites: Mapping[str, Mapping[str, MetricSummary]],
) -> bool:
    """Note hash and rows of a run's CSV, and the satellites' numbers that only it has.

    Of a parquet file likewise, without satellites. Does nothing if the run isn't
    there any more, or the file is known already.

    Returns:
        Whether it was noted.
    """
    sql = _statements()
    noted = {"this_run": run_id, "digest": csv.sha256, "counted": csv.rows, "size": csv.bytes}
    noted["file_kind"] = csv.kind
    if connection.execute(sql.note_csv, noted).rowcount == 0:
        return False
    connection.executemany(
        sql.complete_satellite,
        [
            {
                "this_run": run_id,
                "satellite": satellite_id,
                "metric": metric_type,
                "p99": summary.p99_ms,
                "least": summary.min_ms,
            }
            for satellite_id, metrics in satellites.items()
            for metric_type, summary in metrics.items()
        ],
    )
    renew_document(connection, run_id)
    return True


def note_file(connection: sqlite3.Connection, run_id: str, file: Artifact) -> None:
    """Note that a file of a run has another size and hash than it had."""
    noted = {"this_run": run_id, "digest": file.sha256, "size": file.bytes, "where": file.path}
    connection.execute(_statements().note_file, noted)
    renew_document(connection, run_id)


def add_buckets(connection: sqlite3.Connection, run_id: str, statistics: RunStatistics) -> bool:
    """Write the buckets of a run that has none.

    Returns:
        Whether they were written: not if the run isn't there any more, or was
        saved meanwhile.
    """
    if connection.execute(_statements().has_buckets, {"this_run": run_id}).fetchone():
        return False
    run = load_run(connection, run_id)
    if run is None or run.summary.total_measurements != statistics.total_measurements:
        return False
    insert_buckets(connection, run.summary, statistics)
    return True


class _Statements:
    def __init__(self) -> None:
        # Parameters must not have the names of the columns that are set.
        run_id: Any = bindparam("this_run")
        self.note_csv = _sql(
            update(artifacts)
            .values(sha256=bindparam("digest"), rows=bindparam("counted"))
            .where(
                artifacts.c.run_id == run_id,
                artifacts.c.kind == bindparam("file_kind"),
                artifacts.c.bytes == bindparam("size"),
                artifacts.c.sha256.is_(None),
            )
        )
        self.note_file = _sql(
            update(artifacts)
            .values(sha256=bindparam("digest"), bytes=bindparam("size"))
            .where(artifacts.c.run_id == run_id, artifacts.c.path == bindparam("where"))
        )
        buckets = metric_buckets.c
        self.has_buckets = _sql(
            select(buckets.bucket)
            .where(buckets.run_id == run_id)
            .limit(literal_column("1"))
            .offset(literal_column("0"))
        )
        table = satellite_statistics
        self.complete_satellite = _sql(
            update(table)
            .values(p99_ms=bindparam("p99"), min_ms=bindparam("least"))
            .where(
                table.c.run_id == run_id,
                table.c.satellite_id == bindparam("satellite"),
                table.c.metric_type == bindparam("metric"),
                table.c.p99_ms.is_(None),
            )
        )


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))


@cache
def _statements() -> _Statements:
    return _Statements()
