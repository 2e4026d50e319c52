"""One run on a server: got, compared and saved in as few round trips as can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Table

from astraguard_store.comparison import Comparison
from astraguard_store.database.documents import RunParts, decode, encode, parts_of, stored_parts
from astraguard_store.database.postgres.bulk import (
    columns_of,
    delete_sql,
    insert_rows,
    insert_sql,
)
from astraguard_store.database.postgres.connections import ServerConnection
from astraguard_store.database.rows import PROVENANCE_COLUMNS, STATISTICS_COLUMNS
from astraguard_store.database.runs import (
    BELOW_RUN,
    OF_NOISE,
    OF_PROVENANCE,
    OF_STATISTICS,
    OF_UNIT,
    RUN_COLUMNS,
    Missing,
    StoredRun,
    comparison_of,
    named_saves,
    stored_run,
)
from astraguard_store.database.schema import (
    artifacts,
    baseline_runs,
    metadata,
    run_documents,
    run_tags,
    run_verdicts,
    runs,
    save_ids,
    statistics,
)
from astraguard_store.database.whole_runs import RunRows
from astraguard_store.provenance import UNIT_FIELDS

# What is set on a run, or said of it, stays when it is saved again.
_OF_ONE_SAVE: Final = tuple(
    table
    for table in metadata.sorted_tables
    if table not in {runs, run_documents, run_tags, save_ids, baseline_runs, run_verdicts}
    and "run_id" in table.c
)

# Who changes a run or its document changes one of these. Who changes rows below them
# drops the document: of the first such change this tells, of the next ones it does not.
_VERSION: Final = "r.xmin::text || ':' || coalesce(d.xmin::text, '')"


def _below_sql(table: Table, what: int, *columns: str) -> str:
    values = ", ".join(f't."{name}"' for name in columns)
    return (
        f"SELECT json_build_array({what}, {values}) "  # noqa: S608 - of names
        f'FROM "{table.name}" AS t WHERE t.run_id = r.run_id'
    )


# One column of all that is below a run, NULL if there is nothing: with one a table the server
# takes a fifth longer for the whole statement.
_BELOW: Final = " UNION ALL ".join(_below_sql(*one) for one in BELOW_RUN)
_LOAD: Final = f"""
SELECT r.run_id, {", ".join(f"r.{name}" for name in (*RUN_COLUMNS, *PROVENANCE_COLUMNS))},
    (SELECT json_agg(b) FROM ({_BELOW}) AS x(b)),
    {_VERSION},
    CASE WHEN {_VERSION} IS DISTINCT FROM {{known}} THEN d.document END
FROM runs AS r LEFT JOIN run_documents AS d ON d.run_id = r.run_id
"""  # noqa: S608 - of names
# That of many isn't for one: with arrays the server plans it anew each time, which takes
# five times as long as the rest.
LOAD_ONE: Final = f"{_LOAD.format(known='%(known)s')} WHERE r.run_id = %(run_id)s"
_LOAD_MANY: Final = (
    f"{_LOAD.format(known='asked.known')} JOIN unnest(%(run_ids)s::text[], %(known)s::text[]) "
    "AS asked(run_id, known) ON asked.run_id = r.run_id"
)
_END_OF_RUN: Final = len(RUN_COLUMNS)
_END_OF_PROVENANCE: Final = _END_OF_RUN + len(PROVENANCE_COLUMNS)


class Answer(NamedTuple):
    """A run as the server has it now.

    Attributes:
        run: The run; its parts are those of before where they haven't changed.
        version: Changes with the run.
        below: What its document doesn't hold: see `BELOW_RUN`.
    """

    run: StoredRun
    version: str
    below: list[tuple[Any, ...]]


class Undocumented(NamedTuple):
    """The answer for a run whose parts only its rows can tell: see `load_from_rows`."""

    run_id: str


class _Row(NamedTuple):
    """The row of a run, with what is below it, and its document if it isn't known."""

    run_id: str
    columns: Sequence[Any]
    below: list[tuple[Any, ...]]
    version: str
    document: bytes | None

    def answer(self, parts: RunParts) -> Answer:
        provenance = tuple(self.columns[_END_OF_RUN:_END_OF_PROVENANCE])
        columns = tuple(self.columns[:_END_OF_RUN])
        run = stored_run(self.run_id, columns, provenance, parts, self.below)
        return Answer(run, self.version, self.below)


def load_if_changed(
    connection: ServerConnection, asked: Mapping[str, Answer | None]
) -> dict[str, Answer | Undocumented]:
    """Return those of the runs that are there; what is known already is not sent again.

    One statement, whose answer is as new as can be.

    Args:
        connection: To the server.
        asked: What is known of each run.
    """
    # Without a document no version tells of a change of its rows.
    known = {
        id_: one if one and not one.version.endswith(":") else None for id_, one in asked.items()
    }
    versions = {run_id: one.version if one else None for run_id, one in known.items()}
    rows = _load_rows(connection, versions)
    return {row.run_id: _answer(row, known[row.run_id]) for row in rows}


def _answer(row: _Row, known: Answer | None) -> Answer | Undocumented:
    if known and row.version == known.version:
        if row.below == known.below:
            return known
        of_run = known.run.summary
        return row.answer(RunParts(of_run.metrics, of_run.satellites, of_run.artifacts))
    parts = None if row.document is None else decode(row.run_id, row.document)
    return Undocumented(row.run_id) if parts is None else row.answer(parts)


def load_from_rows(connection: Any, run_id: str) -> Answer | None:
    """Return the run, None if there is none, whatever its document says; on one snapshot."""
    for row in _load_rows(connection, {run_id: None}):
        return row.answer(stored_parts(connection, run_id))
    return None


def _load_rows(connection: ServerConnection, versions: Mapping[str, str | None]) -> Iterator[_Row]:
    if len(versions) == 1:
        ((run_id, known),) = versions.items()
        found = connection.run(LOAD_ONE, {"run_id": run_id, "known": known})
    else:
        bound = {"run_ids": list(versions), "known": list(versions.values())}
        found = connection.run(_LOAD_MANY, bound)
    for run_id, *columns, below, version, document in found.fetchall():
        content = None if document is None else bytes(document)
        yield _Row(run_id, columns, [_stored(row) for row in below or ()], version, content)


def _stored(row: list[Any]) -> tuple[Any, ...]:
    """Return a row of `BELOW_RUN`; JSON writes 1.0 as 1, and most of a noise are fractions."""
    if row[0] != OF_NOISE:
        return tuple(row)
    what, processors, *numbers = row
    return what, processors, *(None if number is None else float(number) for number in numbers)


def renew_document(connection: Any, run_id: str) -> None:
    """Write the document of a run anew, from the rows that it has; none if it has none."""
    # Else a save between the reading and the writing would have the document of the one before.
    connection.run("SELECT 1 FROM runs WHERE run_id = %(run_id)s FOR UPDATE", {"run_id": run_id})
    document = encode(run_id, stored_parts(connection, run_id))
    connection.run(delete_sql(run_documents), {"run_ids": [run_id]})
    if document is not None:
        insert_rows(connection, run_documents, [(run_id, document)])


def _comparison_sql(condition: str) -> str:
    of_statistics = ", ".join(f't."{name}"' for name in STATISTICS_COLUMNS)
    types = ("bigint", *["double precision"] * 6, "bigint")
    none = ", ".join(f"NULL::{kind}" for kind in types)
    # The times differ between any two runs.
    of_run = ", ".join(
        "NULL" if name.endswith("_at_us") else f"r.{name}" for name in PROVENANCE_COLUMNS
    )
    of_unit = ", ".join(f"t.{name}" for name in ("satellite_id", *UNIT_FIELDS))
    these = "run_id IN (%(baseline)s, %(candidate)s)"
    return (
        f"SELECT {OF_STATISTICS}, t.run_id, NULL::json, NULL::float8, NULL::float8, "  # noqa: S608
        f"NULL::float8, t.satellite_id, t.metric_type, {of_statistics} FROM statistics AS t "
        f"WHERE t.{these} AND t.satellite_id {condition} '' "
        f"UNION ALL SELECT {OF_PROVENANCE}, r.run_id, json_build_array({of_run}, r.state), "
        "n.steal_worst, n.pressure_worst, n.load_worst / nullif(n.processors, 0), "
        f"NULL, NULL, {none} FROM runs AS r LEFT JOIN machine_noise AS n "
        f"ON n.run_id = r.run_id WHERE r.{these} "
        f"UNION ALL SELECT {OF_UNIT}, t.run_id, json_build_array({of_unit}), NULL, NULL, NULL, "
        f"NULL, NULL, {none} FROM units AS t WHERE t.{these}"
    )


COMPARISONS: Final = {True: _comparison_sql("<>"), False: _comparison_sql("=")}
_NO_NUMBERS: Final = (None,) * len(STATISTICS_COLUMNS)


def compare(
    connection: ServerConnection, baseline: str, candidate: str, *, by_satellite: bool
) -> Comparison | Missing:
    """Return what both runs have, and what only one has, by one statement.

    Their statistics are joined here: the server takes half as long again to do it.
    """
    sides = (("baseline", baseline), ("candidate", candidate))
    numbers: dict[str, dict[tuple[str, str], tuple[Any, ...]]] = {baseline: {}, candidate: {}}
    rows: list[tuple[Any, ...]] = []
    found = connection.run(COMPARISONS[by_satellite], dict(sides)).fetchall()
    for what, run_id, was, steal, pressure, load, satellite_id, metric_type, *values in found:
        if what == OF_STATISTICS:
            numbers[run_id][satellite_id, metric_type] = tuple(values)
        else:
            of_run = (*was, steal, pressure, load)
            rows += [(what, side, *of_run) for side, name in sides if name == run_id]
    before, after = numbers[baseline], numbers[candidate]
    rows += [
        (OF_STATISTICS, *key, *before.get(key, _NO_NUMBERS), *after.get(key, _NO_NUMBERS))
        for key in before | after
    ]
    return comparison_of(baseline, candidate, rows, by_satellite=by_satellite)


@cache
def _save_sql() -> str:
    changed = ", ".join(
        f'"{c.name}" = excluded."{c.name}"' for c in runs.c if c.name not in {"run_id", "revision"}
    )
    return (
        f"{insert_sql(runs)} ON CONFLICT (run_id) DO UPDATE "  # noqa: S608
        f"SET {changed}, revision = runs.revision + 1 "
        "RETURNING run_id, revision, "
        "(SELECT json_object_agg(t.tag, t.value) FROM run_tags AS t WHERE t.run_id = runs.run_id)"
    )


def save_runs(
    connection: ServerConnection, new: Sequence[RunRows]
) -> dict[str, tuple[int, dict[str, str]]]:
    """Write runs in place of what is stored under their ids; tags are set, others stay.

    A save whose name was given before isn't made.

    Returns:
        {run id: (revision, tags)}, of those that were written.
    """
    new = [rows for rows in new if not rows.named or _is_new_name(connection, rows.named[0])]
    if not new:
        return {}
    bound = columns_of(runs, [rows.run for rows in new])
    saved = {
        run_id: (revision, tags or {})
        for run_id, revision, tags in connection.run(_save_sql(), bound)
    }
    again = [run_id for run_id, (revision, _) in saved.items() if revision > 1]
    write_children(connection, new, replaced=again)
    named = [(r.run_id, *r.named, saved[r.run_id][0]) for r in new if r.named]
    insert_rows(connection, save_ids, named)
    of_tags = [row for rows in new for row in rows.children.get("run_tags", ())]
    insert_tags(connection, of_tags)
    if again:
        # Whoever pushed it, the run is another one now.
        connection.run(
            "DELETE FROM run_origins WHERE run_id = ANY(%(run_ids)s::text[])", {"run_ids": again}
        )
    for run_id, tag, value in of_tags:
        saved[run_id][1][tag] = value
    return {run_id: (revision, dict(sorted(t.items()))) for run_id, (revision, t) in saved.items()}


def _is_new_name(connection: Any, save_id: str) -> bool:
    """Return whether no save has that name; nobody else gives it until the transaction ends."""
    # Of two that look at a time, both would find none.
    connection.run("SELECT pg_advisory_xact_lock(hashtextextended(%(id)s, 0))", {"id": save_id})
    return not named_saves(connection, save_id)


def insert_tags(connection: ServerConnection, rows: Sequence[Sequence[Any]]) -> None:
    """Set tags, of rows (run id, tag, value)."""
    insert_rows(
        connection,
        run_tags,
        rows,
        conflict="ON CONFLICT (run_id, tag) DO UPDATE SET value = excluded.value",
    )


def write_children(
    connection: ServerConnection, new: Sequence[RunRows], *, replaced: Sequence[str]
) -> None:
    """Write all rows of runs but for tags and names of saves; those of *replaced* go first."""
    if replaced:
        # The documents by name: of a run that has measured nothing no row takes it along.
        for table in (*_OF_ONE_SAVE, run_documents):
            connection.run(delete_sql(table), {"run_ids": list(replaced)})
    for table in _OF_ONE_SAVE:
        insert_rows(connection, table, _rows_of(table, new))
    # Last, as every row before drops it.
    documents = [(rows.run_id, document) for rows in new if (document := _document(rows))]
    insert_rows(connection, run_documents, documents)


def _rows_of(table: Table, new: Sequence[RunRows]) -> Iterator[Sequence[Any]]:
    for rows in new:
        if table.name == "measurements":
            for values in zip(*rows.measurements, strict=True):
                yield (rows.run_id, *values)
        else:
            yield from rows.children.get(table.name, ())


def _document(rows: RunRows) -> bytes | None:
    children: Mapping[str, Sequence[Any]] = rows.children
    found = (children.get(table.name, ()) for table in (statistics, artifacts))
    return encode(rows.run_id, parts_of(*found))
