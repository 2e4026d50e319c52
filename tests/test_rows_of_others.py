"""One row that another program wrote, such as no save writes: it stops no other run."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import DatabaseError, MetricsStorage, RunRepository


def change(results: Path, sql: str) -> None:
    with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute(sql)


@pytest.fixture
def two(results: Path) -> Path:
    """Return a store with the runs a and b."""
    with RunRepository.open(results, keep_measurements="database") as repository:
        repository.save("a", recorded(3))
        repository.save("b", recorded(3))
    return results


@pytest.mark.parametrize(
    "refused",
    [
        "UPDATE runs SET state = 'lost'",
        "UPDATE runs SET git_dirty = 2",
        "UPDATE runs SET save_sha256 = 'short'",
        "UPDATE measurements SET missed = 5",
        "UPDATE measurements SET duration_ms = 9e999",
    ],
)
def test_a_merge_refuses_it_and_takes_the_others(two: Path, tmp_path: Path, refused: str) -> None:
    change(two, f"{refused} WHERE run_id = 'a'")

    with RunRepository.open(tmp_path / "here") as repository:
        report = repository.merge(two)
        names = [header.run_id for header in repository.recent()]
        is_sound = repository.check().is_sound

    assert [run_id for run_id, _ in report.refused] == ["a"]
    assert report.merged == tuple(names) == ("b",)
    assert is_sound


@pytest.mark.parametrize(
    "ask",
    [
        lambda repository: [p.run_id for p in repository.history("fault_detection").points],
        lambda repository: [r.run_id for r in repository.distribution("fault_detection").runs],
    ],
    ids=["history", "distribution"],
)
@pytest.mark.parametrize("column", ["started_at_us", "finished_at_us"])
def test_a_time_of_no_calendar_is_left_out_and_named(
    two: Path,
    ask: Callable[[RunRepository], list[str]],
    column: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    change(two, f"UPDATE runs SET {column} = 1 << 62 WHERE run_id = 'a'")

    with RunRepository.open(two, read_only=True) as repository, caplog.at_level(logging.WARNING):
        found = ask(repository)

    assert found == ["b"]
    assert "run 'a' has a time in its row that is no date" in caplog.text


def test_a_name_with_a_nul_is_left_out_by_the_drop_in(two: Path) -> None:
    change(two, "PRAGMA foreign_keys = OFF")
    change(two, "UPDATE runs SET run_id = 'a' || char(0) WHERE run_id = 'a'")

    assert MetricsStorage.get_recent_runs(two) == ["b"]


@pytest.mark.parametrize(
    "nul",
    [
        "UPDATE runs SET live_token = char(0)",
        "UPDATE artifacts SET path = 'a' || char(0)",
    ],
)
def test_a_nul_in_it_ends_neither_check_nor_a_list(two: Path, nul: str) -> None:
    change(two, f"{nul} WHERE run_id = 'a'")

    with RunRepository.open(two, read_only=True) as repository:
        report = repository.check()
        points = repository.history("fault_detection").points

    assert not report.is_sound
    assert "b" in {point.run_id for point in points}


def test_buckets_that_are_none_are_an_error_that_names_the_run(two: Path) -> None:
    change(two, "UPDATE buckets SET counts = '{' WHERE run_id = 'a'")

    with (
        RunRepository.open(two, read_only=True) as repository,
        pytest.raises(DatabaseError, match="in run 'a'"),
    ):
        repository.distribution("fault_detection")
