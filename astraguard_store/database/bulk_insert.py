"""Many rows of one table, as many at a time as pays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import Any, Final

__all__ = ["insert_many"]

# Rows of one statement: 100,000 measurements take a third of the time of one at a time,
# the 300 buckets of a run two thirds.
_MANY: Final = 50


def insert_many(
    connection: sqlite3.Connection, insert_one: str, width: int, values: Iterable[Any]
) -> None:
    """Insert rows.

    Args:
        connection: In a write transaction.
        insert_one: Inserts a row of *width* values; it ends with their parentheses.
        width: Values of a row.
        values: Row after row, best in the order of the table's key: so SQLite fills page
            after page.
    """
    rest = iter(values)
    while len(some := tuple(islice(rest, _MANY * width))) == _MANY * width:
        connection.execute(_insert_many(insert_one), some)
    if some:
        # As many references to one iterator as a row has values.
        connection.executemany(insert_one, zip(*[iter(some)] * width, strict=True))


@cache
def _insert_many(insert_one: str) -> str:
    row = insert_one[insert_one.rindex("(") :]
    return ", ".join([insert_one, *[row] * (_MANY - 1)])
