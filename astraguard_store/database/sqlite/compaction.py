"""How much of a database file is in use; what deletions left free goes back to the disk."""

from __future__ import annotations

import sqlite3

from astraguard_store.exceptions import DatabaseError

# Below both, the next saves use up what is free, and the file isn't written anew.
_WORTH_BYTES = 2**20
_WORTH_SHARE = 0.1

# Savers wait for longer; a reader that takes longer than this is not waited for.
_PATIENCE_MS = 5_000


def is_worth_it(free_bytes: int, all_bytes: int) -> bool:
    """Return whether so much is free in a database of that size that it should be compacted."""
    return free_bytes > _WORTH_BYTES or free_bytes > all_bytes * _WORTH_SHARE


def used_bytes(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many bytes of the database are in use, and how many are free."""
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes, free * page_bytes


def compact(connection: sqlite3.Connection, where: object) -> None:
    """Write the database anew without what is free in it, if that is worth it; move its log.

    VACUUM writes the live pages into a temporary file and from there into the
    log, some 100 MB/s on an ordinary disk, and holds the write lock meanwhile;
    readers go on. A crash or a full disk leaves the database as it was.

    Args:
        connection: The writing one, not in a transaction; the ticket is held.
        where: The database, for messages.

    Raises:
        DatabaseError: It is done, but readers keep the file from shrinking.
        sqlite3.Error: It failed.
    """
    used, free = used_bytes(connection)
    worth_it = is_worth_it(free, used + free)
    try:
        if worth_it:
            connection.execute("VACUUM")
    finally:
        # Also after a failure: half of a log must not stay on a disk that is full.
        readers_hold_it = _move_log(connection)
    if worth_it and readers_hold_it:
        raise DatabaseError(
            f"{where}: it holds nothing free any more, but readers at work keep its file from "
            "shrinking; prune again when they are done"
        )


def _move_log(connection: sqlite3.Connection) -> bool:
    """Move the log into the file and truncate both; return whether readers forbid it."""
    timeout_ms = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    connection.execute(f"PRAGMA busy_timeout={min(timeout_ms, _PATIENCE_MS)}")
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout={timeout_ms}")
    return bool(busy)
