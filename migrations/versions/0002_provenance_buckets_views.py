"""What a run was, missed events, buckets that merge, and views that explain themselves.

Only adds: columns, tables, indexes and views. So an upgrade takes no longer for
a large database, and the rows of old runs stay as they are.

Revision: 0002
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LARGEST = "1.7976931348623157e308"
HERE = Path(__file__).parent
VIEWS = (
    "v_measurements",
    "v_artifacts",
    "v_buckets",
    "v_changes",
    "v_latency",
    "v_tags",
    "v_runs",
)

PROVENANCE = {
    "scenario": "TEXT",
    "seed": "INTEGER",
    "software_version": "TEXT",
    "git_commit": "TEXT",
    "git_branch": "TEXT",
    "git_dirty": "INTEGER CONSTRAINT ck_runs_git_dirty_boolean CHECK (git_dirty IN (0, 1))",
    "host": "TEXT",
    "platform": "TEXT",
    "python": "TEXT",
    "rig": "TEXT",
    "firmware": "TEXT",
    "started_at_us": "INTEGER",
    "finished_at_us": "INTEGER",
    "percentile_definition": "TEXT",
}


def create(name: str, *elements: sa.schema.SchemaItem) -> sa.Table:
    """Create a STRICT table, clustered by its primary key."""
    return op.create_table(name, *elements, sqlite_strict=True, sqlite_with_rowid=False)


def create_below_run(name: str, keys: tuple[str, ...], *elements: sa.schema.SchemaItem) -> None:
    """Create a table whose rows go with their run."""
    create(
        name,
        sa.Column("run_id", sa.Text(), nullable=False),
        *elements,
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f(f"fk_{name}_run_id_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", *keys, name=op.f(f"pk_{name}")),
    )


def integers(*names: str) -> list[sa.Column[int]]:
    """Return columns of whole numbers that are always there."""
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    """Return a constraint named by the convention."""
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def add_columns() -> None:
    """Add what a run was, and how many events were missed."""
    for name, declared in PROVENANCE.items():
        op.execute(f"ALTER TABLE runs ADD COLUMN {name} {declared}")
    for table in ("metric_statistics", "satellite_statistics"):
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN missed INTEGER DEFAULT 0 NOT NULL "
            f"CONSTRAINT ck_{table}_missed_of_count CHECK (missed BETWEEN 0 AND count)"
        )
    # All runs of the first revision, the adopted ones too, are defined so.
    op.execute("UPDATE runs SET percentile_definition = 's[int(n*q)]'")
    op.create_index(
        "ix_runs_scenario_recorded_at_us_run_id",
        "runs",
        ["scenario", "recorded_at_us", "run_id"],
        sqlite_where=sa.text("scenario IS NOT NULL"),
    )


def create_tables() -> None:
    """Create the tables of tags, buckets, measurements and descriptions."""
    create_below_run(
        "run_tags",
        ("tag",),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        check("run_tags", "tag_not_empty", "tag <> ''"),
    )
    op.create_index("ix_run_tags_tag_value_run_id", "run_tags", ["tag", "value", "run_id"])
    for name in ("metric_buckets", "satellite_buckets"):
        create_below_run(
            name,
            ("position", "bucket"),
            *integers("position", "bucket", "count", "missed"),
            check(name, "count_not_negative", "count >= 0"),
            check(name, "missed_not_negative", "missed >= 0"),
        )
    create_below_run(
        "measurements",
        ("position", "row"),
        *integers("position", "row"),
        *(
            sa.Column(name, sa.REAL(), nullable=False)
            for name in ("timestamp", "duration_ms", "scenario_time_s")
        ),
        *integers("missed"),
        check("measurements", "duration_ms_finite", f"duration_ms BETWEEN 0 AND {LARGEST}"),
        check("measurements", "missed_boolean", "missed IN (0, 1)"),
    )


def describe() -> None:
    """Fill the table that says what every table, view and column means."""
    table = create(
        "schema_doc",
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("column", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text()),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("object", "column", name=op.f("pk_schema_doc")),
    )
    described = tomllib.loads(HERE.joinpath("0002_schema_doc.toml").read_text(encoding="utf-8"))
    rows = []
    for name, entry in described.items():
        of_object = {"object": name, "kind": entry["kind"]}
        rows.append({**of_object, "column": "", "unit": None, "description": entry["description"]})
        for column, (unit, description) in entry["columns"].items():
            rows.append(
                {**of_object, "column": column, "unit": unit or None, "description": description}
            )
    op.bulk_insert(table, rows)


def upgrade() -> None:
    """Add everything; the rows that are there stay."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    add_columns()
    create_tables()
    views = HERE.joinpath("0002_views.sql").read_text(encoding="utf-8")
    for statement in views.split(";\n"):
        if statement.strip():
            # Not op.execute, to which a colon is a parameter.
            op.get_bind().exec_driver_sql(statement)
    describe()


def downgrade() -> None:
    """Drop it; what the columns, tags, buckets and measurements held is lost."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    for table in ("schema_doc", "measurements", "satellite_buckets", "metric_buckets", "run_tags"):
        op.drop_table(table)
    op.drop_index("ix_runs_scenario_recorded_at_us_run_id", table_name="runs")
    for table in ("metric_statistics", "satellite_statistics"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN missed")
    for name in PROVENANCE:
        op.execute(f"ALTER TABLE runs DROP COLUMN {name}")
