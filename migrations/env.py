"""How Alembic reaches the database, from the command line and from `RunRepository.open`."""

from __future__ import annotations

import os
import sqlite3
import warnings
from contextlib import closing
from logging.config import fileConfig
from pathlib import Path
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from astraguard_store.database.revision import VERSION_TABLE
from astraguard_store.database.schema import metadata
from astraguard_store.database.server_url import ServerUrl
from astraguard_store.database.sqlite.engine import (
    WRITES,
    connect,
    driver_connection,
    engine_of,
)
from astraguard_store.exceptions import DatabaseError, StoreError, without_passwords
from astraguard_store.options import names_server
from astraguard_store.system.files import make_file

DEFAULT_URL = "sqlite:///astraguard/hil/results/astraguard.db"


def database_url() -> str:
    """Return the URL that the caller named, or the default results folder's."""
    named = context.get_x_argument(as_dictionary=True).get("url")
    return named or os.environ.get("ASTRAGUARD_STORE_URL") or DEFAULT_URL


def migrate(connection: Connection, **options: Any) -> None:
    """Run the migrations in one transaction: all of them, or none.

    Args:
        connection: On which they run.
        options: For Alembic's context, beside what is always so.

    Raises:
        DatabaseError: They leave rows that refer to runs that are gone.
    """
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
        render_as_batch=True,
        **options,
    )
    with context.begin_transaction(), warnings.catch_warnings():
        # `alembic check` can't compare those of SQLite, and leaves them out on both sides.
        warnings.filterwarnings("ignore", ".*expression-based index")
        if connection.dialect.name == "postgresql":
            from astraguard_store.database.postgres.migrate import lock_migrations

            lock_migrations(connection)
        context.run_migrations()
        if connection.dialect.name == "sqlite":
            # The keys are off meanwhile. What is wrong is rolled back with the rest.
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise DatabaseError(
                    "not migrated: rows would refer to runs that are gone: "
                    f"{[tuple(row) for row in broken[:5]]}"
                )


def migrate_url(url: str) -> None:
    """Migrate the database at *url*; in SQLite its foreign keys are off meanwhile."""
    if names_server(url) and not url.startswith("sqlite"):
        from astraguard_store.database.postgres.migrate import server_engine

        with server_engine(ServerUrl.parse(url)).connect() as connection:
            migrate(connection)
        return
    file = make_url(url).database
    if not url.startswith("sqlite") or file in {None, "", ":memory:"}:
        raise CommandError(f"{url} names neither a SQLite file nor a PostgreSQL server")
    path = Path(str(file))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(path):
        # SQLite would make it 0644 whatever the umask: see `create_database`.
        make_file(path)
    with closing(connect(path, "rw")) as driver:
        driver.execute("PRAGMA foreign_keys=OFF")
        with engine_of(driver).connect() as connection:
            migrate(connection.execution_options(**{WRITES: True}))


def print_sql() -> None:
    """Print the statements that make a new database, as they run on one in memory.

    They are recorded, because some of a migration ask the tables that earlier ones made.

    Raises:
        CommandError: It would be for a database that is there, whose rows nobody sees here,
            or for a server, whose statements aren't these.
    """
    if names_server(url := database_url()) and not url.startswith("sqlite"):
        raise CommandError(
            "--sql prints what SQLite runs. On a server `astraguard-store db upgrade URL` makes "
            "the schema"
        )
    if ":" in str(getattr(context.config.cmd_opts, "revision", "")):
        raise CommandError(
            "--sql prints what makes a new database: name where it ends alone, such as `upgrade "
            "head --sql`. For one that is there, use `astraguard-store db upgrade`"
        )
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        driver_connection(connection).set_trace_callback(print_statement)
        migrate(connection, as_sql=False)
    engine.dispose()


def print_statement(statement: str) -> None:
    """Print what SQLite ran, but for questions and for what triggers did, which is a comment."""
    lines = [line for line in statement.splitlines() if line and not line.startswith("--")]
    if lines and not lines[0].startswith(("SELECT", "PRAGMA")):
        context.config.print_stdout("%s;\n", statement.strip())


held: Connection | None = context.config.attributes.get("connection")
if context.is_offline_mode():
    print_sql()
elif held is not None:
    migrate(held)
else:
    if context.config.config_file_name:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    try:
        migrate_url(database_url())
    except (OSError, StoreError, SQLAlchemyError, sqlite3.Error) as error:
        raise CommandError(without_passwords(str(error))) from error
