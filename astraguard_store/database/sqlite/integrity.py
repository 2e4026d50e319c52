"""Whether a SQLite database is sound; writes nothing."""

from __future__ import annotations

import sqlite3
from typing import Final

from astraguard_store.database.core import metadata
from astraguard_store.database.sqlite.engine import sqlite_library_version

WAL_RESET_FIXED: Final = "3.51.3"
# Of a file full of noise integrity_check would report every page.
_PROBLEMS = 10


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


def replaced_tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of this store's tables that are views, or take values of any type."""
    found = {
        name: (kind, strict)
        for _, name, kind, _, _, strict in connection.execute("PRAGMA main.table_list")
    }
    return [name for name in metadata.tables if found.get(name) != ("table", 1)]


def has_wal_reset_bug() -> bool:
    """Return whether the SQLite library in use has the WAL-reset bug."""
    parts = sqlite_library_version().split(".")
    return [int(part) for part in parts] < [int(part) for part in WAL_RESET_FIXED.split(".")]


def wal_reset_note() -> str:
    """Return what the WAL-reset bug is and what the store does about it, in one line."""
    return (
        f"SQLite {sqlite_library_version()} has the WAL-reset bug (mended in {WAL_RESET_FIXED}; "
        "sqlite.org/wal.html): a checkpoint that races with a commit can, rarely, damage the "
        "file. This store makes checkpoints only under its write ticket, where nobody commits, "
        "and sets wal_autocheckpoint=0; other programs that write into the database do not"
    )
