"""Many rows in one statement a table: columns as arrays, which the server takes apart.

So a hundred runs take as many messages as one, and a row has no statement of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Table

from astraguard_store.database.postgres.connections import ServerConnection

_TYPES: Final = {
    str: "text[]",
    int: "bigint[]",
    float: "double precision[]",
    bytes: "bytea[]",
}

_NUMBERS: Final = (int, float)

Row = Sequence[Any]


@cache
def insert_sql(table: Table) -> str:
    """Return the INSERT of many rows, to which an ON CONFLICT may be added."""
    names = ", ".join(f'"{column.name}"' for column in table.c)
    arrays = ", ".join(
        f"%({column.name})s::{_TYPES[column.type.python_type]}" for column in table.c
    )
    return f'INSERT INTO "{table.name}" ({names}) SELECT * FROM unnest({arrays})'  # noqa: S608


@cache
def delete_sql(table: Table) -> str:
    """Return the DELETE of the rows of some runs."""
    return f'DELETE FROM "{table.name}" WHERE run_id = ANY(%(run_ids)s::text[])'  # noqa: S608


def columns_of(table: Table, rows: Iterable[Row]) -> dict[str, list[Any]]:
    """Return {column: its values} of rows, whose values come in the order of the columns."""
    columns = list(zip(*rows, strict=True)) or [() for _ in table.c]
    return {
        column.name: list(map(_number, values))
        if column.type.python_type in _NUMBERS
        else list(values)
        for column, values in zip(table.c, columns, strict=True)
    }


def insert_rows(
    connection: ServerConnection, table: Table, rows: Iterable[Row], *, conflict: str = ""
) -> None:
    """Insert rows, whose values come in the order of the table's columns; none does nothing."""
    columns = columns_of(table, rows)
    if next(iter(columns.values())):
        connection.run(f"{insert_sql(table)} {conflict}", columns)


def _number(value: Any) -> Any:
    # SQLite stores True as 1, and -0.0 as 0.0.
    return None if value is None else value + 0
