"""Copies of a database that others may be writing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from astraguard_store.database.engine import database_engine
from astraguard_store.database.errors import database_error, is_damage, translated
from astraguard_store.database.integrity import structural_problems
from astraguard_store.database.reader import Reader, driver_connection
from astraguard_store.exceptions import DatabaseDamagedError, DatabaseError

__all__ = ["back_up"]


def back_up(reader: Reader, where: Path | str, target: Path) -> None:
    """Copy what *reader* reads to the new file *target* and check the copy.

    It goes through SQLite's backup interface, so writers go on meanwhile, and
    what is copied is the state of one moment. Nothing is written beside the
    original.

    Args:
        reader: The connections to the database.
        where: The database, for messages.
        target: The copy, one file without a log; it must not be there yet.

    Raises:
        DatabaseError: The target is there already, or one of both failed.
        DatabaseDamagedError: The copy isn't sound, so the original isn't either.
    """
    try:
        # Reserve the name: SQLite would write into whatever is there.
        target.touch(exist_ok=False)
    except OSError as error:
        raise DatabaseError(
            f"{target} can't be made: {error.strerror}; name a new file in a folder that is there"
        ) from error
    try:
        with translated(target), closing(_connect(target)) as copy:
            reader.read(lambda source: _copy(source, copy, target))
            copy.execute("PRAGMA journal_mode=DELETE").fetchall()
        _check(where, target)
        _sync(target)
    except BaseException:
        _remove(target)
        raise


def _connect(target: Path) -> sqlite3.Connection:
    return sqlite3.connect(target, isolation_level=None)


def _copy(source: sqlite3.Connection, copy: sqlite3.Connection, target: Path) -> None:
    try:
        # In one step: between steps every commit would make it begin again.
        source.backup(copy)
    except sqlite3.Error as error:
        if is_damage(error):
            raise
        raise database_error(error, target) from error


def _check(where: Path | str, target: Path) -> None:
    try:
        with database_engine(target, "immutable").connect() as copy:
            driver = driver_connection(copy)
            problems = structural_problems(driver)
            broken = driver.execute("PRAGMA foreign_key_check").fetchall()
    except (sqlite3.Error, DBAPIError) as error:
        # A copy that isn't sound is a copy of what isn't.
        raise database_error(error, where if is_damage(error) else target) from error
    if problems or broken:
        raise DatabaseDamagedError(where, "; ".join(map(str, problems or broken)))


def _sync(target: Path) -> None:
    try:
        for path in (target, target.parent):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise DatabaseError(
            f"{target} can't be synced to disk: {error.strerror}; it was removed. Check the disk, "
            "or name a file on another"
        ) from error


def _remove(target: Path) -> None:
    """Remove a copy that failed, and what SQLite may have left beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        # The failure that led here is the one to raise.
        with suppress(OSError):
            target.with_name(target.name + suffix).unlink()
