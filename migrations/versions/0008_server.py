"""The whole schema on a PostgreSQL server, in one step; on SQLite nothing changes.

A server begins here: what earlier revisions did step by step to SQLite's files is made at
once, of the tables as this version of the package has them. Views, and what keeps the
documents true, are written in the server's own words.

Revision: 0008
"""

from __future__ import annotations

import time
import tomllib
import uuid
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
COPIED = ("statistics", "artifacts")
# Tables of this package that later revisions make.
LATER = {"save_ids"}
# An event has both tables of its rows in SQLite; here a trigger for each.
EVENTS = {
    "insert": ("INSERT", "NEW"),
    "update_of": ("UPDATE", "OLD"),
    "update_to": ("UPDATE", "NEW"),
    "delete": ("DELETE", "OLD"),
}


def is_server() -> bool:
    """Return whether it is a server that is migrated."""
    return bool(op.get_context().dialect.name == "postgresql")


def views() -> list[str]:
    """Return the statements that make the views."""
    text = HERE.joinpath("0008_views.sql").read_text(encoding="utf-8")
    return [part for part in text.split(";\n") if "CREATE VIEW" in part]


def tables() -> list[tuple[sa.MetaData, list[sa.Table]]]:
    """Return the tables of a server as of this revision, those that SQLite has too first."""
    from astraguard_store.database.postgres.tables import server_metadata
    from astraguard_store.database.schema import metadata

    return [
        (some, [table for table in some.sorted_tables if table.name not in LATER])
        for some in (metadata, server_metadata)
    ]


def run_statement(statement: str) -> None:
    """Run a statement; a colon or a percent sign in it is what it is."""
    op.get_bind().exec_driver_sql(statement.replace("%", "%%"))


def create_triggers() -> None:
    """Let every change of a row drop the document of its run, whoever makes it."""
    run_statement(
        "CREATE FUNCTION astraguard_drop_documents() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "DELETE FROM run_documents WHERE run_id IN (SELECT run_id FROM changed); "
        "RETURN NULL; END $$"
    )
    for table in COPIED:
        for name, (event, side) in EVENTS.items():
            run_statement(
                f"CREATE TRIGGER tr_{table}_{name} AFTER {event} ON {table} "
                f"REFERENCING {side} TABLE AS changed FOR EACH STATEMENT "
                "EXECUTE FUNCTION astraguard_drop_documents()"
            )


def described() -> dict[str, dict[str, Any]]:
    """Return {table or view: kind, description, columns} as all revisions up to here say."""
    texts: dict[str, dict[str, Any]] = {}
    for file in sorted(HERE.glob("*_schema_doc.toml")):
        if file.name[:4] > revision:
            break
        for name, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
            columns = {**texts.get(name, {}).get("columns", {}), **entry["columns"]}
            texts[name] = {**texts.get(name, {}), **entry, "columns": columns}
    return texts


def describe(connection: sa.Connection) -> None:
    """Say what the tables and views that are here mean."""
    found = sa.inspect(connection)
    rows = []
    for name, entry in described().items():
        if name not in {*found.get_table_names(), *found.get_view_names()}:
            continue
        there = {column["name"] for column in found.get_columns(name)}
        rows.append((name, "", entry["kind"], None, entry["description"]))
        rows += [
            (name, column, entry["kind"], unit or None, text)
            for column, (unit, text) in entry["columns"].items()
            if column in there
        ]
    names = ("object", "column", "kind", "unit", "description")
    table = sa.table("schema_doc", *map(sa.column, names))
    op.bulk_insert(table, [dict(zip(names, row, strict=True)) for row in rows])


def upgrade() -> None:
    """Make everything on a server; do nothing on SQLite."""
    if not is_server():
        return
    connection = op.get_bind()
    for some, of_revision in tables():
        some.create_all(connection, of_revision, checkfirst=False)
    create_triggers()
    for view in views():
        run_statement(view)
    op.bulk_insert(
        sa.table("store", *map(sa.column, ("id", "created_at_us", "fence", "store_id"))),
        [
            {
                "id": 1,
                "created_at_us": time.time_ns() // 1000,
                "fence": 0,
                "store_id": uuid.uuid4().hex,
            }
        ],
    )
    describe(connection)


def downgrade() -> None:
    """Drop everything on a server, with all runs; do nothing on SQLite."""
    if not is_server():
        return
    for view in reversed(views()):
        name = view.partition("CREATE VIEW ")[2].split()[0]
        run_statement(f"DROP VIEW {name}")
    for some, of_revision in reversed(tables()):
        some.drop_all(op.get_bind(), of_revision, checkfirst=False)
    run_statement("DROP FUNCTION astraguard_drop_documents()")
