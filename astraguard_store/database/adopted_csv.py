"""What the CSV of an adopted run tells beyond its summary file, put into the run's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import bindparam, literal_column, update
from sqlalchemy.dialects import sqlite

from astraguard_store.database.schema import artifacts, satellite_statistics
from astraguard_store.model import Artifact, MetricSummary

__all__ = ["note_csv"]


def note_csv(
    connection: sqlite3.Connection,
    run_id: str,
    csv: Artifact,
    satellites: Mapping[str, Mapping[str, MetricSummary]],
) -> bool:
    """Note hash and rows of a run's CSV, and the satellites' numbers that only it has.

    Does nothing if the run isn't there any more, or its CSV is known already.

    Returns:
        Whether it was noted.
    """
    sql = _statements()
    noted = {"this_run": run_id, "digest": csv.sha256, "counted": csv.rows, "size": csv.bytes}
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
                artifacts.c.kind == literal_column("'raw_csv'"),
                artifacts.c.bytes == bindparam("size"),
                artifacts.c.sha256.is_(None),
            )
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
