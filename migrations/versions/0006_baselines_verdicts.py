"""Baselines, by which runs are judged, and the verdicts on runs.

Adds two empty tables and two views, so an upgrade takes no longer for a large database.

Revision: 0006
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
TABLES = ("baseline_runs", "run_verdicts")
VIEWS = ("v_effective_events", "v_verdicts")
DOC = sa.table("schema_doc", *map(sa.column, ("object", "column", "kind", "unit", "description")))
OF_CASCADE = "".join(
    f"DELETE FROM {table} WHERE run_id = old.run_id; "  # noqa: S608
    for table in TABLES
)


def create_below_run(
    name: str,
    key: str,
    *elements: sa.Column[str] | sa.Column[int] | sa.CheckConstraint,
) -> None:
    """Create a table whose key is the run and *key*."""
    op.create_table(
        name,
        sa.Column("run_id", sa.Text(), nullable=False),
        *elements,
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f(f"fk_{name}_run_id_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", key, name=op.f(f"pk_{name}")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def cascade() -> str:
    """Return the statement that made the trigger which lets a run take its rows along."""
    query = "SELECT sql FROM sqlite_schema WHERE name = 'tr_runs_delete'"
    return str(op.get_bind().exec_driver_sql(query).scalar_one())


def replace_cascade(statement: str) -> None:
    """Make the trigger anew."""
    op.execute("DROP TRIGGER tr_runs_delete")
    op.get_bind().exec_driver_sql(statement)


def described() -> dict[str, dict[str, object]]:
    """Return the texts: {table or view: its kind, description and columns}."""
    return tomllib.loads(HERE.joinpath("0006_schema_doc.toml").read_text(encoding="utf-8"))


def describe() -> None:
    """Say what the tables, the views and their columns mean."""
    rows = []
    for name, entry in described().items():
        columns = entry["columns"]
        assert isinstance(columns, dict)  # noqa: S101 - of a file beside this one
        texts = {"": ["", entry["description"]], **columns}
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


def upgrade() -> None:
    """Add the tables, the views and their descriptions."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes all of it
    create_below_run(
        "baseline_runs",
        "baseline",
        sa.Column("baseline", sa.Text(), nullable=False),
        sa.Column("set_at_us", sa.Integer(), nullable=False),
        sa.CheckConstraint("baseline <> ''", name=op.f("ck_baseline_runs_baseline_not_empty")),
    )
    op.create_index("ix_baseline_runs_baseline_run_id", "baseline_runs", ["baseline", "run_id"])
    create_below_run(
        "run_verdicts",
        "judged_at_us",
        sa.Column("judged_at_us", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("baseline", sa.Text()),
        sa.Column("noise_source", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('regressed', 'improved', 'equivalent', 'inconclusive')",
            name=op.f("ck_run_verdicts_verdict_known"),
        ),
        sa.CheckConstraint(
            "noise_source IN ('measured', 'history', 'assumed')",
            name=op.f("ck_run_verdicts_noise_source_known"),
        ),
    )
    head, _, end = cascade().rpartition("END")
    replace_cascade(f"{head}{OF_CASCADE}END{end}")
    views = HERE.joinpath("0006_views.sql").read_text(encoding="utf-8")
    for view in filter(str.strip, views.split(";\n")):
        # Not op.execute, to which a colon is a parameter.
        op.get_bind().exec_driver_sql(view)
    describe()


def downgrade() -> None:
    """Drop them; which runs were baselines, and what was said of runs, is lost."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes all of it
    for name in described():
        op.execute(DOC.delete().where(DOC.c.object == name))
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    replace_cascade(cascade().replace(OF_CASCADE, ""))
    op.drop_index("ix_baseline_runs_baseline_run_id", table_name="baseline_runs")
    for table in TABLES:
        op.drop_table(table)
