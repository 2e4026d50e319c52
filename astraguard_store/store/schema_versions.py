"""Which schema a store has, what it means, and how it gets the newest one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from astraguard_store.database.revision import HEAD_REVISION, KNOWN_REVISIONS
from astraguard_store.database.server_url import ServerUrl
from astraguard_store.database.sqlite.connections import FileReader
from astraguard_store.database.sqlite.engine import sqlite_library_version
from astraguard_store.database.sqlite.migrate import (
    check_revision,
    described_objects,
    restore_database,
    revision_of,
    upgrade_database,
)
from astraguard_store.exceptions import StoreNotFoundError
from astraguard_store.options import DATABASE_NAME, names_server
from astraguard_store.reports import DescribedObject
from astraguard_store.store.store import LOCK_NAME, existing_root
from astraguard_store.system.ticket import WriteTicket

if TYPE_CHECKING:
    from astraguard_store.database.postgres.connections import Connections


# For others that have the database.
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """The schema of one store.

    Attributes:
        database_path: Its database, which may be missing; of a server, the URL without
            its password.
        found: The schema revision in it, None if there is none.
        head: The revision that this version of the package needs.
        backup_path: The copy made before an upgrade; None if there was none to do.
    """

    database_path: Path | str
    found: str | None
    head: str
    backup_path: Path | None = None


def schema_status(results_dir: str | os.PathLike[str]) -> SchemaStatus:
    """Return which schema the store in *results_dir* has; changes nothing.

    Raises:
        StoreNotFoundError: There is no such folder.
        DatabaseError: The database can't be read.
    """
    if names_server(results_dir):
        return _server_status(os.fspath(results_dir))
    path = existing_root(results_dir, create=False) / DATABASE_NAME
    found = revision_of(path) if os.path.lexists(path) else None
    return SchemaStatus(path, found, HEAD_REVISION)


def described_schema(results_dir: str | os.PathLike[str]) -> tuple[DescribedObject, ...]:
    """Return what the tables, views and columns of the store mean; changes nothing.

    Raises:
        StoreNotFoundError: There is no such folder, or no database in it.
        SchemaVersionError: The database is older or newer than this code.
        DatabaseError: It can't be read.
    """
    if names_server(results_dir):
        return _described_on_server(os.fspath(results_dir))
    path = _existing_database(results_dir)
    check_revision(path, revision_of(path))
    reader = FileReader(path, busy_timeout_s=_PATIENCE_S)
    try:
        return reader.read(described_objects, one_statement=True)
    finally:
        reader.close()


def upgrade_schema(results_dir: str | os.PathLike[str]) -> SchemaStatus:
    """Bring the store in *results_dir* to the newest schema, or leave it as it was.

    A copy of the database is made first, checked, and kept beside it. A store
    that is up to date is left alone. On a server it is one transaction without a copy,
    and others who migrate wait for it.

    Raises:
        StoreNotFoundError: There is no such folder, or no database in it.
        SchemaVersionError: The schema is newer than this version knows.
        DatabaseError: The database can't be copied or upgraded.
    """
    if names_server(results_dir):
        return _upgrade_server(os.fspath(results_dir))
    path = _existing_database(results_dir)
    with WriteTicket(path.with_name(LOCK_NAME), path).held("upgrading", _PATIENCE_S):
        backup_path = upgrade_database(path)
    return SchemaStatus(path, revision_of(path), HEAD_REVISION, backup_path)


def grant_statements() -> list[str]:
    """Return the SQL that makes the roles of a server, and says what they may do."""
    from astraguard_store.database.postgres.grants import grants_sql

    return grants_sql()


def grant_roles(url: str) -> None:
    """Make the roles on a server, and say what they may do.

    Raises:
        StoreNotFoundError: The URL can't be read.
        DatabaseError: The server can't be reached, or its user may not.
    """
    from astraguard_store.database.postgres.grants import apply_grants

    with _connected(url) as connections:
        apply_grants(connections)


@contextmanager
def _connected(url: str) -> Iterator[Connections]:
    from astraguard_store.database.postgres.connections import Connections

    connections = Connections(ServerUrl.parse(url), busy_timeout_s=_PATIENCE_S)
    try:
        yield connections
    finally:
        connections.close()


def _server_status(url: str) -> SchemaStatus:
    from astraguard_store.database.postgres.migrate import found_on_server

    with _connected(url) as connections:
        return SchemaStatus(connections.url.shown, found_on_server(connections), HEAD_REVISION)


def _described_on_server(url: str) -> tuple[DescribedObject, ...]:
    from astraguard_store.database.postgres.migrate import (
        check_server_revision,
        described_on_server,
        found_on_server,
    )

    with _connected(url) as connections:
        check_server_revision(connections.url, found_on_server(connections))
        return described_on_server(connections)


def _upgrade_server(url: str) -> SchemaStatus:
    from astraguard_store.database.postgres.migrate import check_server_revision, upgrade_server

    before = _server_status(url)
    if before.found is not None and before.found not in KNOWN_REVISIONS:
        check_server_revision(ServerUrl.parse(url), before.found)
    if before.found != HEAD_REVISION:
        upgrade_server(ServerUrl.parse(url))
    return _server_status(url)


def restore_backup(
    results_dir: str | os.PathLike[str], backup: str | os.PathLike[str]
) -> Path | None:
    """Put a copy of *backup* in the place of the database of the store in *results_dir*.

    It is checked first. A process that is killed leaves the former database or the copy.
    Programs that have the store open get an error, and have to open it again.

    Returns:
        Where the former database is kept, with its log; None if there was none.

    Raises:
        StoreNotFoundError: There is no such folder, or no such backup.
        SchemaVersionError: The backup's schema is newer than this version knows.
        DatabaseError: It isn't sound, or can't be copied; the database is as it was.
    """
    if not os.path.exists(backup):
        raise StoreNotFoundError(f"there is no backup {os.fspath(backup)}")
    path = existing_root(results_dir, create=False) / DATABASE_NAME
    with WriteTicket(path.with_name(LOCK_NAME), path).held("restoring", _PATIENCE_S):
        return restore_database(Path(backup), path)


def _existing_database(results_dir: str | os.PathLike[str]) -> Path:
    path = existing_root(results_dir, create=False) / DATABASE_NAME
    if not os.path.lexists(path):
        raise StoreNotFoundError(
            f"there is no database in {path.parent}; opening the store for writing makes one"
        )
    return path


def schema_head() -> str:
    """Return the schema revision that this version of the package needs."""
    return HEAD_REVISION


def sqlite_version() -> str:
    """Return the version of the SQLite library in use."""
    return sqlite_library_version()
