"""Links, pipes, devices and folders in the places of the store's own files are left alone."""

from __future__ import annotations

import errno
import fcntl
import io
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import reference
from recordings import recorded

from astraguard_store import (
    ArtifactReadError,
    ArtifactWriteError,
    DatabaseError,
    RunRepository,
    StoreError,
    StoreNotFoundError,
)
from astraguard_store.formats.parquet import frame_schema, parse_parquet

TOKEN = "0123456789abcdef"


class TestAStagingFolderThatIsALink:
    """It isn't followed: what is elsewhere is somebody else's."""

    @pytest.fixture
    def elsewhere(self, store: Path) -> Path:
        """Give the folder that `.staging` is a link to, with files that look staged."""
        folder = store.parent / "elsewhere"
        folder.mkdir()
        for name in (f"old~{TOKEN}.csv", f"old~{TOKEN}.kept.json", f"old~{TOKEN}.delete"):
            (folder / name).write_text("mine")
        (store / ".staging").rmdir()
        (store / ".staging").symlink_to(folder)
        return folder

    def test_an_opening_removes_nothing_there_and_says_so(
        self, store: Path, elsewhere: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = reference.listing(elsewhere)

        with caplog.at_level(logging.WARNING, "astraguard_store"):
            RunRepository.open(store).close()

        assert reference.listing(elsewhere) == before
        assert ".staging can't be listed" in caplog.text

    @pytest.mark.parametrize("durability", ["full", "normal"])
    def test_a_save_is_refused_and_writes_nothing_there(
        self, store: Path, elsewhere: Path, durability: str
    ) -> None:
        before = reference.listing(elsewhere)

        with (
            RunRepository.open(store, durability=durability) as repository,  # type: ignore[arg-type]
            pytest.raises(ArtifactWriteError, match="link"),
        ):
            repository.save("new", recorded(3))

        assert reference.listing(elsewhere) == before

    def test_a_deletion_is_refused(self, store: Path, elsewhere: Path) -> None:
        before = reference.listing(elsewhere)

        with RunRepository.open(store) as repository:
            with pytest.raises(ArtifactWriteError, match="not deleted"):
                repository.delete("run")

            assert repository.get("run").total_measurements == 30
        assert reference.listing(elsewhere) == before

    @pytest.mark.parametrize("fix", [False, True])
    def test_check_reports_it(self, store: Path, elsewhere: Path, fix: bool) -> None:
        before = reference.listing(elsewhere)

        with RunRepository.open(store) as repository:
            report = repository.check(fix=fix)

        assert "staging_left_over" in {finding.kind for finding in report.findings}
        assert reference.listing(elsewhere) == before


def lay_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def lay_a_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def lay_a_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("lay", [lay_a_pipe, lay_a_link, lay_a_folder])
@pytest.mark.parametrize(
    "suffix", [".kept.parquet", ".kept.run", ".kept.csv", ".json", ".csv.gz", ".delete"]
)
def test_what_is_no_file_under_a_staged_name_is_left_alone_and_the_store_opens(
    store: Path, lay: object, suffix: str
) -> None:
    assert callable(lay)
    staging = store / ".staging"
    shutil.copy(store / "run" / reference.RAW, staging / f"b~{TOKEN}.kept.csv")
    target = staging / f"b~{TOKEN}{suffix}"
    target.unlink(missing_ok=True)
    lay(target)

    script = (
        "import sys; from astraguard_store import RunRepository\n"
        "with RunRepository.open(sys.argv[1]) as r: print(r.get('run').total_measurements)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, store], stdout=subprocess.PIPE, timeout=20, check=True
    )

    assert told.stdout == b"30\n"
    assert os.path.lexists(target)


@pytest.mark.parametrize("lay", [lay_a_pipe, lay_a_link, lay_a_folder])
@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_what_is_no_file_beside_the_database_is_named_and_not_waited_for(
    store: Path, lay: Callable[[Path], None], suffix: str
) -> None:
    lay(store / f"astraguard.db{suffix}")

    with pytest.raises(DatabaseError, match=f"astraguard.db{suffix} is a link or no file"):
        RunRepository.open(store)


def test_a_database_that_is_a_link_to_itself_is_an_error_of_the_store(store: Path) -> None:
    (store / "astraguard.db").unlink()
    (store / "astraguard.db").symlink_to("astraguard.db")

    with pytest.raises(DatabaseError, match="symbolic links"):
        RunRepository.open(store)


def test_an_import_of_a_link_to_itself_is_an_error_of_the_store(
    store: Path, tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to("loop")

    with (
        RunRepository.open(store) as repository,
        pytest.raises(StoreNotFoundError, match="neither a folder"),
    ):
        repository.import_runs([tmp_path / "loop"])


def test_rows_in_a_parquet_file_are_counted_before_they_are_read() -> None:
    equal = {
        name: pl.Series([None], dtype=dtype).new_from_index(0, 100_000)
        for name, dtype in frame_schema().items()
    }
    file = io.BytesIO()
    pl.DataFrame(equal).write_parquet(file)

    with pytest.raises(ArtifactReadError, match="it has 100000 rows, 5 were saved"):
        parse_parquet(file.getvalue(), 5)


class TestAFileSystemThatRefusesLocks:
    """Each attempt is an error of the store, and costs no descriptor."""

    @pytest.fixture(autouse=True)
    def _no_locks(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(descriptor: int, operation: int) -> None:  # noqa: ARG001
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        assert store.is_dir()
        monkeypatch.setattr(fcntl, "flock", refuse)

    @staticmethod
    def open_descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def test_saving_and_deleting(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            before = self.open_descriptors()

            for number in range(5):
                with pytest.raises(StoreError, match=r"[Nn]o locks"):
                    repository.save(f"new{number}", recorded(3))
                with pytest.raises(StoreError, match=r"[Nn]o locks"):
                    repository.delete("run")

            assert self.open_descriptors() == before

    def test_opening_where_something_is_staged(self, store: Path) -> None:
        (store / ".staging" / f"b~{TOKEN}.csv").touch()
        RunRepository.open(store, read_only=True).close()
        before = self.open_descriptors()

        for _ in range(3):
            RunRepository.open(store).close()

        assert self.open_descriptors() == before
