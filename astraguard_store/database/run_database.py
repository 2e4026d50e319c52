"""The runs of one database: answered from memory where that is sure, else by a query."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from astraguard_store.comparison import Comparison
from astraguard_store.database import runs as queries
from astraguard_store.database.identity_map import IdentityMap
from astraguard_store.database.runs import StoredRun
from astraguard_store.database.sqlite.backup import back_up
from astraguard_store.database.sqlite.compaction import compact
from astraguard_store.database.sqlite.engine import memory_engine, write_pragmas
from astraguard_store.database.sqlite.errors import translated
from astraguard_store.database.sqlite.memory_reader import MemoryReader
from astraguard_store.database.sqlite.migrate import check_revision, found_revision, migrate
from astraguard_store.database.sqlite.reader import (
    FileReader,
    Query,
    Reader,
    driver_connection,
)
from astraguard_store.database.sqlite.user_sql import Question
from astraguard_store.database.sqlite.writer import (
    begin,
    commit,
    connect_writer,
    data_version,
    log_bytes,
    reuse_log,
)
from astraguard_store.database.transaction import Transaction
from astraguard_store.exceptions import RunNotFoundError
from astraguard_store.model import RunHeader
from astraguard_store.options import StoreOptions
from astraguard_store.reports import CacheInfo, QueryResult
from astraguard_store.system.forks import around_forks

__all__ = ["RunDatabase"]

T = TypeVar("T")


class RunDatabase:
    """One database in one process: its connections, and what was read from it.

    All methods may be called from any thread. Writers must hold the write
    ticket, so that there is one at a time. After a fork the child opens
    connections of its own.
    """

    def __init__(self, where: Path | None, reader: Reader, writer: Connection | None) -> None:
        self.path = where
        self._where = where or "the database in memory"
        self._reader = reader
        self._writer = writer
        # In memory readers wait for a writing transaction: it is their connection.
        self._write_lock = threading.RLock() if where else reader.lock
        self._map = IdentityMap(same=queries.is_same)
        self._seen: Hashable = None
        self._writer_seen: int | None = None
        self._writer_options: StoreOptions | None = None
        around_forks(self)

    @classmethod
    def open(cls, path: Path, *, busy_timeout_s: float = 30.0) -> RunDatabase:
        """Open the database file *path*; creates and writes nothing.

        Raises:
            FileNotFoundError: There is no such file.
            SchemaVersionError: Its schema is older or newer than this code.
            DatabaseDamagedError: It is no database, or a damaged one.
            DatabaseError: It can't be opened.
        """
        database = cls(path, FileReader(path, busy_timeout_s), None)
        try:
            check_revision(path, database._reader.read(found_revision))
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def in_memory(cls) -> RunDatabase:
        """Return a new database in memory, with the schema that the migrations make."""
        engine = memory_engine()
        migrate(engine)
        connection = engine.connect()
        return cls(None, MemoryReader(connection, threading.RLock()), connection)

    def get(self, run_id: str, on_load: Callable[[StoredRun], None] | None = None) -> StoredRun:
        """Return the run; the same object until somebody changes it.

        Args:
            run_id: The run.
            on_load: Called with the run if it was read from the database.

        Raises:
            RunNotFoundError: There is none.
        """
        run: StoredRun | None = self._known(run_id)
        if run is None:
            mark = self._map.mark()
            run = self._reader.read(
                lambda connection: queries.load_run(connection, run_id), statements=1
            )
            if run is None:
                raise RunNotFoundError(run_id, str(self._where))
            run = self._map.keep(run_id, (), run, mark)
            if on_load:
                on_load(run)
        return run

    def recent(self, limit: int) -> list[RunHeader]:
        """Return the newest *limit* runs, newest first."""
        return self._reader.read(
            lambda connection: queries.recent_headers(connection, limit), statements=1
        )

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool) -> Comparison:
        """Return what changed; the same object until somebody changes one of the runs.

        Raises:
            RunNotFoundError: One of them isn't there; the baseline is looked for first.
        """
        key = (baseline, candidate, by_satellite)
        comparison: Comparison | None = self._known(key)
        if comparison is None:
            mark = self._map.mark()
            found = self._reader.read(
                lambda connection: queries.compare(
                    connection, baseline, candidate, by_satellite=by_satellite
                ),
                statements=1,
            )
            if isinstance(found, queries.Missing):
                raise RunNotFoundError(found.run_id, str(self._where))
            comparison = self._map.keep(key, (baseline, candidate), found, mark)
        return comparison

    def without_row(self, run_ids: list[str]) -> list[str]:
        """Return those of *run_ids* that are not in the database."""
        return self._reader.read(
            lambda connection: [
                run_id for run_id in run_ids if not queries.run_exists(connection, run_id)
            ]
        )

    def adopted(self) -> bool:
        """Return whether the run folders from before the database are in it."""
        return self._reader.read(queries.adopted)

    def cache_info(self) -> CacheInfo:
        """Return how the identity map did."""
        return self._map.counts()

    @contextmanager
    def transaction(self, options: StoreOptions) -> Iterator[Transaction]:
        """Commit what is written inside, or, if it raises, nothing; the ticket is held.

        Raises:
            DatabaseBusyError: Another program held SQLite's lock for too long.
            CommitOutcomeUnknownError: The commit itself failed.
            DatabaseError: SQLite refused or failed before the commit; nothing is written.
        """
        with self._write_lock:
            self._reader.check_in_place()
            try:
                with translated(self._where, options.busy_timeout_s):
                    driver = driver_connection(self._open_writer(options))
                    bytes_before = log_bytes(self.path) if self.path else 0
                    begin(driver)
            except BaseException:
                # It may have begun, or be half open.
                self._drop_connections()
                raise
            transaction = Transaction(driver)
            try:
                with translated(self._where):
                    yield transaction
                    transaction.attempted = True
                    commit(driver, self._where)
            except BaseException:
                self._give_up(driver, transaction)
                raise
            finally:
                if transaction.attempted:
                    self._map.forget(transaction.changed_run_ids)
            if self.path:
                reuse_log(driver, self.path, bytes_before, options)

    def read(self, query: Query[T]) -> T:
        """Return the result of *query*, run on one snapshot; other queries wait meanwhile."""
        return self._reader.read(query)

    def ask(self, question: Question) -> QueryResult:
        """Return the answer to somebody's own SQL; other queries don't wait for it.

        Raises:
            QueryError: It is refused, wrong, or took too long.
            DatabaseError: The database couldn't be read.
        """
        return self._reader.ask(question)

    def back_up(self, target: Path) -> None:
        """Copy the database to the new file *target* and check the copy; queries wait.

        Raises:
            DatabaseError: The target is there already, or one of both failed.
            DatabaseDamagedError: The copy isn't sound, so the original isn't either.
        """
        back_up(self._reader, self._where, target)

    def compact(self, options: StoreOptions) -> None:
        """Give back to the disk what deletions left free, if it is worth it; the ticket is held.

        Raises:
            DatabaseError: It failed, and the database is as it was; or readers
                keep the file from shrinking.
        """
        with self._write_lock:
            self._reader.check_in_place()
            try:
                with translated(self._where, options.busy_timeout_s):
                    compact(driver_connection(self._open_writer(options)), self._where)
            except BaseException:
                self._drop_connections()
                raise

    def check_in_place(self) -> None:
        """Raise DatabaseError if the file that was opened isn't there any more."""
        self._reader.check_in_place()

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        # The writer last: closing the last connection moves the log into the file.
        self._reader.close()
        with self._write_lock:
            if self._writer is not None:
                self._writer.close()
                if self.path:
                    self._writer = None
                else:
                    self._writer.engine.dispose()

    def stop_writing(self) -> None:
        """Wait for a transaction to end."""
        self._write_lock.acquire()

    def before_fork(self) -> None:
        """Wait for queries to end, and close the connections."""
        self._reader.before_fork()
        if self.path:
            self.close()

    def after_fork(self, *, in_child: bool) -> None:
        """Go on; in a child nothing is known."""
        self._reader.after_fork()
        if in_child:
            self._map.reset_after_fork()
            self._seen = None

    def go_on_writing(self) -> None:
        """Let transactions begin again."""
        self._write_lock.release()

    def _known(self, key: Hashable) -> Any | None:
        """Return what is held under *key* if nobody has changed it, else None.

        For what isn't held nobody is asked whether somebody has committed: that were
        a quarter of a cold read. What is then read is as new as can be, and is kept
        as of the last look, which is only too early: if somebody had committed since,
        the next look tells, and it is read once more.
        """
        if self._seen is not None and not self._map.holds(key):
            return None
        version = self._reader.version()
        if version != self._seen:
            self._follow_commits(version)
        return self._map.get(key)

    def _follow_commits(self, version: Hashable) -> None:
        """Doubt what is in the map if somebody else has committed since the last look."""
        # The writer's own data_version moves with everybody's commits but its own.
        # While it is at work it can't be asked; then all commits count as others'.
        try:
            if self._write_lock.acquire(blocking=False) and self._writer is not None:
                by_others = data_version(self._writer)
                if by_others != self._writer_seen:
                    self._map.suspect_all()
                    # After it: an interrupt in between is made up for by the next look.
                    self._writer_seen = by_others
            else:
                self._map.suspect_all()
            self._seen = version
        finally:
            # An interrupt may strike as `acquire` returns, so only the lock knows. Nothing
            # is called before `release`: there another one could strike.
            try:  # noqa: SIM105 - as above
                self._write_lock.release()
            except RuntimeError:
                pass  # another thread has it

    def _open_writer(self, options: StoreOptions) -> Connection:
        if self._writer is None and self.path:
            # The quiet reader's connection takes the file for one that nobody writes.
            # Closed beside the writer's, it would leave its descriptor open: see `FileReader`.
            with self._reader.lock:
                self._reader.close()
                self._writer = connect_writer(self.path, options)
                self._writer_options = options
            # From here on its data_version tells of others' commits; what they
            # committed before is behind the version that the reader now sees.
            self._writer_seen = data_version(self._writer)
            self._seen = self._reader.version()
            self._map.suspect_all()
        assert self._writer is not None  # noqa: S101 - a database in memory has one
        if self._writer_options != options and self.path:
            for pragma in write_pragmas(options.durability, options.busy_timeout_s):
                driver_connection(self._writer).execute(pragma)
            self._writer_options = options
        return self._writer

    def _give_up(self, driver: sqlite3.Connection, transaction: Transaction) -> None:
        """Roll back; a connection whose commit failed is not used again."""
        try:
            # SQLite may have rolled back by itself.
            if driver.in_transaction:
                driver.execute("ROLLBACK")
        except sqlite3.Error:
            transaction.attempted = True
        if transaction.attempted:
            self._drop_connections()

    def _drop_connections(self) -> None:
        if self.path is None:
            driver = driver_connection(self._writer) if self._writer else None
            if driver and driver.in_transaction:
                driver.execute("ROLLBACK")
            return
        self._reader.close()
        if self._writer is not None:
            self._writer.invalidate()
            self._writer.close()
        self._writer = None
        self._map.suspect_all()
