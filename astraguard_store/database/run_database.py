"""The runs of one database: answered from memory where that is sure, else by a query."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astraguard_store.database import lists, runs, store_row
from astraguard_store.database.identity_map import IdentityMap
from astraguard_store.database.sqlite.backend import SqliteFile, SqliteMemory
from astraguard_store.exceptions import DatabaseDamagedError, RunNotFoundError
from astraguard_store.system.forks import around_forks

if TYPE_CHECKING:
    from astraguard_store.comparison import Comparison
    from astraguard_store.database.backend import Backend
    from astraguard_store.database.runs import StoredRun
    from astraguard_store.database.sql import Connection
    from astraguard_store.database.transaction import Transaction
    from astraguard_store.model import RunHeader
    from astraguard_store.options import StoreOptions
    from astraguard_store.reports import CacheInfo


class RunDatabase:
    """One database in one process, and what was read from it: a cache around a backend.

    All methods may be called from any thread. Writers must hold the write
    ticket, so that there is one at a time. After a fork the child opens
    connections of its own.

    Attributes:
        path: The database file; None where it is in memory.
        read, ask, back_up, compact, check_in_place, check_schema, close, stop_writing,
            go_on_writing: Those of `Backend`.
    """

    def __init__(self, backend: Backend) -> None:
        self.path = backend.path
        self.read = backend.read
        self.ask = backend.ask
        self.back_up = backend.back_up
        self.compact = backend.compact
        self.check_in_place = backend.check_in_place
        self.check_schema = backend.check_schema
        self.close = backend.close
        self.stop_writing = backend.stop_writing
        self.go_on_writing = backend.go_on_writing
        self._backend = backend
        self._map = IdentityMap(same=runs.is_same)
        self._seen: Hashable = None
        self._seen_of_others: Hashable = None
        self._store_id: str | None = None
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
        return cls(SqliteFile.open(path, busy_timeout_s))

    @classmethod
    def in_memory(cls) -> RunDatabase:
        """Return a new database in memory, with the schema that the migrations make."""
        return cls(SqliteMemory.new())

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
            run = self._backend.read(
                lambda connection: runs.load_run(connection, run_id), one_statement=True
            )
            if run is None:
                raise RunNotFoundError(run_id, self._backend.name)
            run = self._map.keep(run_id, (), run, mark)
            if on_load:
                on_load(run)
        return run

    def recent(self, limit: int) -> list[RunHeader]:
        """Return the newest *limit* runs, newest first."""
        return self._backend.read(
            lambda connection: lists.recent_headers(connection, limit), one_statement=True
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
            found = self._backend.read(
                lambda connection: runs.compare(
                    connection, baseline, candidate, by_satellite=by_satellite
                ),
                one_statement=True,
            )
            if isinstance(found, runs.Missing):
                raise RunNotFoundError(found.run_id, self._backend.name)
            comparison = self._map.keep(key, (baseline, candidate), found, mark)
        return comparison

    def without_row(self, run_ids: list[str]) -> list[str]:
        """Return those of *run_ids* that are not in the database."""
        return self._backend.read(
            lambda connection: [
                run_id for run_id in run_ids if not runs.run_exists(connection, run_id)
            ]
        )

    def adopted(self) -> bool:
        """Return whether the run folders from before the database are in it."""
        return self._backend.read(store_row.adopted)

    def store_id(self) -> str | None:
        """Return the id that database and results folder share; None where none is set yet."""
        self._store_id = self._backend.read(store_row.store_id)
        return self._store_id

    def cache_info(self) -> CacheInfo:
        """Return how the identity map did."""
        return self._map.counts()

    @contextmanager
    def transaction(self, options: StoreOptions) -> Iterator[Transaction]:
        """Commit what is written inside, or, if it raises, nothing; the ticket is held.

        Raises:
            DatabaseBusyError: Another program held a lock for too long.
            CommitOutcomeUnknownError: The commit itself failed.
            DatabaseDamagedError: Another store's database was written over this one.
            DatabaseError: It was refused or failed before the commit; nothing is written.
        """
        from astraguard_store.database.transaction import Transaction

        with self._backend.write(options) as write:
            self._check_is_of_this_store(write.connection)
            transaction = Transaction(write.connection)
            yield transaction
            transaction.attempted = True
            try:
                write.commit()
            finally:
                # While nobody else can write: until then a look finds that it can't tell
                # whose commit it was.
                self._map.forget(transaction.changed_run_ids)

    def before_fork(self) -> None:
        """Wait for queries to end, and close the connections."""
        self._backend.before_fork()

    def after_fork(self, *, in_child: bool) -> None:
        """Go on; in a child nothing is known."""
        self._backend.after_fork()
        if in_child:
            self._map.reset_after_fork()
            self._seen = None

    def _check_is_of_this_store(self, connection: Connection) -> None:
        found = store_row.store_id(connection)
        self._store_id = self._store_id or found
        if found != self._store_id:
            reason = "the database of another store was written over it, while it was open"
            raise DatabaseDamagedError(self._backend.name, reason)

    def _known(self, key: Hashable) -> Any | None:
        """Return what is held under *key* if nobody has changed it, else None.

        For what isn't held nobody is asked whether somebody has committed: that would
        be a quarter of a cold read. What is then read is as new as can be, and is kept
        as of the last look, which is only too early: if somebody had committed since,
        the next look tells, and it is read once more.
        """
        if self._seen is not None and key not in self._map:
            return None
        version = self._backend.version()
        if version != self._seen:
            self._follow_commits(version)
        return self._map.get(key)

    def _follow_commits(self, version: Hashable) -> None:
        """Doubt what is in the map if somebody else has committed since the last look.

        What was seen is noted last: a look that is interrupted is made up for by the next.
        """
        of_others = self._backend.version_of_others()
        if of_others is None:
            self._map.suspect_all()
        elif of_others != self._seen_of_others:
            self._map.suspect_all()
            self._seen_of_others = of_others
        self._seen = version
