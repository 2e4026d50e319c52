"""What a database has to do for `RunDatabase`, which answers from memory where it can."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from numbers import Integral, Real
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, SupportsIndex, TypeVar

from astraguard_store.checks import check_non_negative
from astraguard_store.database.sql import Connection, Query
from astraguard_store.exceptions import InvalidRunError, QueryError
from astraguard_store.options import StoreOptions

if TYPE_CHECKING:
    from astraguard_store.reports import QueryResult

T = TypeVar("T")
Value = str | bytes | int | float | None
Parameters = Sequence[Value] | Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Question:
    """A statement, what to bind, and how far to go.

    Attributes:
        sql: One statement.
        parameters: Values for ``?`` in order, or for ``:name`` by name.
        time_limit_s: Seconds after which it is stopped.
        row_limit: Most rows of the answer; None for all.

    Raises:
        QueryError: One of them can't be.
    """

    sql: str
    parameters: Parameters
    time_limit_s: float
    row_limit: int | None

    def __post_init__(self) -> None:
        _check_text(self.sql)
        try:
            limit_s = check_non_negative(self.time_limit_s, "time_limit_s")
        except InvalidRunError as error:
            raise QueryError(f"{error}; a number of seconds is needed") from None
        object.__setattr__(self, "time_limit_s", limit_s)
        if self.row_limit is not None:
            object.__setattr__(self, "row_limit", _number_of_rows(self.row_limit))
        bound = {name: _bound(name, value) for name, value in _named(self.parameters)}
        by_name = isinstance(self.parameters, Mapping)
        object.__setattr__(self, "parameters", bound if by_name else tuple(bound.values()))

    def result(self, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> QueryResult:
        """Return the answer of these rows, of which there may be one too many."""
        # The chain of imports is long enough.
        from astraguard_store.reports import QueryResult

        is_cut = self.row_limit is not None and len(rows) > self.row_limit
        return QueryResult(columns, rows[: self.row_limit], truncated=is_cut)

    def too_long(self) -> QueryError:
        """Return the error of a statement that was stopped after its time limit."""
        return QueryError(
            f"the query was stopped after its time limit of {self.time_limit_s:g} s; "
            "ask for less, or give it a higher limit"
        )


class Answering(Protocol):
    """The runs of a database, asked by queries of one's own.

    Attributes:
        path: The file; None where there is none.
    """

    path: Path | None

    def read(self, query: Query[T]) -> T:
        """Return the result of *query*, run on one snapshot."""


class Write(Protocol):
    """A write transaction that has begun.

    Attributes:
        connection: On which it writes.
    """

    connection: Connection

    def commit(self) -> None:
        """Commit.

        Raises:
            CommitOutcomeUnknownError: It failed, and may have taken place.
        """


class Backend(Protocol):
    """A database: its connections, its transactions, its upkeep. Threads share it.

    Attributes:
        path: The file; None where it is in memory.
        name: The database, for messages.
    """

    path: Path | None
    name: str

    def read(self, query: Query[T], *, one_statement: bool = False) -> T:
        """Return the result of *query*, run on one snapshot; other queries wait meanwhile.

        An interrupt that is raised in it drops the connection.

        Args:
            query: Reads from the connection that it is given.
            one_statement: Whether it runs no more than one, which is a snapshot by itself.
        """

    def ask(self, question: Question) -> QueryResult:
        """Return the answer to somebody's own SQL; other queries don't wait for it.

        Raises:
            QueryError: It is refused, wrong, or took too long.
        """

    def version(self) -> Hashable:
        """Return a value that is another one after anybody's commit."""

    def version_of_others(self) -> Hashable | None:
        """Return a value that is another one after a commit that wasn't made here.

        None where it isn't known, as while a transaction is under way here.
        """

    def write(self, options: StoreOptions) -> AbstractContextManager[Write]:
        """Begin a write transaction, of which there is one at a time; the ticket is held.

        What isn't committed in the block is rolled back. After the block the
        transaction of the next one may begin.

        Raises:
            DatabaseBusyError: Another program held a lock for too long.
            DatabaseError: It was refused or failed before the commit.
        """

    def back_up(self, target: Path) -> None:
        """Copy the database to the new file *target* and check the copy; queries wait.

        Raises:
            DatabaseError: The target is there already, or one of both failed.
            DatabaseDamagedError: The copy isn't sound, so the original isn't either.
        """

    def compact(self, options: StoreOptions) -> None:
        """Give back to the disk what deletions left free, if it is worth it; the ticket is held.

        Raises:
            DatabaseError: It failed, and the database is as it was; or readers
                keep the file from shrinking.
        """

    def check_in_place(self) -> None:
        """Raise DatabaseError if the database that was opened isn't there any more."""

    def check_schema(self) -> None:
        """Raise SchemaVersionError if the schema isn't that of the opening any more."""

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""

    def stop_writing(self) -> None:
        """Wait for a transaction to end, and keep everybody from beginning one."""

    def before_fork(self) -> None:
        """Wait for queries to end, and let go of what a child can't share."""

    def after_fork(self) -> None:
        """Let everybody read again, in parent and child."""

    def go_on_writing(self) -> None:
        """Let transactions begin again."""


def _named(parameters: object) -> Iterator[tuple[object, object]]:
    if isinstance(parameters, Mapping):
        yield from parameters.items()
    elif isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes):
        yield from enumerate(parameters, start=1)
    else:
        raise QueryError(f"Invalid parameters {parameters!r}: a sequence or a mapping is needed")


def _bound(name: object, value: object) -> Value:
    """Return *value* as the driver takes it: of numpy's numbers, which it doesn't, Python's."""
    if isinstance(value, Value):
        return value
    with suppress(TypeError):  # NumPy counts its time spans among the integers.
        if isinstance(value, Integral):
            return index(value)
        if isinstance(value, Real):
            return float(value)
    raise QueryError(
        f"Invalid parameter {name}, {value!r}: text, bytes, a number or None is needed"
    )


def _check_text(sql: object) -> None:
    if not isinstance(sql, str) or "\0" in sql:
        raise QueryError(f"Invalid sql {sql!r}: a string without NUL is needed")


def _number_of_rows(limit: object) -> int:
    # NumPy's integers are none of Python's.
    if isinstance(limit, SupportsIndex) and not isinstance(limit, bool) and index(limit) >= 0:
        return index(limit)
    raise QueryError(f"Invalid row_limit {limit!r}: None, 0 or more is needed")
