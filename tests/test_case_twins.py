"""File systems that don't tell upper from lower case.

None is at hand where the tests run, so a second name of the staging folder in
capitals makes one look so to the store.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import InvalidRunError, RunRepository


@pytest.fixture
def repository(results: Path) -> RunRepository:
    """Give a store with one run."""
    repository = RunRepository.open(results)
    repository.save("Run_1", recorded(5))
    return repository


def blind(results: Path) -> None:
    (results / ".STAGING").symlink_to(".staging")


def test_a_twin_of_a_run_is_refused_and_names_it(repository: RunRepository, results: Path) -> None:
    blind(results)

    with (
        repository,
        pytest.raises(InvalidRunError, match=r"'RUN_1'.*doesn't tell it from 'Run_1'"),
    ):
        repository.save("RUN_1", recorded(3))


def test_nothing_is_written_for_a_twin(repository: RunRepository, results: Path) -> None:
    blind(results)
    before = sorted(path for path in results.rglob("*") if path.is_file())

    with repository:
        with pytest.raises(InvalidRunError):
            repository.save("RUN_1", recorded(3))
        assert [header.run_id for header in repository.recent()] == ["Run_1"]

    assert sorted(p for p in results.rglob("*") if p.is_file() and "-" not in p.name) == [
        path for path in before if "-" not in path.name
    ]


def test_a_run_may_be_saved_again_under_its_own_name(
    repository: RunRepository, results: Path
) -> None:
    blind(results)

    with repository:
        saved = repository.save("Run_1", recorded(3))

    assert saved.revision == 2


def test_where_case_is_told_apart_both_are_runs(repository: RunRepository) -> None:
    with repository:
        repository.save("RUN_1", recorded(3))

        assert {header.run_id for header in repository.recent()} == {"Run_1", "RUN_1"}
