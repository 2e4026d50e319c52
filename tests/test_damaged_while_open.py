"""A database whose files are damaged, replaced or migrated while a repository has them open."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from other_process import OtherProcess
from recordings import recorded

from astraguard_store import (
    DatabaseDamagedError,
    DatabaseError,
    RunRepository,
    SchemaVersionError,
)

NAME = "astraguard.db"


def _run(*command: object) -> None:
    # By another program: in this one, to close a file would let go of SQLite's locks.
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def _overwrite(path: Path) -> None:
    size = path.stat().st_size
    _run("dd", "if=/dev/urandom", f"of={path}", "conv=notrunc", f"bs={size}", "count=1")


def _overwrite_all_but_the_first_page(path: Path) -> None:
    pages = path.stat().st_size // 4096
    _run(
        *("dd", "if=/dev/urandom", f"of={path}", "conv=notrunc", "bs=4096", "seek=1"),
        f"count={pages - 1}",
    )


def _replace(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "file overwritten": lambda root: _overwrite(root / NAME),
    "pages overwritten": lambda root: _overwrite_all_but_the_first_page(root / NAME),
    "file emptied": lambda root: _run("truncate", "-s", "0", root / NAME),
    "file cut off": lambda root: _run("truncate", "-s", 8 * 4096, root / NAME),
    "log overwritten": lambda root: _overwrite(root / f"{NAME}-wal"),
    "log emptied": lambda root: _run("truncate", "-s", "0", root / f"{NAME}-wal"),
    "log cut off": lambda root: _run("truncate", "-s", "-100", root / f"{NAME}-wal"),
    "log removed": lambda root: (root / f"{NAME}-wal").unlink(),
    "log replaced": lambda root: _replace(root / f"{NAME}-wal"),
    "index removed": lambda root: (root / f"{NAME}-shm").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_save_into_a_damaged_database_raises_and_keeps_its_files(
    results: Path, damage: Callable[[Path], None]
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        damage(results)

        with pytest.raises(DatabaseDamagedError) as raised:
            repository.save("second", recorded(2))

    assert raised.value.kept
    assert all(path.exists() for path in raised.value.kept)


@pytest.mark.parametrize("damage", ["file overwritten", "log overwritten", "log cut off"])
def test_a_save_raises_also_where_another_process_has_saved_since(
    results: Path, damage: str
) -> None:
    with RunRepository.open(results) as repository, OtherProcess() as other:
        repository.save("first", recorded(1))
        other.open(results)
        other.save("second", 1)
        DAMAGES[damage](results)

        with pytest.raises(DatabaseDamagedError):
            repository.save("third", recorded(2))


def test_what_a_damaged_database_could_not_take_is_adopted_by_the_one_made_in_its_place(
    results: Path,
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        _overwrite(results / NAME)
        with pytest.raises(DatabaseDamagedError):
            repository.save("second", recorded(2))
    for path in results.glob(f"{NAME}*"):
        path.unlink()

    with RunRepository.open(results) as repository:
        adopted = {header.run_id: header.total_measurements for header in repository.recent()}

    assert adopted == {"first": 3, "second": 6}


def test_saves_go_on_after_checkpoints_rollbacks_and_commits_of_others(results: Path) -> None:
    with RunRepository.open(results) as repository, OtherProcess() as other:
        other.open(results)
        for number in range(5):
            repository.save(f"a{number}", recorded(2))
            other.save(f"b{number}", 2)
            _run(
                *("python3", "-c"),
                "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
                "c.execute('BEGIN'); c.execute('DELETE FROM runs'); c.execute('ROLLBACK'); "
                "c.execute('PRAGMA wal_checkpoint(TRUNCATE)')",
                results / NAME,
            )

        assert len(repository.recent()) == 10


def test_a_touched_database_is_written_on(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        _run("touch", results / NAME, results / f"{NAME}-wal")

        repository.save("second", recorded(2))

        assert len(repository.recent()) == 2


def test_a_save_is_refused_once_another_process_has_migrated_the_database(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        with closing(sqlite3.connect(results / NAME)) as other, other:
            other.execute("UPDATE astraguard_schema_version SET version_num = '9999'")

        with pytest.raises(SchemaVersionError, match="newer") as raised:
            repository.save("second", recorded(2))
        with pytest.raises(SchemaVersionError, match="newer"):
            RunRepository.open(results)

    assert raised.value.kept


@pytest.fixture
def disks(tmp_path: Path) -> Iterator["Disks"]:
    """Two stores on disks of their own, whose databases have the same inode number."""
    roots = [tmp_path / "one" / "results", tmp_path / "two" / "results"]
    mounted: list[Path] = []
    try:
        for root in roots:
            root.parent.mkdir()
            _mount("-t", "tmpfs", "tmpfs", root.parent)
            mounted.append(root.parent)
            RunRepository.open(root).close()
        assert len({(root / NAME).stat().st_ino for root in roots}) == 1
        yield Disks(roots[0], roots[1], mounted)
    finally:
        for path in reversed(mounted):
            _run("umount", "--lazy", path)


class Disks(NamedTuple):
    """The two stores, and what was mounted for them."""

    opened: Path
    other: Path
    mounted: list[Path]

    def mount_the_other_over_the_opened(self) -> None:
        _mount("--bind", self.other, self.opened)
        self.mounted.append(self.opened)


def test_a_save_is_refused_where_another_disk_was_mounted_over_the_folder(disks: Disks) -> None:
    with RunRepository.open(disks.opened) as repository:
        repository.save("first", recorded(1))
        disks.mount_the_other_over_the_opened()

        with pytest.raises(DatabaseError, match="replaced"):
            repository.save("second", recorded(2))

    with RunRepository.open(disks.other, read_only=True) as repository:
        assert repository.recent() == []


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_closing_a_store_leaves_the_log_of_a_disk_that_was_mounted_over_it(
    disks: Disks, *, is_forgotten: bool
) -> None:
    with OtherProcess() as other:
        other.open(disks.other)
        other.save("theirs", 1)
        repository = RunRepository.open(disks.opened)
        repository.save("first", recorded(1))
        disks.mount_the_other_over_the_opened()

        if not is_forgotten:
            repository.close()
        del repository

        other.save("theirs too", 1)
        with RunRepository.open(disks.other, read_only=True) as there:
            assert [header.run_id for header in there.recent()] == ["theirs too", "theirs"]


def _mount(*options: object) -> None:
    try:
        _run("mount", *options)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("nothing can be mounted here")


@pytest.mark.parametrize("write", ["save", "tag", "delete", "record"])
def test_nothing_is_written_into_another_stores_database_that_was_copied_over_it(
    results: Path, tmp_path: Path, write: str
) -> None:
    with RunRepository.open(tmp_path / "other") as other:
        other.save("first", recorded(1))
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        _move_log(results)
        # As `cp` does: into the file that is there.
        _run("dd", f"if={tmp_path / 'other' / NAME}", f"of={results / NAME}", "conv=notrunc")

        with pytest.raises(DatabaseDamagedError, match="another store"):
            WRITES[write](repository)


def _move_log(root: Path) -> None:
    script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()"
    _run("python3", "-c", script, root / NAME, "PRAGMA wal_checkpoint(TRUNCATE)")


def _record(repository: RunRepository) -> None:
    with repository.run("live") as run:
        run.record_fault_detection("SAT001", 0.0, 1.0)


WRITES: dict[str, Callable[[RunRepository], object]] = {
    "save": lambda repository: repository.save("second", recorded(2)),
    "tag": lambda repository: repository.set_tags("first", {"a": "b"}),
    "delete": lambda repository: repository.delete("first"),
    "record": _record,
}


@pytest.mark.parametrize("write", ["tag", "delete", "record"])
def test_a_change_in_an_emptied_database_is_an_error_that_names_it(
    results: Path, write: str
) -> None:
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        _move_log(results)
        _run("truncate", "-s", "0", results / NAME)

        with pytest.raises(DatabaseDamagedError, match=NAME):
            WRITES[write](repository)


def test_a_backup_of_half_a_database_names_the_database_and_not_the_copy(results: Path) -> None:
    with RunRepository.open(results) as repository:
        repository.save("first", recorded(1))
        _move_log(results)
        _run("truncate", "-s", (results / NAME).stat().st_size // 2, results / NAME)

        with pytest.raises(DatabaseDamagedError, match=f"^{results / NAME} is damaged"):
            repository.back_up(results.parent / "copy.db")
