"""All that a pruning has to know of each run."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import case, exists, literal_column, select
from sqlalchemy.dialects import sqlite

from astraguard_store.database.schema import measurements, run_tags, runs

__all__ = ["PINNED", "Prunable", "prunable_runs", "used_bytes"]

PINNED: Final = "pinned"
"""The tag that keeps a run from being pruned, whatever its value."""


class Prunable(NamedTuple):
    """One run.

    Attributes:
        run_id: Its id.
        recorded_at_us: When it was recorded, µs since 1970, UTC.
        is_pinned: Whether it stays.
        kept_rows: How many measurements the database keeps of it.
    """

    run_id: str
    recorded_at_us: int
    is_pinned: int
    kept_rows: int


def prunable_runs(connection: sqlite3.Connection) -> list[Prunable]:
    """Return all runs, newest first."""
    return [Prunable._make(row) for row in connection.execute(_sql())]


def used_bytes(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many bytes of the database are in use, and how many are free."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes, free * page_bytes


@cache
def _sql() -> str:
    pinned = exists().where(
        run_tags.c.run_id == runs.c.run_id, run_tags.c.tag == literal_column(f"'{PINNED}'")
    )
    kept = exists().where(measurements.c.run_id == runs.c.run_id)
    statement = select(
        runs.c.run_id,
        runs.c.recorded_at_us,
        pinned,
        # All of a run's measurements are kept, or none.
        case((kept, runs.c.total_measurements), else_=literal_column("0")),
    ).order_by(runs.c.recorded_at_us.desc(), runs.c.run_id.desc())
    return str(statement.compile(dialect=sqlite.dialect()))
