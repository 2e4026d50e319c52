"""What the store's own files and folders are is no place for what it is asked to make."""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import ArtifactWriteError, DatabaseError, RunRepository
from astraguard_store.store.schema_versions import restore_backup

DATABASE = "astraguard.db"


@pytest.fixture
def repository(results: Path) -> RunRepository:
    """Give a store with one run."""
    repository = RunRepository.open(results)
    repository.save("run", recorded(3))
    return repository


@pytest.mark.parametrize(
    "name",
    [
        f"{DATABASE}.lock2",
        f"{DATABASE}-wal2",
        f"{DATABASE}-restored",
        ".staging/x.db",
        "run/latency_raw.csv.gz",
    ],
)
def test_a_backup_is_not_made_under_a_name_of_the_store(
    repository: RunRepository, results: Path, name: str
) -> None:
    with repository, pytest.raises(DatabaseError, match="elsewhere"):
        repository.back_up(results / name)

    assert not (results / name).exists()


@pytest.mark.parametrize("name", ["new", "run/new", "run/latency_raw.parquet", ".staging/x.zip"])
def test_an_export_is_not_made_where_it_would_be_taken_for_a_run_or_its_file(
    repository: RunRepository, results: Path, name: str
) -> None:
    with repository, pytest.raises(ArtifactWriteError, match="elsewhere"):
        repository.export(["run"], results / name)

    assert not (results / name).exists()


@pytest.mark.parametrize("name", [".", "lake", "run"])
def test_a_dataset_is_not_made_among_the_runs(
    repository: RunRepository, results: Path, name: str
) -> None:
    with repository, pytest.raises(ArtifactWriteError, match="elsewhere"):
        repository.export(["run"], results / name, dataset=True)

    assert {path.name for path in results.iterdir() if path.is_dir()} == {".staging", "run"}


def test_raw_measurements_are_not_pushed_among_the_runs(
    repository: RunRepository, results: Path
) -> None:
    with repository, pytest.raises(ArtifactWriteError, match="elsewhere"):
        repository.push("postgresql://nobody@localhost:1/none", raw=results / "lake")


@pytest.mark.parametrize("name", ["", "-restored", "-restored-unfinished", "-wal"])
def test_a_backup_under_a_name_that_restoring_replaces_is_refused_and_stays(
    repository: RunRepository, results: Path, tmp_path: Path, name: str
) -> None:
    repository.back_up(tmp_path / "backup.db")
    repository.close()
    backup = results / f"{DATABASE}{name}"
    if name:
        (tmp_path / "backup.db").rename(backup)
    before = backup.read_bytes()

    with pytest.raises(DatabaseError, match="copy it to another name"):
        restore_backup(results, backup)

    assert backup.read_bytes() == before


def test_a_second_name_of_what_restoring_replaces_is_refused_too(
    repository: RunRepository, results: Path, tmp_path: Path
) -> None:
    repository.back_up(tmp_path / "backup.db")
    repository.close()
    (tmp_path / "backup.db").rename(results / f"{DATABASE}-restored")
    (tmp_path / "link.db").symlink_to(results / f"{DATABASE}-restored")

    with pytest.raises(DatabaseError, match="copy it to another name"):
        restore_backup(results, tmp_path / "link.db")

    assert (results / f"{DATABASE}-restored").exists()
