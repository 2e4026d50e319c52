"""The connection that reads a database in memory: the one that there is."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Hashable
from contextlib import closing
from typing import TypeVar

from sqlalchemy import Connection

from astraguard_store.database.sqlite.errors import translated
from astraguard_store.database.sqlite.reader import Query, driver_connection
from astraguard_store.database.sqlite.user_sql import Asking, Question, answer
from astraguard_store.reports import QueryResult

__all__ = ["MemoryReader"]

T = TypeVar("T")

_WHERE = "the database in memory"


class MemoryReader:
    """Reads a database in memory, through the one connection that it has."""

    def __init__(self, connection: Connection, lock: threading.RLock) -> None:
        self._driver = driver_connection(connection)
        self.lock = lock

    def version(self) -> Hashable:
        """Return a constant: nobody else can commit. Waits for a writing transaction."""
        with self.lock:
            return 0

    def read(self, query: Query[T], *, statements: int = 2) -> T:  # noqa: ARG002
        """Return the result of *query*; the lock makes a snapshot of it."""
        with self.lock, translated(_WHERE):
            return query(self._driver)

    def ask(self, question: Question) -> QueryResult:
        """Return the answer from a copy, as there is but one connection to the original."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            self.read(lambda original: original.backup(copy))
            with translated(_WHERE):
                return answer(copy, Asking(question))

    def close(self) -> None:
        """Leave the connection to the engine."""

    def check_in_place(self) -> None:
        """Do nothing: memory doesn't go away."""

    def before_fork(self) -> None:
        """Take the lock; the child gets a copy of the memory."""
        self.lock.acquire()

    def after_fork(self) -> None:
        """Give the lock back."""
        self.lock.release()
