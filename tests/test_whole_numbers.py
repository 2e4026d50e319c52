"""Limits are whole numbers, of Python or of numpy, and anything else is refused by name."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pytest
from recordings import recorded

from astraguard_store import InvalidRunError, MetricsStorage, RunRepository


class IndexLike:
    """What numpy's integers are: no int, but an index."""

    def __index__(self) -> int:
        return 2


@pytest.fixture
def three_runs(results: Path) -> Path:
    with RunRepository.open(results) as repository:
        repository.save_many((f"r{number}", recorded(4)) for number in range(3))
    return results


def test_an_index_is_a_limit(three_runs: Path) -> None:
    limit: Any = IndexLike()

    with RunRepository.open(three_runs) as repository:
        assert [run.run_id for run in repository.recent(limit)] == ["r2", "r1"]
    assert MetricsStorage.get_recent_runs(three_runs, limit) == ["r2", "r1"]


def test_it_is_a_number_of_runs_to_keep_and_of_rows(three_runs: Path) -> None:
    number: Any = IndexLike()

    with RunRepository.open(three_runs) as repository:
        rows = repository.query("SELECT run_id FROM v_runs", row_limit=number)
        report = repository.prune(number, dry_run=True)

    assert (len(rows.rows), rows.truncated) == (2, True)
    assert report.deleted == ("r0",)


def test_numbers_of_numpy_are_bound_as_python_s(three_runs: Path) -> None:
    parameters: Any = (numpy.int64(2), numpy.float32(0.5))
    by_name: Any = {"number": numpy.uint8(7)}

    with RunRepository.open(three_runs) as repository:
        bound = repository.query("SELECT ?, ?", parameters)
        named = repository.query("SELECT :number", by_name)

    assert bound.rows == [(2, 0.5)]
    assert named.rows == [(7,)]


def test_any_number_is_a_time_limit(three_runs: Path) -> None:
    time_limit_s: Any = Decimal("2.5")

    with RunRepository.open(three_runs) as repository:
        assert repository.query("SELECT 1", time_limit_s=time_limit_s).rows == [(1,)]


@pytest.mark.parametrize("jobs", ["2", float("nan"), 1.5])
def test_another_number_of_jobs_is_refused_by_name(jobs: Any, three_runs: Path) -> None:
    with (
        RunRepository.open(three_runs) as repository,
        pytest.raises(InvalidRunError, match="Invalid jobs: must be whole number"),
    ):
        repository.import_legacy(jobs=jobs)


@pytest.mark.parametrize("limit", [2.5, "10", None])
def test_another_limit_is_refused_by_name(limit: Any, three_runs: Path) -> None:
    words = f"Invalid limit: must be whole number, not {limit!r}"

    with (
        RunRepository.open(three_runs) as repository,
        pytest.raises(InvalidRunError, match=words),
    ):
        repository.recent(limit)
    with pytest.raises(InvalidRunError, match=words):
        MetricsStorage.get_recent_runs(three_runs, limit)


def test_a_read_ends_while_the_clock_stands_still(
    three_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_at = (three_runs / "astraguard.db").stat().st_mtime_ns
    monkeypatch.setattr(time, "time_ns", lambda: stands_at)

    with RunRepository.open(three_runs, read_only=True) as repository:
        assert repository.get("r0").total_measurements == 12
