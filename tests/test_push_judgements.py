"""Baselines and recorded verdicts, which go to the server with their runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from judged_stores import with_both_sides
from recordings import recorded

from astraguard_store import RunRepository

CANDIDATES = ["new_1", "new_4", "new_7"]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store with a baseline and a recorded verdict on three of its runs."""
    results = tmp_path_factory.mktemp("judged")
    with RunRepository.open(results) as repository:
        with_both_sides(repository)
        repository.record_verdict(repository.gate(CANDIDATES, baseline="nightly"))
    return results


@pytest.fixture
def rig(judged: Path, results: Path) -> Iterator[RunRepository]:
    """Give a copy of it, which a test may change; it counts as the same rig."""
    with RunRepository.open(results) as repository:
        repository.merge(judged)
        yield repository


@pytest.fixture
def other(tmp_path: Path) -> Iterator[RunRepository]:
    """Give another rig, which has a baseline of the same name."""
    with RunRepository.open(tmp_path / "other") as repository:
        repository.save("elsewhere", recorded(3))
        repository.set_baseline("nightly", ["elsewhere"])
        yield repository


def verdicts(repository: RunRepository) -> list[tuple[object, ...]]:
    sql = "SELECT run_id, verdict, baseline FROM v_verdicts ORDER BY run_id"
    return list(repository.query(sql).rows)


def test_they_are_there_after_a_push(rig: RunRepository, server_url: str) -> None:
    rig.push(server_url)
    rig.push(server_url)

    with RunRepository.open(server_url) as there:
        assert there.baselines() == rig.baselines()
        assert verdicts(there) == verdicts(rig)
        assert [row[0] for row in verdicts(there)] == CANDIDATES
        again = there.gate(CANDIDATES, baseline="nightly")
    assert again.cells == rig.gate(CANDIDATES, baseline="nightly").cells


def test_a_baseline_set_anew_on_its_rig_replaces_the_pushed_one(
    rig: RunRepository, server_url: str
) -> None:
    rig.push(server_url)
    rig.set_baseline("nightly", ["old_1", "old_2"])

    rig.push(server_url)

    with RunRepository.open(server_url) as there:
        assert there.baseline("nightly").run_ids == ("old_1", "old_2")


def test_that_of_another_rig_stays(
    rig: RunRepository, other: RunRepository, server_url: str
) -> None:
    rig.push(server_url)

    other.push(server_url)

    with RunRepository.open(server_url) as there:
        assert there.baselines() == rig.baselines()
        assert {run.run_id for run in there.recent(99)} > {"elsewhere"}


def test_one_that_was_set_on_the_server_stays(rig: RunRepository, server_url: str) -> None:
    rig.push(server_url)
    with RunRepository.open(server_url) as there:
        there.set_baseline("nightly", ["old_5"])

        rig.push(server_url)

        assert there.baseline("nightly").run_ids == ("old_5",)
