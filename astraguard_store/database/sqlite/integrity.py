"""Whether a database is sound, and what its rows say of files; writes nothing."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from sqlalchemy import bindparam, exists, func, literal_column, select
from sqlalchemy.dialects import sqlite

from astraguard_store.database.documents import DocumentState, document_state
from astraguard_store.database.schema import artifacts, metric_buckets, metric_statistics, runs
from astraguard_store.database.sqlite.engine import sqlite_library_version
from astraguard_store.model import Artifact

__all__ = [
    "WAL_RESET_FIXED",
    "FilesOfRun",
    "count_runs",
    "dangling_rows",
    "files_of_run",
    "files_of_runs",
    "has_wal_reset_bug",
    "structural_problems",
    "wal_reset_note",
]

WAL_RESET_FIXED: Final = "3.51.3"
# Of a file full of noise integrity_check would report every page.
_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class FilesOfRun:
    """What the rows of one run say of its files.

    Attributes:
        run_id: The run.
        staging_token: The save that wrote them; None if the run was adopted.
        artifacts: The files.
        lacks_buckets: Whether it has statistics, but no buckets.
        document: Whether the copy that is read instead of its rows is right.
    """

    run_id: str
    staging_token: str | None
    artifacts: tuple[Artifact, ...]
    lacks_buckets: bool
    document: DocumentState = field(default="right", compare=False)


def structural_problems(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite finds wrong with the file's structure; nothing if it is sound."""
    rows = connection.execute(f"PRAGMA integrity_check({_PROBLEMS})")
    # Its first line may hold a heading and several problems.
    lines = [line for row in rows for line in str(row[0]).splitlines()]
    return [] if lines == ["ok"] else lines


def dangling_rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Return {table: number of its rows whose run is missing}."""
    counts: dict[str, int] = {}
    for table, *_ in connection.execute("PRAGMA foreign_key_check"):
        counts[table] = counts.get(table, 0) + 1
    return counts


def count_runs(connection: sqlite3.Connection) -> int:
    """Return the number of runs."""
    number: int = connection.execute(_statements().count).fetchone()[0]
    return number


def files_of_runs(connection: sqlite3.Connection, after: str, limit: int) -> list[FilesOfRun]:
    """Return the first *limit* runs, by id, that come after the id *after*."""
    sql = _statements()
    rows = connection.execute(sql.runs_after, {"after": after, "limit": limit}).fetchall()
    return [_with_files(connection, *row) for row in rows]


def files_of_run(connection: sqlite3.Connection, run_id: str) -> FilesOfRun | None:
    """Return what the rows say of one run, None if there is none."""
    row = connection.execute(_statements().run, {"run_id": run_id}).fetchone()
    return None if row is None else _with_files(connection, *row)


def has_wal_reset_bug(version: str | None = None) -> bool:
    """Return whether a SQLite *version*, by default the library in use, has the WAL-reset bug."""
    parts = (version or sqlite_library_version()).split(".")
    return [int(part) for part in parts] < [int(part) for part in WAL_RESET_FIXED.split(".")]


def wal_reset_note() -> str:
    """Return what the WAL-reset bug is and what the store does about it, in one line."""
    return (
        f"SQLite {sqlite_library_version()} has the WAL-reset bug (mended in {WAL_RESET_FIXED}; "
        "sqlite.org/wal.html): a checkpoint that races with a commit can, rarely, damage the "
        "file. This store makes checkpoints only under its write ticket, where nobody commits, "
        "and sets wal_autocheckpoint=0; other programs that write into the database do not"
    )


class _Statements:
    def __init__(self) -> None:
        run_id: Any = bindparam("run_id")
        run = select(
            runs.c.run_id,
            runs.c.staging_token,
            _has_rows(metric_statistics),
            _has_rows(metric_buckets),
        )
        self.count = _sql(select(func.count()).select_from(runs))
        self.run = _sql(run.where(runs.c.run_id == run_id))
        self.runs_after = _sql(
            run.where(runs.c.run_id > bindparam("after"))
            .order_by(runs.c.run_id)
            .limit(bindparam("limit"))
            .offset(literal_column("0"))
        )
        columns = (column for column in artifacts.c if column.name != "run_id")
        self.files = _sql(select(*columns).where(artifacts.c.run_id == run_id))


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))


@cache
def _statements() -> _Statements:
    return _Statements()


def _has_rows(table: Any) -> Any:
    return exists().where(table.c.run_id == runs.c.run_id).correlate(runs)


def _with_files(
    connection: sqlite3.Connection,
    run_id: str,
    token: str | None,
    has_statistics: int,
    has_buckets: int,
) -> FilesOfRun:
    rows = connection.execute(_statements().files, {"run_id": run_id})
    files = tuple(Artifact(*row) for row in rows)
    lacks_buckets = bool(has_statistics and not has_buckets)
    state = document_state(connection, run_id)
    return FilesOfRun(run_id, token, files, lacks_buckets, state)
