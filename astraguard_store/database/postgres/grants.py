"""Who may do what on a server: an owner who migrates, writers who push, readers who ask."""

from __future__ import annotations

from typing import Final

from astraguard_store.database.postgres.connections import Connections, ServerConnection
from astraguard_store.database.postgres.user_sql import READER

OWNER: Final = "astraguard_owner"
WRITER: Final = "astraguard_writer"

_OWNERS: Final = "schema_doc, store, astraguard_schema_version"
_LATER: Final = "ALTER DEFAULT PRIVILEGES IN SCHEMA public"
_ROLE: Final = (
    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') "
    "THEN CREATE ROLE {role} NOLOGIN; END IF; END $$"
)


def grants_sql() -> list[str]:
    """Return the statements; they may be run again at any time.

    People and rigs get logins of their own, and one of the roles:
    ``CREATE ROLE rig_07 LOGIN PASSWORD '…' IN ROLE astraguard_writer``.
    """
    tables = "ALL TABLES IN SCHEMA public"
    return [
        *(_ROLE.format(role=role) for role in (OWNER, WRITER, READER)),
        f"GRANT {READER} TO {WRITER}",
        f"GRANT {WRITER} TO {OWNER}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER}",
        f"GRANT USAGE ON SCHEMA public TO {WRITER}, {READER}",
        f"GRANT ALL ON {tables} TO {OWNER}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {WRITER}",
        f"REVOKE INSERT, UPDATE, DELETE ON {_OWNERS} FROM {WRITER}",
        f"GRANT SELECT ON {tables} TO {READER}",
        f"{_LATER} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {WRITER}",
        f"{_LATER} GRANT SELECT ON TABLES TO {READER}",
        # What a reader may take at once, whatever client it comes with.
        f"ALTER ROLE {READER} SET default_transaction_read_only TO on",
        f"ALTER ROLE {READER} SET statement_timeout TO '60s'",
        f"ALTER ROLE {READER} SET idle_in_transaction_session_timeout TO '60s'",
    ]


def apply_grants(connections: Connections) -> None:
    """Run them in one transaction; a superuser or the owner of the tables may."""

    def run(connection: ServerConnection) -> None:
        for statement in grants_sql():
            connection.run(statement)

    connections.transact(run)
