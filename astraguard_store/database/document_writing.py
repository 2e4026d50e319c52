"""When a run's document is written: last, for every row that comes later drops it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from sqlalchemy import bindparam, delete, select
from sqlalchemy.dialects import sqlite

from astraguard_store.database.documents import decode, encode
from astraguard_store.database.schema import (
    artifacts,
    metric_statistics,
    run_documents,
    satellite_statistics,
)
from astraguard_store.database.statements import statements

__all__ = ["DocumentState", "document_state", "renew_document", "write_document"]

DocumentState = Literal["right", "missing", "wrong"]

_COPIED = (metric_statistics, satellite_statistics, artifacts)


def write_document(
    connection: sqlite3.Connection,
    run_id: str,
    rows: Mapping[str, Iterable[Sequence[Any]]],
) -> None:
    """Write the document of a run whose rows, {table: rows}, have all been written.

    Does nothing if they can't be packed.
    """
    document = _packed(run_id, rows)
    if document is not None:
        connection.execute(statements().write_document, (run_id, document))


def renew_document(connection: sqlite3.Connection, run_id: str) -> None:
    """Write the document of a run anew, of the rows that it has; none if it has none."""
    connection.execute(_statements().delete, (run_id,))
    write_document(connection, run_id, _rows(connection, run_id))


def document_state(connection: sqlite3.Connection, run_id: str) -> DocumentState:
    """Return whether the document of a run says what its rows say; one snapshot is needed."""
    stored = connection.execute(_statements().document, (run_id,)).fetchone()
    right = _packed(run_id, _rows(connection, run_id))
    if stored is None:
        return "right" if right is None else "missing"
    if stored[0] == right:
        return "right"
    # Of another format it is not read.
    return "wrong" if decode(run_id, stored[0]) else "missing"


def _packed(run_id: str, rows: Mapping[str, Iterable[Any]]) -> bytes | None:
    return encode(run_id, *(rows.get(table.name, ()) for table in _COPIED))


def _rows(connection: sqlite3.Connection, run_id: str) -> dict[str, list[Any]]:
    return {
        name: connection.execute(sql, (run_id,)).fetchall()
        for name, sql in _statements().rows.items()
    }


class _Statements:
    def __init__(self) -> None:
        run_id: Any = bindparam("run_id")
        self.rows = {t.name: _sql(select(t).where(t.c.run_id == run_id)) for t in _COPIED}
        documents = run_documents
        self.document = _sql(select(documents.c.document).where(documents.c.run_id == run_id))
        self.delete = _sql(delete(documents).where(documents.c.run_id == run_id))


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))


@cache
def _statements() -> _Statements:
    return _Statements()
