"""`check`: rows that another program changed are found, and nothing is made from them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from recordings import recorded
from seen_sql import seen_sql

from astraguard_store import DatabaseDamagedError, DatabaseError, RunRepository

CHANGES = [
    "UPDATE statistics SET mean_ms = mean_ms + 1",
    "UPDATE runs SET total_measurements = 1",
    "UPDATE runs SET utc_offset_s = 3600 - utc_offset_s",
    "UPDATE runs SET recorded_at_us = 4611686018427387904",
    "DELETE FROM statistics WHERE satellite_id > ''",
    "DELETE FROM artifacts WHERE kind = 'raw_csv'",
    "UPDATE artifacts SET rows = rows + 1 WHERE kind = 'raw_csv'",
    "UPDATE buckets SET counts = json_set(counts, '$[0][2]', 99)",
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fix", [False, True])
def test_rows_that_contradict_the_files_stay_a_fault(
    results: Path, change: str, fix: bool
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(10))
    with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
        database.execute(change)

    with RunRepository.open(results) as repository:
        report = repository.check(fix=fix)

    assert "rows_disagree" in {finding.kind for finding in report.findings}


def test_measurements_of_what_has_no_statistics_are_an_error_of_the_store(results: Path) -> None:
    with RunRepository.open(results, keep_measurements="database") as repository:
        repository.save("run", recorded(10))
    with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
        database.execute("DELETE FROM statistics")

    with (
        RunRepository.open(results) as repository,
        pytest.raises(DatabaseError, match="statistics know nothing of"),
    ):
        repository.measurements("run")


def test_a_schema_that_is_no_text_is_an_error_of_the_store(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(10))
    database = results / "astraguard.db"
    content = database.read_bytes()
    assert b"CREATE TABLE statistics" in content
    database.write_bytes(
        content.replace(b"CREATE TABLE statistics", b"CREATE T\xffBLE statistics")
    )

    with pytest.raises(DatabaseDamagedError, match=r"malformed|no text"):
        RunRepository.open(results)


def _saved(results: Path, runs: int) -> None:
    with RunRepository.open(results, durability="normal") as repository:
        repository.save_many((f"run_{number:03d}", recorded(2)) for number in range(runs))


def test_one_run_that_is_no_text_is_told_apart_from_those_that_are_read_with_it(
    results: Path,
) -> None:
    _saved(results, 60)
    with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
        database.execute(
            "UPDATE runs SET error = CAST(x'ff' AS TEXT) WHERE run_id IN ('run_007', 'run_055')"
        )

    with RunRepository.open(results) as repository:
        report = repository.check()

    assert [f.where for f in report.findings if f.severity == "fault"] == ["run_007", "run_055"]
    assert report.runs == 60


def test_a_check_asks_once_for_the_rows_of_many_runs(results: Path) -> None:
    _saved(results, 100)
    with seen_sql() as seen, RunRepository.open(results) as repository:
        statements = seen.during(repository.check)

    of_runs = [text for text in statements if "BETWEEN" in text and "measurements." not in text]
    # A statement a table for each fifty runs.
    assert len(of_runs) == 2 * len({text.partition("WHERE")[0] for text in of_runs})


def test_a_run_that_is_saved_while_it_is_checked_is_looked_at_again(results: Path) -> None:
    _saved(results, 3)
    with (
        RunRepository.open(results) as other,
        seen_sql() as seen,
        RunRepository.open(results) as repository,
    ):

        def save_again(done: int, _: int) -> None:
            # The rows of all three have been read by then.
            if done == 1:
                other.save("run_002", recorded(5))
                other.delete("run_001")

        report = repository.check(progress=save_again)

    assert [f for f in report.findings if f.severity == "fault"] == []
    assert (report.runs, report.files) == (2, 4)
    assert [s for s in seen.statements if "BETWEEN 'run_002' AND 'run_002'" in s]
