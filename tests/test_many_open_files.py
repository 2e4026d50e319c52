"""A save of more runs than the process may have files open."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from observing import assert_files_agree
from recordings import recorded
from stepping import right_before

from astraguard_store import ArtifactWriteError, RunRepository

LOOK = """
import sys
from astraguard_store import RunRepository
with RunRepository.open(sys.argv[1]) as repository:
    print([f.where for f in repository.check().findings if f.severity == "fault"])
"""


@pytest.fixture
def few_files() -> Iterator[int]:
    """Let this process have 240 files open at once; give that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = 240
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def many(count: int) -> list[tuple[str, object]]:
    return [(f"run{number:03}", recorded(2)) for number in range(count)]


@pytest.mark.parametrize("keep", ["csv", "parquet"])
def test_it_is_saved_in_one_transaction(results: Path, few_files: int, keep: str) -> None:
    assert few_files <= 3 * 80
    with RunRepository.open(results, keep_measurements=keep) as repository:  # type: ignore[arg-type]
        saved = repository.save_many(many(80))  # type: ignore[arg-type]

    assert len(saved) == 80
    assert {assert_files_agree(results / run.run_id) for run in saved} == {6}
    assert os.listdir(results / ".staging") == []


@pytest.mark.usefixtures("few_files")
def test_another_process_takes_none_of_its_files_for_left_over(results: Path) -> None:
    told = []

    def look() -> None:
        command = [sys.executable, "-c", LOOK, str(results)]
        told.append(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout)

    with RunRepository.open(results) as repository:
        repository.save("before", recorded(1))
        with right_before("begin_syncs", look):
            repository.save_many(many(80))  # type: ignore[arg-type]

        assert len(repository.recent(100)) == 81
    assert told == [b"[]\n"]


@pytest.mark.usefixtures("few_files")
def test_one_that_is_still_too_large_saves_nothing_and_says_what_to_do(results: Path) -> None:
    with RunRepository.open(results) as repository:
        with pytest.raises(ArtifactWriteError, match="save fewer runs at a time"):
            repository.save_many(many(300))  # type: ignore[arg-type]

        assert repository.recent() == []
        assert os.listdir(results / ".staging") == []
        assert repository.save("run", recorded(1)).revision == 1
