"""What each table, view and column means, as the database itself says it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from astraguard_store.reports import DescribedColumn, DescribedObject

__all__ = ["DescribedColumn", "DescribedObject", "described_objects", "objects_of"]


# The views first, for they are what to ask; the row about the object before its columns.
_DESCRIPTIONS: Final = """
SELECT d.object, d.kind, d."column", d.unit, d.description
FROM schema_doc AS d
LEFT JOIN pragma_table_info(d.object) AS c ON c.name = d."column"
ORDER BY d.kind DESC, d.object, d."column" <> '', c.cid
"""


def described_objects(connection: sqlite3.Connection) -> tuple[DescribedObject, ...]:
    """Return all views and then all tables, each by name; one statement."""
    return objects_of(connection.execute(_DESCRIPTIONS).fetchall())


def objects_of(rows: Iterable[tuple[Any, ...]]) -> tuple[DescribedObject, ...]:
    """Return the objects of rows (object, kind, column, unit, description), in their order.

    The row about an object has an empty column, and comes before those of its columns.
    """
    described = []
    for _, group in groupby(rows, itemgetter(0)):
        (name, kind, _, _, description), *columns = group
        of_columns = tuple(DescribedColumn(*row[2:]) for row in columns)
        described.append(DescribedObject(name, kind, description, of_columns))
    return tuple(described)
