"""What the tables promise by themselves, whoever writes to them."""

from __future__ import annotations

import math
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from astraguard_store import RunRepository
from astraguard_store.database.migrate import scripts_folder
from astraguard_store.database.schema import HEAD_REVISION, VERSION_TABLE, metadata

OWN_TABLES = ["artifacts", "metric_statistics", "runs", "satellite_statistics", "store"]
TABLES_OF_RUNS = ["artifacts", "metric_statistics", "runs", "satellite_statistics"]
TABLES_OF_STATISTICS = ["metric_statistics", "satellite_statistics"]
STATISTICS = ["mean_ms", "p50_ms", "p95_ms", "p99_ms", "min_ms", "max_ms"]


@pytest.fixture(scope="module")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a new, closed database."""
    results = tmp_path_factory.mktemp("results")
    RunRepository.open(results).close()
    return results / "astraguard.db"


@pytest.fixture
def tables(new_database: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Give a plain connection to a new database that holds one run."""
    path = tmp_path / new_database.name
    shutil.copyfile(new_database, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(
            """
            BEGIN;
            INSERT INTO runs VALUES ('run', 1, 1790000000000000, 3, 0, NULL);
            INSERT INTO metric_statistics VALUES ('run', 'a', 0, 3, 1, 1, 1, 1, 1, 1);
            INSERT INTO satellite_statistics VALUES ('run', 'SAT', 'a', 0, 3, 1, 1, 1, 1, 1, 1);
            INSERT INTO artifacts VALUES ('run', 'raw_csv', 'run/latency_raw.csv', 1, NULL, 3);
            COMMIT;
            """
        )
        yield connection


def created(connection: sqlite3.Connection) -> dict[str, str]:
    """Give {name: SQL} of every table and index that has SQL."""
    query = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
    return {name: " ".join(sql.split()) for name, sql in connection.execute(query)}


class TestTables:
    """Kinds, names and keys."""

    def test_these_are_all(self, tables: sqlite3.Connection) -> None:
        query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
        names = {name for (name,) in tables.execute(query)}

        assert names == {*OWN_TABLES, "astraguard_schema_version"}

    @pytest.mark.parametrize("table", OWN_TABLES)
    def test_a_table_is_strict(self, tables: sqlite3.Connection, table: str) -> None:
        query = "SELECT strict FROM pragma_table_list(?)"

        assert tables.execute(query, (table,)).fetchall() == [(1,)]

    @pytest.mark.parametrize("table", OWN_TABLES)
    def test_columns_are_of_three_types(self, tables: sqlite3.Connection, table: str) -> None:
        query = "SELECT DISTINCT type FROM pragma_table_info(?)"
        types = {name for (name,) in tables.execute(query, (table,))}

        assert types <= {"INTEGER", "REAL", "TEXT"}

    @pytest.mark.parametrize("table", TABLES_OF_RUNS)
    def test_the_key_begins_with_the_run(self, tables: sqlite3.Connection, table: str) -> None:
        query = "SELECT name FROM pragma_table_info(?) WHERE pk = 1"

        assert tables.execute(query, (table,)).fetchall() == [("run_id",)]

    @pytest.mark.parametrize("table", OWN_TABLES)
    def test_constraints_are_named_by_the_convention(
        self, tables: sqlite3.Connection, table: str
    ) -> None:
        sql = created(tables)[table]
        names = re.findall(r"CONSTRAINT (\w+) (CHECK|PRIMARY KEY|FOREIGN KEY)", sql)
        prefixes = {"CHECK": "ck", "PRIMARY KEY": "pk", "FOREIGN KEY": "fk"}

        assert len(names) == len(re.findall(r"CHECK|PRIMARY KEY|FOREIGN KEY", sql))
        for name, kind in names:
            assert re.match(f"{prefixes[kind]}_{table}(_|$)", name), name

    def test_indexes_are_named_by_the_convention(self, tables: sqlite3.Connection) -> None:
        query = "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' AND sql NOT NULL"
        indexes = tables.execute(query).fetchall()

        assert indexes == [("ix_runs_recorded_at_us_run_id", "runs")]

    def test_the_index_covers_a_header(self, tables: sqlite3.Connection) -> None:
        query = "SELECT name FROM pragma_index_info('ix_runs_recorded_at_us_run_id')"
        columns = [name for (name,) in tables.execute(query)]

        assert columns == ["recorded_at_us", "run_id", "revision", "total_measurements"]

    def test_nothing_counts_by_itself(self, tables: sqlite3.Connection) -> None:
        assert not [sql for sql in created(tables).values() if "AUTOINCREMENT" in sql.upper()]

    def test_a_new_database_knows_when_it_was_made(self, tables: sqlite3.Connection) -> None:
        rows = tables.execute("SELECT id, created_at_us > 1700000000000000 FROM store").fetchall()

        assert rows == [(1, 1)]


class TestRefusals:
    """What a CHECK or a type keeps out."""

    @pytest.mark.parametrize(
        ("table", "column", "value", "constraint"),
        [
            ("runs", "run_id", "", "ck_runs_run_id_not_empty"),
            ("runs", "revision", 0, "ck_runs_revision_positive"),
            ("runs", "total_measurements", -1, "ck_runs_total_measurements_not_negative"),
            ("metric_statistics", "count", 0, "ck_metric_statistics_count_positive"),
            ("satellite_statistics", "count", -3, "ck_satellite_statistics_count_positive"),
            ("artifacts", "bytes", -1, "ck_artifacts_bytes_not_negative"),
            ("artifacts", "rows", -1, "ck_artifacts_rows_not_negative"),
            ("artifacts", "sha256", "short", "ck_artifacts_sha256_length"),
            ("store", "id", 2, "ck_store_one_row"),
        ],
    )
    def test_a_value_out_of_range(
        self, tables: sqlite3.Connection, table: str, column: str, value: object, constraint: str
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match=f"CHECK constraint failed: {constraint}"):
            tables.execute(f"UPDATE {table} SET {column} = ?", (value,))

    @pytest.mark.parametrize("table", TABLES_OF_STATISTICS)
    @pytest.mark.parametrize("column", STATISTICS)
    @pytest.mark.parametrize("value", [math.inf, -math.inf, -0.5])
    def test_a_statistic_that_is_no_latency(
        self, tables: sqlite3.Connection, table: str, column: str, value: float
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match=f"ck_{table}_{column}_finite"):
            tables.execute(f"UPDATE {table} SET {column} = ?", (value,))

    @pytest.mark.parametrize("column", STATISTICS)
    def test_nan_in_a_metric(self, tables: sqlite3.Connection, column: str) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="NOT NULL constraint failed"):
            tables.execute(f"UPDATE metric_statistics SET {column} = ?", (math.nan,))

    @pytest.mark.parametrize("column", ["mean_ms", "p50_ms", "p95_ms", "max_ms"])
    def test_nan_in_a_satellites_metric(self, tables: sqlite3.Connection, column: str) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="NOT NULL constraint failed"):
            tables.execute(f"UPDATE satellite_statistics SET {column} = ?", (math.nan,))

    @pytest.mark.parametrize(
        ("table", "column", "value"),
        [
            ("runs", "recorded_at_us", "yesterday"),
            ("runs", "run_id", b"run"),
            ("metric_statistics", "mean_ms", "quick"),
            ("artifacts", "bytes", 1.5),
        ],
    )
    def test_another_type(
        self, tables: sqlite3.Connection, table: str, column: str, value: object
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="cannot store"):
            tables.execute(f"UPDATE {table} SET {column} = ?", (value,))

    def test_the_largest_float_is_accepted(self, tables: sqlite3.Connection) -> None:
        largest = 1.7976931348623157e308

        tables.execute("UPDATE metric_statistics SET max_ms = ?", (largest,))

        assert tables.execute("SELECT max_ms FROM metric_statistics").fetchall() == [(largest,)]


class TestForeignKeys:
    """A run's rows go with it, and don't come without it."""

    @pytest.mark.parametrize("table", ["metric_statistics", "satellite_statistics", "artifacts"])
    def test_rows_of_a_deleted_run_are_deleted(
        self, tables: sqlite3.Connection, table: str
    ) -> None:
        tables.execute("DELETE FROM runs")

        assert tables.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]

    @pytest.mark.parametrize("table", ["metric_statistics", "satellite_statistics", "artifacts"])
    def test_rows_without_a_run_are_refused(self, tables: sqlite3.Connection, table: str) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY constraint failed"):
            tables.execute(f"UPDATE {table} SET run_id = 'nobody'")


class TestOneTruth:
    """The models that queries are written with are the tables that migrations make."""

    def test_models_and_migrations_make_the_same_tables(self, tables: sqlite3.Connection) -> None:
        engine = create_engine("sqlite://")
        with engine.connect() as connection:
            metadata.create_all(connection)
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            by_models = created(driver)
        engine.dispose()
        by_migrations = created(tables)
        del by_migrations[VERSION_TABLE]

        assert {name: in_any_order(sql) for name, sql in by_models.items()} == {
            name: in_any_order(sql) for name, sql in by_migrations.items()
        }

    def test_the_code_needs_the_newest_revision(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(scripts_folder()))

        assert ScriptDirectory.from_config(config).get_current_head() == HEAD_REVISION


def in_any_order(sql: str) -> list[str]:
    """Split a CREATE statement at its commas: the order of constraints says nothing."""
    inside, _, after = sql.partition("(")[2].rpartition(")")
    columns = [part.strip() for part in inside.split(", ") if not part.startswith("CONSTRAINT")]
    constraints = sorted(part.strip() for part in inside.split(", CONSTRAINT")[1:])
    return [*columns, *constraints, after]
