"""The catalogue of raw measurements: where the file of each run's save is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from astraguard_store.database.postgres.bulk import columns_of, insert_sql
from astraguard_store.database.postgres.connections import ServerConnection
from astraguard_store.database.postgres.tables import raw_files


class CataloguedFile(NamedTuple):
    """A file with raw measurements.

    Attributes:
        run_id: Of which run.
        revision: Of which save.
        location: Its path, or its URL.
        bytes: Its size.
        sha256: Its hash, hex.
        rows: How many measurements it has.
    """

    run_id: str
    revision: int
    location: str
    bytes: int
    sha256: str
    rows: int


_COLUMNS: Final = ", ".join(f"f.{name}" for name in CataloguedFile._fields)
_FILES: Final = f"SELECT {_COLUMNS} FROM raw_files AS f WHERE f.run_id = ANY(%(run_ids)s::text[])"  # noqa: S608
# One of another save than the run's isn't read.
_FILE: Final = (
    f"SELECT {_COLUMNS} FROM raw_files AS f JOIN runs AS r "  # noqa: S608
    "ON r.run_id = f.run_id AND r.revision = f.revision "
    "WHERE f.run_id = %(run_id)s AND r.state <> 'running'"
)
# What a DELETE of a run returns of its file, which it sees as it was before: of any save.
OF_DELETED: Final = ", ".join(
    f"(SELECT {name} FROM raw_files AS f WHERE f.run_id = runs.run_id)"  # noqa: S608 - of names
    for name in _COLUMNS.split(", ")
)
# Only of runs that this store has pushed, and as they are now.
_CATALOGUE: Final = f"""
{insert_sql(raw_files).replace(" SELECT * FROM ", " SELECT given.* FROM ")}
    AS given(run_id, revision, location, bytes, sha256, rows)
JOIN runs AS r ON r.run_id = given.run_id AND r.revision = given.revision
JOIN run_origins AS o ON o.run_id = given.run_id AND o.store_id = %(store_id)s
ON CONFLICT (run_id) DO UPDATE SET revision = excluded.revision, location = excluded.location,
    bytes = excluded.bytes, sha256 = excluded.sha256, rows = excluded.rows
RETURNING run_id
"""  # noqa: S608 - of names


def files_of(connection: ServerConnection, run_ids: Sequence[str]) -> dict[str, CataloguedFile]:
    """Return what is catalogued of these runs, by id; one round trip."""
    found = connection.run(_FILES, {"run_ids": list(run_ids)})
    return {row[0]: CataloguedFile._make(row) for row in found}


def file_of(connection: ServerConnection, run_id: str) -> CataloguedFile | None:
    """Return the file of a run as it is stored now, None if there is none."""
    row = connection.run(_FILE, {"run_id": run_id}).fetchone()
    return None if row is None else CataloguedFile._make(row)


def catalogue(
    connection: ServerConnection, store_id: str, files: Sequence[CataloguedFile]
) -> list[str]:
    """Write down files of runs that a store has pushed; return the ids of those that are noted.

    A run that was saved again or deleted since isn't.
    """
    bound = {**columns_of(raw_files, files), "store_id": store_id}
    return [run_id for (run_id,) in connection.run(_CATALOGUE, bound)]
