"""Somebody's own SQL: one statement that only reads, and only for so long.

A connection that reads only isn't enough: ``ATTACH`` makes files, and
``PRAGMA query_only`` can be switched off. So SQLite asks the authorizer here
about every step of a statement before it runs, and every 100 steps of its
machine whether it may go on.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from astraguard_store.database.backend import Question
from astraguard_store.database.sqlite.errors import is_outside_fault
from astraguard_store.database.sqlite.sql_text import why_too_long_to_read
from astraguard_store.exceptions import QueryError
from astraguard_store.reports import QueryResult

_ALLOWED = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_VIEWS = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
# Those that reach files or memory, most of which only SQLite's shell has, and SQLAlchemy's
# REGEXP, which is Python's: a pattern may take it hours, and nothing stops it.
_FORBIDDEN_FUNCTIONS = frozenset(
    {"edit", "fts3_tokenizer", "fsdir", "load_extension", "readfile", "regexp", "writefile"}
)
# Of which a call of a function takes some 10.
_STEPS = 100
# Within one function nobody asks for the time, and some take the square of the length: of
# values of 64 kB `instr` and `replace` take 0.1 s at worst, `json_patch` 0.2 s, and `LIKE`
# with the longest pattern 0.02 s. Of values of 1 MB they take minutes.
_LONGEST_VALUE_BYTES = 2**16
_LONGEST_PATTERN_BYTES = 1_000
_POOLED_NEEDS = (
    "pooled_percentile and pooled_at_least take bucket, count and missed of v_buckets, and the "
    "same number from 0 to 1 for each row"
)
# A width or a precision, also one that `*` takes from a value such as 1e9.
_HUGE = re.compile(r"[-+]?\d{8,}|[-+]?[\d.]+[eE]")
_MOST_COLUMNS = 500
_LARGEST_ANSWER_BYTES = 256 * 2**20
# What Python needs for a value and its place in a row, beside its text.
_BYTES_OF_A_VALUE = 40
_ADVICE = "one statement that only reads is allowed: SELECT, WITH … SELECT, VALUES or EXPLAIN"


class SetAsideError(Exception):
    """The question has to be asked anew: the connections of this process had to close."""


class Asking:
    """A question under way: it ends with its time, or when it is set aside.

    Attributes:
        question: What is asked.
        is_set_aside: Whether it shall let go of its connection, to be asked anew later.
        connected: Held while it has a connection.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self._deadline = time.monotonic() + question.time_limit_s
        self.is_set_aside = False
        self.connected = threading.Lock()
        self._refused = False
        self._raised: BaseException | None = None

    def must_end(self) -> bool:
        """Return whether to stop; called by SQLite in the middle of the statement."""
        try:
            return self.is_set_aside or time.monotonic() >= self._deadline
        except BaseException as error:  # noqa: BLE001 - what a signal's handler raised; see `stop`
            self._raised = error
            return True

    def may(self, action: int, _: str | None, name: str | None, *_where: str | None) -> int:
        """Return whether a step of the statement is allowed; called by SQLite before it runs."""
        try:
            # While it is read, nobody else asks for the time.
            if self.must_end():
                return sqlite3.SQLITE_DENY
            if _is_allowed(action, name):
                return sqlite3.SQLITE_OK
            self._refused = True
        except BaseException as error:  # noqa: BLE001 - as above
            self._raised = error
        return sqlite3.SQLITE_DENY

    def was_refused(self) -> bool:
        """Return whether `may` refused a step; what is raised there is a refusal to SQLite."""
        return self._refused and self._raised is None

    def stop(self) -> BaseException:
        """Return why it was stopped, as what is to be raised."""
        if self._raised is not None:
            return self._raised
        if self.is_set_aside:
            return SetAsideError()
        if time.monotonic() >= self._deadline:
            return self.question.too_long()
        # Ctrl-C came just when SQLite called: the driver swallows what is raised there.
        return KeyboardInterrupt()


def answer(connection: sqlite3.Connection, asking: Asking) -> QueryResult:
    """Return the answer to the question, from a connection that serves nothing else.

    Args:
        connection: Closed by the caller afterwards; the authorizer stays on it.
        asking: The question.

    Raises:
        SetAsideError: It is to be asked anew.
        QueryError: It is refused, wrong, or took too long.
        sqlite3.Error: The file, its locks or its disk failed.
    """
    reason = why_too_long_to_read(asking.question.sql, lambda: connection.execute(_VIEWS))
    if reason:
        raise QueryError(f"the statement is too long to be read: {reason}")
    with closing(sqlite3.connect(":memory:")) as own, _explained(asking):
        _add_printf(connection, own)
        _restrict(connection, asking)
        cursor = connection.execute(asking.question.sql, asking.question.parameters)
        if cursor.description is None:
            raise QueryError(f"there is no statement in {asking.question.sql!r}: {_ADVICE}")
        columns = tuple(column[0] for column in cursor.description)
        rows = _rows(cursor, asking)
    return asking.question.result(columns, rows)


def _restrict(connection: sqlite3.Connection, asking: Asking) -> None:
    # Imported by who asks, not by who saves.
    from astraguard_store.database.sqlite.pooled import add_pooled_percentiles

    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, _MOST_COLUMNS)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, _LONGEST_PATTERN_BYTES)
    # At its first use such a table is made, which the authorizer would see as a CREATE.
    for table in ("json_each", "json_tree"):
        connection.execute(f"SELECT 1 FROM {table}('[]')").close()  # noqa: S608 - ours
    add_pooled_percentiles(connection)
    connection.set_authorizer(asking.may)
    connection.set_progress_handler(asking.must_end, _STEPS)


def _add_printf(connection: sqlite3.Connection, own: sqlite3.Connection) -> None:
    """Put `printf` and `format` in the place of SQLite's, which count to a width of 10^9."""
    own.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)

    def printf(*values: Any) -> Any:
        if not values:
            return None
        if _HUGE.search(str(values[0])) or (
            "*" in str(values[0]) and any(_HUGE.match(str(value)) for value in values[1:])
        ):
            raise OverflowError("a width of more than seven digits")
        marks = ",".join("?" * len(values))
        return own.execute(f"SELECT printf({marks})", values).fetchone()[0]

    for name in ("printf", "format"):
        connection.create_function(name, -1, printf, deterministic=True)


def _is_allowed(action: int, name: str | None) -> bool:
    if action == sqlite3.SQLITE_FUNCTION and (name or "").lower() in _FORBIDDEN_FUNCTIONS:
        return False
    return action in _ALLOWED


def _rows(cursor: sqlite3.Cursor, asking: Asking) -> list[tuple[Any, ...]]:
    """Return the rows, and one more than the limit where there are as many."""
    limit = asking.question.row_limit
    rows: list[tuple[Any, ...]] = []
    held_bytes = 0
    # One by one: a thousand of the largest rows would fill the memory before they are counted.
    for row in cursor:
        rows.append(row)
        held_bytes += sum(map(_held_bytes, row))
        if held_bytes > _LARGEST_ANSWER_BYTES:
            raise QueryError(
                f"the answer needs more than {_LARGEST_ANSWER_BYTES // 2**20} MB of memory; ask "
                "for less"
            )
        if limit is not None and len(rows) > limit:
            break
    if asking.must_end():
        raise asking.stop()
    return rows


def _held_bytes(value: object) -> int:
    return _BYTES_OF_A_VALUE + (len(value) if isinstance(value, str | bytes) else 0)


@contextmanager
def _explained(asking: Asking) -> Iterator[None]:
    try:
        yield
    except sqlite3.Warning as error:  # Python 3.11 warns of a second statement
        raise QueryError(f"{error} {_ADVICE}") from None
    except (UnicodeEncodeError, OverflowError) as error:
        raise QueryError(
            f"the statement or a parameter can't be sent to SQLite: {error}"
        ) from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        message = str(error)
        # Of a function it is an error like others.
        is_refusal = code == sqlite3.SQLITE_AUTH or message.startswith("not authorized")
        if code == sqlite3.SQLITE_INTERRUPT or (is_refusal and not asking.was_refused()):
            raise asking.stop() from None
        if is_outside_fault(error):
            raise
        if code == sqlite3.SQLITE_AUTH or "authorized" in message or "one statement" in message:
            message = f"{message.rstrip('.')}: {_ADVICE}"
        raise QueryError(_advised(message)) from error


def _advised(message: str) -> str:
    if message.startswith(("no such table", "no such column")):
        return f"{message}; the table schema_doc names what there is"
    return _POOLED_NEEDS if message.startswith("user-defined aggregate") else message
