"""What a server knows of runs that are about to be pushed, and how they are written there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from astraguard_store.database.postgres.bulk import (
    columns_of,
    delete_sql,
    insert_rows,
    insert_sql,
)
from astraguard_store.database.postgres.connections import ServerConnection
from astraguard_store.database.postgres.runs import insert_tags, write_children
from astraguard_store.database.postgres.tables import run_origins
from astraguard_store.database.schema import artifacts, run_tags, runs, save_ids
from astraguard_store.database.whole_runs import RunRows, without_recorder

_KNOWN: Final = """
SELECT r.run_id, r.revision, r.recorded_at_us, r.staging_token, r.state, r.last_written_at_us,
    o.store_id, o.tags
FROM runs AS r LEFT JOIN run_origins AS o ON o.run_id = r.run_id
WHERE r.run_id = ANY(%(run_ids)s::text[])
"""
_FROM: Final = """
SELECT r.run_id FROM runs AS r JOIN run_origins AS o ON o.run_id = r.run_id
WHERE r.run_id = ANY(%(run_ids)s::text[]) AND o.store_id = %(store_id)s
"""
_ORIGIN: Final = """
INSERT INTO origins (store_id, results_dir, host, first_pushed_at_us, last_pushed_at_us)
VALUES (%(store_id)s, %(results_dir)s, %(host)s, %(now_us)s, %(now_us)s)
ON CONFLICT (store_id) DO UPDATE SET results_dir = excluded.results_dir, host = excluded.host,
    last_pushed_at_us = excluded.last_pushed_at_us
"""
_ORIGIN_OF: Final = """
SELECT o.store_id, o.results_dir, o.host
FROM run_origins AS r JOIN origins AS o ON o.store_id = r.store_id
WHERE r.run_id = %(run_id)s
"""
_REMOVED_TAGS: Final = """
DELETE FROM run_tags USING unnest(%(run_ids)s::text[], %(tags)s::text[]) AS gone(run_id, tag)
WHERE run_tags.run_id = gone.run_id AND run_tags.tag = gone.tag
"""


class Origin(NamedTuple):
    """The store that pushes.

    Attributes:
        store_id: Its id, 32 hex digits.
        results_dir: Its results folder; None in memory.
        host: Its machine.
    """

    store_id: str
    results_dir: str | None
    host: str


class Known(NamedTuple):
    """A run that the server has.

    Attributes:
        revision: How often it was saved where it came from.
        recorded_at_us: When.
        token: Of the save; None if it was adopted, or nothing was saved of it yet.
        state: How far it had come.
        last_written_at_us: When its recorder had last written; None without one.
        store_id: Where it came from; None if it was saved on the server.
        tags: As they were there when it was last pushed.
    """

    revision: int
    recorded_at_us: int
    token: str | None
    state: str
    last_written_at_us: int | None
    store_id: str | None
    tags: Mapping[str, str]


def origin_of(connection: ServerConnection, run_id: str) -> Origin | None:
    """Return which store has pushed a run; None if none has."""
    row = connection.run(_ORIGIN_OF, {"run_id": run_id}).fetchone()
    return None if row is None else Origin._make(row)


def known_runs(connection: ServerConnection, run_ids: Sequence[str]) -> dict[str, Known]:
    """Return what the server has of these runs; one round trip."""
    found = connection.run(_KNOWN, {"run_ids": list(run_ids)})
    return {
        run_id: Known._make((*values, json.loads(tags) if tags else {}))
        for run_id, *values, tags in found
    }


def runs_from(
    connection: ServerConnection, store_id: str, run_ids: Sequence[str], *, hold: bool = False
) -> set[str]:
    """Return those of the runs that came from a store.

    Args:
        connection: In a transaction, to hold them.
        store_id: The store.
        run_ids: The runs.
        hold: Whether nobody can delete them until the transaction ends; then those are left
            out that somebody is about to delete. They aren't waited for: a delete waits for
            the table of the baselines, while who writes that may wait for nobody's run.
    """
    bound = {"store_id": store_id, "run_ids": list(run_ids)}
    held = " FOR KEY SHARE OF r SKIP LOCKED" if hold else ""
    return {run_id for (run_id,) in connection.run(_FROM + held, bound)}


@cache
def _push_sql() -> str:
    changed = ", ".join(f'"{c.name}" = excluded."{c.name}"' for c in runs.c if c.name != "run_id")
    return (
        f"{insert_sql(runs)} ON CONFLICT (run_id) DO UPDATE SET {changed} "  # noqa: S608
        "WHERE (runs.revision < excluded.revision OR runs.revision = excluded.revision "
        "AND 'running' IN (runs.state, excluded.state)) "
        "AND EXISTS (SELECT 1 FROM run_origins AS o "
        "WHERE o.run_id = runs.run_id AND o.store_id = %(origin)s) "
        # Of a row that is new nobody has been the locker, xmax; of one that is replaced we are.
        "RETURNING run_id, xmax <> 0"
    )


def push_runs(
    connection: ServerConnection,
    origin: Origin,
    new: Sequence[RunRows],
    known: Mapping[str, Known],
) -> list[str]:
    """Write runs, in the order of their ids; return the ids of those that were.

    A run that is there already is replaced by a later save of the same origin, or by how
    its recorder went on, and by nothing else: whoever came first stays. Two round trips,
    in a transaction.
    """
    now_us = time.time_ns() // 1000
    connection.run(_ORIGIN, {**origin._asdict(), "now_us": now_us})
    new = [without_recorder(rows) for rows in new]
    bound = {**columns_of(runs, [rows.run for rows in new]), "origin": origin.store_id}
    # A run may have come, or been deleted, since *known* was asked for.
    written = dict(connection.run(_push_sql(), bound).fetchall())
    replaced = [run_id for run_id, was_there in written.items() if was_there]
    here = [_from(origin, rows) for rows in new if rows.run_id in written]
    write_children(connection, here, replaced=replaced)
    if replaced:
        connection.run(delete_sql(save_ids), {"run_ids": replaced})
    named = [row for rows in here for row in rows.children.get(save_ids.name, ())]
    insert_rows(connection, save_ids, named)
    for rows in here:
        before = known.get(rows.run_id) if written[rows.run_id] else None
        _note(connection, origin, now_us, rows.run_id, _tags(rows), before)
    return sorted(written)


def push_tags(
    connection: ServerConnection,
    origin: Origin,
    changed: Mapping[str, Mapping[str, str]],
    known: Mapping[str, Known],
) -> None:
    """Set and remove the tags that the origin has set and removed since it last pushed."""
    now_us = time.time_ns() // 1000
    for run_id, tags in changed.items():
        _note(connection, origin, now_us, run_id, tags, known[run_id])


def _note(
    connection: ServerConnection,
    origin: Origin,
    now_us: int,
    run_id: str,
    tags: Mapping[str, str],
    before: Known | None,
) -> None:
    then = before.tags if before else {}
    new = [(run_id, tag, value) for tag, value in tags.items() if then.get(tag) != value]
    insert_tags(connection, new)
    gone = [tag for tag in then if tag not in tags]
    if gone:
        connection.run(_REMOVED_TAGS, {"run_ids": [run_id] * len(gone), "tags": gone})
    row = (run_id, origin.store_id, now_us, json.dumps(dict(tags), ensure_ascii=False))
    insert_rows(
        connection,
        run_origins,
        [row],
        conflict="ON CONFLICT (run_id) DO UPDATE SET store_id = excluded.store_id, "
        "pushed_at_us = excluded.pushed_at_us, tags = excluded.tags",
    )


def _tags(rows: RunRows) -> dict[str, str]:
    return {row[1]: row[2] for row in rows.children.get(run_tags.name, ())}


def _from(origin: Origin, rows: RunRows) -> RunRows:
    """Return the rows with the origin's folder as that in which the files lie."""
    files = [(*row[:-1], row[-1] or origin.store_id) for row in rows.children[artifacts.name]]
    return rows._replace(children={**rows.children, artifacts.name: files})
