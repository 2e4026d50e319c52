"""The life of a run: its state, its attachments, its units and the machine's noise.

All runs that are there are finished. The view of runs is made of the one that is there,
so that it keeps what other revisions gave it. Rows only gain columns; the rest is new.

Revision: 0007
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
DOC = sa.table("schema_doc", *map(sa.column, ("object", "column", "kind", "unit", "description")))
COLUMNS = {
    "state": (
        "TEXT DEFAULT 'finished' NOT NULL CONSTRAINT ck_runs_state_known "
        "CHECK (state IN ('running', 'finished', 'failed', 'interrupted'))"
    ),
    "error": "TEXT",
    "last_written_at_us": "INTEGER",
    "live_token": "TEXT",
    "save_id": "TEXT",
    "save_sha256": ("TEXT CONSTRAINT ck_runs_save_sha256_length CHECK (length(save_sha256) = 64)"),
}
INDEXED = ("live_token", "save_id")
TABLES = ("attachments", "units", "machine_noise")
VIEWS = ("v_attachments", "v_units", "v_machine_noise")
NEWEST = ["recorded_at_us", "run_id", "revision", "total_measurements"]
NOISE = [
    f"{what}_{when}"
    for what in ("load", "steal", "pressure", "frequency_mhz")
    for when in ("start", "end", "worst")
]
AT = (
    "strftime('%Y-%m-%dT%H:%M:%S', (last_written_at_us - "
    "((last_written_at_us % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch')\n"
    "        || printf('.%06dZ', ((last_written_at_us % 1000000) + 1000000) % 1000000)"
)
OF_RUNS = f",\n    state,\n    error,\n    {AT} AS last_written_at,\n    save_id\nFROM runs"


def create_below_run(name: str, keys: tuple[str, ...], *elements: Any) -> None:
    """Create a table whose rows belong to a run."""
    op.create_table(
        name,
        sa.Column("run_id", sa.Text(), nullable=False),
        *elements,
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f(f"fk_{name}_run_id_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", *keys, name=op.f(f"pk_{name}")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def create_tables() -> None:
    """Create the tables, and let a deleted run take their rows along."""
    create_below_run(
        "attachments",
        ("name",),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_attachments_bytes_not_negative")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_attachments_sha256_length")),
    )
    create_below_run(
        "units",
        ("satellite_id",),
        sa.Column("satellite_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("serial", "hardware", "firmware")),
    )
    create_below_run(
        "machine_noise",
        (),
        sa.Column("processors", sa.Integer()),
        *(sa.Column(name, sa.REAL()) for name in NOISE),
    )
    # One of its own beside that of revision 0003, so that neither has to know the other.
    deleted = "".join(f"DELETE FROM {t} WHERE run_id = old.run_id; " for t in TABLES)  # noqa: S608
    op.execute(f"CREATE TRIGGER tr_runs_delete_live AFTER DELETE ON runs BEGIN {deleted}END")


def replace_runs_view(old: str, new: str) -> None:
    """Make `v_runs` anew, *old* in its text replaced by *new*."""
    connection = op.get_bind()
    query = "SELECT sql FROM sqlite_schema WHERE name = 'v_runs'"
    (view,) = connection.exec_driver_sql(query).one()
    before, found, after = view.rpartition(old)
    assert found, view  # noqa: S101 - a migration that doesn't fit must not go on
    op.execute("DROP VIEW v_runs")
    connection.exec_driver_sql(before + new + after)


def create_indexes(covered: list[str]) -> None:
    """Make the index of the newest runs anew, with the columns that it covers."""
    op.drop_index("ix_runs_recorded_at_us_run_id", table_name="runs")
    op.create_index("ix_runs_recorded_at_us_run_id", "runs", covered)


def described() -> dict[str, Any]:
    """Return the texts of this revision: {table or view: its kind, description and columns}."""
    return tomllib.loads(HERE.joinpath("0007_schema_doc.toml").read_text(encoding="utf-8"))


def describe() -> None:
    """Say what the new tables, views and columns mean."""
    for name, entry in described().items():
        texts = dict(entry["columns"])
        if "description" in entry:
            texts = {"": ["", entry["description"]], **texts}
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
    """Add columns, tables and views; make the view of runs and its index anew."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes all of it
    for name, declared in COLUMNS.items():
        op.execute(f"ALTER TABLE runs ADD COLUMN {name} {declared}")
    create_indexes([*NEWEST, "state", "last_written_at_us", "started_at_us"])
    for name in INDEXED:
        op.create_index(
            f"ix_runs_{name}", "runs", [name], sqlite_where=sa.text(f"{name} IS NOT NULL")
        )
    create_tables()
    replace_runs_view("\nFROM runs", OF_RUNS)
    views = HERE.joinpath("0007_views.sql").read_text(encoding="utf-8")
    for statement in views.split(";\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
    describe()


def downgrade() -> None:
    """Drop all of it; states, attachments' rows, units and noise are lost."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes all of it
    for name, entry in described().items():
        columns = [*entry["columns"], *([""] if "description" in entry else [])]
        op.execute(DOC.delete().where(DOC.c.object == name, DOC.c.column.in_(columns)))
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    replace_runs_view(OF_RUNS, "\nFROM runs")
    op.execute("DROP TRIGGER tr_runs_delete_live")
    for table in TABLES:
        op.drop_table(table)
    for name in INDEXED:
        op.drop_index(f"ix_runs_{name}", table_name="runs")
    create_indexes(NEWEST)
    for name in COLUMNS:
        op.execute(f"ALTER TABLE runs DROP COLUMN {name}")
