"""The id that a results folder and its database share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import MetricsStorage, RunRepository, StoreMismatchError

DATABASE = "astraguard.db"
ID = "astraguard.db.id"


def saved(folder: Path, run_id: str = "run_1") -> Path:
    """Return *folder* with a store in it that holds one run."""
    with RunRepository.open(folder) as repository:
        repository.save(run_id, recorded(5))
    return folder


def move_database(there: Path, here: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (here / f"{DATABASE}{suffix}").unlink(missing_ok=True)
    shutil.copy(there / DATABASE, here / DATABASE)


def test_two_stores_have_different_ids(tmp_path: Path) -> None:
    ids = {(saved(tmp_path / name) / ID).read_text() for name in ("a", "b")}

    assert len(ids) == 2


@pytest.mark.parametrize("read_only", [False, True])
def test_a_database_beside_another_stores_folder_is_refused(
    tmp_path: Path, read_only: bool
) -> None:
    here, there = saved(tmp_path / "here"), saved(tmp_path / "there")
    move_database(there, here)

    with pytest.raises(StoreMismatchError, match="another store"):
        RunRepository.open(here, read_only=read_only)


def test_the_drop_in_answers_from_the_folders_then(tmp_path: Path) -> None:
    here, there = saved(tmp_path / "here"), saved(tmp_path / "there", "other")
    move_database(there, here)

    assert MetricsStorage.get_recent_runs(here) == ["run_1"]


def test_a_database_that_is_rebuilt_takes_the_folders_id(tmp_path: Path) -> None:
    folder = saved(tmp_path / "results")
    before = (folder / ID).read_text()
    (folder / DATABASE).unlink()

    with RunRepository.open(folder) as repository:
        found = repository.get("run_1")

    assert found.run_id == "run_1"
    assert (folder / ID).read_text() == before


def test_a_folder_without_an_id_takes_the_databases(tmp_path: Path) -> None:
    folder = saved(tmp_path / "results")
    before = (folder / ID).read_text()
    (folder / ID).unlink()

    RunRepository.open(folder).close()

    assert (folder / ID).read_text() == before


def test_reading_makes_no_id(tmp_path: Path) -> None:
    folder = saved(tmp_path / "results")
    (folder / ID).unlink()

    with RunRepository.open(folder, read_only=True) as repository:
        repository.recent()

    assert not (folder / ID).exists()


def test_a_copied_store_is_still_one(tmp_path: Path) -> None:
    folder = saved(tmp_path / "results")
    shutil.copytree(folder, tmp_path / "copy")

    with RunRepository.open(tmp_path / "copy") as repository:
        assert repository.get("run_1").run_id == "run_1"


def test_an_id_that_is_none_is_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "results")
    (folder / ID).write_text("hello\n")

    with pytest.raises(StoreMismatchError, match="hello"):
        RunRepository.open(folder)
