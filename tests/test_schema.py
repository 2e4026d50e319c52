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
from astraguard_store.database.revision import HEAD_REVISION, VERSION_TABLE
from astraguard_store.database.schema import metadata
from astraguard_store.database.sqlite.migrate import scripts_folder

TABLES_BELOW_RUNS = [
    "artifacts",
    "attachments",
    "buckets",
    "machine_noise",
    "measurements",
    "run_documents",
    "run_tags",
    "baseline_runs",
    "run_verdicts",
    "save_ids",
    "statistics",
    "units",
]
TABLES_OF_RUNS = [*TABLES_BELOW_RUNS, "runs"]
OWN_TABLES = [*TABLES_OF_RUNS, "schema_doc", "store"]
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
            INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements)
            VALUES ('run', 1, 1790000000000000, 3);
            INSERT INTO statistics VALUES
                ('run', '', 'a', 0, 3, 1, 1, 1, 1, 1, 1, 0),
                ('run', 'SAT', 'a', 0, 3, 1, 1, 1, 1, 1, 1, 0);
            INSERT INTO artifacts (run_id, kind, path, bytes, rows)
            VALUES ('run', 'raw_csv', 'run/latency_raw.csv', 1, 3);
            INSERT INTO run_documents VALUES ('run', x'01');
            INSERT INTO run_tags VALUES ('run', 'pinned', '');
            INSERT INTO baseline_runs VALUES ('run', 'nightly', 1790000000000000);
            INSERT INTO run_verdicts
            VALUES ('run', 1790000000000000, 'improved', NULL, 'measured', '{}');
            INSERT INTO attachments VALUES ('run', 'console.log', 5, printf('%064d', 0));
            INSERT INTO units VALUES ('run', 'SAT', '0042', NULL, NULL);
            INSERT INTO machine_noise (run_id, processors) VALUES ('run', 2);
            INSERT INTO save_ids VALUES ('run', 'job 7', printf('%064d', 0), 1);
            INSERT INTO buckets VALUES
                ('run', '', 'a', '[[0,1,2]]'), ('run', 'SAT', 'a', '[[0,1,2]]');
            INSERT INTO measurements VALUES ('run', 0, 0, 1790000000.0, 1, 0, 0);
            COMMIT;
            """
        )
        yield connection


def created(connection: sqlite3.Connection) -> dict[str, str]:
    """Give {name: SQL} of every table and index that has SQL."""
    query = (
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index')"
    )
    return {name: " ".join(sql.split()) for name, sql in connection.execute(query)}


class TestTables:
    """Kinds, names and keys."""

    def test_these_are_all(self, tables: sqlite3.Connection) -> None:
        query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
        names = {name for (name,) in tables.execute(query)}

        # The last one is SQLite's own: how large its planner takes the tables to be.
        assert names == {*OWN_TABLES, "astraguard_schema_version", "sqlite_stat1"}

    @pytest.mark.parametrize("table", OWN_TABLES)
    def test_a_table_is_strict(self, tables: sqlite3.Connection, table: str) -> None:
        query = "SELECT strict FROM pragma_table_list(?)"

        assert tables.execute(query, (table,)).fetchall() == [(1,)]

    @pytest.mark.parametrize("table", OWN_TABLES)
    def test_columns_are_of_three_types(self, tables: sqlite3.Connection, table: str) -> None:
        query = "SELECT DISTINCT type FROM pragma_table_info(?)"
        types = {name for (name,) in tables.execute(query, (table,))}

        assert types <= {
            "INTEGER",
            "REAL",
            "TEXT",
            *(["BLOB"] if table == "run_documents" else []),
        }

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

        assert sorted(indexes) == [
            ("ix_baseline_runs_baseline_run_id", "baseline_runs"),
            ("ix_run_tags_tag_value_run_id", "run_tags"),
            ("ix_runs_live_token", "runs"),
            ("ix_runs_recorded_at", "runs"),
            ("ix_runs_recorded_at_us_run_id", "runs"),
            ("ix_runs_scenario_recorded_at_us_run_id", "runs"),
            ("ix_save_ids_save_id", "save_ids"),
        ]

    def test_the_index_covers_a_header(self, tables: sqlite3.Connection) -> None:
        query = "SELECT name FROM pragma_index_info('ix_runs_recorded_at_us_run_id')"
        columns = [name for (name,) in tables.execute(query)]

        assert columns == [
            "recorded_at_us",
            "run_id",
            "revision",
            "total_measurements",
            "state",
            "last_written_at_us",
            "started_at_us",
        ]

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
            ("statistics", "count", 0, "ck_statistics_count_positive"),
            ("artifacts", "bytes", -1, "ck_artifacts_bytes_not_negative"),
            ("artifacts", "rows", -1, "ck_artifacts_rows_not_negative"),
            ("artifacts", "sha256", "short", "ck_artifacts_sha256_length"),
            ("artifacts", "store_id", "short", "ck_artifacts_store_id_length"),
            ("store", "store_id", "short", "ck_store_store_id_length"),
            ("store", "id", 2, "ck_store_one_row"),
            ("runs", "git_dirty", 2, "ck_runs_git_dirty_boolean"),
            ("run_tags", "tag", "", "ck_run_tags_tag_not_empty"),
            ("statistics", "missed", 4, "ck_statistics_missed_of_count"),
            ("statistics", "missed", -1, "ck_statistics_missed_of_count"),
            ("buckets", "counts", "[[0,1,2]", "ck_buckets_counts_json"),
            ("measurements", "duration_ms", -0.5, "ck_measurements_duration_ms_finite"),
            ("measurements", "duration_ms", math.inf, "ck_measurements_duration_ms_finite"),
            ("measurements", "missed", 2, "ck_measurements_missed_boolean"),
        ],
    )
    def test_a_value_out_of_range(
        self, tables: sqlite3.Connection, table: str, column: str, value: object, constraint: str
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match=f"CHECK constraint failed: {constraint}"):
            tables.execute(f"UPDATE {table} SET {column} = ?", (value,))

    @pytest.mark.parametrize("column", STATISTICS)
    @pytest.mark.parametrize("value", [math.inf, -math.inf, -0.5])
    def test_a_statistic_that_is_no_latency(
        self, tables: sqlite3.Connection, column: str, value: float
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match=f"ck_statistics_{column}_finite"):
            tables.execute(f"UPDATE statistics SET {column} = ?", (value,))

    @pytest.mark.parametrize("column", ["mean_ms", "p50_ms", "p95_ms", "max_ms"])
    def test_nan_in_a_statistic(self, tables: sqlite3.Connection, column: str) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="NOT NULL constraint failed"):
            tables.execute(f"UPDATE statistics SET {column} = ?", (math.nan,))

    @pytest.mark.parametrize("column", ["p99_ms", "min_ms"])
    def test_only_of_a_satellite_these_may_be_unknown(
        self, tables: sqlite3.Connection, column: str
    ) -> None:
        tables.execute(f"UPDATE statistics SET {column} = NULL WHERE satellite_id = 'SAT'")

        with pytest.raises(sqlite3.IntegrityError, match="ck_statistics_all_known"):
            tables.execute(f"UPDATE statistics SET {column} = NULL WHERE satellite_id = ''")

    @pytest.mark.parametrize(
        ("table", "column", "value"),
        [
            ("runs", "recorded_at_us", "yesterday"),
            ("runs", "run_id", b"run"),
            ("statistics", "mean_ms", "quick"),
            ("artifacts", "bytes", 1.5),
        ],
    )
    def test_another_type(
        self, tables: sqlite3.Connection, table: str, column: str, value: object
    ) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="cannot store"):
            tables.execute(f"UPDATE {table} SET {column} = ?", (value,))

    @pytest.mark.parametrize("column", ["timestamp", "duration_ms", "scenario_time_s"])
    def test_nan_in_a_measurement(self, tables: sqlite3.Connection, column: str) -> None:
        with pytest.raises(sqlite3.IntegrityError, match="NOT NULL constraint failed"):
            tables.execute(f"UPDATE measurements SET {column} = ?", (math.nan,))

    @pytest.mark.parametrize("missed", [0, 3])
    def test_none_and_all_of_the_events_may_be_missed(
        self, tables: sqlite3.Connection, missed: int
    ) -> None:
        tables.execute("UPDATE statistics SET missed = ?", (missed,))

        found = tables.execute("SELECT DISTINCT missed FROM statistics").fetchall()
        assert found == [(missed,)]

    def test_what_a_run_was_may_be_unknown(self, tables: sqlite3.Connection) -> None:
        columns = "scenario, seed, git_dirty, started_at_us, percentile_definition"

        assert tables.execute(f"SELECT {columns} FROM runs").fetchall() == [(None,) * 5]

    def test_the_largest_float_is_accepted(self, tables: sqlite3.Connection) -> None:
        largest = 1.7976931348623157e308

        tables.execute("UPDATE statistics SET max_ms = ?", (largest,))

        found = tables.execute("SELECT DISTINCT max_ms FROM statistics").fetchall()
        assert found == [(largest,)]


class TestForeignKeys:
    """A run's rows go with it, and don't come without it."""

    @pytest.mark.parametrize("table", TABLES_BELOW_RUNS)
    def test_rows_of_a_deleted_run_are_deleted(
        self, tables: sqlite3.Connection, table: str
    ) -> None:
        tables.execute("DELETE FROM runs")

        assert tables.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]

    @pytest.mark.parametrize("table", TABLES_BELOW_RUNS)
    def test_they_are_by_a_program_that_leaves_foreign_keys_off(
        self, tables: sqlite3.Connection, table: str
    ) -> None:
        tables.execute("PRAGMA foreign_keys=OFF")

        tables.execute("DELETE FROM runs WHERE run_id = 'run'")

        assert tables.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]

    @pytest.mark.parametrize("table", TABLES_BELOW_RUNS)
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
        del by_migrations[VERSION_TABLE], by_migrations["sqlite_stat1"]

        assert {name: in_any_order(sql) for name, sql in by_models.items()} == {
            name: in_any_order(sql) for name, sql in by_migrations.items()
        }

    def test_the_code_needs_the_newest_revision(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(scripts_folder()))

        assert ScriptDirectory.from_config(config).get_current_head() == HEAD_REVISION


def in_any_order(sql: str) -> list[str]:
    """Split a CREATE statement at its commas and before its constraints.

    The order of constraints says nothing, nor whether they stand beside their column:
    SQLite can add a column with one to a table, but not one to a table.
    """
    inside, _, after = sql.partition("(")[2].rpartition(")")
    # Commas inside parentheses, as of "IN (0, 1)", don't count.
    parts = re.split(r",\s*(?![^(]*\))|\s(?=CONSTRAINT )", inside)
    columns = [part.strip() for part in parts if part and not part.startswith("CONSTRAINT")]
    constraints = sorted(part.strip() for part in parts if part.startswith("CONSTRAINT"))
    return [*columns, *constraints, after]
