"""Documents: what the rows of a run say, in one value, for as long as nobody changes a row.

Adds an empty table, so an upgrade takes no longer for a large database. A run gets
its document when it is next saved, or by `check --fix`. And a run goes with all its
rows, also where the program that deletes it has left foreign keys off, as SQLite does.

Revision: 0003
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
COPIED = ("metric_statistics", "satellite_statistics", "artifacts")
BELOW_RUNS = (
    *COPIED,
    "metric_buckets",
    "satellite_buckets",
    "measurements",
    "run_tags",
    "run_documents",
)
DOC = sa.table("schema_doc", *map(sa.column, ("object", "column", "kind", "unit", "description")))


def create_triggers(table: str) -> None:
    """Let every change of a row of *table*, whoever makes it, drop the document of its run."""
    for event, rows in {"INSERT": ["new"], "UPDATE": ["old", "new"], "DELETE": ["old"]}.items():
        # Two searches by the key: one with OR would scan.
        dropped = "".join(
            f"DELETE FROM run_documents WHERE run_id = {row}.run_id; "  # noqa: S608
            for row in rows
        )
        op.execute(
            f"CREATE TRIGGER tr_{table}_{event.lower()} AFTER {event} ON {table} "
            f"BEGIN {dropped}END"
        )


def create_cascade() -> None:
    """Let a deleted run take its rows along: triggers fire whatever `foreign_keys` says.

    Rows that stay would be in the way of the next save of that name, or become part of it.
    """
    deleted = "".join(
        f"DELETE FROM {table} WHERE run_id = old.run_id; "  # noqa: S608
        for table in BELOW_RUNS
    )
    op.execute(f"CREATE TRIGGER tr_runs_delete AFTER DELETE ON runs BEGIN {deleted}END")


def describe() -> None:
    """Say what the table and its columns mean."""
    described = tomllib.loads(HERE.joinpath("0003_schema_doc.toml").read_text(encoding="utf-8"))
    for name, entry in described.items():
        texts = {"": ["", entry["description"]], **entry["columns"]}
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
                for column, (unit, description) in texts.items()
            ],
        )


def upgrade() -> None:
    """Add the table, what keeps it true, and its description."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    op.create_table(
        "run_documents",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["runs.run_id"],
            name=op.f("fk_run_documents_run_id_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_documents")),
        sqlite_strict=True,
    )
    for table in COPIED:
        create_triggers(table)
    create_cascade()
    describe()


def downgrade() -> None:
    """Drop it; the rows say the same."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    op.execute("DROP TRIGGER tr_runs_delete")
    for table in COPIED:
        for event in ("insert", "update", "delete"):
            op.execute(f"DROP TRIGGER tr_{table}_{event}")
    op.execute("DELETE FROM schema_doc WHERE object = 'run_documents'")
    op.drop_table("run_documents")
