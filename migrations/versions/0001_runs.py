"""Runs, their statistics and their files.

Revision: 0001
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LARGEST = "1.7976931348623157e308"
STATISTICS = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms")


def create(name: str, *elements: sa.schema.SchemaItem) -> sa.Table:
    """Create a STRICT table, clustered by its primary key."""
    return op.create_table(name, *elements, sqlite_strict=True, sqlite_with_rowid=False)


def create_statistics(name: str, keys: list[str], optional: frozenset[str]) -> None:
    """Create a table of statistics below a run."""
    create(
        name,
        *(sa.Column(key, sa.Text(), nullable=False) for key in keys),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        *(sa.Column(column, sa.REAL(), nullable=column in optional) for column in STATISTICS),
        sa.CheckConstraint("count >= 1", name=op.f(f"ck_{name}_count_positive")),
        *(
            sa.CheckConstraint(
                f"{column} BETWEEN 0 AND {LARGEST}", name=op.f(f"ck_{name}_{column}_finite")
            )
            for column in STATISTICS
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f(f"fk_{name}_run_id_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{name}")),
    )


def upgrade() -> None:
    """Create all tables and the one row of `store`."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    create(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("recorded_at_us", sa.Integer(), nullable=False),
        sa.Column("total_measurements", sa.Integer(), nullable=False),
        sa.Column("utc_offset_s", sa.Integer()),
        sa.Column("staging_token", sa.Text()),
        sa.CheckConstraint("run_id <> ''", name=op.f("ck_runs_run_id_not_empty")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_runs_revision_positive")),
        sa.CheckConstraint(
            "total_measurements >= 0", name=op.f("ck_runs_total_measurements_not_negative")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_index(
        "ix_runs_recorded_at_us_run_id",
        "runs",
        ["recorded_at_us", "run_id", "revision", "total_measurements"],
    )
    create_statistics("metric_statistics", ["run_id", "metric_type"], frozenset())
    create_statistics(
        "satellite_statistics",
        ["run_id", "satellite_id", "metric_type"],
        frozenset({"p99_ms", "min_ms"}),
    )
    create(
        "artifacts",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text()),
        sa.Column("rows", sa.Integer()),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_artifacts_bytes_not_negative")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_artifacts_sha256_length")),
        sa.CheckConstraint("rows >= 0", name=op.f("ck_artifacts_rows_not_negative")),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f("fk_artifacts_run_id_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "kind", name=op.f("pk_artifacts")),
    )
    store = create(
        "store",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at_us", sa.Integer(), nullable=False),
        sa.Column("adopted_at_us", sa.Integer()),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_store_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_store")),
    )
    op.bulk_insert(store, [{"id": 1, "created_at_us": time.time_ns() // 1000, "fence": 0}])


def downgrade() -> None:
    """Drop everything; the run folders stay."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    for table in ("store", "artifacts", "satellite_statistics", "metric_statistics"):
        op.drop_table(table)
    op.drop_index("ix_runs_recorded_at_us_run_id", table_name="runs")
    op.drop_table("runs")
