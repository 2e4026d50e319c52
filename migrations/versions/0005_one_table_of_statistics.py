"""One table of statistics, buckets as one text a metric type, and an index for ISO times.

Rows of all satellites and of single ones lie in one table, so that SQLite searches
`v_latency` by the keys of what it is joined with. The buckets of a metric type become one
JSON text instead of a hundred rows: a saved run takes 5.5 kB of the database instead of 12.4.

Every row is copied, one table after the other and in the order of the keys, so an upgrade
takes about 2 s for each 1,000 runs with buckets, and no more memory for a large database.

Revision: 0005
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

HERE = Path(__file__).parent
LARGEST = "1.7976931348623157e308"
VIEWS = ("v_runs", "v_latency", "v_changes", "v_buckets", "v_measurements")
NUMBERS = "count, mean_ms, p50_ms, p95_ms, p99_ms, min_ms, max_ms, missed"
DURATIONS = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms")
OLD_COPIED = ("metric_statistics", "satellite_statistics")
OLD_TABLES = (*OLD_COPIED, "metric_buckets", "satellite_buckets")
RESTORED = (*OLD_TABLES, "measurements", "run_documents", "v_buckets", "v_changes")
ROWS_AT_A_TIME = 1_000
SIZES = (
    ("runs", "ix_runs_recorded_at", "200000 1"),
    ("statistics", "statistics", "3600000 18 6 1"),
)
EVENTS = {"INSERT": ["new"], "UPDATE": ["old", "new"], "DELETE": ["old"]}
DOC = sa.table("schema_doc", *map(sa.column, ("object", "column", "kind", "unit", "description")))


def create_table(name: str, *elements: sa.schema.SchemaItem) -> None:
    """Create a table below a run, with a row for each satellite and metric type."""
    op.create_table(
        name,
        *(sa.Column(key, sa.Text(), nullable=False) for key in ("run_id", "satellite_id")),
        sa.Column("metric_type", sa.Text(), nullable=False),
        *elements,
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f(f"fk_{name}_run_id_runs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "satellite_id", "metric_type", name=op.f(f"pk_{name}")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def create_tables() -> None:
    """Create both tables, and let deleted runs take their rows along."""
    checks = {
        "count_positive": "count >= 1",
        **{f"{name}_finite": f"{name} BETWEEN 0 AND {LARGEST}" for name in DURATIONS},
        "missed_of_count": "missed BETWEEN 0 AND count",
        "all_known": "satellite_id <> '' OR (p99_ms IS NOT NULL AND min_ms IS NOT NULL)",
    }
    create_table(
        "statistics",
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("position", "count")),
        *(sa.Column(name, sa.REAL(), nullable=name in {"p99_ms", "min_ms"}) for name in DURATIONS),
        sa.Column("missed", sa.Integer(), nullable=False),
        *(
            sa.CheckConstraint(condition, name=op.f(f"ck_statistics_{name}"))
            for name, condition in checks.items()
        ),
    )
    create_table(
        "buckets",
        sa.Column("counts", sa.Text(), nullable=False),
        sa.CheckConstraint("json_valid(counts)", name=op.f("ck_buckets_counts_json")),
    )


def create_triggers(copied: tuple[str, ...], buckets: tuple[str, ...]) -> None:
    """Let changed rows drop the document of their run, and a run take its rows along.

    Args:
        copied: The tables of statistics.
        buckets: The tables of buckets.
    """
    for table in copied:
        for event, rows in {
            "INSERT": ["new"],
            "UPDATE": ["old", "new"],
            "DELETE": ["old"],
        }.items():
            dropped = "".join(
                f"DELETE FROM run_documents WHERE run_id = {row}.run_id; "  # noqa: S608
                for row in rows
            )
            op.execute(
                f"CREATE TRIGGER tr_{table}_{event.lower()} AFTER {event} ON {table} "
                f"BEGIN {dropped}END"
            )
    below = (*copied, "artifacts", *buckets, "measurements", "run_tags", "run_documents")
    deleted = "".join(
        f"DELETE FROM {table} WHERE run_id = old.run_id; "  # noqa: S608
        for table in below
    )
    op.execute("DROP TRIGGER tr_runs_delete")
    op.execute(f"CREATE TRIGGER tr_runs_delete AFTER DELETE ON runs BEGIN {deleted}END")


def statements(file: str) -> dict[str, str]:
    """Return {table or view: the statement that creates it} of a file beside this one."""
    found = {}
    for part in HERE.joinpath(file).read_text(encoding="utf-8").split(";\n"):
        _, create, statement = part.partition("CREATE ")
        if create:
            found[statement.split()[1]] = create + statement
    return found


def run_statement(statement: str) -> None:
    """Run a statement; not by `op.execute`, to which a colon is a parameter."""
    op.get_bind().exec_driver_sql(statement)


def copy_buckets() -> None:
    """Make a text of the buckets of each metric type, reading and writing side by side."""
    connection = op.get_bind().connection
    for satellite, statistics, buckets in (
        ("''", "metric_statistics", "metric_buckets"),
        ("s.satellite_id", "satellite_statistics", "satellite_buckets"),
    ):
        rows: Any = connection.cursor()
        rows.execute(
            f"SELECT b.run_id, {satellite}, s.metric_type, b.bucket, b.count, b.missed "  # noqa: S608
            f"FROM {buckets} AS b CROSS JOIN {statistics} AS s "
            "ON s.run_id = b.run_id AND s.position = b.position "
            "ORDER BY b.run_id, b.position, b.bucket"
        )
        texts = ((*key, text_of(some)) for key, some in groupby(rows, itemgetter(0, 1, 2)))
        while batch := list(islice(texts, ROWS_AT_A_TIME)):
            connection.cursor().executemany("INSERT INTO buckets VALUES (?, ?, ?, ?)", batch)


def text_of(rows: Iterable[tuple[Any, ...]]) -> str:
    """Return the text of counts of the buckets of one metric type, in their order."""
    return json.dumps(list(parts_of(rows)), separators=(",", ":"))


def parts_of(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[int]]:
    """Yield [bucket, missed in each, count, …] of neighbouring buckets with as many missed."""
    part: list[int] = []
    for *_, bucket, count, missed in rows:
        if part and (bucket, missed) == (part[0] + len(part) - 2, part[1]):
            part.append(count)
            continue
        if part:
            yield part
        part = [bucket, missed, count]
    yield part


def texts_of(revisions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return {table or view: its kind, description and columns} as these revisions say."""
    texts: dict[str, dict[str, Any]] = {}
    for one in revisions:
        file = HERE / f"{one}_schema_doc.toml"
        for name, entry in tomllib.loads(file.read_text(encoding="utf-8")).items():
            columns = {**texts.get(name, {}).get("columns", {}), **entry["columns"]}
            texts[name] = {**entry, "columns": columns}
    return texts


def describe(texts: dict[str, dict[str, Any]]) -> None:
    """Say anew what tables and views mean."""
    for name, entry in texts.items():
        op.execute(DOC.delete().where(DOC.c.object == name))
        columns = {"": ["", entry["description"]], **entry["columns"]}
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
                for column, (unit, description) in columns.items()
            ],
        )


def note_sizes() -> None:
    """Tell SQLite's planner how large a store gets, unless somebody's ANALYZE did.

    Without, or with the sizes of a store that is still small, it reads all statistics to
    join them with the runs of one week: 2.7 s of 200,000 runs instead of 10 ms.
    """
    op.execute("ANALYZE sqlite_master")  # makes the table, and looks at no other one
    for table, index, sizes in SIZES:
        op.execute(
            f"INSERT INTO sqlite_stat1 SELECT '{table}', '{index}', '{sizes}' WHERE NOT EXISTS "  # noqa: S608
            f"(SELECT 1 FROM sqlite_stat1 WHERE tbl = '{table}' AND idx = '{index}')"
        )


def forget_sizes() -> None:
    """Drop what `note_sizes` made; rows of other indexes stay. Ours went with their indexes."""
    if not op.get_bind().exec_driver_sql("SELECT count(*) FROM sqlite_stat1").scalar():
        op.execute("DROP TABLE sqlite_stat1")


def upgrade() -> None:
    """Copy the rows to the new tables, drop the old ones, and make the views anew."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    create_tables()
    op.execute(
        "INSERT INTO statistics "  # noqa: S608
        f"SELECT run_id, '' AS satellite_id, metric_type, position, {NUMBERS} "
        "FROM metric_statistics "
        f"UNION ALL SELECT run_id, satellite_id, metric_type, position, {NUMBERS} "
        "FROM satellite_statistics ORDER BY run_id, satellite_id, metric_type"
    )
    copy_buckets()
    create_triggers(("statistics",), ("buckets",))
    for table in OLD_TABLES:
        op.drop_table(table)
        op.execute(DOC.delete().where(DOC.c.object == table))
    run_statement(
        "CREATE INDEX ix_runs_recorded_at ON runs "
        "(strftime('%Y-%m-%dT%H:%M:%S', (recorded_at_us - ((recorded_at_us % 1000000) + 1000000) "
        "% 1000000) / 1000000, 'unixepoch') "
        "|| printf('.%06dZ', ((recorded_at_us % 1000000) + 1000000) % 1000000))"
    )
    note_sizes()
    for statement in statements("0005_views.sql").values():
        run_statement(statement)
    describe(texts_of(["0005"]))


def downgrade() -> None:
    """Copy the rows back; nothing is lost."""
    if op.get_context().dialect.name == "postgresql":
        return  # 0008 makes everything there
    for view in VIEWS:
        op.execute(f"DROP VIEW {view}")
    op.drop_index("ix_runs_recorded_at", table_name="runs")
    for statement in statements("0005_old_tables.sql").values():
        run_statement(statement)
    for key, table, which in (
        ("", "metric", "="),
        ("satellite_id, ", "satellite", "<>"),
    ):
        op.execute(
            f"INSERT INTO {table}_statistics "  # noqa: S608
            f"SELECT run_id, {key}metric_type, position, {NUMBERS} "
            f"FROM statistics WHERE satellite_id {which} ''"
        )
        op.execute(
            f"INSERT INTO {table}_buckets "  # noqa: S608
            "SELECT run_id, position, "
            "json_extract(part.value, '$[0]') + number.key - 2, number.value, "
            "json_extract(part.value, '$[1]') "
            "FROM statistics JOIN buckets USING (run_id, satellite_id, metric_type) "
            "CROSS JOIN json_each(counts) AS part CROSS JOIN json_each(part.value) AS number "
            f"WHERE satellite_id {which} '' AND number.key >= 2"
        )
    create_triggers(OLD_COPIED, ("metric_buckets", "satellite_buckets"))
    for table in ("statistics", "buckets"):
        op.drop_table(table)
        op.execute(DOC.delete().where(DOC.c.object == table))
    forget_sizes()
    views = statements("0002_views.sql") | statements("0004_views.sql")
    for view in VIEWS:
        run_statement(views[view])
    texts = texts_of(["0002", "0003", "0004"])
    describe({name: texts[name] for name in RESTORED})
