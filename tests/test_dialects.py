"""One description of the tables for two databases, and few rooms that know which it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

import astraguard_store
from astraguard_store.database.schema import metadata

PACKAGE = Path(astraguard_store.__file__).parent
KNOWS = ("database/dialect.py", "database/sql.py", "database/sqlite/", "database/postgres/")
SPEAKS = re.compile(r"\bPRAGMA\b|\bimport sqlite3|\bsqlite3\.\w|sqlalchemy\.dialects")


def compiled_for_postgresql(table: str) -> str:
    statement = CreateTable(metadata.tables[table])
    return str(statement.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


def types_of(table: str) -> dict[str, str]:
    """Give {column: its type} in PostgreSQL."""
    lines = compiled_for_postgresql(table).splitlines()
    columns = [line.strip().rstrip(",").split(" ", 1) for line in lines if line[:1] == "\t"]
    return {
        name: re.split(r" NOT NULL| DEFAULT", declared)[0].strip()
        for name, declared in columns
        if name not in {"CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK"}
    }


class TestPostgresql:
    """The tables compiled for PostgreSQL."""

    @pytest.mark.parametrize("table", metadata.tables)
    def test_moments_seeds_bytes_and_counts_have_64_bits(self, table: str) -> None:
        types = types_of(table)
        large = {"seed", "bytes", "rows", "row", "count", "total_measurements", "fence"}

        found = {
            name: declared
            for name, declared in types.items()
            if name in large or name.endswith("_us")
        }

        assert set(found.values()) <= {"BIGINT"}

    @pytest.mark.parametrize("table", metadata.tables)
    def test_numbers_have_all_their_digits(self, table: str) -> None:
        types = types_of(table)
        floats = [
            declared
            for name, declared in types.items()
            if name.endswith(("_ms", "scenario_time_s")) or name == "timestamp"
        ]

        assert set(floats) <= {"DOUBLE PRECISION"}
        assert not [name for name, declared in types.items() if declared in {"REAL", "FLOAT"}]

    @pytest.mark.parametrize(
        "table", [name for name, table in metadata.tables.items() if "run_id" in table.c]
    )
    def test_run_ids_sort_by_their_bytes(self, table: str) -> None:
        assert types_of(table)["run_id"] == 'TEXT COLLATE "C"'

    def test_the_three_kinds_are_there(self) -> None:
        assert types_of("runs")["recorded_at_us"] == "BIGINT"
        assert types_of("statistics")["p99_ms"] == "DOUBLE PRECISION"
        assert types_of("statistics")["missed"] == "BIGINT"


class TestRooms:
    """Where a dialect, a PRAGMA or a type of the driver may be named."""

    def test_only_these_name_one(self) -> None:
        names = {
            path.relative_to(PACKAGE).as_posix()
            for path in PACKAGE.rglob("*.py")
            if SPEAKS.search(path.read_text(encoding="utf-8"))
        }

        assert {name for name in names if not name.startswith(KNOWS)} == set()
        assert any(name.startswith("database/sqlite/") for name in names)
