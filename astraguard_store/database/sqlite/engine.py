"""Path → connection, with the settings that SQLite needs to be trusted.

SQLAlchemy's engines are for migrations alone, and imported for them: a third of a second.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import quote

from astraguard_store.database.sqlite.open_files import check_side_files
from astraguard_store.options import Durability
from astraguard_store.system.files import (
    databases_stay,
    descriptors_of,
    never_close,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Mode = Literal["alone", "immutable", "ro", "rw"]

WRITES = "astraguard_writes"
"""Execution option of a connection whose transactions write."""

BEGIN_TO_WRITE = "BEGIN IMMEDIATE"
"""A transaction that reads first and writes later fails at once when another has written
in between, whatever the busy timeout."""


_QUERIES: dict[Mode, str] = {
    "alone": "mode=ro&vfs=unix-none",
    "immutable": "mode=ro&immutable=1",
}


class Alone(sqlite3.Connection):
    """Reads a log that has no index, takes no lock, and takes itself to be alone.

    So SQLite, when it closes, removes a log that has no commit, by its name: meanwhile that
    may be a writer's. And the process would lose the locks that its other connections have
    on the file. It is closed when neither can be, if need be later or never.

    Attributes:
        removes_log: Whether closing it would remove the log.
    """

    removes_log = False
    _file: os.stat_result | None = None
    _is_closed = False
    _open: ClassVar[list[Alone]] = []

    def begin(self, path: Path) -> None:
        """Begin to read *path*, whose log is still there: SQLite would make one.

        Raises:
            sqlite3.OperationalError: It isn't.
        """
        if not os.access(f"{path}-wal", os.F_OK):
            raise sqlite3.OperationalError(f"the log {path}-wal was removed meanwhile")
        if sys.version_info >= (3, 12):
            self.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        self.removes_log = sys.version_info < (3, 12)
        # The log's index is then no file. The lock is none: this VFS takes none.
        self.execute("PRAGMA locking_mode=EXCLUSIVE")
        # Else it would sync the log before the attempt below.
        self.execute("PRAGMA synchronous=OFF")
        try:
            self.execute("PRAGMA wal_checkpoint").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname not in ("SQLITE_IOERR_WRITE", "SQLITE_READONLY"):
                raise
            # There is a commit, which a reader can't move, nor when it closes.
            self.removes_log = False

    def opened(self, file: os.stat_result) -> None:
        """Note that its *file* is open; others are kept from opening or closing it."""
        self._file = file
        self._open.append(self)

    def close(self) -> None:
        """Close it as soon as that harms nobody."""
        if not self._is_closed:
            self._is_closed = True
            if self.removes_log:
                never_close(self)
            with databases_stay():
                self.close_left_open()

    @classmethod
    def close_left_open(cls) -> None:
        """Close those that may be; others are kept from opening or closing their files."""
        for one in [one for one in cls._open if one._is_closed and not one.removes_log]:
            without_locks = [other for other in cls._open if other._file == one._file]
            if one._file is None or len(descriptors_of(one._file)) == len(without_locks):
                cls._open.remove(one)
                sqlite3.Connection.close(one)


def connect(
    path: Path, mode: Mode, *, durability: Durability = "full", busy_timeout_s: float = 30.0
) -> sqlite3.Connection:
    """Return a new connection to the SQLite file *path*.

    Args:
        path: The file.
        mode: ``ro`` reads only; ``rw`` writes, and creates nothing; ``immutable``
            reads a file that nobody writes, and takes no lock; ``alone`` reads its log
            too, whose index it makes in memory.
        durability: ``full`` syncs every commit; ``normal`` only checkpoints, so
            a power cut may take the latest commits back.
        busy_timeout_s: How long SQLite waits for a lock that it needs.
    """
    check_side_files(path)
    file = os.stat(path) if mode == "alone" else None
    with databases_stay():
        Alone.close_left_open()
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path))}?{_QUERIES.get(mode) or f'mode={mode}'}",
            uri=True,
            timeout=busy_timeout_s,
            check_same_thread=False,
            factory=Alone if file else sqlite3.Connection,
        )
        if isinstance(connection, Alone) and file:
            connection.opened(file)
    try:
        if isinstance(connection, Alone):
            connection.begin(path)
        _prepare(connection, _pragmas(mode, durability, busy_timeout_s))
    except BaseException:
        # Else the error's traceback keeps it open, and an empty log beside the file.
        connection.close()
        raise
    return connection


def connect_in_memory() -> sqlite3.Connection:
    """Return a new database in memory, which is gone when it is closed."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    _prepare(connection, ["PRAGMA foreign_keys=ON"])
    return connection


def engine_of(driver: sqlite3.Connection) -> Engine:
    """Return an engine for migrating on *driver*, which stays open and the caller's."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.pool import StaticPool

    engine = create_engine("sqlite://", poolclass=StaticPool, creator=lambda: driver)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql(BEGIN_TO_WRITE if writes else "BEGIN")

    return engine


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """Return sqlite3's connection, on which statements run: see `sql`."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
    return driver


def sqlite_library_version() -> str:
    """Return the version of the SQLite library that Python was built with."""
    return sqlite3.sqlite_version


def write_pragmas(durability: Durability, busy_timeout_s: float) -> list[str]:
    """Return the settings of a writing connection that a repository chooses."""
    return [
        f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}",
        f"PRAGMA synchronous={durability.upper()}",
    ]


def _pragmas(mode: Mode, durability: Durability, busy_timeout_s: float) -> list[str]:
    # The timeout first: the pragmas after it may meet a lock themselves.
    pragmas = [f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}"]
    if mode != "rw":
        # 32 MB of pages, taken as they are read: 14,000 runs stay in reach.
        return [
            *pragmas,
            "PRAGMA query_only=ON",
            "PRAGMA mmap_size=0",
            "PRAGMA cache_size=-32768",
        ]
    return [
        *write_pragmas(durability, busy_timeout_s),
        # Readers don't wait for writers, nor writers for readers.
        "PRAGMA journal_mode=WAL",
        "PRAGMA foreign_keys=ON",
        # Checkpoints are made under the ticket only: up to SQLite 3.51.2 one that
        # races with a commit can, rarely, corrupt the file.
        "PRAGMA wal_autocheckpoint=0",
        # An I/O error in mapped memory would kill the process.
        "PRAGMA mmap_size=0",
    ]


def _prepare(connection: sqlite3.Connection, pragmas: list[str]) -> None:
    # Python's driver begins transactions at its own choice, and none for DDL.
    connection.isolation_level = None
    for pragma in pragmas:
        _set(connection, pragma)


def _set(connection: sqlite3.Connection, pragma: str) -> None:
    answer = connection.execute(pragma).fetchone()
    if pragma == "PRAGMA journal_mode=WAL" and answer != ("wal",):
        raise sqlite3.OperationalError(
            f"the file system can't hold a write-ahead log (journal_mode is {answer[0]})"
        )
