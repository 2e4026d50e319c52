"""Every name that a save of a run was given, so that a retry is known after newer saves too.

Until here a run's row had the name of the save that is stored, and forgot it at the next.

Revision: 0009
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
DOC = sa.table("schema_doc", *map(sa.column, ("object", "column", "kind", "unit", "description")))
VIEW = "CREATE VIEW v_save_ids AS\nSELECT run_id, save_id, sha256, revision\nFROM save_ids"
NAMED = (
    "INSERT INTO save_ids (run_id, save_id, sha256, revision) "
    "SELECT run_id, save_id, save_sha256, revision FROM runs "
    "WHERE save_id IS NOT NULL AND save_sha256 IS NOT NULL"
)


def is_server() -> bool:
    """Return whether it is a server that is migrated."""
    return bool(op.get_context().dialect.name == "postgresql")


def described() -> dict[str, dict[str, Any]]:
    """Return the texts of this revision: {table or view: its kind, description and columns}."""
    return tomllib.loads(HERE.joinpath("0009_schema_doc.toml").read_text(encoding="utf-8"))


def create_table() -> None:
    """Create the table, and let a deleted run take its rows along."""
    run_id = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "save_ids",
        sa.Column("run_id", run_id, nullable=False),
        sa.Column("save_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_save_ids_sha256_length")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f("fk_save_ids_run_id_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "save_id", name=op.f("pk_save_ids")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_save_ids_save_id", "save_ids", ["save_id"])
    if not is_server():
        # Other programs have SQLite's foreign keys off.
        op.execute(
            "CREATE TRIGGER tr_runs_delete_save_ids AFTER DELETE ON runs BEGIN "
            "DELETE FROM save_ids WHERE run_id = old.run_id; END"
        )


def upgrade() -> None:
    """Create the table and its view, and take over what the runs' rows know."""
    create_table()
    op.execute(NAMED)
    # Nobody looks there any more. A new server has never had it.
    op.execute("DROP INDEX IF EXISTS ix_runs_save_id")
    op.execute(VIEW)
    rows = []
    for name, entry in described().items():
        texts = {"": ["", entry["description"]], **entry["columns"]}
        rows += [
            {
                "object": name,
                "column": column,
                "kind": entry["kind"],
                "unit": unit or None,
                "description": description,
            }
            for column, (unit, description) in texts.items()
        ]
    op.bulk_insert(DOC, rows)


def downgrade() -> None:
    """Drop the table: all names but those of the stored saves are forgotten."""
    op.execute(DOC.delete().where(DOC.c.object.in_(described())))
    op.execute("DROP VIEW v_save_ids")
    if not is_server():
        op.execute("DROP TRIGGER tr_runs_delete_save_ids")
    op.drop_table("save_ids")
    is_named = sa.text("save_id IS NOT NULL")
    op.create_index("ix_runs_save_id", "runs", ["save_id"], sqlite_where=is_named)
