"""A database that is damaged, gone, or no database: writers are told, readers are answered."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from astraguard_store import DatabaseDamagedError, MetricsStorage, RunRepository, StoreError

from .audit import DATABASE
from .children import Children
from .report import Finding, Harm, Table
from .savers import recording

RUNS = ["run_c", "run_b", "run_a"]
PAGE_BYTES = 4096


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a results folder with three runs, its store closed."""
    results = tmp_path / "results"
    with RunRepository.open(results) as repository:
        for number, run_id in enumerate(reversed(RUNS)):
            repository.save(run_id, recording(number + 1))
    return results


def zero_the_magic(database: Path) -> None:
    with database.open("r+b") as file:
        file.write(b"\0" * 16)


def fill_with_noise(database: Path) -> None:
    database.write_bytes(random.Random(1).randbytes(database.stat().st_size))


def fill_pages_with_noise(database: Path) -> None:
    """Leave the first page, which holds the schema."""
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(random.Random(2).randbytes(size - PAGE_BYTES))


def cut_in_half(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2 + 100)


def empty(database: Path) -> None:
    os.truncate(database, 0)


def make_another_format(database: Path) -> None:
    database.write_text("run_id,mean\nrun_a,1.0\n" * 500)


def make_a_folder(database: Path) -> None:
    database.unlink()
    database.mkdir()


UNREADABLE = [zero_the_magic, fill_with_noise, make_another_format, make_a_folder, empty]
DAMAGES = [*UNREADABLE, fill_pages_with_noise, cut_in_half]


def content(database: Path) -> object:
    """Describe a database that nobody has open."""
    if database.is_dir():
        return sorted(path.name for path in database.iterdir())
    return hashlib.sha256(database.read_bytes()).hexdigest()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_writer_is_refused_and_the_file_is_left_alone(
    damage: Callable[[Path], None], store: Path
) -> None:
    damage(store / DATABASE)
    before = content(store / DATABASE)

    with pytest.raises(DatabaseDamagedError), RunRepository.open(store) as repository:
        repository.save("run_d", recording(4))

    assert content(store / DATABASE) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_facade_answers_from_the_folders(damage: Callable[[Path], None], store: Path) -> None:
    damage(store / DATABASE)
    before = content(store / DATABASE)

    recent = MetricsStorage.get_recent_runs(str(store))
    metrics = MetricsStorage("run_b", str(store)).get_run_metrics()

    assert recent == RUNS
    assert metrics is not None
    assert metrics["stats"]["fault_detection"]["max_ms"] == 2
    assert content(store / DATABASE) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_facades_save_fails_typed_or_keeps_the_files(
    damage: Callable[[Path], None], store: Path
) -> None:
    damage(store / DATABASE)
    before = content(store / DATABASE)

    with pytest.raises(StoreError):
        MetricsStorage("run_d", str(store)).save_latency_stats(recording(4))

    assert content(store / DATABASE) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_read_only_opening_answers_from_the_folders(
    damage: Callable[[Path], None], store: Path
) -> None:
    damage(store / DATABASE)

    try:
        with RunRepository.open(store, read_only=True) as repository:
            recent = [header.run_id for header in repository.recent()]
            summary = repository.get("run_b")
    except DatabaseDamagedError:
        assert damage not in UNREADABLE  # found out only while reading
        return

    assert recent == RUNS
    assert summary.metrics["fault_detection"].max_ms == 2


@pytest.mark.parametrize("damage", [cut_in_half, fill_with_noise, empty])
def test_damage_under_an_open_store_is_a_typed_error(
    damage: Callable[[Path], None], store: Path, children: Children
) -> None:
    with RunRepository.open(store) as repository:
        repository.get("run_a")
        # By another program: in this one, an open() would drop SQLite's locks.
        assert children.run(damage, store / DATABASE) == 0

        with pytest.raises(StoreError):
            save_and_read_all(repository)


def overwrite_log(database: Path) -> None:
    fill_with_noise_in_place(database.with_name(f"{DATABASE}-wal"))


def cut_log(database: Path) -> None:
    log = database.with_name(f"{DATABASE}-wal")
    os.truncate(log, log.stat().st_size - 100)


def remove_log(database: Path) -> None:
    database.with_name(f"{DATABASE}-wal").unlink()


def fill_with_noise_in_place(file: Path) -> None:
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.write(random.Random(3).randbytes(size))


LONG = [pytest.mark.torture, pytest.mark.timeout(900)]


@pytest.mark.parametrize("others_save", [False, True])
@pytest.mark.parametrize("times", [1, pytest.param(20, marks=LONG)])
def test_no_save_returns_into_a_database_that_another_program_damaged(
    times: int, others_save: bool, tmp_path: Path, children: Children, table: Table
) -> None:
    tally = table.row("damaged while it is open")
    files = [zero_the_magic, fill_with_noise_in_place, empty]
    for number, damage in enumerate([*files, overwrite_log, cut_log, remove_log] * times):
        results = tmp_path / str(number)
        with RunRepository.open(results) as repository:
            repository.save("run_a", recording(1))
            if others_save:
                assert children.run(save_one, results) == 0
            assert children.run(damage, results / DATABASE) == 0

            try:
                repository.save("run_b", recording(2))
            except DatabaseDamagedError as error:
                left = [path for path in error.kept if path.exists()]
                tally.add([] if left else [Finding(Harm.LOST, f"{damage.__name__}: no file kept")])
            else:
                tally.add([Finding(Harm.LOST, f"{damage.__name__}: the save returned")])
    tally.check()


def save_one(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("run_c", recording(3))


def save_and_read_all(repository: RunRepository) -> None:
    for number in range(50):
        repository.save(f"run{number}", recording(4))
    for header in repository.recent(1000):
        repository.get(header.run_id)


def test_a_database_deleted_under_an_open_store_is_a_typed_error(store: Path) -> None:
    with RunRepository.open(store) as repository:
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (store / name).unlink(missing_ok=True)

        with pytest.raises(StoreError):
            repository.save("run_d", recording(4))


def test_a_folder_removed_under_an_open_store_is_a_typed_error(store: Path) -> None:
    with RunRepository.open(store) as repository:
        shutil.rmtree(store)

        with pytest.raises(StoreError):
            repository.save("run_d", recording(4))

        assert not store.exists() or not (store / DATABASE).exists()


def test_an_edit_by_another_tool_is_seen(store: Path) -> None:
    with RunRepository.open(store) as repository:
        before = repository.get("run_a")
        with closing(sqlite3.connect(store / DATABASE)) as tool, tool:
            tool.execute("UPDATE runs SET revision = 41 WHERE run_id = 'run_a'")

        edited = repository.get("run_a")
        with closing(sqlite3.connect(store / DATABASE)) as tool, tool:
            tool.execute("DELETE FROM runs WHERE run_id = 'run_b'")
        left = {header.run_id for header in repository.recent()}

    assert (before.revision, edited.revision) == (1, 41)
    assert left == {"run_a", "run_c"}


def test_a_damaged_database_is_rebuilt_from_the_folders(store: Path) -> None:
    fill_with_noise(store / DATABASE)
    (store / DATABASE).rename(store / "moved away")
    (store / "moved away").unlink()

    with RunRepository.open(store) as repository:
        repository.import_legacy()
        rebuilt = [header.run_id for header in repository.recent()]

    assert rebuilt == RUNS
