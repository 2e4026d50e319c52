"""How SQLite answers: which index it reads, and how many statements a call issues.

Seconds depend on the machine; plans and counts don't.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from recordings import recorded
from seen_sql import SeenSql, seen_sql

from astraguard_store import RunRepository
from astraguard_store.database import runs
from astraguard_store.database.lists import recent_headers, recent_sql
from astraguard_store.database.percentiles import percentile_statements

# Read beside a run's document, and with its rows.
BESIDE_DOCUMENT = ("run_tags", "attachments", "units", "machine_noise")
STATISTICS = "3, 1.5, 1.0, 2.0, 2.0, 1.0, 2.0, 0"
BY_KEY: dict[Callable[[], str], tuple[str, ...]] = {
    runs.run_rows_sql: (
        "runs",
        "runs",
        "statistics",
        "artifacts",
        *BESIDE_DOCUMENT,
    ),
    runs.run_exists_sql: ("runs",),
    runs.delete_run_sql: ("runs",),
}


def new_database(folder: Path) -> sqlite3.Connection:
    with RunRepository.open(folder) as repository:
        path = repository.database_path
    assert path is not None
    return sqlite3.connect(path, isolation_level=None)


def fill(connection: sqlite3.Connection, runs: int) -> None:
    """Insert *runs* runs with 6 metric types on 2 satellites, times in no order of ids."""
    times = random.Random(7).sample(range(runs), runs)
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements, scenario) "
        "VALUES ('run' || ?, 1, 1790000000000000 + ?, 36, 'orbit')",
        enumerate(times),
    )
    connection.execute(
        "INSERT INTO statistics "
        "SELECT run_id, satellite.value, 'metric' || metric.value, "
        f"satellite.key % 2 * 6 + metric.value, {STATISTICS} "
        'FROM runs, json_each(\'["SAT0", "SAT1", ""]\') satellite, '
        "json_each('[0,1,2,3,4,5]') metric"
    )
    connection.execute(
        "INSERT INTO artifacts SELECT run_id, value, run_id || '/' || value, 9, NULL, 36, NULL "
        'FROM runs, json_each(\'["raw_csv", "summary_json"]\')'
    )
    connection.execute(
        "INSERT INTO buckets SELECT run_id, satellite_id, metric_type, '[[0,0,1],[7,0,1]]' "
        "FROM statistics"
    )
    connection.execute(
        "INSERT INTO measurements SELECT run_id, position, position, 1.79e9, 1.5, 0.0, 0 "
        "FROM statistics WHERE run_id < 'run2' AND satellite_id > ''"
    )
    connection.execute("INSERT INTO run_tags SELECT run_id, 'week', revision FROM runs")
    connection.execute("COMMIT")


@pytest.fixture(scope="module", params=["empty", "2,000 runs", "2,000 runs, analyzed"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlite3.Connection]:
    """Give a database as it may be when a statement is planned."""
    with closing(new_database(tmp_path_factory.mktemp("results"))) as connection:
        if request.param != "empty":
            fill(connection, 2_000)
        if request.param.endswith("analyzed"):
            connection.execute("ANALYZE")
        yield connection


def plan(connection: sqlite3.Connection, sql: str) -> list[str]:
    named = dict.fromkeys(re.findall(r":(\w+)", sql))
    parameters = named or [None] * sql.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


class TestPlans:
    """Which index each statement reads, whatever is stored."""

    def test_recent_reads_the_covering_index_and_sorts_nothing(
        self, database: sqlite3.Connection
    ) -> None:
        steps = plan(database, recent_sql())

        assert steps == ["SCAN runs USING COVERING INDEX ix_runs_recorded_at_us_run_id"]

    def test_recent_stops_at_the_limit(self, database: sqlite3.Connection) -> None:
        steps: list[int] = []
        # To read the schema takes steps too, some for each of its tables and indexes.
        database.execute("SELECT run_id FROM runs LIMIT 1").fetchall()
        database.set_progress_handler(lambda: steps.append(1), 1)

        recent_headers(database, 10)

        database.set_progress_handler(None, 0)
        # Some 10 of the virtual machine's steps a row, where 2,000 rows take 20,000.
        assert len(steps) < 300

    @pytest.mark.parametrize("sql", BY_KEY)
    def test_rows_of_a_run_are_found_by_its_key(
        self, database: sqlite3.Connection, sql: Callable[[], str]
    ) -> None:
        steps = plan(database, sql())

        assert [s for s in steps if s.startswith(("SEARCH", "SCAN", "USE"))] == [
            f"SEARCH {table} USING PRIMARY KEY (run_id=?)" for table in BY_KEY[sql]
        ]

    def test_a_run_and_its_document_are_found_by_their_keys(
        self, database: sqlite3.Connection
    ) -> None:
        steps = plan(database, runs.run_with_document_sql())
        index = "sqlite_autoindex_run_documents_1"

        assert [s for s in steps if s.startswith(("SEARCH", "SCAN", "USE"))] == [
            "SEARCH runs USING PRIMARY KEY (run_id=?)",
            f"SEARCH run_documents USING INDEX {index} (run_id=?) LEFT-JOIN",
            *(f"SEARCH {table} USING PRIMARY KEY (run_id=?)" for table in BESIDE_DOCUMENT),
        ]

    def test_old_rows_of_a_run_saved_again_are_found_by_its_key(
        self, database: sqlite3.Connection
    ) -> None:
        found = [plan(database, sql) for sql in runs.delete_of_one_save_sql()]

        tables = [
            *("statistics", "artifacts", "buckets", "measurements"),
            *("attachments", "units", "machine_noise"),
        ]
        assert found == [[f"SEARCH {table} USING PRIMARY KEY (run_id=?)"] for table in tables]

    @pytest.mark.parametrize(
        "sql", [runs.tags_sql, runs.remove_tag_sql, runs.purge_measurements_sql]
    )
    def test_what_is_changed_later_is_found_by_the_runs_key(
        self, database: sqlite3.Connection, sql: Callable[[], str]
    ) -> None:
        (step,) = plan(database, sql())

        assert re.match(r"SEARCH (run_tags|measurements) USING PRIMARY KEY \(run_id=\?", step)

    @pytest.mark.parametrize("sql", [runs.save_run_sql, runs.set_tag_sql])
    def test_writing_a_run_reads_no_table(
        self, database: sqlite3.Connection, sql: Callable[[], str]
    ) -> None:
        assert plan(database, sql()) == []

    @pytest.mark.parametrize("by_satellite", [False, True])
    def test_a_comparison_scans_no_table(
        self, database: sqlite3.Connection, by_satellite: bool
    ) -> None:
        steps = plan(database, runs.comparison_sql(by_satellite=by_satellite))

        assert not [s for s in steps if re.match(r"SCAN (statistics|runs)", s)]
        assert not [s for s in steps if "TEMP B-TREE" in s]

    @pytest.mark.parametrize("by_satellite", [False, True])
    def test_a_comparison_finds_each_partner_by_its_key(
        self, database: sqlite3.Connection, by_satellite: bool
    ) -> None:
        steps = plan(database, runs.comparison_sql(by_satellite=by_satellite))

        key = "run_id=? AND satellite_id=? AND metric_type=?"
        partner = f"SEARCH statistics USING PRIMARY KEY ({key}) LEFT-JOIN"
        noise = "SEARCH machine_noise USING PRIMARY KEY (run_id=?) LEFT-JOIN"
        assert [s for s in steps if "LEFT-JOIN" in s] == [partner, partner, noise, noise]


class TestPlansOfViews:
    """What a view reads that is asked for runs by name, or for the newest."""

    @pytest.mark.parametrize("view", ["v_buckets", "v_latency", "v_measurements", "v_runs"])
    def test_rows_of_runs_are_found_by_their_keys(
        self, database: sqlite3.Connection, view: str
    ) -> None:
        steps = plan(database, f"SELECT * FROM {view} WHERE run_id IN ('run1', 'run2')")

        assert tables_scanned(steps) == set()
        assert all("USING PRIMARY KEY (run_id=?" in s for s in steps if s.startswith("SEARCH"))

    def test_changes_of_two_runs_are_found_by_their_keys(
        self, database: sqlite3.Connection
    ) -> None:
        query = "SELECT * FROM v_changes WHERE baseline = 'run1' AND candidate = 'run2'"

        steps = plan(database, query)

        assert tables_scanned(steps) == set()
        assert all("USING PRIMARY KEY (run_id=?" in s for s in steps if s.startswith("SEARCH"))

    def test_changes_of_two_runs_read_no_others(self, database: sqlite3.Connection) -> None:
        steps: list[int] = []
        database.set_progress_handler(lambda: steps.append(1), 1)

        query = "SELECT * FROM v_changes WHERE baseline = 'run1' AND candidate = 'run2'"
        database.execute(query).fetchall()

        database.set_progress_handler(None, 0)
        # 18 rows of some 200 steps; the 2,000 rows of `runs` alone take 10,000.
        assert len(steps) < 8_000

    @pytest.mark.parametrize(
        ("where", "index"),
        [
            ("recorded_at >= '2026-11-20'", "ix_runs_recorded_at"),
            ("recorded_at_us >= 1795132800000000", "ix_runs_recorded_at_us_run_id"),
        ],
    )
    @pytest.mark.parametrize("view", ["v_latency", "v_buckets"])
    def test_runs_of_a_week_are_found_by_their_time_and_then_their_rows(
        self, database: sqlite3.Connection, view: str, where: str, index: str
    ) -> None:
        query = (
            f"SELECT * FROM {view} JOIN v_runs USING (run_id) "
            f"WHERE metric_type = 'metric1' AND satellite_id IS NULL AND {where}"
        )

        steps = plan(database, query)

        assert steps[0].startswith("SEARCH runs USING")
        assert f"INDEX {index} (" in steps[0]
        assert "USING PRIMARY KEY (run_id=?" in steps[1]
        assert tables_scanned(steps) == set()

    @pytest.mark.parametrize(
        ("where", "index"),
        [
            ("", "ix_runs_recorded_at_us_run_id"),
            ("WHERE scenario = 'orbit'", "ix_runs_scenario_recorded_at_us_run_id"),
        ],
    )
    def test_the_newest_runs_are_not_sorted(
        self, database: sqlite3.Connection, where: str, index: str
    ) -> None:
        query = f"SELECT * FROM v_runs {where} ORDER BY recorded_at_us DESC LIMIT 10"

        steps = plan(database, query)

        assert f" runs USING INDEX {index}" in steps[0]
        assert not [s for s in steps if "TEMP B-TREE" in s]


class TestPlansOfPercentiles:
    """What is read for percentiles of many runs, together or by group."""

    @pytest.mark.parametrize("by", [(), ("scenario", "week"), ("run",), ("satellite", "day")])
    def test_named_runs_and_their_buckets_are_found_by_their_keys(
        self, database: sqlite3.Connection, by: tuple[str, ...]
    ) -> None:
        steps = plan(database, percentile_statements(by, of_one=False, of_all=False).rows)

        assert tables_scanned(steps) == set()
        assert all("USING PRIMARY KEY (run_id=?" in s for s in steps if s.startswith("SEARCH"))

    @pytest.mark.parametrize("by", [(), ("scenario", "week"), ("run",), ("satellite", "day")])
    def test_of_all_runs_no_rows_of_other_metric_types_are_read(
        self, database: sqlite3.Connection, by: tuple[str, ...]
    ) -> None:
        steps = plan(database, percentile_statements(by, of_one=False, of_all=True).rows)

        key = "run_id=? AND satellite_id=? AND metric_type=?"
        of_run = "run_id=? AND satellite_id>?" if "satellite" in by else key
        assert f"SEARCH statistics USING PRIMARY KEY ({of_run})" in steps
        assert f"SEARCH buckets USING PRIMARY KEY ({key}) LEFT-JOIN" in steps
        assert not [s for s in steps if "AUTOMATIC" in s]


def tables_scanned(steps: list[str]) -> set[str]:
    """Give what is read from end to end, but for what the statement itself made."""
    made = {s.removeprefix("CO-ROUTINE ") for s in steps if s.startswith("CO-ROUTINE ")}
    scanned = {s.removeprefix("SCAN ") for s in steps if s.startswith("SCAN ")} - made
    # The elements of one JSON text each.
    return {name for name in scanned if "VIRTUAL TABLE" not in name}


@pytest.fixture
def seen() -> Iterator[SeenSql]:
    with seen_sql() as seen:
        yield seen


@pytest.fixture
def warm(results: Path, seen: SeenSql) -> Iterator[RunRepository]:
    """Give a repository of two runs whose connections are open, and that remembers nothing."""
    with RunRepository.open(results) as repository:
        repository.save_many([("a", recorded(8)), ("b", recorded(8))])
        assert seen.connections
        repository.get("b")
        repository.save_many([("a", recorded(10)), ("b", recorded(10))])
        repository.recent()
        yield repository


def verbs(sql: list[str]) -> list[str]:
    return [statement.split()[0] for statement in sql]


def inserted_into(sql: list[str]) -> Counter[str]:
    """Give {table: rows inserted}."""
    return Counter(s.split()[2] for s in sql if s.startswith("INSERT"))


class TestCounts:
    """What a call asks of the connections that the process holds."""

    def test_a_cold_get_is_one_select(self, warm: RunRepository, seen: SeenSql) -> None:
        asked = seen.during(lambda: warm.get("a"))

        assert [s for s in verbs(asked) if s != "PRAGMA"] == ["SELECT"]

    def test_a_cached_get_only_asks_whether_anybody_committed(
        self, warm: RunRepository, seen: SeenSql
    ) -> None:
        warm.get("a")
        # The first look after a commit of this process also asks whose it was.
        warm.get("a")

        assert seen.during(lambda: warm.get("a")) == ["PRAGMA data_version"]

    @pytest.mark.parametrize("limit", [1, 10, 10_000])
    def test_recent_is_one_select(self, warm: RunRepository, seen: SeenSql, limit: int) -> None:
        asked = seen.during(lambda: warm.recent(limit))

        assert verbs(asked) == ["SELECT"]

    def test_recent_of_nothing_asks_nothing(self, warm: RunRepository, seen: SeenSql) -> None:
        assert seen.during(lambda: warm.recent(0)) == []

    @pytest.mark.parametrize("by_satellite", [False, True])
    def test_a_comparison_is_one_statement(
        self, warm: RunRepository, seen: SeenSql, by_satellite: bool
    ) -> None:
        asked = seen.during(lambda: warm.compare("a", "b", by_satellite=by_satellite))

        assert [s for s in verbs(asked) if s != "PRAGMA"] == ["WITH"]

    @pytest.mark.parametrize("by", [[], ["scenario", "week"]])
    def test_percentiles_are_two_statements(
        self, warm: RunRepository, seen: SeenSql, by: list[str]
    ) -> None:
        asked = seen.during(
            lambda: warm.grouped_percentiles(by, [0.5, 0.99], metric_type="fault_detection")
        )

        # The runs that are left out for not being finished, and the rows of the others.
        assert verbs(asked) == ["BEGIN", "SELECT", "SELECT", "ROLLBACK"]

    def test_a_cached_comparison_only_asks_whether_anybody_committed(
        self, warm: RunRepository, seen: SeenSql
    ) -> None:
        warm.compare("a", "b")
        warm.compare("a", "b")

        assert seen.during(lambda: warm.compare("a", "b")) == ["PRAGMA data_version"]

    def test_the_first_save_of_a_run_is_one_insert_a_row(
        self, warm: RunRepository, seen: SeenSql
    ) -> None:
        asked = seen.during(lambda: warm.save("new", recorded(10)))

        # The schema's revision and the store's id are asked for in each transaction.
        assert verbs(asked) == ["BEGIN", "SELECT", "SELECT", *["INSERT"] * 16, "COMMIT"]
        assert inserted_into(asked) == {
            "runs": 1,
            "statistics": 3 + 6,
            "artifacts": 2,
            "run_documents": 1,
            "buckets": 3,
        }

    def test_saving_a_run_again_adds_a_delete_a_table_and_asks_for_its_tags(
        self, warm: RunRepository, seen: SeenSql
    ) -> None:
        asked = seen.during(lambda: warm.save("a", recorded(10)))

        assert verbs(asked) == [
            "BEGIN",
            *["SELECT"] * 2,
            "INSERT",
            *["DELETE"] * 7,
            *["INSERT"] * (3 + 6 + 3),
            "SELECT",
            *["INSERT"] * (2 + 1),
            "COMMIT",
        ]

    def test_a_save_does_not_grow_with_its_measurements(
        self, warm: RunRepository, seen: SeenSql
    ) -> None:
        small = seen.during(lambda: warm.save("small", recorded(10)))
        large = seen.during(lambda: warm.save("large", recorded(4_000)))

        assert len(large) == len(small)

    def test_many_runs_are_one_transaction(self, warm: RunRepository, seen: SeenSql) -> None:
        runs = [(f"run{i}", recorded(4)) for i in range(5)]

        asked = seen.during(lambda: warm.save_many(runs))

        assert (verbs(asked).count("BEGIN"), verbs(asked).count("COMMIT")) == (1, 1)

    def test_writes_begin_immediate(self, warm: RunRepository, seen: SeenSql) -> None:
        asked = seen.during(lambda: warm.save("a", recorded(4)))

        assert asked[0] == "BEGIN IMMEDIATE"

    def test_opening_a_current_store_again_writes_nothing(
        self, results: Path, seen: SeenSql
    ) -> None:
        RunRepository.open(results).close()

        asked = seen.during(lambda: RunRepository.open(results).close())

        assert set(verbs(asked)) <= {"SELECT", "PRAGMA", "BEGIN", "ROLLBACK"}
        assert not [statement for statement in asked if "IMMEDIATE" in statement]

    def test_calls_open_no_connections(self, warm: RunRepository, seen: SeenSql) -> None:
        before = len(seen.connections)

        for _ in range(3):
            warm.save("a", recorded(4))
            warm.get("a")
            warm.compare("a", "b")
            warm.recent()

        # The first get opens the one that watches.
        assert len(seen.connections) - before <= 1
