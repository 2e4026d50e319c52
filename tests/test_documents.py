"""The copy of a run's rows that is read instead of them: exact, and never stale."""

from __future__ import annotations

import copy
import json
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from recordings import recorded, save
from test_check import check, faults, mended, run_all_sql

from astraguard_store import LatencyCollector, MetricSummary, RunRepository, RunSummary
from astraguard_store.database.documents import decode, document_state, encode, parts_of
from astraguard_store.database.runs import load_run, load_run_of_rows
from astraguard_store.store.schema_versions import upgrade_schema

DATABASE = "astraguard.db"


def uneven() -> LatencyCollector:
    """Record other types on each satellite, hundreds of them, and missed ones."""
    collector = LatencyCollector()
    for i in range(300):
        collector.record_fault_detection(f"SAT-{i % 2}", i / 10, 1000 / (i + 3))
        collector.record_recovery_action("SAT-2 \u885b\u661f", i / 10, i / 7)
    collector.record_agent_decision("SAT-0", 1.0, 0.0)
    for i in range(200):
        collector.record_missed("fault_detection", "SAT-1", i / 10, 500 / (i + 3))
    return collector


COLLECTORS = {
    "one": lambda: recorded(1),
    "ten": lambda: recorded(10),
    "thousands": lambda: recorded(4_000),
    "uneven": uneven,
}

NUMBERS = (3, 1.0, 2.0, 3.0, 4.0, 0.5, 5.0)
ROWS = [("run", "", "a", 0, *NUMBERS, 0), ("run", "", "b", 1, *NUMBERS, 1)]
BELOW = [
    ("run", "S", "a", 0, *NUMBERS, 0),
    ("run", "T", "b", 1, *NUMBERS, 1),
    ("run", "T", "a", 2, *NUMBERS, 0),
]
FILE = ("run", "raw_csv", "run/latency_raw.csv", 1, None, 3)


def encoded(statistics: list[tuple[Any, ...]], files: list[tuple[Any, ...]]) -> bytes | None:
    return encode("run", parts_of(statistics, [(*file, None) for file in files]))


DOCUMENT = encoded([*ROWS, *BELOW], [FILE]) or b""


@pytest.fixture
def repository(results: Path) -> Iterator[RunRepository]:
    with RunRepository.open(results) as repository:
        repository.save("a", recorded(10))
        repository.save("b", recorded(10), tags={"week": "47", "pinned": ""})
        yield repository


@pytest.fixture
def tool(repository: RunRepository) -> Iterator[sqlite3.Connection]:
    """Give the connection of another program."""
    assert repository.database_path is not None
    connection = sqlite3.connect(repository.database_path, isolation_level=None)
    with closing(connection):
        connection.execute("PRAGMA foreign_keys=ON")
        yield connection


def documents(connection: sqlite3.Connection) -> dict[str, bytes]:
    return dict(connection.execute("SELECT run_id, document FROM run_documents"))


def assert_read_as_its_rows(connection: sqlite3.Connection, run_id: str) -> None:
    by_document = load_run(connection, run_id)
    by_rows = load_run_of_rows(connection, run_id)
    assert by_document == by_rows
    assert by_document is not None
    assert by_rows is not None
    # In the same order, and the same to the sign of a zero.
    assert repr(by_document.summary.metrics) == repr(by_rows.summary.metrics)
    assert repr(by_document.summary.satellites) == repr(by_rows.summary.satellites)


class TestExactness:
    """A document tells what the rows tell."""

    @pytest.mark.parametrize("name", COLLECTORS)
    def test_what_is_read_is_what_the_rows_say(
        self, repository: RunRepository, tool: sqlite3.Connection, name: str
    ) -> None:
        repository.save("run", COLLECTORS[name]())

        assert "run" in documents(tool)
        assert_read_as_its_rows(tool, "run")

    @pytest.mark.parametrize("compression", ["gzip", None])
    def test_files_are_told_however_they_are_compressed(
        self, repository: RunRepository, tool: sqlite3.Connection, compression: str | None
    ) -> None:
        assert repository.results_dir is not None
        with RunRepository.open(
            repository.results_dir,
            compression=compression,  # type: ignore[arg-type]
            keep_measurements="parquet",
        ) as other:
            other.save("run", recorded(10))

        assert "run" in documents(tool)
        assert_read_as_its_rows(tool, "run")

    @pytest.mark.parametrize(
        "copied", [copy.copy, copy.deepcopy, lambda run: pickle.loads(pickle.dumps(run))]
    )
    def test_satellites_that_nobody_has_looked_at_copy_and_pickle(
        self, copied: Callable[[RunSummary], RunSummary]
    ) -> None:
        with RunRepository.in_memory() as fresh:
            fresh.save("a", uneven())
            run = fresh.get("a")

        other = copied(run)

        assert other == run
        assert hash(other) == hash(run)

    def test_minus_zero_is_read_as_the_rows_have_it(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        collector = LatencyCollector()
        collector.record_fault_detection("SAT001", 0.0, -0.0)
        repository.save("run", collector)

        assert_read_as_its_rows(tool, "run")

    def test_a_document_of_another_format_is_not_read(self) -> None:
        assert decode("run", b"") is None
        assert decode("run", b"\1" + DOCUMENT[1:]) is None
        assert decode("run", DOCUMENT[:1] + b"\3" + DOCUMENT[2:]) is None

    @given(st.integers(0, len(DOCUMENT) - 1), st.integers(1, 255))
    def test_a_document_with_a_changed_byte_is_not_read(self, place: int, flipped: int) -> None:
        damaged = bytearray(DOCUMENT)
        damaged[place] ^= flipped

        assert decode("run", bytes(damaged)) is None

    @given(st.integers(0, len(DOCUMENT) - 1))
    def test_a_torn_document_is_not_read(self, length: int) -> None:
        assert decode("run", DOCUMENT[:length]) is None

    def test_a_document_with_more_bytes_behind_it_is_not_read(self) -> None:
        assert decode("run", DOCUMENT + b"\0") is None

    @pytest.mark.parametrize("sha256", [None, "0" * 64, "0" * 63 + "1"])
    def test_a_hash_is_read_as_the_row_has_it(self, sha256: str | None) -> None:
        file = ("run", "raw_csv", "run/latency_raw.csv", 1, sha256, 3)

        parts = decode("run", encoded([ROWS[0], BELOW[0]], [file]) or b"")

        assert parts is not None
        assert parts.artifacts == (file[1:],)

    @pytest.mark.parametrize("sha256", ["", "0" * 62, "A" * 64, "0" * 63 + "x"])
    def test_a_hash_that_no_save_writes_is_not_copied(self, sha256: str) -> None:
        file = ("run", "raw_csv", "run/latency_raw.csv", 1, sha256, 3)

        assert encoded([ROWS[0], BELOW[0]], [file]) is None

    def test_a_file_of_another_folder_is_not_copied(self) -> None:
        file = ("run", "raw_csv", "other/latency_raw.csv", 1, None, 3)

        assert encoded([*ROWS, *BELOW], [file]) is None

    def test_a_satellite_with_a_type_that_the_run_has_not_is_not_copied(self) -> None:
        below = ("run", "SAT", "c", 0, *NUMBERS, 0)

        assert encoded([*ROWS, below], []) is None

    def test_rows_without_what_an_old_summary_file_lacks_are_copied(self) -> None:
        below = ("run", "SAT", "a", 0, 3, 1.0, 2.0, 3.0, None, None, 5.0, 0)

        parts = decode("run", encoded([*ROWS, below], []) or b"")

        assert parts is not None
        assert parts.satellites["SAT"]["a"] == MetricSummary(*below[4:])


class TestCoherence:
    """Whoever changes a row, the next reader sees it."""

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE statistics SET mean_ms = mean_ms + 1 WHERE run_id = 'a'",
            "UPDATE statistics SET p95_ms = 9e9 WHERE run_id = 'a' AND satellite_id = 'SAT001'",
            "UPDATE artifacts SET bytes = bytes + 1 WHERE run_id = 'a'",
            "DELETE FROM statistics WHERE run_id = 'a' AND satellite_id = '' AND position = 1",
            "DELETE FROM statistics WHERE run_id = 'a' AND satellite_id > '' AND position = 1",
            "DELETE FROM artifacts WHERE run_id = 'a'",
            "INSERT INTO statistics VALUES ('a', '', 'new', 9, 1, 1, 1, 1, 1, 1, 1, 0)",
            "INSERT INTO statistics VALUES ('a', 'S', 'n', 9, 1, 1, 1, 1, 1, 1, 1, 0)",
            "INSERT INTO artifacts VALUES ('a', 'raw_parquet', 'a/x', 1, NULL, NULL, NULL)",
            """
            INSERT OR REPLACE INTO statistics
            SELECT run_id, satellite_id, metric_type, position, count, 7, 7, 7, 7, 7, 7, 0
            FROM statistics WHERE run_id = 'a'
            """,
        ],
    )
    def test_a_row_changed_by_another_program_is_seen_at_once(
        self, repository: RunRepository, tool: sqlite3.Connection, change: str
    ) -> None:
        before = repository.get("a")

        tool.execute(change)

        after = repository.get("a")
        assert after != before
        stored = load_run_of_rows(tool, "a")
        assert stored is not None
        assert after == stored.summary
        assert set(documents(tool)) == {"b"}

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE runs SET total_measurements = 7, scenario = 'x' WHERE run_id = 'b'",
            "INSERT INTO run_tags VALUES ('b', 'new', 'tag')",
            "DELETE FROM run_tags WHERE run_id = 'b'",
        ],
    )
    def test_what_a_document_does_not_copy_is_read_beside_it(
        self, repository: RunRepository, tool: sqlite3.Connection, change: str
    ) -> None:
        before = repository.get("b")

        tool.execute(change)

        assert repository.get("b") != before
        assert set(documents(tool)) == {"a", "b"}
        assert_read_as_its_rows(tool, "b")

    def test_rows_moved_to_another_run_drop_both_documents(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        tool.execute("DELETE FROM artifacts WHERE run_id = 'b'")
        repository.save("b", recorded(10))
        tool.execute("DELETE FROM statistics WHERE run_id = 'b'")
        tool.execute("UPDATE statistics SET run_id = 'b' WHERE run_id = 'a'")

        assert documents(tool) == {}

    def test_a_deleted_run_leaves_no_document(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        repository.delete("a")

        assert set(documents(tool)) == {"b"}

    def test_a_run_saved_again_has_the_document_of_the_new_rows(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        repository.save("a", recorded(99))

        assert document_state(tool, "a") == "right"
        assert repository.get("a").total_measurements == 3 * 99

    def test_merged_and_imported_runs_have_documents(
        self, repository: RunRepository, tool: sqlite3.Connection, tmp_path: Path
    ) -> None:
        with RunRepository.open(tmp_path / "other") as other:
            other.save("c", recorded(10))
        repository.merge(tmp_path / "other")

        assert document_state(tool, "c") == "right"
        assert_read_as_its_rows(tool, "c")


class TestCheck:
    """What `check` finds, and mends."""

    def test_a_wrong_document_is_found_and_written_anew(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save("a", recorded(10))
            repository.save("b", recorded(11))
        with closing(sqlite3.connect(results / DATABASE, isolation_level=None)) as tool:
            (of_b,) = tool.execute(
                "SELECT document FROM run_documents WHERE run_id = 'b'"
            ).fetchone()
            tool.execute("UPDATE run_documents SET document = ? WHERE run_id = 'a'", (of_b,))

        assert faults(check(results)) == [("wrong_document", "a")]
        assert mended(check(results, fix=True)) == [("wrong_document", "a")]
        assert faults(check(results)) == []

    def test_a_wrong_document_is_not_written_into_a_summary(self, results: Path) -> None:
        with RunRepository.open(results, compression="gzip") as repository:
            repository.save("a", recorded(10))
            repository.save("b", recorded(11))
            right = repository.read_document("a")
        with closing(sqlite3.connect(results / DATABASE, isolation_level=None)) as tool:
            (of_b,) = tool.execute(
                "SELECT document FROM run_documents WHERE run_id = 'b'"
            ).fetchone()
            tool.execute("UPDATE run_documents SET document = ? WHERE run_id = 'a'", (of_b,))
        (results / "a" / "latency_summary.json.gz").unlink()

        check(results, fix=True)

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.read_document("a", afresh=True) == right
        assert faults(check(results)) == []

    def test_an_upgraded_store_gets_its_documents_by_fix(self, results: Path) -> None:
        results.mkdir()
        stored = reference.TESTS / "databases" / "0002.sqlite"
        (results / DATABASE).write_bytes(stored.read_bytes())
        upgrade_schema(results)
        with RunRepository.open(results, read_only=True) as repository:
            before = {run.run_id: repository.get(run.run_id) for run in repository.recent(99)}

        check(results, fix=True)

        with closing(sqlite3.connect(results / DATABASE)) as connection:
            assert documents(connection)
            for run_id, summary in before.items():
                found = load_run(connection, run_id)
                assert found is not None
                assert found.summary == summary

    @pytest.fixture
    def old_format(self, results: Path) -> Path:
        """Give a store whose documents are all of format 1, in tables of today."""
        results.mkdir()
        stored = reference.TESTS / "databases" / "0003.sqlite"
        with closing(sqlite3.connect(stored)) as connection:
            packed = documents(connection)
        (results / DATABASE).write_bytes(stored.read_bytes())
        upgrade_schema(results)
        with closing(sqlite3.connect(results / DATABASE)) as connection:
            connection.executemany(
                "UPDATE run_documents SET document = ? WHERE run_id = ?",
                [(document, run_id) for run_id, document in packed.items()],
            )
            connection.commit()
            assert {document[0] for document in documents(connection).values()} == {1}
        return results

    def test_runs_with_documents_of_the_old_format_are_read(self, old_format: Path) -> None:
        told = json.loads((reference.TESTS / "databases" / "0003.json").read_text())

        with RunRepository.open(old_format, read_only=True) as repository:
            found = {run.run_id: repository.get(run.run_id) for run in repository.recent(99)}

        assert found.keys() == told["runs"].keys()
        with closing(sqlite3.connect(old_format / DATABASE)) as connection:
            for run_id, summary in found.items():
                by_rows = load_run_of_rows(connection, run_id)
                assert by_rows is not None
                assert summary == by_rows.summary

    def test_documents_of_the_old_format_are_no_fault_and_renewed_by_fix(
        self, old_format: Path
    ) -> None:
        def states() -> set[str]:
            with closing(sqlite3.connect(old_format / DATABASE)) as connection:
                return {document_state(connection, run_id) for run_id in documents(connection)}

        before = check(old_format)
        stale = states()
        check(old_format, fix=True)

        assert "wrong_document" not in {finding.kind for finding in before.findings}
        assert stale == {"missing"}
        assert states() == {"right"}

    def test_a_run_saved_again_over_one_of_the_old_format_has_a_new_document(
        self, old_format: Path
    ) -> None:
        with RunRepository.open(old_format) as repository:
            run_id = repository.recent(1)[0].run_id
            repository.save(run_id, recorded(10))

        with closing(sqlite3.connect(old_format / DATABASE)) as connection:
            assert document_state(connection, run_id) == "right"


def test_a_summary_that_another_program_gave_another_name_hinders_nobody(results: Path) -> None:
    with RunRepository.open(results) as repository:
        saved = repository.save("a", recorded(5))
        run_all_sql(
            results, "UPDATE artifacts SET path = 'a/other.json' WHERE kind = 'summary_json'"
        )

        assert repository.get("a").metrics == saved.metrics
        assert faults(repository.check()) == [("missing_file", "a/other.json")]
        repository.delete("a")
        assert repository.recent() == []


@pytest.mark.parametrize("condition", ["1", "kind = 'summary_json'"])
def test_a_summary_that_is_noted_no_more_is_read_from_its_file(
    condition: str, results: Path
) -> None:
    storage = save(results, "run_1", recorded(5))
    with closing(sqlite3.connect(results / "astraguard.db")) as tool, tool:
        tool.execute(f"DELETE FROM artifacts WHERE {condition}")
    summary = results / "run_1" / "latency_summary.json"
    summary.write_text('{"run_id": "run_1", "edited": true}')

    assert storage.get_run_metrics() == {"run_id": "run_1", "edited": True}
