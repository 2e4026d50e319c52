"""Copies of a database that others may be writing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from astraguard_store.database.engine import database_engine
from astraguard_store.database.errors import translated
from astraguard_store.database.reader import driver_connection
from astraguard_store.exceptions import DatabaseDamagedError, DatabaseError

__all__ = ["back_up"]

_PAGES_A_STEP = 1024


def back_up(path: Path, target: Path) -> None:
    """Copy the database *path* to the new file *target* and check the copy.

    It goes through SQLite's backup interface, so writers go on meanwhile, and
    what is copied is the state of one moment.

    Raises:
        DatabaseError: The target is there already, or one of both failed.
        DatabaseDamagedError: The copy isn't sound, so the original isn't either.
    """
    try:
        # Reserve the name: SQLite would write into whatever is there.
        target.touch(exist_ok=False)
    except OSError as error:
        raise DatabaseError(f"{target} can't be made: {error.strerror}") from error
    try:
        with translated(path):
            _copy(path, target)
            _check(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy(path: Path, target: Path) -> None:
    with (
        database_engine(path, "ro").connect() as source,
        sqlite3.connect(target, isolation_level=None) as copy,
    ):
        driver_connection(source).backup(copy, pages=_PAGES_A_STEP)
        # A copy is one file, without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
    copy.close()
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _check(target: Path) -> None:
    with database_engine(target, "immutable").connect() as copy:
        driver = driver_connection(copy)
        answers = [row[0] for row in driver.execute("PRAGMA integrity_check")]
        broken = driver.execute("PRAGMA foreign_key_check").fetchall()
    if answers != ["ok"] or broken:
        raise DatabaseDamagedError(target, "; ".join(map(str, answers or broken)))
