"""The table `store`: one row about the database as a whole."""

from __future__ import annotations

from typing import Any

from astraguard_store.database.core import bindparam, select, store, update, whole
from astraguard_store.database.sql import Connection, kept


@kept()
def _adopted_sql() -> Any:
    return select(store.c.adopted_at_us)


def adopted(connection: Connection) -> bool:
    """Return whether the run folders from before the database have been adopted."""
    row = connection.execute(_adopted_sql()).fetchone()
    return row is not None and row[0] is not None


@kept()
def _mark_adopted_sql() -> Any:
    return update(store).values(adopted_at_us=bindparam("now_us"))


def mark_adopted(connection: Connection, now_us: int) -> None:
    """Note that they have."""
    connection.execute(_mark_adopted_sql(), (now_us,))


@kept()
def _set_created_sql() -> Any:
    return update(store).values(created_at_us=bindparam("now_us"))


def set_created(connection: Connection, now_us: int) -> None:
    """Note when the database was made."""
    connection.execute(_set_created_sql(), (now_us,))


@kept()
def _store_id_sql() -> Any:
    return select(store.c.store_id)


def store_id(connection: Connection) -> str | None:
    """Return the id that database and results folder share; None where none is set yet."""
    row = connection.execute(_store_id_sql()).fetchone()
    return None if row is None else row[0]


@kept()
def _set_store_id_sql() -> Any:
    return update(store).values(store_id=bindparam("new_id"))


def set_store_id(connection: Connection, new_id: str) -> None:
    """Set it: 32 hex digits."""
    connection.execute(_set_store_id_sql(), (new_id,))


@kept()
def _fence_sql() -> Any:
    return update(store).values(fence=store.c.fence + whole(1))


def fence(connection: Connection) -> None:
    """Write something, so that the commit overwrites what a failed one left in the log."""
    connection.execute(_fence_sql())
