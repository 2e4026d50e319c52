"""The connection that writes: how it is opened, commits, and keeps its log short."""

from __future__ import annotations

import logging
import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.exc import DBAPIError

from astraguard_store.database.engine import WRITES, database_engine
from astraguard_store.database.errors import database_error
from astraguard_store.database.reader import driver_connection
from astraguard_store.database.transaction import WriteOptions
from astraguard_store.exceptions import CommitOutcomeUnknownError

__all__ = ["commit", "connect_writer", "data_version", "shorten_log"]

logger = logging.getLogger("astraguard_store")

# A log of 4 MB is some 200 saves; reading through it is still quick.
_LOG_LIMIT_BYTES = 4 * 2**20


def connect_writer(path: Path, options: WriteOptions) -> Connection:
    """Open a connection that may write into the database *path*.

    Raises:
        DBAPIError: It can't be opened.
    """
    engine = database_engine(
        path, "rw", durability=options.durability, busy_timeout_s=options.busy_timeout_s
    )
    connection = engine.connect().execution_options(**{WRITES: True})
    # A query, so that the log is there and readers see that somebody writes.
    driver_connection(connection).execute("SELECT 1 FROM sqlite_schema").fetchone()
    return connection


def data_version(connection: Connection) -> int:
    """Return a number that moves with everybody's commits but this connection's."""
    version: int = driver_connection(connection).execute("PRAGMA data_version").fetchone()[0]
    return version


def commit(begun: RootTransaction, where: Path | str) -> None:
    """Commit.

    Raises:
        CommitOutcomeUnknownError: It failed, and may have taken place.
    """
    try:
        begun.commit()
    except (sqlite3.Error, DBAPIError) as error:
        raise CommitOutcomeUnknownError(
            f"{where}: the commit failed ({database_error(error, where)}), so it "
            "is unknown whether it took place; open the store again to settle it"
        ) from error


def shorten_log(driver: sqlite3.Connection, path: Path, options: WriteOptions) -> None:
    """Move a long log into the file; a failure only leaves it long."""
    try:
        if os.stat(f"{path}-wal").st_size < _LOG_LIMIT_BYTES:
            return
        # A reader in the middle of a query is not waited for: the next save tries again.
        driver.execute("PRAGMA busy_timeout=0")
        try:
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            driver.execute(f"PRAGMA busy_timeout={int(options.busy_timeout_s * 1000)}")
    except (OSError, sqlite3.Error) as error:
        logger.warning("%s: the write-ahead log could not be moved: %s", path, error)
