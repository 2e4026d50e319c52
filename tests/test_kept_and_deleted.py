"""A save that was kept is its user's data: deleting the run meanwhile doesn't take it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import reference
from observing import assert_files_agree, locked_by_a_tool
from recordings import recorded

from astraguard_store import DatabaseBusyError, RunNotFoundError, RunRepository

NAME = "astraguard.db"
MARKER = "run~0123456789abcdef.delete"


@pytest.fixture(params=[None, "gzip"], ids=["plain before", "gzip before"])
def store(request: pytest.FixtureRequest, results: Path) -> Path:
    """Give a closed store whose `run` has 30 measurements, and 60 in a save that was kept."""
    with RunRepository.open(results, compression=request.param) as repository:
        repository.save("run", recorded(10))
    with (
        RunRepository.open(results, busy_timeout_s=0.3) as repository,
        locked_by_a_tool(results),
        pytest.raises(DatabaseBusyError),
    ):
        repository.save("run", recorded(20))
    return results


def delete_without_recovery(results: Path) -> None:
    """Delete `run` as a process does that opened the store before the save was kept."""
    aside = results.parent / "aside"
    staging = results / ".staging"
    staging.rename(aside)
    with RunRepository.open(results) as repository:
        repository.delete("run")
    for path in aside.iterdir():
        path.rename(staging / path.name)


def assert_adopted_alone(results: Path) -> None:
    with RunRepository.open(results) as repository:
        run = repository.get("run")

    assert (run.revision, run.total_measurements) == (1, 60)
    assert assert_files_agree(results / "run") == 60
    names = {path.name for path in (results / "run").iterdir()}
    assert names == {reference.RAW, reference.SUMMARY}
    assert list((results / ".staging").iterdir()) == []


def test_the_next_opening_adopts_it_though_the_run_was_deleted(store: Path) -> None:
    delete_without_recovery(store)
    assert not (store / "run").exists()

    assert_adopted_alone(store)


def test_it_is_adopted_whole_where_the_deletion_was_killed_before_its_files_went(
    store: Path,
) -> None:
    (store / ".staging" / MARKER).touch()
    with closing(sqlite3.connect(store / NAME)) as tool, tool:
        tool.execute("PRAGMA foreign_keys = ON")
        tool.execute("DELETE FROM runs WHERE run_id = 'run'")

    assert_adopted_alone(store)


def test_once_it_is_adopted_it_can_be_deleted_for_good(store: Path) -> None:
    with RunRepository.open(store) as repository:
        repository.delete("run")

    with RunRepository.open(store) as repository, pytest.raises(RunNotFoundError):
        repository.get("run")
    assert not (store / "run").exists()
