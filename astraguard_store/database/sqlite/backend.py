"""SQLite as a backend: a database in a file, and one in memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Hashable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from astraguard_store.database.sql import Query
from astraguard_store.database.sqlite.backup import back_up
from astraguard_store.database.sqlite.compaction import compact
from astraguard_store.database.sqlite.connections import FileReader, FileWriter, SqliteWrite
from astraguard_store.database.sqlite.engine import BEGIN_TO_WRITE, connect_in_memory
from astraguard_store.database.sqlite.errors import translated
from astraguard_store.database.sqlite.migrate import (
    check_log_fits,
    check_revision,
    fill_new,
    found_revision,
)
from astraguard_store.database.sqlite.shadowed import logs_of_others_kept
from astraguard_store.options import StoreOptions

if TYPE_CHECKING:
    from astraguard_store.database.backend import Question
    from astraguard_store.reports import QueryResult

T = TypeVar("T")


class SqliteFile(FileReader):
    """A database in a file: readers don't wait for a writer, nor a writer for them."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        # First, for `__del__`: there may be no such file.
        self._writer = FileWriter(path)
        super().__init__(path, busy_timeout_s)
        self.path: Path | None = path
        self.name = str(path)

    @classmethod
    def open(cls, path: Path, busy_timeout_s: float) -> SqliteFile:
        """Open the file *path* if its schema is the one that this code needs; writes nothing."""
        backend = cls(path, busy_timeout_s)
        check_log_fits(path)
        try:
            check_revision(path, backend.read(found_revision))
        except BaseException:
            backend.close()
            raise
        return backend

    def version_of_others(self) -> Hashable | None:
        """Return what moves with others' commits; see `Backend.version_of_others`."""
        with translated(self.name):
            return self._writer.version_of_others()

    @contextmanager
    def write(self, options: StoreOptions) -> Iterator[SqliteWrite]:
        """Begin a write transaction; see `Backend.write`."""
        with self._writer.at_work():
            self.check_in_place()
            try:
                with translated(self.name, options.busy_timeout_s):
                    self._open_to_write(options)
                    bytes_before = self._writer.log_bytes()
                    write = self._writer.begin(options)
                    # Another process may have migrated it meanwhile.
                    check_revision(self._path, found_revision(write.connection))
            except BaseException:
                # It may have begun, or be half open.
                self._drop_connections()
                raise
            try:
                with translated(self.name):
                    yield write
            except BaseException:
                self._give_up(write)
                raise
            if write.attempted:
                self._writer.reuse_log(bytes_before, options)
            else:
                self._give_up(write)

    def back_up(self, target: Path) -> None:
        """Copy the database to the new file *target*; see `Backend.back_up`."""
        back_up(self.read, self.name, target)

    def compact(self, options: StoreOptions) -> None:
        """Give back to the disk what deletions left free; see `Backend.compact`."""
        with self._writer.at_work():
            self.check_in_place()
            try:
                with translated(self.name, options.busy_timeout_s):
                    self._open_to_write(options)
                    compact(self._writer.driver(options), self.name)
                    self._writer.note_files()
            except BaseException:
                self._drop_connections()
                raise

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        # The writer last: closing the last connection moves the log into the file.
        super().close()
        with self._writer.at_work():
            self._close_writer()

    def __del__(self) -> None:
        """Close the writer as `close` does, if nobody has."""
        self._close_writer()

    def check_schema(self) -> None:
        """Raise SchemaVersionError if another process has migrated it since it was opened."""
        check_revision(self._path, self.read(found_revision, one_statement=True))

    def stop_writing(self) -> None:
        """Wait for a transaction to end, and keep everybody from beginning one."""
        self._writer.stop()

    def go_on_writing(self) -> None:
        """Let transactions begin again."""
        self._writer.go_on()

    def _open_to_write(self, options: StoreOptions) -> None:
        if not self._writer.is_open:
            # The quiet reader's connection takes the file for one that nobody writes.
            # Closed beside the writer's, it would leave its descriptor open: see `FileReader`.
            with self.lock:
                super().close()
                self._writer.open(options)

    def _give_up(self, write: SqliteWrite) -> None:
        """Roll back; a connection whose commit failed is not used again."""
        try:
            write.roll_back()
            self._writer.note_files()
        except sqlite3.Error:
            write.attempted = True
        if write.attempted:
            self._drop_connections()

    def _drop_connections(self) -> None:
        super().close()
        self._close_writer()

    def _close_writer(self) -> None:
        if self._writer.is_open:
            with logs_of_others_kept(self._path, self._identity):
                self._writer.close()


class SqliteMemory:
    """A database in memory: one connection, which its lock gives to one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.path: Path | None = None
        self.name = "the database in memory"
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def new(cls) -> SqliteMemory:
        """Return a new one, with the schema that the migrations make."""
        connection = connect_in_memory()
        fill_new(connection)
        return cls(connection)

    def read(self, query: Query[T], *, one_statement: bool = False) -> T:  # noqa: ARG002
        """Return the result of *query*; the lock makes a snapshot of it."""
        with self._lock, translated(self.name):
            return query(self._connection)

    def ask(self, question: Question) -> QueryResult:
        """Return the answer from a copy, as there is but one connection to the original."""
        from astraguard_store.database.sqlite.user_sql import Asking, answer

        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            self.read(lambda original: original.backup(copy))
            with translated(self.name):
                return answer(copy, Asking(question))

    def version(self) -> Hashable:
        """Return a constant: nobody else can commit. Waits for a writing transaction."""
        with self._lock:
            return 0

    def version_of_others(self) -> Hashable | None:
        """Return a constant too."""
        return 0

    @contextmanager
    def write(self, options: StoreOptions) -> Iterator[SqliteWrite]:  # noqa: ARG002
        """Begin a write transaction; see `Backend.write`."""
        with self._lock:
            with translated(self.name):
                self._connection.execute(BEGIN_TO_WRITE)
                write = SqliteWrite(self._connection, self.name)
            try:
                with translated(self.name):
                    yield write
            finally:
                write.roll_back()

    def back_up(self, target: Path) -> None:
        """Copy the database to the new file *target*; see `Backend.back_up`."""
        back_up(self.read, self.name, target)

    def compact(self, options: StoreOptions) -> None:  # noqa: ARG002
        """Give back to the memory what deletions left free; see `Backend.compact`."""
        with self._lock, translated(self.name):
            compact(self._connection, self.name)

    def check_in_place(self) -> None:
        """Do nothing: memory doesn't go away."""

    check_schema = check_in_place

    def close(self) -> None:
        """Close the connection, and with it the database."""
        with self._lock:
            self._connection.close()

    def stop_writing(self) -> None:
        """Wait for a transaction to end, and keep everybody out."""
        self._lock.acquire()

    def before_fork(self) -> None:
        """Do nothing: the child gets a copy of the memory."""

    def after_fork(self) -> None:
        """Do nothing."""

    def go_on_writing(self) -> None:
        """Let everybody in again."""
        self._lock.release()
