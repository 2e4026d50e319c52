"""Runs that are imported from a folder while others save them there."""

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import ArtifactReadError, RunRepository
from astraguard_store.store.one_save import FolderAtRest

RUN = "run"


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Path]:
    """Give a store in which one run is saved over and over, with other measurements each time."""
    results = tmp_path / "busy"
    ended = threading.Event()
    with RunRepository.open(results, durability="normal") as repository:
        repository.save(RUN, recorded(1))

        def save() -> None:
            for number in count():
                if ended.is_set():
                    return
                repository.save(RUN, recorded(1 + number % 40))

        thread = threading.Thread(target=save)
        thread.start()
        try:
            yield results
        finally:
            ended.set()
            thread.join()


def test_what_is_imported_is_of_one_save(busy: Path, tmp_path: Path) -> None:
    for number in range(12):
        with RunRepository.open(tmp_path / f"store {number}") as repository:
            report = repository.import_runs([busy])
            checked = repository.check(deep=True)

        assert (report.adopted, report.refused) == (1, ())
        assert [finding for finding in checked.findings if finding.severity == "fault"] == []


def test_files_that_change_after_a_look_are_looked_at_again(tmp_path: Path) -> None:
    with RunRepository.open(tmp_path) as repository:
        repository.save(RUN, recorded(1))
        folder = FolderAtRest(tmp_path, RUN)
        repository.save(RUN, recorded(2))

        with pytest.raises(ArtifactReadError, match="meanwhile"):
            folder.check()
        is_worth_a_look = folder.is_worth_a_look()
        folder.look()

        folder.check()

    assert is_worth_a_look
    assert not folder.is_worth_a_look()


def test_files_that_are_about_to_be_published_are_waited_for(tmp_path: Path) -> None:
    with RunRepository.open(tmp_path) as repository:
        repository.save(RUN, recorded(1))
    staged = tmp_path / ".staging" / f"{RUN}~0123456789abcdef.csv"
    staged.touch()

    folder = FolderAtRest(tmp_path, RUN)
    was_worth_a_look = folder.is_worth_a_look()
    staged.unlink()
    folder.look()

    assert was_worth_a_look
    assert not folder.is_worth_a_look()
