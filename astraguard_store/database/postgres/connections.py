"""Connections to a server: lent out one a thread, made anew when the server was away."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from astraguard_store.database.server_url import ServerUrl
from astraguard_store.database.sql import for_server
from astraguard_store.exceptions import (
    CommitOutcomeUnknownError,
    DatabaseBusyError,
    DatabaseError,
    StoreNotFoundError,
)

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

# More than these are closed when they come back.
_MOST_IDLE: Final = 8
# Else a cut cable is noticed after two hours.
_PATIENCE: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "application_name": "astraguard-store",
}
# Of a connection that is lost the driver also logs, on standard error unless somebody handles
# it; our error tells of it.
_UNHEARD: Final = logging.NullHandler()
_LOCKED: Final = ("LockNotAvailable", "DeadlockDetected")
_LIMIT: Final = "%(limit)s::BIGINT"


@cache
def driver() -> ModuleType:
    """Return psycopg, which is imported when a server is first asked.

    Raises:
        StoreNotFoundError: It isn't installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise StoreNotFoundError(
            "a server needs the package psycopg, which isn't there; run: "
            "pip install 'astraguard-store[postgres]'"
        ) from error
    logging.getLogger("psycopg").addHandler(_UNHEARD)
    return psycopg


class ServerConnection:
    """A connection that runs the statements of `database/` as `sqlite3.Connection` does.

    Attributes:
        raw: The driver's.
    """

    def __init__(self, raw: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.raw = raw

    def execute(
        self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run a statement that `compiled` has made for SQLite."""
        text, names = for_server(sql)
        if not isinstance(parameters, Mapping):
            parameters = dict(zip(names, parameters, strict=True))
        if "limit" in parameters:
            # A plan for any limit reads a tenth of the table, so the server would make one for
            # this limit, each time: half of the time of a list of ten runs.
            text = text.replace(_LIMIT, f"{parameters['limit']:d}")
        return self.run(text, parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement that `compiled` has made for each row; few rows, as for each a message.

        `bulk` has what writes many.
        """
        for row in rows:
            self.execute(sql, row)

    def run(
        self, text: str, parameters: Mapping[str, Any] | None = None
    ) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run a statement of this server's own."""
        # As text, numbers and documents would be written and read digit by digit: a get and a
        # comparison take a fifth longer.
        return self.raw.execute(text.encode(), parameters, binary=True)


class Connections:
    """The connections of one process to one server; threads share them.

    Args:
        url: Where it is.
        busy_timeout_s: How long to wait for the locks of others, seconds.
    """

    def __init__(self, url: ServerUrl, busy_timeout_s: float) -> None:
        self.url = url
        self._psycopg = driver()
        self._busy_timeout_s = busy_timeout_s
        self._idle: list[ServerConnection] = []
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._parents: list[ServerConnection] = []

    def read(self, query: Callable[[ServerConnection], T], *, one_statement: bool = False) -> T:
        """Return the result of *query*, run on one snapshot.

        Args:
            query: Reads from the connection that it is given; it is called again if the
                server has closed the connection meanwhile.
            one_statement: Whether it runs no more than one, which is a snapshot by itself.
        """

        def on_snapshot(connection: ServerConnection) -> T:
            if one_statement:
                return query(connection)
            connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            result = query(connection)
            connection.run("COMMIT")
            return result

        return self.again_if_stale(on_snapshot)

    def again_if_stale(self, step: Callable[[ServerConnection], T]) -> T:
        """Return the result of a step that may be repeated, as a server may restart."""
        try:
            while True:
                connection, is_fresh = self._take()
                try:
                    result = step(connection)
                except BaseException as error:
                    stale = connection.raw.broken and not is_fresh
                    connection.raw.close()
                    if stale and isinstance(error, self._psycopg.OperationalError):
                        continue
                    raise
                self._give_back(connection)
                return result
        except self._psycopg.Error as error:
            raise _as_ours(error, self.url, self._busy_timeout_s) from error

    def transact(
        self,
        step: Callable[[ServerConnection], T],
        *,
        sync: bool = True,
        pipelined: bool = True,
    ) -> T:
        """Return the result of *step*; all that it writes is kept, or nothing.

        Its statements are pipelined: they are sent when somebody waits for an answer. So
        the first question takes the BEGIN along, and the rest goes with the COMMIT.

        Args:
            step: Called again if the server had closed the connection before it.
            sync: Whether the commit waits for the server's disk.
            pipelined: False where the step asks how many rows a statement has changed.

        Raises:
            CommitOutcomeUnknownError: The connection was lost at the commit.
        """

        def transaction(connection: ServerConnection) -> T:
            is_sent = False
            try:
                with connection.raw.pipeline() if pipelined else nullcontext():
                    connection.run("BEGIN")
                    if not sync:
                        connection.run("SET LOCAL synchronous_commit TO off")
                    result = step(connection)
                    is_sent = True
                    connection.run("COMMIT")
            except self._psycopg.OperationalError as error:
                if is_sent and connection.raw.broken:
                    raise self._unknown(error) from error
                raise
            return result

        return self.again_if_stale(transaction)

    def fresh(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return a new connection that serves one question, and is closed by the caller."""
        with translated(self.url):
            return self._connect()

    def close(self) -> None:
        """Close what nobody uses; the next use opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.raw.close()

    def _unknown(self, error: Exception) -> CommitOutcomeUnknownError:
        reason = self.url.without_secrets(str(error))
        return CommitOutcomeUnknownError(
            f"{self.url}: the connection was lost at the commit, which may have taken place: "
            f"{reason}; look whether the run is there"
        )

    def _take(self) -> tuple[ServerConnection, bool]:
        """Return a connection, and whether it is a new one."""
        with self._lock:
            if self._process != os.getpid():
                # A child that closed its parent's connections would close them for both.
                self._process, self._parents = os.getpid(), self._idle
                self._idle = []
            if self._idle:
                return self._idle.pop(), False
        return ServerConnection(self._connect()), True

    def _give_back(self, connection: ServerConnection) -> None:
        with self._lock:
            if not connection.raw.closed and len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.raw.close()

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        # A lock of somebody who hangs is waited for as long as on SQLite.
        options = f"-c lock_timeout={int(self._busy_timeout_s * 1000)}"
        wanted = {"options": options, **_PATIENCE, **self.url.parameters}
        connection: psycopg.Connection[tuple[Any, ...]] = self._psycopg.connect(
            **wanted, autocommit=True
        )
        return connection


@contextmanager
def translated(url: ServerUrl) -> Iterator[None]:
    """Raise the driver's errors as the store's, and without the password."""
    try:
        yield
    except driver().Error as error:
        raise _as_ours(error, url) from error


def _as_ours(error: psycopg.Error, url: ServerUrl, waited_s: float = 0.0) -> DatabaseError:
    errors = driver().errors
    reason = url.without_secrets(str(error))
    if type(error).__name__ in _LOCKED:
        return DatabaseBusyError(url.shown, waited_s)
    if isinstance(error, errors.InsufficientPrivilege):
        return DatabaseError(f"{url}: {reason}; `astraguard-store db grants` says who may do what")
    if isinstance(error, errors.OperationalError):
        return DatabaseError(
            f"{url} can't be asked: {reason}; see whether the server runs, and try again"
        )
    return DatabaseError(f"{url}: {reason}")
