"""The database explains itself: every table, view and column, once, and everywhere alike."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from schema_texts import PAGE, described, sql_in_description

from astraguard_store import RunRepository, StoreNotFoundError
from astraguard_store.cli import main
from astraguard_store.store.schema_versions import described_schema

STORED = Path(__file__).parent / "databases"
NAME = "astraguard.db"
ANEW = "write it anew: python tests/schema_texts.py"

UNITS = {
    *("0 or 1", "ISO 8601 UTC", "JSON", "MHz", "bytes", "events", "ms", "ratio", "s"),
    *("s since 1970 UTC", "µs since 1970 UTC"),
}
# What the end of a name promises.
UNIT_OF_ENDING = {
    "_ms": "ms",
    "_us": "µs since 1970 UTC",
    "_at": "ISO 8601 UTC",
    "_change": "ratio",
    "_n": "events",
    "missed": None,  # a count of events, and of one measurement 0 or 1
    "bytes": "bytes",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a new, closed store."""
    results = tmp_path_factory.mktemp("results")
    RunRepository.open(results).close()
    return results


@pytest.fixture
def database(store: Path) -> Iterator[sqlite3.Connection]:
    """Give a plain connection to a new store's database."""
    with closing(sqlite3.connect(f"file:{store / NAME}?mode=ro", uri=True)) as connection:
        yield connection


def describe(results: Path, *words: str) -> Result:
    """Run `db describe`."""
    return CliRunner().invoke(
        main, ["db", "describe", *words, "--results", str(results)], prog_name="astraguard-store"
    )


def columns_of(connection: sqlite3.Connection) -> dict[str, tuple[str, list[str]]]:
    """Give {table or view: (its kind, its columns)} of all that SQLite didn't make itself."""
    query = "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view')"
    return {
        name: (kind, [row[1] for row in connection.execute(f"PRAGMA table_info({name})")])
        for name, kind in connection.execute(query).fetchall()
        if not name.startswith("sqlite_")
    }


class TestTable:
    """`schema_doc` itself."""

    def test_it_has_one_row_for_each_table_view_and_column(
        self, database: sqlite3.Connection
    ) -> None:
        rows = database.execute('SELECT object, kind, "column" FROM schema_doc').fetchall()

        assert sorted(rows) == sorted(
            (name, kind, column)
            for name, (kind, columns) in columns_of(database).items()
            for column in ("", *columns)
        )

    def test_no_description_is_empty(self, database: sqlite3.Connection) -> None:
        query = 'SELECT object, "column", description FROM schema_doc'

        short = [row for row in database.execute(query) if len(row[2].split()) < 2]

        assert short == []

    def test_a_description_is_sentences(self, database: sqlite3.Connection) -> None:
        query = "SELECT description FROM schema_doc"
        paragraphs = [
            paragraph
            for (description,) in database.execute(query)
            for paragraph in description.split("\n\n")
            if not paragraph.startswith("    ")
        ]

        assert [p for p in paragraphs if "\n" in p or p != p.strip() or p[-1] not in ".:"] == []

    def test_units_are_of_a_short_list(self, database: sqlite3.Connection) -> None:
        units = {row[0] for row in database.execute("SELECT DISTINCT unit FROM schema_doc")}

        assert units == {*UNITS, None}

    @pytest.mark.parametrize("ending", UNIT_OF_ENDING)
    def test_a_unit_is_the_one_that_the_name_promises(
        self, database: sqlite3.Connection, ending: str
    ) -> None:
        query = """SELECT DISTINCT unit FROM schema_doc WHERE "column" LIKE '%' || ? ESCAPE '\\'"""
        units = {row[0] for row in database.execute(query, (ending.replace("_", "\\_"),))}

        expected = UNIT_OF_ENDING[ending]
        assert units == ({expected} if expected else {"events", "0 or 1"})

    def test_names_that_it_mentions_are_there(self, database: sqlite3.Connection) -> None:
        columns = columns_of(database)
        known = {*columns, *(column for _, names in columns.values() for column in names)}
        # Values, options and commands; `…_above_ms` of a percentile are columns.
        known |= {"agent_decision", "fault_detection", "summary_json", "raw_csv", "raw_parquet"}
        known |= {"table", "view", "check --fix", "s[int(n*q)]", "satellite_buckets=True"}
        known |= {'keep_measurements="database"', "query", "pooled_at_least"}
        known |= {"pooled_percentile(bucket, count, missed, 0.95)"}
        known |= {"running", "finished", "failed", "interrupted"}

        texts = database.execute("SELECT description FROM schema_doc").fetchall()
        named = {name for (text,) in texts for name in re.findall(r"`([^`]+)`", text)}

        assert named - known == set()

    @pytest.mark.parametrize("view", ["v_buckets", "v_changes", "v_verdicts"])
    def test_the_sql_in_a_description_runs(self, database: sqlite3.Connection, view: str) -> None:
        (statement,) = sql_in_description(database, view)

        assert database.execute(statement).description


class TestCommand:
    """`astraguard-store db describe`."""

    def test_it_says_what_each_table_view_and_column_means(
        self, store: Path, database: sqlite3.Connection
    ) -> None:
        printed = described(store).splitlines()

        texts = database.execute("SELECT description FROM schema_doc").fetchall()
        lines = {line for (text,) in texts for line in text.splitlines()}
        assert {line for line in lines if not any(line in shown for shown in printed)} == set()

    def test_views_come_first(self, store: Path) -> None:
        kinds = [described.kind for described in described_schema(store)]

        assert kinds == sorted(kinds, reverse=True)

    def test_columns_come_in_the_order_of_the_table(
        self, store: Path, database: sqlite3.Connection
    ) -> None:
        found = {o.name: [column.name for column in o.columns] for o in described_schema(store)}

        assert found == {name: names for name, (_, names) in columns_of(database).items()}

    def test_one_can_be_named(self, store: Path) -> None:
        printed = described(store, "v_latency")

        assert printed.startswith("view v_latency\n")
        assert re.findall(r"^(?:view|table) (\w+)$", printed, re.MULTILINE) == ["v_latency"]

    def test_brief_is_a_line_each(self, store: Path, database: sqlite3.Connection) -> None:
        printed = described(store, "--brief").splitlines()

        assert {line.split()[0] for line in printed[1:]} == set(columns_of(database))

    def test_json_has_the_shape_that_is_documented(self, store: Path) -> None:
        shape: dict[str, Any] = json.loads(described(store, "v_tags", "--json"))

        (view,) = shape.pop("objects")
        assert shape == {"results_dir": str(store), "database": str(store / NAME)}
        assert list(view) == ["name", "kind", "description", "columns"]
        assert [column["name"] for column in view["columns"]] == ["run_id", "tag", "value"]
        assert {tuple(column) for column in view["columns"]} == {("name", "unit", "description")}

    def test_brief_json_has_no_columns(self, store: Path) -> None:
        shape: dict[str, Any] = json.loads(described(store, "--brief", "--json"))

        assert {tuple(o) for o in shape["objects"]} == {("name", "kind", "description")}

    def test_one_that_is_not_there_is_answered_with_those_that_are(self, store: Path) -> None:
        done = describe(store, "v_songs")

        assert (done.exit_code, done.stdout) == (2, "")
        assert "no table or view 'v_songs'" in done.stderr
        assert "v_latency" in done.stderr

    def test_two_forms_at_once_are_refused(self, store: Path) -> None:
        done = describe(store, "--json", "--markdown")

        assert done.exit_code == 2
        assert "choose one" in done.stderr

    def test_without_a_database_there_is_nothing_to_describe(self, tmp_path: Path) -> None:
        with pytest.raises(StoreNotFoundError, match="there is no database"):
            described_schema(tmp_path)

        assert list(tmp_path.iterdir()) == []

    def test_an_older_database_is_answered_with_the_command_that_upgrades_it(
        self, results: Path
    ) -> None:
        results.mkdir()
        shutil.copyfile(STORED / "0001.sqlite", results / NAME)

        done = describe(results)

        assert done.exit_code == 2
        assert "run: astraguard-store db upgrade" in done.stderr

    def test_it_changes_nothing(self, store: Path) -> None:
        before = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in store.iterdir()}

        described(store)

        after = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in store.iterdir()}
        assert after == before


class TestTexts:
    """The page is made from it."""

    def test_the_page_is_what_the_command_prints(self, store: Path) -> None:
        assert PAGE.read_text(encoding="utf-8") == described(store, "--markdown"), ANEW

    def test_a_bar_does_not_end_a_cell(self, store: Path) -> None:
        for line in described(store, "--markdown").splitlines():
            if line.startswith("| "):
                assert len(re.findall(r"(?<!\\)\|", line)) == 4
