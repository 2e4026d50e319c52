"""How the schema comes to be on a server: by the migrations, one at a time."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from astraguard_store.database.postgres.connections import (
    Connections,
    ServerConnection,
    driver,
    translated,
)
from astraguard_store.database.postgres.grants import OWNER
from astraguard_store.database.revision import HEAD_REVISION, VERSION_TABLE, schema_error
from astraguard_store.database.server_url import ServerUrl
from astraguard_store.database.sqlite.migrate import run_scripts
from astraguard_store.reports import DescribedObject

# Any number, as long as nobody else's is the same.
_LOCK: Final = 4_716_001_008

# The views first, as on SQLite; columns in the order of the table.
_DESCRIPTIONS: Final = """
SELECT d.object, d.kind, d."column", d.unit, d.description
FROM schema_doc AS d
LEFT JOIN information_schema.columns AS c
    ON c.table_schema = current_schema() AND c.table_name = d.object AND c.column_name = d."column"
ORDER BY d.kind DESC, d.object, d."column" <> '', c.ordinal_position
"""


def server_engine(url: ServerUrl) -> Engine:
    """Return an engine for migrating; each connection is a new one."""
    psycopg = driver()
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(**url.parameters),
        poolclass=NullPool,
    )


def lock_migrations(connection: Connection) -> None:
    """Wait until nobody else migrates; the lock ends with the transaction.

    From then on it is done as the role that the tables belong to: see `grants`.
    """
    connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    connection.execute(
        text(
            "SELECT set_config('role', relowner::regrole::text, true) FROM pg_class "  # noqa: S608
            f"WHERE oid = to_regclass('runs') AND relowner::regrole::text = '{OWNER}' "
            "AND pg_has_role(current_user, relowner, 'MEMBER')"
        )
    )


def found_on_server(connections: Connections) -> str | None:
    """Return the schema revision of a server, None where it has none of ours."""
    psycopg = driver()

    def revision(connection: ServerConnection) -> str | None:
        try:
            row = connection.run(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
        except psycopg.errors.UndefinedTable:
            return None
        return None if row is None else str(row[0])

    return connections.read(revision, one_statement=True)


def check_server_revision(url: ServerUrl, found: str | None) -> None:
    """Do nothing if *found* is the schema that this code works with.

    Raises:
        SchemaVersionError: It is another one, or none; the message says what to do.
    """
    if found != HEAD_REVISION:
        raise schema_error(url, found, ", as its owner: astraguard-store db upgrade URL")


def upgrade_server(url: ServerUrl) -> None:
    """Bring a server to the newest schema, or leave it as it was; others wait meanwhile.

    Raises:
        DatabaseError: The server can't be reached, or its user may not make tables.
    """
    engine = server_engine(url)
    try:
        with translated(url), engine.connect() as connection:
            run_scripts(connection)
    except DBAPIError as error:
        with translated(url):
            raise error.orig or error from None
    finally:
        engine.dispose()


def described_on_server(connections: Connections) -> tuple[DescribedObject, ...]:
    """Return what the views and tables mean, each by name; one statement."""
    return DescribedObject.of_rows(
        connections.read(lambda c: c.run(_DESCRIPTIONS).fetchall(), one_statement=True)
    )
