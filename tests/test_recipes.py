"""The recipes of `docs/recipes.md` print what the page shows, and Datasette answers."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import duckdb
import pytest
import yaml
from recipes import PAGE, home_with_extension, printed_page

from astraguard_store import LatencyCollector, RunRepository

METADATA_FILE = PAGE.parent / "datasette.yaml"
METADATA: dict[str, Any] = yaml.safe_load(METADATA_FILE.read_text("utf-8"))
OF_DATABASE: dict[str, Any] = METADATA["databases"]["astraguard"]
TEXT = PAGE.read_text("utf-8")

# A unit that Datasette shows beside the number; it knows no "events".
SHOWN_UNITS = {"ms": "ms", "bytes": "bytes", "s": "s"}

QUESTIONS = {
    "slowest_satellites": {"metric_type": "fault_detection", "since": "2026-01-01"},
    "p99_by_scenario_and_week": {"metric_type": "fault_detection"},
    "runs_above_a_limit": {"metric_type": "fault_detection", "limit_ms": "110"},
    "what_changed": {"baseline": "run_001", "candidate": "run_002"},
    "hosts": {"metric_type": "fault_detection"},
    "missed": {},
}

pytestmark = pytest.mark.skipif(
    shutil.which("sqlite3") is None, reason="the sqlite3 shell is not installed here"
)


def sections(page: str) -> dict[str, str]:
    """Return {title: text} of the page's sections."""
    parts = re.split(r"^## (.*)\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, str]:
    """Run the page's recipes; their store stays in the folder."""
    return sections(printed_page(TEXT, folder))


@pytest.fixture(scope="module")
def database(folder: Path, printed: dict[str, str]) -> Path:
    assert printed
    return folder / "results" / "astraguard.db"


class Asked:
    """A Datasette that serves a database on this machine, and what it answers."""

    def __init__(self, address: str) -> None:
        self._address = address
        # Whatever proxy this machine has, it isn't for loopback.
        self._opener = build_opener(ProxyHandler({}))

    def page(self, path: str) -> str:
        with self._opener.open(self._address + path, timeout=30) as answer:
            return str(answer.read().decode("utf-8"))

    def rows(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        query = urlencode({"_shape": "array", **parameters})
        rows = json.loads(self.page(f"{path}.json?{query}"))
        assert isinstance(rows, list), rows
        return rows


@pytest.fixture(scope="module")
def datasette(database: Path) -> Iterator[Asked]:
    """Start Datasette with the words of the page, but on any port that is free."""
    (command,) = re.findall(r"^datasette .*$", TEXT, re.MULTILINE)
    words = command.replace("8001", "0").replace("datasette.yaml", str(METADATA_FILE)).split()
    serving = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=database.parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with serving:
        try:
            assert serving.stderr is not None
            said = ""
            for line in serving.stderr:
                said += line
                if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                    break
            else:
                raise AssertionError(said)
            yield Asked(found[1])
        finally:
            serving.terminate()


def collected(events: int, missed: int) -> LatencyCollector:
    collector = LatencyCollector()
    for i in range(events - missed):
        collector.record_fault_detection("SAT-1", float(i), 0.1 + i * 1.7)
    for i in range(missed):
        collector.record_missed("fault_detection", "SAT-1", float(i), 30.3 * i)
    return collector


@pytest.fixture(scope="module")
def store_of_all_counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save runs of 1 to 45 events, of which none, one, a third or all are missed."""
    runs = [
        (f"run_{events:02}_{missed:02}", collected(events, missed))
        for events in range(1, 46)
        for missed in sorted({0, 1, events // 3, events})
    ]
    folder = tmp_path_factory.mktemp("duckdb")
    with RunRepository.open(folder / "results", durability="normal") as repository:
        repository.save_many(runs)
    home_with_extension(folder)
    return folder


@pytest.mark.parametrize("title", sections(TEXT))
def test_a_section_shows_what_its_recipes_print(printed: dict[str, str], title: str) -> None:
    shown = sections(TEXT)

    assert printed[title] == shown[title]


class TestDatasette:
    """Started for real, and asked over HTTP."""

    def test_the_views_are_served_with_iso_times(self, datasette: Asked) -> None:
        rows = datasette.rows("/astraguard/v_runs")

        assert [row["run_id"] for row in rows] == ["run_003", "run_002", "run_001"]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", row["recorded_at"]) for row in rows)

    def test_durations_are_shown_with_their_unit(self, datasette: Asked) -> None:
        page = datasette.page("/astraguard/v_latency")

        assert "108.0&nbsp;ms" in page

    def test_the_tables_below_the_views_are_hidden(self, datasette: Asked) -> None:
        listed = json.loads(datasette.page("/astraguard.json"))["tables"]

        assert [table["name"] for table in listed if not table["hidden"]] == ["schema_doc"]

    @pytest.mark.parametrize("question", OF_DATABASE["queries"])
    def test_each_question_has_an_answer(self, datasette: Asked, question: str) -> None:
        rows = datasette.rows(f"/astraguard/{question}", **QUESTIONS[question])

        assert rows

    def test_a_runs_missed_fault_is_counted(self, datasette: Asked) -> None:
        rows = datasette.rows("/astraguard/missed")

        assert {row["metric_type"]: row["missed"] for row in rows} == {
            "fault_detection": 1,
            "recovery_action": 0,
        }

    def test_percentiles_of_several_runs_are_merged_within_one_percent(
        self, datasette: Asked
    ) -> None:
        durations = sorted(
            70.0 + slower_ms + step % 40 for slower_ms in (0, 12, 4) for step in range(200)
        )

        (row,) = datasette.rows(
            "/astraguard/p99_by_scenario_and_week", metric_type="fault_detection"
        )

        # The missed one is the last of 601.
        assert row["n"] == 601
        assert row["p99_ms"] == pytest.approx(durations[int(601 * 0.99)], rel=0.01)

    def test_runs_above_a_limit_are_those_two(self, datasette: Asked) -> None:
        rows = datasette.rows("/astraguard/runs_above_a_limit", **QUESTIONS["runs_above_a_limit"])

        assert [row["run_id"] for row in rows] == ["run_003", "run_002"]


class TestDatasetteFile:
    """`docs/datasette.yaml` names what there is."""

    def test_each_question_is_in_the_page(self) -> None:
        for name, question in OF_DATABASE["queries"].items():
            assert f"| {question['title']} | `/astraguard/{name}` |" in TEXT

    def test_it_names_all_tables_and_views(self, database: Path) -> None:
        with closing(sqlite3.connect(database)) as connection:
            names = connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            )
            there = {name for (name,) in names if not name.startswith("sqlite_")}

        assert set(OF_DATABASE["tables"]) == there

    def test_its_units_are_those_of_the_schema(self, database: Path) -> None:
        with closing(sqlite3.connect(database)) as connection:
            documented = {
                (view, column): SHOWN_UNITS[unit]
                for view, column, unit in connection.execute(
                    'SELECT object, "column", unit FROM schema_doc '
                    "WHERE kind = 'view' AND unit IS NOT NULL AND \"column\" <> ''"
                )
                if unit in SHOWN_UNITS
            }

        named = {
            (table, column): unit
            for table, texts in OF_DATABASE["tables"].items()
            for column, unit in texts.get("units", {}).items()
        }
        assert named == documented


class TestDuckDB:
    """DuckDB reads views in its own dialect: they have to mean the same there."""

    @pytest.mark.parametrize(
        "question",
        [
            "SELECT * FROM {}v_latency",
            "SELECT * FROM {}v_changes WHERE baseline = 'run_20_06' AND candidate = 'run_45_45'",
            "SELECT * FROM {}v_changes WHERE baseline = 'run_01_00' AND candidate = 'run_44_01'",
            "SELECT * FROM {}v_buckets",
            "SELECT * FROM {}v_artifacts",
        ],
    )
    def test_it_sees_in_a_view_what_sqlite_sees(
        self, store_of_all_counts: Path, question: str
    ) -> None:
        database = store_of_all_counts / "results" / "astraguard.db"
        home = store_of_all_counts / "home"
        with closing(sqlite3.connect(database)) as connection:
            expected = connection.execute(question.format("")).fetchall()

        with duckdb.connect(config={"home_directory": str(home)}) as duck:
            duck.execute(f"ATTACH '{database}' AS store (TYPE sqlite, READ_ONLY)")
            seen = duck.execute(question.format("store.")).fetchall()

        assert expected
        assert sorted(seen, key=repr) == sorted(expected, key=repr)
