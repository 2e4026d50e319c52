"""All rows of a run as plain values, on their way into a database from elsewhere.

From a summary file that another process has read, or from another database.
Whatever belongs to a run goes along: every table that has its id.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

from astraguard_store.database.baselines import of_same_baselines
from astraguard_store.database.core import bindparam, compiled, insert_new, metadata, runs, select
from astraguard_store.database.documents import RunParts, encode, parts_of, write_document
from astraguard_store.database.rows import child_rows, file_row, surrounding_rows
from astraguard_store.database.runs import (
    BELOW,
    BELOW_RUN,
    PROVENANCE_COLUMNS,
    RUN_COLUMNS,
    StoredRun,
    run_row,
    stored_run,
)
from astraguard_store.database.sql import Connection, insert_many, kept
from astraguard_store.model import Artifact

# Without the documents: they are made of the rows where these are written.
_CHILDREN: Final = tuple(table for table in BELOW if table != "run_documents")
# In the order of the table, in which those of provenance lie within the others.
_PROVENANCE: Final = 5
_END_OF_PROVENANCE: Final = _PROVENANCE + len(PROVENANCE_COLUMNS)
_RUN_COLUMNS: Final = (
    "run_id",
    *RUN_COLUMNS[:_PROVENANCE],
    *PROVENANCE_COLUMNS,
    *RUN_COLUMNS[_PROVENANCE:],
)
_TOKEN: Final = _RUN_COLUMNS.index("staging_token")
_OF_SAVE: Final = (*map(_RUN_COLUMNS.index, ("revision", "recorded_at_us")), _TOKEN)
_OF_LIFE: Final = tuple(map(_RUN_COLUMNS.index, ("state", "last_written_at_us")))
_LIVE_TOKEN: Final = _RUN_COLUMNS.index("live_token")
_TOTAL: Final = _RUN_COLUMNS.index("total_measurements")
_OF_NAME: Final = tuple(map(_RUN_COLUMNS.index, ("save_id", "save_sha256")))
# Of the columns of `measurements` but the run's id: a million rows as tuples would take
# 250 MB, packed they take 41.
_PACKED: Final = "qqdddq"
_FETCHED_AT_A_TIME = 10_000

Row = tuple[Any, ...]


class RunRows(NamedTuple):
    """The rows of one run, values in the order of their tables' columns.

    Attributes:
        run: Of the table `runs`.
        children: {table: rows of it}, of the others but for `measurements`.
        measurements: A packed column for each column of that table but the run's id.
        document: Theirs, made already; None where it isn't.
    """

    run: Row
    children: dict[str, Sequence[Row]]
    measurements: tuple[Sequence[float], ...] = ()
    document: bytes | None = None

    @property
    def run_id(self) -> str:
        """The run."""
        return str(self.run[0])

    @property
    def save(self) -> tuple[int, int, str | None]:
        """What another save of the run would change: its revision, time and token."""
        revision, recorded_at_us, token = (self.run[place] for place in _OF_SAVE)
        return revision, recorded_at_us, token

    @property
    def total_measurements(self) -> int:
        """How many measurements it has, or its recorder told of."""
        total: int = self.run[_TOTAL]
        return total

    @property
    def live_token(self) -> str | None:
        """The journal that its recorder writes; None if none does."""
        token: str | None = self.run[_LIVE_TOKEN]
        return token

    @property
    def named(self) -> tuple[str, str] | None:
        """The save's name and its content's hash; None where it has no name."""
        save_id, sha256 = (self.run[place] for place in _OF_NAME)
        return None if save_id is None or sha256 is None else (save_id, sha256)

    @property
    def life(self) -> tuple[str, int | None]:
        """What its recorder tells of it: its state, and when it last wrote."""
        state, last_written_at_us = (self.run[place] for place in _OF_LIFE)
        return state, last_written_at_us


def rows_of(run: StoredRun, revision: int = 1) -> RunRows:
    """Return the rows that *run* will have; no buckets, for it doesn't know them."""
    summary = run.summary
    children = {**child_rows(summary), **surrounding_rows(summary)}
    if summary.tags:
        children["run_tags"] = [(summary.run_id, *tag) for tag in summary.tags.items()]
    return RunRows(run_row(run, revision), children)


def with_document(rows: RunRows, run: StoredRun) -> RunRows:
    """Return the rows of *run* with the document, which whoever writes them then needn't make."""
    summary = run.summary
    parts = RunParts(summary.metrics, summary.satellites, summary.artifacts)
    return rows._replace(document=encode(rows.run_id, parts))


def with_files(rows: RunRows, staging_token: str | None, files: Iterable[Artifact]) -> RunRows:
    """Return *rows* for a place where the run has these files, published by this token."""
    run = (*rows.run[:_TOKEN], staging_token, *rows.run[_TOKEN + 1 :])
    of_files = [file_row(rows.run_id, file) for file in files]
    children = {**rows.children, "artifacts": of_files}
    return rows._replace(run=run, children=children, document=None)


def without_recorder(rows: RunRows) -> RunRows:
    """Return *rows* for a place where no recorder has a journal."""
    run = (*rows.run[:_LIVE_TOKEN], None, *rows.run[_LIVE_TOKEN + 1 :])
    return rows._replace(run=run)


@kept(*({"table": table} for table in ("runs", *BELOW)))
def _select_sql(*, table: str) -> str:
    # The columns by name: a database that was migrated may have them in another order.
    rows = metadata.tables[table]
    # Not BETWEEN, in which PostgreSQL takes no collation.
    of_runs = (rows.c.run_id >= bindparam("first"), rows.c.run_id <= bindparam("last"))
    return compiled(select(rows).where(*of_runs).order_by(*rows.primary_key))


@kept(*({"table": table} for table in ("runs", *BELOW)))
def columns_text(*, table: str) -> str:
    """Return the columns of a table, a line each: name, Python's type, and whether NULL may be."""
    return "\n".join(
        f"{column.name} {column.type.python_type.__name__}{' or null' if column.nullable else ''}"
        for column in metadata.tables[table].c
    )


def load_rows(connection: Connection, run_id: str) -> RunRows | None:
    """Return all rows of a run, None if there is none; the caller gives one snapshot."""
    return next(load_all_rows(connection, run_id, run_id), None)


def load_all_rows(connection: Connection, first: str, last: str) -> Iterator[RunRows]:
    """Yield all rows of each run from *first* to *last*, in the order of their ids.

    One statement a table for all of them; only measurements are read run by run, for these
    may be millions. The caller gives one snapshot.
    """
    runs_found = connection.execute(_select_sql(table="runs"), (first, last)).fetchall()
    children: dict[str, dict[str, list[Row]]] = {run[0]: {} for run in runs_found}
    for table in _CHILDREN:
        if table == "measurements":
            continue
        for of_run in children.values():
            of_run[table] = []
        for row in connection.execute(_select_sql(table=table), (first, last)):
            # A row without its run is found by another question.
            if row[0] in children:
                children[row[0]][table].append(row)
    for run in runs_found:
        yield RunRows(run, dict(children.pop(run[0])), _packed_measurements(connection, run[0]))


def load_documents(connection: Connection, first: str, last: str) -> dict[str, bytes]:
    """Return the documents of the runs from *first* to *last*, by run."""
    return dict(connection.execute(_select_sql(table="run_documents"), (first, last)))


def parts_of_rows(rows: RunRows) -> RunParts:
    """Return what a document of these rows has to tell."""
    return parts_of(rows.children["statistics"], rows.children["artifacts"])


def run_of(rows: RunRows, parts: RunParts) -> StoredRun:
    """Return the run that rows make, whatever its document says; *parts* are `parts_of_rows`.

    Raises:
        DatabaseError: A time in them is no date.
    """
    run_id, *of_run = rows.run
    below = [(what, *row[1:]) for table, what in _below() for row in rows.children[table]]
    own = (*of_run[:_PROVENANCE], *of_run[_END_OF_PROVENANCE:])
    provenance = tuple(of_run[_PROVENANCE:_END_OF_PROVENANCE])
    return stored_run(run_id, own, provenance, parts, below)


@cache
def _below() -> tuple[tuple[str, int], ...]:
    return tuple((table.name, what) for table, what, *_ in BELOW_RUN)


@kept()
def _insert_new_run_sql() -> str:
    return compiled(insert_new(runs))


def insert_whole_runs(connection: Connection, all_rows: Sequence[RunRows]) -> list[str]:
    """Write the runs of which there is none of that id; return the ids that were written."""
    new = [
        rows
        for rows in all_rows
        if connection.execute(_insert_new_run_sql(), rows.run).rowcount > 0
    ]
    for table in _CHILDREN:
        if table == "measurements":
            written: Iterable[Row] = chain.from_iterable(map(_unpacked, new))
        else:
            written = chain.from_iterable(rows.children.get(table, ()) for rows in new)
        if table == "baseline_runs":
            # A baseline of the same name here stays what it is.
            written = of_same_baselines(connection, written)
        insert_many(connection, table, chain.from_iterable(written))
    for rows in new:
        document = rows.document or encode(rows.run_id, parts_of_rows(rows))
        write_document(connection, rows.run_id, document)
    return [rows.run_id for rows in new]


def _packed_measurements(connection: Connection, run_id: str) -> tuple[Sequence[float], ...]:
    found = connection.execute(_select_sql(table="measurements"), (run_id, run_id))
    columns: list[array[Any]] = [array(code) for code in _PACKED]
    while some := found.fetchmany(_FETCHED_AT_A_TIME):
        for column, values in zip(columns, list(zip(*some, strict=True))[1:], strict=True):
            column.extend(values)
    return tuple(columns) if columns[0] else ()


def _unpacked(rows: RunRows) -> Iterator[Row]:
    return ((rows.run_id, *values) for values in zip(*rows.measurements, strict=True))
