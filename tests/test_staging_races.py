"""Somebody who sweeps meets a saver at the worst moment."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from recordings import recorded
from stepping import right_before

from astraguard_store import RunRepository
from astraguard_store.system.files import claim, create_locked, unlock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a file to be staged."""
    return tmp_path / "run~0123456789abcdef.csv"


def test_a_file_that_is_swept_before_its_lock_is_made_again(path: Path) -> None:
    def sweep() -> None:
        swept = claim(path)
        assert swept is not None
        path.unlink()
        unlock(swept)

    with right_before("flock", sweep):
        descriptor = create_locked(path)

    assert os.fstat(descriptor).st_ino == path.stat().st_ino
    assert claim(path) is None
    os.close(descriptor)


def test_a_file_of_the_same_name_that_came_since_is_not_removed(path: Path) -> None:
    def sweep_and_take_the_name() -> None:
        path.unlink()
        path.write_text("another's")

    with right_before("flock", sweep_and_take_the_name), pytest.raises(FileExistsError):
        create_locked(path)

    assert path.read_text() == "another's"


def test_a_file_that_was_published_before_its_claim_is_nobodys(path: Path) -> None:
    path.touch()

    with right_before("flock", lambda: path.rename(path.with_name("published"))):
        claimed = claim(path)

    assert claimed is None


def test_a_claim_on_what_was_published_keeps_no_lock(path: Path) -> None:
    path.touch()
    published = path.with_name("published")

    with right_before("flock", lambda: path.rename(published)):
        claim(path)

    with published.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_save_whose_file_is_swept_at_once_is_whole(results: Path) -> None:
    with RunRepository.open(results) as repository:

        def sweep() -> None:
            for staged in (results / ".staging").glob("run~*"):
                staged.unlink()

        with right_before("flock", sweep):
            repository.save("run", recorded(5))

        assert repository.check().is_sound
        assert repository.get("run").total_measurements == 15
