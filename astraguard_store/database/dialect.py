"""Statements of SQLAlchemy Core → text, and what two databases spell differently.

Beside `sqlite/` only this knows a dialect. A statement is compiled once (0.3 to 1 ms) and
then run on the driver's connection: the list of recent runs takes 12 µs so, and 60 through
SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import (
    REAL,
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

INTEGER_64: Final = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits everywhere: INTEGER is that in SQLite only."""

DOUBLE: Final[TypeEngine[float]] = Double().with_variant(REAL(), "sqlite")
"""64 bits everywhere: REAL is that in SQLite only."""

BYTE_ORDERED_TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
"""Sorted by its bytes everywhere, and not by the language that a database was set up with."""

# What was compiled, by its text, and the names of its parameters: for `for_server`.
_statements: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {}


def compiled(statement: Any, *, named: bool = False) -> str:
    """Return the SQL text of *statement*.

    Args:
        statement: Of SQLAlchemy Core.
        named: Whether its parameters are bound by name. By position, in the order of
            the text, they bind twice as fast.
    """
    made = statement.compile(dialect=sqlite.dialect(paramstyle="named" if named else "qmark"))
    # Without blanks before the ends of lines, for a file.
    text = str(made).replace(" \n", "\n")
    _statements[text] = (statement, tuple(made.positiontup or ()))
    return text


def for_server(text: str) -> tuple[str, tuple[str, ...]]:
    """Return what `compiled` has compiled as PostgreSQL has it, all parameters bound by name.

    Returns:
        The text for psycopg, and the names of what is bound by position, in their order.
    """
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    statement, names = _statements[text]
    dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    return str(statement.compile(dialect=dialect)), names


def whole(number: int) -> ColumnElement[int]:
    """Return *number* written out: a parameter would have to be bound at each run."""
    return literal_column(str(number), Integer)


def first(statement: Select[Any], limit: ColumnElement[int] | None = None) -> Select[Any]:
    """Limit *statement* to *limit* rows, by default to the parameter ``limit``."""
    # Without an offset SQLAlchemy binds a 0 as one for SQLite.
    limited = bindparam("limit", type_=BigInteger) if limit is None else limit
    return statement.limit(limited).offset(whole(0))


def insert_row(table: Table) -> Any:
    """Return the INSERT of a row whose values come in the order of the table's columns."""
    return sqlite.insert(table).values({column.name: bindparam(column.name) for column in table.c})


def insert_new(table: Table) -> Any:
    """Return the same INSERT; where the key is there already, it does nothing."""
    return insert_row(table).on_conflict_do_nothing(index_elements=list(table.primary_key))


def upsert(
    table: Table,
    changed: Mapping[str, ColumnElement[Any]] | None = None,
    only_where: ColumnElement[bool] | None = None,
) -> Any:
    """Return the same INSERT; where the key is there already, it replaces that row's values.

    Args:
        table: The table.
        changed: {column: what it becomes in a row that is there}, instead of the new value.
        only_where: Of a row that is there; else nothing is done.
    """
    new = insert_row(table)
    replaced = {
        column.name: new.excluded[column.name] for column in table.c if not column.primary_key
    }
    return new.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={**replaced, **(changed or {})},
        where=only_where,
    )


def given_values(parameter: str) -> ColumnElement[Any]:
    """Return the column of values that are bound as one parameter, a JSON array.

    However many there are: SQLite binds 32,766 parameters at most.
    """
    values = _ValuesOf(bindparam(parameter)).table_valued("value").alias("given")
    return values.c.value


class _ValuesOf(FunctionElement[Any]):
    """A row for each value of a JSON array of texts."""

    name = "json_each"
    inherit_cache = True


@compiles(_ValuesOf)
def _values_on_sqlite(element: _ValuesOf, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_ValuesOf, "postgresql")
def _values_on_postgresql(element: _ValuesOf, compiler: Any, **options: Any) -> str:
    array = compiler.process(element.clauses, **options)
    return f"jsonb_array_elements_text(CAST({array} AS JSONB))"


def unsearched(column: ColumnElement[T]) -> ColumnElement[T]:
    """Return *column* so that SQLite doesn't look for the rows of its table by it."""
    return _Unsearched(column)


class _Unsearched(FunctionElement[Any]):
    """A column behind a sign that changes nothing, but for SQLite's choice of an index."""

    name = "unsearched"
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.type = column.type


@compiles(_Unsearched)
def _unsearched_on_sqlite(element: _Unsearched, compiler: Any, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"


@compiles(_Unsearched, "postgresql")
def _searched_on_postgresql(element: _Unsearched, compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


class _InCalendar(FunctionElement[str]):
    """The day, month or ISO week of a moment, µs since 1970, in UTC."""

    name = "in_calendar"
    inherit_cache = False

    def __init__(self, moment_us: ColumnElement[int], unit: str) -> None:
        super().__init__(moment_us)
        self.type = Text()
        self.unit = unit


day_of: Final = partial(_InCalendar, unit="day")  # 2026-11-21
month_of: Final = partial(_InCalendar, unit="month")  # 2026-11
week_of: Final = partial(_InCalendar, unit="week")  # 2026-W47


@compiles(_InCalendar)
def _calendar_on_sqlite(element: _InCalendar, compiler: Any, **options: Any) -> str:
    (moment_us,) = element.clauses
    return str(compiler.process(_WITH_STRFTIME[element.unit](moment_us), **options))


@compiles(_InCalendar, "postgresql")
def _calendar_on_postgresql(element: _InCalendar, compiler: Any, **options: Any) -> str:
    form = {"day": "YYYY-MM-DD", "month": "YYYY-MM", "week": 'IYYY-"W"IW'}[element.unit]
    moment_us = compiler.process(element.clauses, **options)
    return f"to_char(TIMESTAMP 'epoch' + {moment_us} * INTERVAL '1 microsecond', '{form}')"


def _week(moment_us: ColumnElement[int]) -> ColumnElement[str]:
    """Return the ISO week, counted in whole numbers.

    SQLite knows it (``%G``, ``%V``) from 3.46 on only, and a Python may bring an older one.
    """
    days = _days(moment_us)
    # The week has the year and the number of its Thursday. 1970-01-01 was one: three
    # days later than the week's first.
    thursday = days - _modulo(days + whole(3), 7) + whole(3)
    week = (cast(_on_day("%j", thursday), Integer) + whole(6)) // whole(7)
    return func.printf(literal_column("'%s-W%02d'"), _on_day("%Y", thursday), week)


def _days(moment_us: ColumnElement[int]) -> ColumnElement[int]:
    """Return the day of a moment, counted from 1970-01-01 on."""
    day_us = 86_400_000_000
    return (moment_us - _modulo(moment_us, day_us)) // whole(day_us)


def _modulo(dividend: ColumnElement[int], divisor: int) -> ColumnElement[int]:
    """Return the remainder from 0 on: SQLite's own is negative for times before 1970."""
    number = whole(divisor)
    return (dividend % number + number) % number


def _on_day(form: str, day: ColumnElement[int]) -> ColumnElement[str]:
    """Return ``strftime`` of a day, counted from 1970-01-01 on."""
    seconds = day * whole(86_400)
    return func.strftime(literal_column(f"'{form}'"), seconds, literal_column("'unixepoch'"))


_WITH_STRFTIME: Final[dict[str, Callable[[Any], ColumnElement[str]]]] = {
    "day": lambda moment_us: _on_day("%Y-%m-%d", _days(moment_us)),
    "month": lambda moment_us: _on_day("%Y-%m", _days(moment_us)),
    "week": _week,
}
