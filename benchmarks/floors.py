"""Floors: bare `sqlite3` on the store's own tables, and the same bytes written raw.

No values are checked, made or frozen here, and nothing is coherent or cached: a
floor is what the database or the disk alone would take.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from astraguard_store.database.runs import run_with_document_sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STATISTICS = "count, mean_ms, p50_ms, p95_ms, p99_ms, min_ms, max_ms"
RUNS = "run_id, revision, recorded_at_us, total_measurements"
ARTIFACTS = "run_id, kind, path, bytes, sha256, rows"

RECENT = f"SELECT {RUNS} FROM runs ORDER BY recorded_at_us DESC, run_id DESC LIMIT ?"


def _comparison(which: str) -> str:
    keys = ("satellite_id", "metric_type")
    columns = ", ".join([*keys, STATISTICS])
    same = " AND ".join(f"b.{key} = c.{key}" for key in keys)
    source = f"SELECT {columns} FROM statistics WHERE run_id = ? AND satellite_id {which} ''"
    numbers = STATISTICS.split(", ")
    baseline = ", ".join(f"b.{name}" for name in numbers)
    candidate = ", ".join(f"c.{name}" for name in numbers)
    shown = keys[1:] if which == "=" else keys
    b_keys = ", ".join(f"b.{key}" for key in shown)
    c_keys = ", ".join(f"c.{key}" for key in shown)
    return (
        f"WITH b AS NOT MATERIALIZED ({source}), c AS NOT MATERIALIZED ({source}) "
        f"SELECT {b_keys}, {baseline}, {candidate} FROM b LEFT JOIN c ON {same} "
        f"UNION ALL SELECT {c_keys}, {baseline}, {candidate} FROM c LEFT JOIN b ON {same} "
        f"WHERE b.{keys[0]} IS NULL"
    )


COMPARE = _comparison("=")
COMPARE_SATELLITES = _comparison(">")


@dataclass(frozen=True, slots=True)
class RunRows:
    """All rows of one run, in the order of the store's columns."""

    run: tuple[Any, ...]
    statistics: list[tuple[Any, ...]]
    artifacts: list[tuple[Any, ...]]


class BareStore:
    """An open connection to a store's database, and the statements that it runs.

    Args:
        database: The store's database; its tables exist.
        durability: `full` or `normal`, as SQLite's `synchronous`.
    """

    def __init__(self, database: Path, durability: str = "full") -> None:
        self.connection = sqlite3.connect(database, isolation_level=None)
        self.connection.execute("PRAGMA busy_timeout = 30000")
        self.connection.execute(f"PRAGMA synchronous = {durability}")
        # As much as the engine's readers have.
        self.connection.execute("PRAGMA cache_size = -32768")

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def version(self) -> int:
        """Return SQLite's `data_version`, which changes with every commit of another."""
        version: int = self.connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def get(self, run_id: str) -> list[tuple[Any, ...]]:
        """Return a run's row with its document, and its tags, by the engine's own statement."""
        return self.connection.execute(run_with_document_sql(), (run_id,) * 5).fetchall()

    def recent(self, limit: int = 10) -> list[tuple[Any, ...]]:
        """Return the newest runs' header rows."""
        return self.connection.execute(RECENT, (limit,)).fetchall()

    def compare(self, baseline: str, candidate: str) -> list[tuple[Any, ...]]:
        """Return the joined statistics of both runs by metric type."""
        return self.connection.execute(COMPARE, (baseline, candidate)).fetchall()

    def compare_satellites(self, baseline: str, candidate: str) -> list[tuple[Any, ...]]:
        """Return the joined statistics of both runs by satellite and metric type."""
        return self.connection.execute(COMPARE_SATELLITES, (baseline, candidate)).fetchall()

    def save(self, rows: RunRows) -> None:
        """Commit one run."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"INSERT INTO runs ({RUNS}) VALUES (?, ?, ?, ?)", rows.run)
        connection.executemany(
            "INSERT INTO statistics VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)", rows.statistics
        )
        connection.executemany(
            f"INSERT INTO artifacts ({ARTIFACTS}) VALUES (?, ?, ?, ?, ?, ?)", rows.artifacts
        )
        connection.execute("COMMIT")


def write_raw(folder: Path, files: Sequence[tuple[str, bytes]]) -> None:
    """Write, fsync and rename each of *files* (name, content) in *folder*, one by one."""
    for name, content in files:
        staged = folder / f"{name}.staged"
        with staged.open("wb", buffering=0) as stream:
            written = 0
            while written < len(content):
                written += stream.write(content[written:])
            os.fsync(stream.fileno())
        staged.replace(folder / name)
