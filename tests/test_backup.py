"""Copies of the database: of one moment, checked, and never over something."""

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import reference
from recordings import recorded

from astraguard_store import (
    DatabaseDamagedError,
    DatabaseError,
    RunRepository,
    StoreNotFoundError,
)

DATABASE = "astraguard.db"


@pytest.fixture
def store(results: Path) -> Path:
    """Give a closed store with three runs."""
    with RunRepository.open(results) as repository:
        for number in range(3):
            repository.save(f"run_{number}", recorded(10 + number))
    return results


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Name a copy that isn't there yet."""
    return tmp_path / "copies" / "copy.db"


@pytest.fixture(autouse=True)
def _folder_of_copies(target: Path) -> None:
    target.parent.mkdir()


def test_a_copy_has_all_runs(store: Path, target: Path, tmp_path: Path) -> None:
    with RunRepository.open(store) as repository:
        runs = [repository.get(header.run_id) for header in repository.recent()]
        repository.back_up(target)

    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(target, restored / DATABASE)
    with RunRepository.open(restored, read_only=True) as repository:
        assert [repository.get(run.run_id) for run in runs] == runs


def test_a_copy_is_one_file(store: Path, target: Path) -> None:
    with RunRepository.open(store) as repository:
        repository.save("run_3", recorded(5))
        repository.back_up(str(target))

    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_restored_copy_can_be_written(store: Path, target: Path) -> None:
    with RunRepository.open(store) as repository:
        repository.back_up(target)
        repository.save("run_3", recorded(5))
    (store / DATABASE).unlink()
    shutil.move(target, store / DATABASE)

    with RunRepository.open(store) as repository:
        repository.save("run_4", recorded(5))
        report = repository.check(fix=True)

    assert report.is_sound
    assert (report.mended[0].kind, report.mended[0].where) == ("missing_row", "run_3")


def test_copies_beside_a_writer_are_of_one_moment(
    store: Path, target: Path, in_background: Callable[[Callable[[], object]], None]
) -> None:
    saved = 0

    def save() -> None:
        nonlocal saved
        with RunRepository.open(store) as writer:
            writer.save(f"new_{saved}", recorded(3))
        saved += 1

    in_background(save)
    while saved < 3:
        time.sleep(0.01)
    counts = []
    with RunRepository.open(store, read_only=True) as repository:
        for number in range(10):
            copy = target.with_name(f"{number}.db")
            repository.back_up(copy)
            counts.append(rows_of(copy))

    assert all(runs == files / 2 == metrics / 3 for runs, files, metrics in counts)
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


def rows_of(copy: Path) -> list[int]:
    with closing(sqlite3.connect(copy)) as database:
        tables = ("runs", "artifacts", "statistics WHERE satellite_id = ''")
        return [
            database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables
        ]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_target_that_is_there_is_left_alone(store: Path, target: Path, read_only: bool) -> None:
    target.write_text("something dear")

    with (
        RunRepository.open(store, read_only=read_only) as repository,
        pytest.raises(DatabaseError, match="File exists"),
    ):
        repository.back_up(target)

    assert target.read_text() == "something dear"


def test_a_link_to_nowhere_is_not_followed(store: Path, target: Path) -> None:
    target.symlink_to(target.with_name("elsewhere"))

    with RunRepository.open(store) as repository, pytest.raises(DatabaseError):
        repository.back_up(target)

    assert not target.with_name("elsewhere").exists()


def test_a_folder_that_is_missing_is_an_error(store: Path, tmp_path: Path) -> None:
    with RunRepository.open(store) as repository, pytest.raises(DatabaseError, match="nowhere"):
        repository.back_up(tmp_path / "nowhere" / "copy.db")


def test_a_read_only_repository_copies_and_writes_nothing(store: Path, target: Path) -> None:
    before = reference.listing(store)

    with RunRepository.open(store, read_only=True) as repository:
        repository.back_up(target)

    assert reference.listing(store) == before
    assert rows_of(target)[0] == 3


def test_a_store_in_memory_can_be_copied(target: Path) -> None:
    with RunRepository.in_memory() as repository:
        repository.save("run", recorded(5))
        repository.back_up(target)

    assert rows_of(target)[0] == 1


def test_a_copy_of_a_damaged_database_is_refused_and_removed(store: Path, target: Path) -> None:
    with (store / DATABASE).open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"\0" * 4096)

    with (
        RunRepository.open(store, read_only=True) as repository,
        # Which of them depends on whether the opening meets the damage already.
        pytest.raises((DatabaseDamagedError, StoreNotFoundError)),
    ):
        repository.back_up(target)

    assert list(target.parent.iterdir()) == []


def test_where_folders_answer_there_is_nothing_to_copy(old_tree: Path, target: Path) -> None:
    with (
        RunRepository.open(old_tree, read_only=True) as repository,
        pytest.raises(StoreNotFoundError),
    ):
        repository.back_up(target)

    assert not target.exists()


def test_a_path_too_long_for_sqlite_is_an_error_that_names_it(store: Path, tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["x" * 100] * 6)
    folder.mkdir(parents=True)

    with (
        RunRepository.open(store) as repository,
        pytest.raises(DatabaseError, match=r"copy\.db: it can't be opened.*; .* too long"),
    ):
        repository.back_up(folder / "copy.db")

    assert list(folder.iterdir()) == []


def test_a_path_as_long_as_the_error_allows_will_do(store: Path, tmp_path: Path) -> None:
    folder = tmp_path
    # Room for a separator and "copy.db", and for the names that a copy has meanwhile.
    while (left := 500 - len(os.fsencode(folder)) - len("/copy.db-unfinished")) > 1:
        folder /= "x" * min(left - 1, 100)
    folder.mkdir(parents=True)

    with RunRepository.open(store) as repository:
        repository.back_up(folder / "copy.db")

    assert [path.name for path in folder.iterdir()] == ["copy.db"]


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_name_that_is_that_of_a_log_is_refused(store: Path, suffix: str) -> None:
    before = sorted(store.iterdir())

    with (
        RunRepository.open(store, read_only=True) as repository,
        pytest.raises(DatabaseError, match=f"name a file that doesn't end in.*{suffix}"),
    ):
        repository.back_up(store / f"copy{suffix}")

    assert sorted(store.iterdir()) == before


def test_a_copy_whose_other_name_cannot_be_removed_is_whole_and_said_to_have_it(
    store: Path, target: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:  # noqa: ARG001
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    with RunRepository.open(store) as repository, monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        repository.back_up(target)

    assert f"{target.name}-unfinished too" in caplog.text
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM runs").fetchone() == (3,)
