"""A backup put in the place of a database, and trees whose log lies without its index."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import reference
from recordings import recorded

from astraguard_store import (
    DatabaseBusyError,
    DatabaseDamagedError,
    DatabaseError,
    RunRepository,
    StoreNotFoundError,
)
from astraguard_store.database.sqlite.backend import SqliteFile
from astraguard_store.database.sqlite.engine import connect
from astraguard_store.store.schema_versions import restore_backup
from astraguard_store.system.files import open_descriptors

NAME = "astraguard.db"
SAVE_AND_DIE = """
import os, sys
from recordings import recorded
from astraguard_store import RunRepository
repository = RunRepository.open(sys.argv[1])
repository.save(sys.argv[2], recorded(2))
os.kill(os.getpid(), 9)
"""
RESTORE_AND_DIE = """
import os, sys
from pathlib import Path
from astraguard_store.store.schema_versions import restore_backup
steps = 0
def count(event, arguments):
    global steps
    if event in ("os.rename", "os.link", "os.remove") and "astraguard.db" in str(arguments):
        steps += 1
        if steps == int(sys.argv[3]):
            os.kill(os.getpid(), 9)
sys.addaudithook(count)
restore_backup(sys.argv[1], sys.argv[2])
"""


def _child(code: str, *arguments: object) -> int:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, env=environment, check=False).returncode


def _runs(results: Path, *, read_only: bool = False) -> list[str]:
    with RunRepository.open(results, read_only=read_only) as repository:
        return sorted(header.run_id for header in repository.recent())


@pytest.fixture
def backup(results: Path, tmp_path: Path) -> Path:
    """Give a copy from when the store had one run; it has a second one in a log that was left."""
    target = tmp_path / "backup.db"
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        repository.back_up(target)
    assert _child(SAVE_AND_DIE, results, "second") == -9
    return target


def test_a_backup_is_restored_and_the_former_database_kept(results: Path, backup: Path) -> None:
    former = restore_backup(results, backup)

    assert _runs(results) == ["first"]
    assert former is not None
    with closing(sqlite3.connect(former)) as kept:
        assert kept.execute("SELECT count(*) FROM runs").fetchone() == (2,)


def test_a_program_that_has_the_store_open_is_told_to_open_it_again(
    results: Path, backup: Path
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("third", recorded(1))

        restore_backup(results, backup)

        with pytest.raises(DatabaseError, match="open it again"):
            repository.save("fourth", recorded(1))
    assert _runs(results) == ["first", "fourth"]


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x" * 9_000), os.unlink])
def test_a_backup_takes_the_place_of_a_database_that_is_damaged_or_gone(
    results: Path, backup: Path, damage: Callable[[Path], None]
) -> None:
    damage(results / NAME)

    restore_backup(results, backup)

    assert _runs(results) == ["first"]


def test_a_backup_that_is_damaged_or_missing_is_refused_and_changes_nothing(
    results: Path, backup: Path, tmp_path: Path
) -> None:
    backup.write_bytes(backup.read_bytes()[:20_000])

    with pytest.raises(DatabaseDamagedError):
        restore_backup(results, backup)
    with pytest.raises(StoreNotFoundError):
        restore_backup(results, tmp_path / "none.db")

    assert _runs(results) == ["first", "second"]


def test_a_restoring_that_is_killed_leaves_the_former_database_or_the_copy(
    results: Path, backup: Path, tmp_path: Path
) -> None:
    seen = set()
    for step in range(1, 200):
        tree = tmp_path / f"tree{step}"
        shutil.copytree(results, tree)

        code = _child(RESTORE_AND_DIE, tree, backup, step)

        runs = tuple(_runs(tree))
        assert runs in {("first",), ("first", "second")}, step
        seen.add(runs)
        shutil.rmtree(tree)
        if code == 0:
            break
        assert code == -9

    assert len(seen) == 2
    assert step > 5


def test_a_copy_put_beside_the_log_of_another_is_refused(results: Path, backup: Path) -> None:
    backup.rename(results / NAME)

    with pytest.raises(DatabaseDamagedError, match="db restore"):
        RunRepository.open(results)
    with RunRepository.open(results, read_only=True) as repository:
        assert repository.answers_from == "folders"


def test_a_copy_that_was_put_back_by_hand_is_read_under_locks(results: Path, backup: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (results / f"{NAME}{suffix}").unlink()
    backup.rename(results / NAME)
    other = sqlite3.connect(results / NAME, isolation_level=None)
    other.execute("PRAGMA cache_size=1")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE runs SET run_id = run_id || 'x'")

    with pytest.raises(DatabaseBusyError):
        SqliteFile.open(results / NAME, 0.1)
    other.close()

    assert _runs(results, read_only=True) == ["first"]
    assert _runs(results) == ["first"]


def test_reading_a_log_without_its_index_makes_none(results: Path, backup: Path) -> None:
    assert backup.exists()
    (results / f"{NAME}-shm").unlink()
    before = set(reference.listing(results))

    with RunRepository.open(results, read_only=True) as repository:
        runs = [header.run_id for header in repository.recent()]
        count = repository.query("SELECT count(*) FROM runs").rows
        assert repository.get("second").total_measurements == 6

    assert sorted(runs) == ["first", "second"]
    assert count == [(2,)]
    assert set(reference.listing(results)) == before


def test_a_log_without_its_index_is_read_on_while_another_begins_to_save(
    results: Path, backup: Path
) -> None:
    assert backup.exists()
    (results / f"{NAME}-shm").unlink()
    with RunRepository.open(results, read_only=True) as repository:
        assert len(repository.recent()) == 2

        assert _child(SAVE_AND_DIE, results, "third") == -9

        assert len(repository.recent()) == 3
        assert repository.get("third").total_measurements == 6


@pytest.mark.parametrize("content", [b"", b"no log of SQLite's" * 4], ids=["gone", "no commit"])
def test_a_log_that_a_reader_took_for_a_dead_ones_is_not_removed(
    results: Path, content: bytes
) -> None:
    """As while a writer closes: SQLite removes the index first, and then the log."""
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(2))
    log = results / f"{NAME}-wal"
    log.write_bytes(content)
    reader = connect(results / NAME, "alone")

    with RunRepository.open(results) as repository:
        repository.save("second", recorded(2))
        reader.close()
        kept = log.stat().st_size
        repository.save("third", recorded(2))

    assert kept
    assert _runs(results) == ["first", "second", "third"]


def test_a_log_without_a_commit_is_read_around_from_then_on(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(2))
    (results / f"{NAME}-wal").write_bytes(b"no log of SQLite's" * 4)
    _runs(results, read_only=True)
    opened = len(open_descriptors())

    found = [_runs(results, read_only=True) for _ in range(5)]

    assert found == [["first"]] * 5
    assert len(open_descriptors()) == opened
    assert (results / f"{NAME}-wal").read_bytes() == b"no log of SQLite's" * 4


def test_questions_to_a_log_without_its_index_leave_nothing_open(
    results: Path, backup: Path
) -> None:
    assert backup.exists()
    (results / f"{NAME}-shm").unlink()
    opened = len(open_descriptors())

    with RunRepository.open(results, read_only=True) as repository:
        repository.query("SELECT 1")
        asked = len(open_descriptors())
        for _ in range(5):
            repository.query("SELECT 1")
        assert len(open_descriptors()) == asked

    assert len(open_descriptors()) == opened


def test_a_damaged_database_beside_a_log_without_its_index_is_opened_once(
    results: Path, backup: Path
) -> None:
    assert backup.exists()
    (results / f"{NAME}-shm").unlink()
    with (results / NAME).open("r+b") as file:
        file.write(b"x" * 4096 * 3)
    _runs(results, read_only=True)
    opened = len(open_descriptors())

    for _ in range(5):
        with RunRepository.open(results, read_only=True) as repository:
            assert repository.answers_from == "folders"

    assert len(open_descriptors()) == opened


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_save_that_may_not_write_the_database_leaves_no_log(
    results: Path, backup: Path, tmp_path: Path
) -> None:
    for folder in (*reversed(tmp_path.parents), tmp_path):
        if folder.stat().st_uid == 0 and folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    assert backup.exists()
    _runs(results)
    results.chmod(0o777)
    before = {name for name in os.listdir(results) if name.startswith(NAME)}

    code = _child(
        "import os, sys; from recordings import recorded\n"
        "from astraguard_store import RunRepository, StoreError\n"
        # What a save imports, while this user may read it.
        "with RunRepository.open(sys.argv[1] + '-own') as own: own.save('first', recorded(1))\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: RunRepository.open(sys.argv[1]).save('other', recorded(1))\n"
        "except StoreError: sys.exit(3)",
        results,
    )

    assert code == 3
    assert {name for name in os.listdir(results) if name.startswith(NAME)} == before
