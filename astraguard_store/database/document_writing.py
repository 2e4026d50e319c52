"""When a run's document is written: last, for every row that comes later drops it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from sqlalchemy import bindparam, delete, select

from astraguard_store.database.documents import decode, encode
from astraguard_store.database.schema import (
    artifacts,
    metric_statistics,
    run_documents,
    satellite_statistics,
)
from astraguard_store.database.sql import Connection, compiled, upsert
from astraguard_store.model import Artifact

__all__ = ["DocumentState", "document_state", "renew_document", "write_document"]

DocumentState = Literal["right", "missing", "wrong"]

_COPIED = (metric_statistics, satellite_statistics, artifacts)
_FILE_WIDTH = 1 + len(Artifact._fields)


@cache
def _write_sql() -> str:
    return compiled(upsert(run_documents))


def write_document(
    connection: Connection,
    run_id: str,
    rows: Mapping[str, Iterable[Sequence[Any]]],
) -> None:
    """Write the document of a run whose rows, {table: rows}, have all been written.

    Does nothing if they can't be packed.
    """
    document = _packed(run_id, rows)
    if document is not None:
        connection.execute(_write_sql(), (run_id, document))


@cache
def _delete_sql() -> str:
    return compiled(delete(run_documents).where(run_documents.c.run_id == bindparam("run_id")))


def renew_document(connection: Connection, run_id: str) -> None:
    """Write the document of a run anew, of the rows that it has; none if it has none."""
    connection.execute(_delete_sql(), (run_id,))
    write_document(connection, run_id, _rows(connection, run_id))


@cache
def _document_sql() -> str:
    document = run_documents.c
    return compiled(select(document.document).where(document.run_id == bindparam("run_id")))


def document_state(connection: Connection, run_id: str) -> DocumentState:
    """Return whether the document of a run says what its rows say; one snapshot is needed."""
    stored = connection.execute(_document_sql(), (run_id,)).fetchone()
    right = _packed(run_id, _rows(connection, run_id))
    if stored is None:
        return "right" if right is None else "missing"
    if stored[0] == right:
        return "right"
    # Of another format it is not read.
    return "wrong" if decode(run_id, stored[0]) else "missing"


def _packed(run_id: str, rows: Mapping[str, Iterable[Any]]) -> bytes | None:
    metrics, satellites, files = (rows.get(table.name, ()) for table in _COPIED)
    # Without the last column, the store whose folder they lie in: no value has it.
    return encode(run_id, metrics, satellites, (row[:_FILE_WIDTH] for row in files))


@cache
def _rows_sql() -> dict[str, str]:
    return {t.name: compiled(select(t).where(t.c.run_id == bindparam("run_id"))) for t in _COPIED}


def _rows(connection: Connection, run_id: str) -> dict[str, list[Any]]:
    return {
        name: connection.execute(sql, (run_id,)).fetchall() for name, sql in _rows_sql().items()
    }
