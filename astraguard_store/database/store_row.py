"""The table `store`: one row about the database as a whole."""

from __future__ import annotations

from typing import Any

from astraguard_store.database.core import bindparam, select, store, update, whole
from astraguard_store.database.sql import Connection, kept


@kept({"column": "adopted_at_us"}, {"column": "store_id"})
def _get_sql(*, column: str) -> Any:
    return select(store.c[column])


@kept({"column": "adopted_at_us"}, {"column": "created_at_us"}, {"column": "store_id"})
def _set_sql(*, column: str) -> Any:
    # A parameter must not have the name of a column that is set.
    return update(store).values({column: bindparam("new")})


def adopted(connection: Connection) -> bool:
    """Return whether the run folders from before the database have been adopted."""
    row = connection.execute(_get_sql(column="adopted_at_us")).fetchone()
    return row is not None and row[0] is not None


def mark_adopted(connection: Connection, now_us: int) -> None:
    """Note that they have."""
    connection.execute(_set_sql(column="adopted_at_us"), (now_us,))


def set_created(connection: Connection, now_us: int) -> None:
    """Note when the database was made."""
    connection.execute(_set_sql(column="created_at_us"), (now_us,))


def store_id(connection: Connection) -> str | None:
    """Return the id that database and results folder share; None where none is set yet."""
    row = connection.execute(_get_sql(column="store_id")).fetchone()
    return None if row is None else row[0]


def set_store_id(connection: Connection, new_id: str) -> None:
    """Set it: 32 hex digits."""
    connection.execute(_set_sql(column="store_id"), (new_id,))


@kept()
def _fence_sql() -> Any:
    return update(store).values(fence=store.c.fence + whole(1))


def fence(connection: Connection) -> None:
    """Write something, so that the commit overwrites what a failed one left in the log."""
    connection.execute(_fence_sql())
