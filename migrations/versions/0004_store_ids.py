"""Ids of stores, and lower bounds of changes.

A database and its results folder get a common id, and a file can name the store whose
folder it lies in. `v_changes` says by how much a percentile changed at least where it
falls among the candidate's missed events, and lists no run against itself any more.
Only adds columns and replaces a view: the rows stay as they are.

Revision: 0004
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
TABLES = ("artifacts", "store")
DOC = sa.table("schema_doc", *map(sa.column, ("object", "column", "kind", "unit", "description")))


def described(revision: str) -> dict[str, Any]:
    """Return the texts of a revision: {table or view: its kind, description and columns}."""
    return tomllib.loads(HERE.joinpath(f"{revision}_schema_doc.toml").read_text(encoding="utf-8"))


def replace_changes(revision: str) -> None:
    """Make `v_changes` the view that it is in a revision, and say what it is."""
    op.execute("DROP VIEW v_changes")
    views = HERE.joinpath(f"{revision}_views.sql").read_text(encoding="utf-8").split(";\n")
    (view,) = (view for view in views if "CREATE VIEW v_changes AS" in view)
    # Not op.execute, to which a colon is a parameter.
    op.get_bind().exec_driver_sql(view)
    op.execute(
        DOC.update()
        .where(DOC.c.object == "v_changes", DOC.c.column == "")
        .values(description=described(revision)["v_changes"]["description"])
    )


def upgrade() -> None:
    """Add the columns, and make the view anew."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    for table in TABLES:
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN store_id TEXT "
            f"CONSTRAINT ck_{table}_store_id_length CHECK (length(store_id) = 32)"
        )
    replace_changes("0004")
    op.bulk_insert(
        DOC,
        [
            {
                "object": name,
                "column": column,
                "kind": entry["kind"],
                "unit": unit or None,
                "description": description,
            }
            for name, entry in described("0004").items()
            for column, (unit, description) in entry["columns"].items()
        ],
    )


def downgrade() -> None:
    """Drop the columns with what they hold, and make the view of before."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    for name, entry in described("0004").items():
        columns = list(entry["columns"])
        op.execute(DOC.delete().where(DOC.c.object == name, DOC.c.column.in_(columns)))
    replace_changes("0002")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN store_id")
