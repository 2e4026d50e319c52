"""Limits are whole numbers, of Python or of numpy, and anything else is refused by name."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

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
