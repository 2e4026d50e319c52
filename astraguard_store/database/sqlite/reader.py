"""The connections that read: one for queries, one that watches for commits."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from astraguard_store.database.sqlite.engine import Mode, database_engine
from astraguard_store.database.sqlite.errors import database_error, translated
from astraguard_store.database.sqlite.user_sql import Asking, Question, SetAsideError, answer
from astraguard_store.exceptions import DatabaseDamagedError, DatabaseError, StoreError
from astraguard_store.reports import QueryResult
from astraguard_store.system.files import is_same_file

__all__ = ["FileReader", "Query", "Reader", "driver_connection"]

T = TypeVar("T")
Query = Callable[[sqlite3.Connection], T]
FileState = tuple[int, int, int, int]
"""(inode, size, time of last change in ns)"""

_TICKS_NS = 20_000_000
_VERSIONS = 2**32
"""More than `data_version` can count to."""


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """Return sqlite3's connection: the hot statements cost 12 µs on it, 60 through Core."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
    return driver


class Reader(Protocol):
    """What answers queries; threads share it.

    Attributes:
        lock: Held while a query runs.
    """

    lock: threading.RLock

    def check_in_place(self) -> None:
        """Raise DatabaseError if the file that was opened isn't there any more."""

    def before_fork(self) -> None:
        """Come to rest, and keep everybody out."""

    def after_fork(self) -> None:
        """Let everybody in again."""

    def version(self) -> Hashable:
        """Return a value that is another one after anybody's commit."""

    def read(self, query: Query[T], *, statements: int = 2) -> T:
        """Return the result of *query*, run on one snapshot.

        Args:
            query: Reads from the connection that it is given.
            statements: How many statements it runs; one is a snapshot by itself.
        """

    def ask(self, question: Question) -> QueryResult:
        """Return the answer to somebody's own SQL; other queries don't wait for it.

        Raises:
            QueryError: It is refused, wrong, or took too long.
        """

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""


class FileReader:
    """Reads a SQLite file, in one of two ways.

    Where a write-ahead log is there, somebody may be writing: two connections,
    one for queries, and one that is never in a transaction and whose
    ``data_version`` moves with everybody's commits.

    Where none is there, nobody has the file open for writing. Then opening it
    as usual would create the log and its index, and a reader creates nothing;
    so it is opened as a file that doesn't change, and looked at before and
    after each query: if it did change, the query is run again. Such a connection
    may be closed beside others of this process: SQLite keeps its descriptor until
    they have no locks left, which closing it would drop.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        _check_is_file(path)
        self._path = path
        self._log = f"{path}-wal"
        self._busy_timeout_s = busy_timeout_s
        # As text: a Path would be asked for it at each look.
        self._file = os.fspath(path)
        self._identity = os.stat(path)
        self.lock = threading.RLock()
        self._watch_lock = threading.RLock()
        self._queries: Connection | None = None
        self._queries_driver: sqlite3.Connection | None = None
        self._queries_quiet: FileState | None = None
        self._watch: Connection | None = None
        self._watch_cursor: sqlite3.Cursor | None = None
        self._watch_number = 0
        self._under_way: set[Asking] = set()

    def version(self) -> Hashable:
        """Return a value that is another one after anybody's commit; 5 µs."""
        state = self._checked_state()
        # An open connection keeps the log from being removed.
        if self._watch_cursor is None and not os.access(self._log, os.F_OK):
            return object() if _is_fresh(state) else _file_state(state)
        with self._watch_lock:
            try:
                cursor = self._watch_cursor or self._open_watch()
                version: int = cursor.execute("PRAGMA data_version").fetchone()[0]
                # Numbers of two connections say nothing of each other.
                return self._watch_number + version
            except (sqlite3.Error, DBAPIError) as error:
                raise database_error(error, self._path) from error

    def _open_watch(self) -> sqlite3.Cursor:
        self._watch = self._connect("ro")
        self._watch_number += _VERSIONS
        self._watch_cursor = driver_connection(self._watch).cursor()
        return self._watch_cursor

    def read(self, query: Query[T], *, statements: int = 2) -> T:
        """Return the result of *query*, run on one snapshot; see `Reader.read`."""
        with self.lock:
            try:
                connection = self._queries_driver
                # An open connection keeps the log from being removed.
                if connection is None or self._queries_quiet is not None:
                    if not os.access(self._log, os.F_OK):
                        return self._read_quietly(query)
                    connection = self._connection(None)
                # Whoever isn't in the cache didn't ask for the version, so look here.
                self._checked_state()
                if connection.in_transaction:
                    return self._read_apart(query)
                return query(connection) if statements == 1 else _snapshot(connection, query)
            except BaseException as error:
                # It may be in the middle of a snapshot, and would show that for ever. Out of
                # reach first: closing it may be interrupted too.
                broken, self._queries, self._queries_driver = self._queries, None, None
                if broken is not None:
                    broken.close()
                if isinstance(error, sqlite3.Error | DBAPIError):
                    raise database_error(error, self._path) from error
                raise

    def _read_apart(self, query: Query[T]) -> T:
        """Answer a signal's handler that asks in the middle of another query's snapshot."""
        with self._connect("ro") as connection:
            return _snapshot(driver_connection(connection), query)

    def _read_quietly(self, query: Query[T]) -> T:
        while True:
            before = self._quiet_state()
            if before is None:
                return _snapshot(self._connection(None), query)
            try:
                result = query(self._connection(before))
            except sqlite3.Error:
                if self._quiet_state() == before:
                    raise
            else:
                if self._quiet_state() == before:
                    return result

    def ask(self, question: Question) -> QueryResult:
        """Return the answer, from a connection of its own; see `Reader.ask`."""
        asking = Asking(question)
        before: FileState | None = None
        while True:
            connection: Connection | None = None
            try:
                with translated(self._path):
                    connection, before = self._open_for(asking)
                    result = answer(driver_connection(connection), asking)
            except SetAsideError:
                continue
            except StoreError:
                if before in {None, self._state()}:
                    raise
            else:
                # A log that came meanwhile is no harm: this is the state without it.
                if before in {None, self._state()}:
                    return result
            finally:
                try:
                    if connection is not None:
                        connection.close()
                finally:
                    # Also after an interrupt: others wait for it.
                    self._under_way.discard(asking)
                    asking.end()

    def _open_for(self, asking: Asking) -> tuple[Connection, FileState | None]:
        # A writer of this process isn't opened before these connections are closed (`close`).
        with self.lock:
            state = self._quiet_state()
            self._under_way.add(asking)
            asking.begin()
            return self._connect("ro" if state is None else "immutable"), state

    def close(self) -> None:
        """Close the connections; the next use opens new ones.

        Questions under way are set aside, and asked anew when the lock is free.
        """
        with self.lock, self._watch_lock:
            under_way = tuple(self._under_way)
            for asking in under_way:
                asking.set_aside()
            for asking in under_way:
                asking.wait()
            for connection in (self._queries, self._watch):
                if connection is not None:
                    connection.close()
            self._queries = self._queries_driver = None
            self._watch = self._watch_cursor = None

    def before_fork(self) -> None:
        """Take the locks and close the connections."""
        self.lock.acquire()
        self._watch_lock.acquire()
        self.close()

    def after_fork(self) -> None:
        """Give the locks back."""
        self._watch_lock.release()
        self.lock.release()

    def check_in_place(self) -> None:
        """Raise DatabaseError if the file that was opened isn't there any more."""
        self._checked_state()

    def _connection(self, quiet: FileState | None) -> sqlite3.Connection:
        """Return the connection for queries, opened for *quiet* or, if None, as usual."""
        if self._queries_driver is None or self._queries_quiet != quiet:
            if self._queries is not None:
                self._queries.close()
            self._queries = self._connect("ro" if quiet is None else "immutable")
            self._queries_driver = driver_connection(self._queries)
            self._queries_quiet = quiet
        return self._queries_driver

    def _connect(self, mode: Mode) -> Connection:
        return database_engine(self._path, mode, busy_timeout_s=self._busy_timeout_s).connect()

    def _quiet_state(self) -> FileState | None:
        """Return the state of a file that nobody writes, None while somebody may."""
        while not os.access(self._log, os.F_OK):
            state = self._checked_state()
            if not _is_fresh(state):
                return _file_state(state)
            time.sleep(0.005)
        self._checked_state()
        return None

    def _state(self) -> FileState:
        return _file_state(self._checked_state())

    def _checked_state(self) -> os.stat_result:
        try:
            state = os.stat(self._file)
        except OSError as error:
            raise DatabaseError(
                f"{self._path} is gone ({error.strerror}) while it was open; "
                "close the repository and open it again"
            ) from error
        if not is_same_file(state, self._identity):
            raise DatabaseError(
                f"{self._path} was replaced by another file while it was open; "
                "close the repository and open it again"
            )
        return state


def _snapshot(connection: sqlite3.Connection, query: Query[T]) -> T:
    try:
        # In here: Ctrl-C may strike as it returns.
        connection.execute("BEGIN")
        return query(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _check_is_file(path: Path) -> None:
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError as error:
        raise DatabaseError(f"{path} can't be opened: {error.strerror}") from error
    except FileNotFoundError:
        if os.path.islink(path):
            raise DatabaseDamagedError(path, "it is a link to a file that is gone") from None
        raise
    if not is_file:
        raise DatabaseDamagedError(path, "it is no file")


def _file_state(found: os.stat_result) -> FileState:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_fresh(state: os.stat_result) -> bool:
    """Tell whether a further change could bear the same time: clocks tick every 1 to 10 ms."""
    return -_TICKS_NS < time.time_ns() - state.st_mtime_ns < _TICKS_NS
