"""`pooled_percentile` and `pooled_at_least` in `query`, beside `repository.percentiles`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from recordings import recorded

from astraguard_store import QueryError, RunRepository

METRIC = "fault_detection"
QUERY = """
    SELECT {function}(bucket, count, missed, ?) FROM v_buckets
    WHERE metric_type = ? AND satellite_id IS NULL
"""


@pytest.fixture
def store(results: Path) -> Iterator[RunRepository]:
    """Give ten runs, of whose 200 fault detections each tenth was missed."""
    with RunRepository.open(results) as repository:
        for number in range(10):
            collector = recorded(18, scale=1.0 + number)
            for missed in range(2):
                collector.record_missed(METRIC, "SAT001", float(missed), 500.0 + number)
            repository.save(f"run{number}", collector)
        yield repository


@pytest.mark.parametrize("q", [0.0, 0.5, 0.89, 0.95, 1.0])
def test_they_are_those_of_the_repository(store: RunRepository, q: float) -> None:
    (expected,) = store.percentiles([q], metric_type=METRIC).values

    found = {
        name: store.query(QUERY.format(function=name), (q, METRIC)).rows[0][0]
        for name in ("pooled_percentile", "pooled_at_least")
    }

    assert found["pooled_percentile"] == expected.value_ms
    assert found["pooled_at_least"] == (expected.value_ms or expected.above_ms)


def test_each_group_has_its_own(store: RunRepository) -> None:
    sql = (
        "SELECT run_id, pooled_percentile(bucket, count, missed, 0.5) FROM v_buckets "
        "WHERE metric_type = ? AND satellite_id IS NULL GROUP BY run_id"
    )

    found = dict(store.query(sql, (METRIC,)).rows)

    groups = store.grouped_percentiles(["run"], [0.5], metric_type=METRIC)
    assert found == {run_id: group.values[0].value_ms for (run_id,), group in groups.items()}


def test_of_no_rows_there_is_none(store: RunRepository) -> None:
    assert store.query(QUERY.format(function="pooled_at_least"), (0.5, "typo")).rows == [(None,)]


@pytest.mark.parametrize("q", [1.5, -0.1, "half"])
def test_a_percentile_that_can_not_be_is_refused(store: RunRepository, q: float | str) -> None:
    with pytest.raises(QueryError, match=r"same number from 0 to 1"):
        store.query(QUERY.format(function="pooled_percentile"), (q, METRIC))
