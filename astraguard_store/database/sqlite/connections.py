"""The connections to a SQLite file: for queries, to watch for commits, and to write."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from astraguard_store.database.sql import Query
from astraguard_store.database.sqlite.engine import (
    BEGIN_TO_WRITE,
    Mode,
    connect,
    write_pragmas,
)
from astraguard_store.database.sqlite.errors import (
    DRIVER_ERRORS,
    database_error,
    is_damage,
    translated,
    translated_os_errors,
)
from astraguard_store.database.sqlite.open_files import OpenFiles, is_written_with_log
from astraguard_store.exceptions import (
    CommitOutcomeUnknownError,
    DatabaseDamagedError,
    DatabaseError,
    StoreError,
)
from astraguard_store.options import StoreOptions
from astraguard_store.system.files import is_same_file, open_descriptors

if TYPE_CHECKING:
    from astraguard_store.database.backend import Question
    from astraguard_store.database.sqlite.user_sql import Asking
    from astraguard_store.reports import QueryResult

logger = logging.getLogger("astraguard_store")

T = TypeVar("T")
FileState = tuple[int, int, int, int]
"""(device, inode, size, time of last change in ns)"""
QuietState = tuple[FileState, FileState | None]
"""Of the database, and of the log that a dead process left without its index."""

_TICKS_NS = 20_000_000
_NAP_S = 0.005
_NAPS = 8
_VERSIONS = 2**32
"""More than `data_version` can count to."""

# 4 MB are some 65 saves; reading through them is still quick.
_LOG_LIMIT_BYTES = 4 * 2**20
_LONG_LOG_BYTES = 6 * 2**20

# Those with a log but without its index, which one connection each found to be so: it can't
# always be closed.
_without_commit: set[QuietState] = set()
_damaged: dict[QuietState, sqlite3.DatabaseError] = {}


class FileReader:
    """Reads a SQLite file, in one of two ways.

    Where a write-ahead log is there, somebody may be writing: two connections,
    one for queries, and one that is never in a transaction and whose
    ``data_version`` moves with everybody's commits.

    Where none is there, or its index isn't, nobody has the file open for writing.
    Then opening it as usual would create them, and a reader creates nothing; so it
    is opened as a file that doesn't change, and looked at before and after each
    query: if it did change, the query is run again. Such a connection may be closed
    beside others of this process: SQLite keeps its descriptor until they have no
    locks left, which closing it would drop (for a log without index see `Alone`). A
    database that is written without a log, such as a copy that was put back, is read
    under SQLite's usual locks.
    """

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self._identity = _state_of_file(path)
        self._path = path
        self._log = f"{path}-wal"
        self._log_index = f"{path}-shm"
        # Of which state it is known whether it is written with a log.
        self._mode_of: tuple[FileState, bool] | None = None
        self._busy_timeout_s = busy_timeout_s
        # As text: a Path would be asked for it at each look.
        self._file = os.fspath(path)
        self.lock = threading.RLock()
        self._watch_lock = threading.RLock()
        self._queries: sqlite3.Connection | None = None
        self._queries_quiet: QuietState | None = None
        self._watch: sqlite3.Connection | None = None
        self._watch_cursor: sqlite3.Cursor | None = None
        self._watch_number = 0
        self._under_way: set[Asking] = set()

    def version(self) -> Hashable:
        """Return a value that is another one after anybody's commit; 5 µs."""
        state = self._checked_state()
        # An open connection keeps the log from being removed.
        if self._watch_cursor is None and not self._may_be_written():
            log = self._log_state()
            return object() if _is_fresh(state) else (_file_state(state), log)
        with self._watch_lock:
            try:
                cursor = self._watch_cursor or self._open_watch()
                version: int = cursor.execute("PRAGMA data_version").fetchone()[0]
                # Numbers of two connections say nothing of each other.
                return self._watch_number + version
            except DRIVER_ERRORS as error:
                raise database_error(error, self._path) from error

    def _may_be_written(self) -> bool:
        """Return whether there are a log and its index, as while somebody writes."""
        return os.access(self._log_index, os.F_OK) and self._log_state() is not None

    def _log_state(self) -> FileState | None:
        # An empty one holds no commit. A full disk leaves one with an index too short to use,
        # and no reader may make it longer.
        try:
            state = os.stat(self._log) if os.access(self._log, os.F_OK) else None
        except FileNotFoundError:
            return None
        return _file_state(state) if state and state.st_size else None

    def _open_watch(self) -> sqlite3.Cursor:
        self._watch = self._connect("ro")
        self._watch_number += _VERSIONS
        self._watch_cursor = self._watch.cursor()
        return self._watch_cursor

    def read(self, query: Query[T], *, one_statement: bool = False) -> T:
        """Return the result of *query*, run on one snapshot; see `Backend.read`."""
        with self.lock:
            try:
                connection = self._queries
                # An open connection keeps the log from being removed.
                if connection is None or self._queries_quiet is not None:
                    if not self._may_be_written():
                        return self._read_quietly(query)
                    connection = self._connection(None)
                # Whoever isn't in the cache didn't ask for the version, so look here.
                self._checked_state()
                return query(connection) if one_statement else _snapshot(connection, query)
            except BaseException as error:
                # It may be in the middle of a snapshot, and would show that for ever. Out of
                # reach first: closing it may be interrupted too.
                broken, self._queries = self._queries, None
                if broken is not None:
                    broken.close()
                if isinstance(error, DRIVER_ERRORS):
                    raise database_error(error, self._path) from error
                raise

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
        """Return the answer, from a connection of its own; see `Backend.ask`."""
        # Nobody else needs it, and its patterns take 6 ms.
        from astraguard_store.database.sqlite.user_sql import Asking, SetAsideError

        asking = Asking(question)
        while True:
            try:
                with self._under_way_as(asking) as before:
                    try:
                        result = self._answer(asking, before)
                    except StoreError:
                        if before is None or before == (self._state(), self._log_state()):
                            raise
                        continue
            except SetAsideError:
                continue
            # A log that came meanwhile is no harm: this is the state without it.
            if before is None or before[0] == self._state():
                return result

    @contextmanager
    def _under_way_as(self, asking: Asking) -> Iterator[QuietState | None]:
        """Keep the connections of this process from being closed before its own is (`close`)."""
        with ExitStack() as connected:
            with self.lock:
                asking.is_set_aside = False
                state = self._quiet_state()
                connected.enter_context(asking.connected)
                self._under_way.add(asking)
            try:
                yield state
            finally:
                self._under_way.discard(asking)

    def _answer(self, asking: Asking, quiet: QuietState | None) -> QueryResult:
        from astraguard_store.database.sqlite.user_sql import answer

        with translated(self._path), closing(self._connect_quietly(quiet)) as own:
            return answer(own, asking)

    def close(self) -> None:
        """Close the connections; the next use opens new ones.

        Questions under way are set aside, and asked anew when the lock is free.
        """
        with self.lock, self._watch_lock:
            under_way = tuple(self._under_way)
            for asking in under_way:
                asking.is_set_aside = True
            for asking in under_way:
                with asking.connected:
                    pass
            connections = self._queries, self._watch
            self._queries = None
            self._watch = self._watch_cursor = None
            for connection in connections:
                if connection is not None:
                    connection.close()

    def before_fork(self) -> None:
        """Take the locks and close the connections, a subclass's too."""
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

    def _connection(self, quiet: QuietState | None) -> sqlite3.Connection:
        """Return the connection for queries, opened for *quiet* or, if None, as usual."""
        if self._queries is None or self._queries_quiet != quiet:
            if self._queries is not None:
                self._queries.close()
            self._queries = self._connect_quietly(quiet)
            self._queries_quiet = quiet
        return self._queries

    def _connect_quietly(self, quiet: QuietState | None) -> sqlite3.Connection:
        """Return a new connection to a file of that state; `None`: it may be written."""
        if quiet is None:
            return self._connect("ro")
        if quiet[1] is None or quiet in _without_commit:
            return self._connect("immutable")
        if quiet in _damaged:
            raise copy(_damaged[quiet])
        try:
            connection = self._connect("alone")
        except sqlite3.DatabaseError as error:
            if is_damage(error) and (self._state(), self._log_state()) == quiet:
                _damaged[quiet] = copy(error)
            raise
        if getattr(connection, "removes_log", False) and self._log_state() == quiet[1]:
            # It can't be closed, and there is no need of another.
            _without_commit.add(quiet)
        return connection

    def _connect(self, mode: Mode) -> sqlite3.Connection:
        return connect(self._path, mode, busy_timeout_s=self._busy_timeout_s)

    def _quiet_state(self) -> QuietState | None:
        """Return the state of a file that nobody writes, None while somebody may."""
        seen, naps = None, 0
        while not self._may_be_written():
            state = self._checked_state()
            now = _file_state(state), self._log_state()
            if now[1] is None and not self._has_log_when_written(now[0]):
                return None
            if now != seen:
                seen, naps = now, 0
            # So many naps are longer than a tick, also where a test holds the clock still.
            if naps == _NAPS or not _is_fresh(state):
                return seen
            time.sleep(_NAP_S)
            naps += 1
        self._checked_state()
        return None

    def _has_log_when_written(self, state: FileState) -> bool:
        if self._mode_of is None or self._mode_of[0] != state:
            with translated_os_errors(self._path):
                self._mode_of = state, is_written_with_log(self._file)
        return self._mode_of[1]

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


class SqliteWrite:
    """A write transaction that has begun: see `Write`.

    Args:
        connection: On which it writes.
        name: The database, for messages.
        check: Called after the commit; raises if what was committed may be lost.

    Attributes:
        connection: On which it writes.
        attempted: Whether the commit was begun.
    """

    def __init__(
        self, connection: sqlite3.Connection, name: str, check: Callable[[], None] | None = None
    ) -> None:
        self.connection = connection
        self.attempted = False
        self._name = name
        self._check = check

    def commit(self) -> None:
        """Commit; see `Write.commit`."""
        self.attempted = True
        try:
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            failure = database_error(error, self._name)
            unknown = CommitOutcomeUnknownError(
                f"{self._name}: the commit failed ({failure}), so it is unknown whether it took "
                "place; open the store again to settle it"
            )
            unknown.errno = failure.errno
            raise unknown from error
        if self._check:
            self._check()

    def roll_back(self) -> None:
        """Roll back, if SQLite hasn't by itself."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")


class FileWriter:
    """The connection that writes: when it is opened and closed, and how long its log may get.

    One thread at a time is at work with it. Meanwhile nobody asks it for its version:
    that is asked by readers, who don't wait for a writer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = threading.RLock()
        # Held for the moment that a look at the version takes, and to begin the work.
        self._look = threading.RLock()
        self._is_at_work = False
        self._connection: sqlite3.Connection | None = None
        self._options: StoreOptions | None = None
        self._number = 0
        self._files: OpenFiles | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Wait for others who are at work, and keep them out."""
        with self._turn:
            before = self._is_at_work
            with self._look:
                self._is_at_work = True
            try:
                yield
            finally:
                self._is_at_work = before

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def open(self, options: StoreOptions) -> None:
        """Open the connection.

        Raises:
            sqlite3.Error: It can't be opened.
            DatabaseError: This user may not write it.
        """
        if not os.access(self._path, os.W_OK, effective_ids=True):
            # SQLite would make a log of this user's beside it, which keeps the owner out.
            failure = DatabaseError(
                f"{self._path}: it may not be written; check the rights of it and its folder"
            )
            failure.errno = errno.EACCES
            raise failure
        before = set(open_descriptors())
        connection = connect(
            self._path,
            "rw",
            durability=options.durability,
            busy_timeout_s=options.busy_timeout_s,
        )
        try:
            # A query, so that the log is there and readers see that somebody writes.
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
            with translated_os_errors(self._path):
                self._files = OpenFiles(self._path, connection, before)
        except BaseException:
            connection.close()
            raise
        # Numbers of two connections say nothing of each other.
        self._number += _VERSIONS
        self._connection, self._options = connection, options

    def begin(self, options: StoreOptions) -> SqliteWrite:
        """Begin a transaction in the open connection, if its files are those that were opened.

        Raises:
            DatabaseDamagedError: They aren't.
        """
        driver = self.driver(options)
        driver.execute(BEGIN_TO_WRITE)
        self._check_files()
        return SqliteWrite(driver, str(self._path), self._check_files)

    def note_files(self) -> None:
        """Note that the files are as they were left here."""
        if self._files is not None:
            self._files.note()

    def _check_files(self) -> None:
        assert self._files is not None  # noqa: S101 - for the type checker
        with translated_os_errors(self._path):
            self._files.check()

    def driver(self, options: StoreOptions) -> sqlite3.Connection:
        """Return the open connection with these settings."""
        assert self._connection is not None  # noqa: S101 - for the type checker
        if self._options != options:
            for pragma in write_pragmas(options.durability, options.busy_timeout_s):
                self._connection.execute(pragma)
            self._options = options
        return self._connection

    def version_of_others(self) -> int | None:
        """Return a number that moves with everybody's commits but this connection's."""
        with self._look:
            if self._is_at_work or self._connection is None:
                return None
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            return self._number + version

    def log_bytes(self) -> int:
        """Return the length of the write-ahead log, 0 if there is none."""
        log = f"{self._path}-wal"
        with translated_os_errors(log), suppress(FileNotFoundError):
            return os.stat(log).st_size
        return 0

    def reuse_log(self, bytes_before: int, options: StoreOptions) -> None:
        """Move a long log into the database file; a failure only leaves it long.

        The log is begun anew in the same file: to sync what is written over takes two thirds
        of the time that a file takes which grows. So the file has a length that says nothing
        of what is in it, until a commit makes it longer: that one moves it.

        Args:
            bytes_before: What `log_bytes` was before the commit.
            options: How its transactions are wanted.
        """
        try:
            bytes_now = self.log_bytes()
            if bytes_now < _LOG_LIMIT_BYTES or bytes_now <= bytes_before:
                return
            mode = "RESTART" if bytes_now < _LONG_LOG_BYTES else "TRUNCATE"
            driver = self.driver(options)
            # A reader in the middle of a query is not waited for: the next save tries again.
            driver.execute("PRAGMA busy_timeout=0")
            try:
                driver.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
                self.note_files()
            finally:
                driver.execute(f"PRAGMA busy_timeout={int(options.busy_timeout_s * 1000)}")
        except (OSError, sqlite3.Error) as error:
            logger.warning("%s: the write-ahead log could not be moved: %s", self._path, error)

    def close(self) -> None:
        """Close the connection, in whatever state it is; the next use opens another."""
        connection, self._connection, self._files = self._connection, None, None
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """Wait for the work to end, and let nobody begin."""
        self._turn.acquire()
        self._look.acquire()

    def go_on(self) -> None:
        """Let the work begin again."""
        self._look.release()
        self._turn.release()


def _snapshot(connection: sqlite3.Connection, query: Query[T]) -> T:
    try:
        # In here: Ctrl-C may strike as it returns.
        connection.execute("BEGIN")
        return query(connection)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _state_of_file(path: Path) -> os.stat_result:
    try:
        found = os.stat(path)
    except PermissionError as error:
        raise DatabaseError(f"{path} can't be opened: {error.strerror}") from error
    except FileNotFoundError:
        if os.path.islink(path):
            raise DatabaseDamagedError(path, "it is a link to a file that is gone") from None
        raise
    except OSError as error:
        # Such as a link to itself.
        raise DatabaseDamagedError(path, str(error.strerror)) from error
    if not stat.S_ISREG(found.st_mode):
        raise DatabaseDamagedError(path, "it is no file")
    return found


def _file_state(found: os.stat_result) -> FileState:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _is_fresh(state: os.stat_result) -> bool:
    """Tell whether a further change could bear the same time: clocks tick every 1 to 10 ms."""
    return -_TICKS_NS < time.time_ns() - state.st_mtime_ns < _TICKS_NS
