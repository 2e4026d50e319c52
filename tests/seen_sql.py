"""What SQLite is asked: every connection that is opened inside, and every statement on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any


class SeenSql:
    """The connections that were opened and the statements that ran on them.

    Attributes:
        connections: In the order in which they were opened; some are closed by now.
        statements: As SQLite expanded them, oldest first.
        before: Called with each statement before it runs, in the thread that runs it.
    """

    def __init__(self) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.statements: list[str] = []
        self.before: Callable[[str], None] | None = None

    def during(self, call: Callable[[], object]) -> list[str]:
        """Return the statements that *call* issues.

        What a trigger does is told as its cause once more, and left out here.
        """
        self.statements.clear()
        call()
        seen = [" ".join(statement.split()) for statement in self.statements]
        return [
            statement
            for before, statement in pairwise(["", *seen])
            if statement != before or not statement.startswith(("DELETE", "INSERT", "UPDATE"))
        ]

    def writer(self) -> sqlite3.Connection:
        """Return the open connection that may write."""
        (found,) = (c for c in self._open() if c.execute("PRAGMA query_only").fetchone() == (0,))
        return found

    def _open(self) -> Iterator[sqlite3.Connection]:
        for connection in self.connections:
            try:
                connection.execute("PRAGMA query_only")
            except sqlite3.ProgrammingError:
                continue
            yield connection

    def _note(self, statement: str) -> None:
        self.statements.append(statement)
        if self.before:
            self.before(statement)

    def _connected(self, connection: sqlite3.Connection) -> None:
        self.connections.append(connection)
        connection.set_trace_callback(self._note)


@contextmanager
def seen_sql() -> Iterator[SeenSql]:
    """Watch all connections that the store opens inside."""
    seen = SeenSql()
    connect = sqlite3.connect

    def connected(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        # Those that threads share: not what a test opens, nor what somebody's own SQL needs.
        if named.get("check_same_thread") is False:
            seen._connected(connection)
        return connection

    sqlite3.connect = connected  # type: ignore[assignment]
    try:
        yield seen
    finally:
        sqlite3.connect = connect
