"""The connection that writes: how it is opened, commits, and keeps its log short."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection

from astraguard_store.database.sqlite.engine import BEGIN_TO_WRITE, database_engine
from astraguard_store.database.sqlite.errors import database_error
from astraguard_store.database.sqlite.reader import driver_connection
from astraguard_store.exceptions import CommitOutcomeUnknownError
from astraguard_store.options import StoreOptions

__all__ = ["begin", "commit", "connect_writer", "data_version", "log_bytes", "reuse_log"]

logger = logging.getLogger("astraguard_store")

# 4 MB are some 65 saves; reading through them is still quick.
_LOG_LIMIT_BYTES = 4 * 2**20
_LONG_LOG_BYTES = 6 * 2**20


def connect_writer(path: Path, options: StoreOptions) -> Connection:
    """Open a connection that may write into the database *path*.

    Raises:
        DBAPIError: It can't be opened.
    """
    engine = database_engine(
        path, "rw", durability=options.durability, busy_timeout_s=options.busy_timeout_s
    )
    connection = engine.connect()
    # A query, so that the log is there and readers see that somebody writes.
    driver_connection(connection).execute("SELECT 1 FROM sqlite_schema").fetchone()
    return connection


def data_version(connection: Connection) -> int:
    """Return a number that moves with everybody's commits but this connection's."""
    version: int = driver_connection(connection).execute("PRAGMA data_version").fetchone()[0]
    return version


def begin(driver: sqlite3.Connection) -> None:
    """Begin a transaction that writes; through SQLAlchemy it takes 60 µs more, and to end it."""
    driver.execute(BEGIN_TO_WRITE)


def commit(driver: sqlite3.Connection, where: Path | str) -> None:
    """Commit.

    Raises:
        CommitOutcomeUnknownError: It failed, and may have taken place.
    """
    try:
        driver.execute("COMMIT")
    except sqlite3.Error as error:
        raise CommitOutcomeUnknownError(
            f"{where}: the commit failed ({database_error(error, where)}), so it "
            "is unknown whether it took place; open the store again to settle it"
        ) from error


def log_bytes(path: Path) -> int:
    """Return the length of the write-ahead log of the database *path*, 0 if it has none."""
    try:
        return os.stat(f"{path}-wal").st_size
    except FileNotFoundError:
        return 0


def reuse_log(
    driver: sqlite3.Connection, path: Path, bytes_before: int, options: StoreOptions
) -> None:
    """Move a long log into the database file; a failure only leaves it long.

    The log is begun anew in the same file: to sync what is written over takes two thirds
    of the time that a file takes which grows. So the file has a length that says nothing
    of what is in it, until a commit makes it longer: that one moves it.

    Args:
        driver: The connection that has committed; the ticket is held.
        path: The database.
        bytes_before: What `log_bytes` was before.
        options: How its transactions are wanted.
    """
    try:
        bytes_now = log_bytes(path)
        if bytes_now < _LOG_LIMIT_BYTES or bytes_now <= bytes_before:
            return
        mode = "RESTART" if bytes_now < _LONG_LOG_BYTES else "TRUNCATE"
        # A reader in the middle of a query is not waited for: the next save tries again.
        driver.execute("PRAGMA busy_timeout=0")
        try:
            driver.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        finally:
            driver.execute(f"PRAGMA busy_timeout={int(options.busy_timeout_s * 1000)}")
    except (OSError, sqlite3.Error) as error:
        logger.warning("%s: the write-ahead log could not be moved: %s", path, error)
