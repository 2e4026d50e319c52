"""How Alembic reaches the database, from the command line and from `RunRepository.open`."""

from __future__ import annotations

import os
import warnings
from logging.config import fileConfig
from pathlib import Path

from alembic import context
from sqlalchemy import Connection, make_url

from astraguard_store.database.schema import VERSION_TABLE, metadata
from astraguard_store.database.sqlite.engine import WRITES, driver_connection, url_engine
from astraguard_store.exceptions import DatabaseError

DEFAULT_URL = "sqlite:///astraguard/hil/results/astraguard.db"


def database_url() -> str:
    """Return the URL that the caller named, or the default results folder's."""
    named = context.get_x_argument(as_dictionary=True).get("url")
    return named or os.environ.get("ASTRAGUARD_STORE_URL") or DEFAULT_URL


def migrate(connection: Connection) -> None:
    """Run the migrations in one transaction: all of them, or none.

    Raises:
        DatabaseError: They leave rows that refer to runs that are gone.
    """
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
        render_as_batch=True,
    )
    with context.begin_transaction(), warnings.catch_warnings():
        # `alembic check` can't compare those of SQLite, and leaves them out on both sides.
        warnings.filterwarnings("ignore", ".*expression-based index")
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
    """Migrate the database at *url*, its foreign keys off meanwhile."""
    file = make_url(url).database
    if file and file != ":memory:" and url.startswith("sqlite"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = url_engine(url)
    with engine.connect() as connection:
        writing = connection.execution_options(**{WRITES: True})
        if engine.dialect.name == "sqlite":
            driver_connection(writing).execute("PRAGMA foreign_keys=OFF")
        migrate(writing)
    engine.dispose()


held: Connection | None = context.config.attributes.get("connection")
if context.is_offline_mode():
    context.configure(
        url=database_url(),
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.run_migrations()
elif held is not None:
    migrate(held)
else:
    if context.config.config_file_name:
        fileConfig(context.config.config_file_name, disable_existing_loggers=False)
    migrate_url(database_url())
