"""`check`: rows that another program changed are found, and nothing is made from them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from recordings import recorded

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
