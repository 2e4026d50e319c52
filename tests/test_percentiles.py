"""Percentiles over many runs, held against the sorted events themselves."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import recorded

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.exceptions import InvalidRunError, RunNotFoundError, StoreNotFoundError

DURATIONS = st.floats(0.0, 1e6) | st.floats(1e-6, 1e6) | st.sampled_from([0.0, 1.0, 5e-324])
EVENTS = st.lists(st.tuples(DURATIONS, st.booleans()), min_size=1, max_size=40)
QUANTILES = st.lists(
    st.floats(0.0, 1.0) | st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]), max_size=4
)


def of_events(events: list[tuple[float, bool]], satellite: str = "SAT001") -> LatencyCollector:
    """Record (duration or wait, missed) events."""
    collector = LatencyCollector()
    for second, (duration_ms, missed) in enumerate(events):
        if missed:
            collector.record_missed("fault_detection", satellite, float(second), duration_ms)
        else:
            collector.record_fault_detection(satellite, float(second), duration_ms)
    return collector


def is_near(value: float | None, exact: float) -> bool:
    """Tell whether *value* is within 1 % of *exact*; below 1e-9 ms there is one bucket."""
    assert value is not None
    return abs(value - exact) <= 0.01 * exact * (1 + 1e-9) + 1e-9


@given(runs=st.lists(EVENTS, min_size=1, max_size=4), quantiles=QUANTILES)
def test_each_is_within_one_percent_of_the_order_statistic(
    runs: list[list[tuple[float, bool]]], quantiles: list[float]
) -> None:
    events = [event for run in runs for event in run]
    measured = sorted(duration for duration, missed in events if not missed)
    at_least = sorted(duration for duration, _ in events)
    with RunRepository.in_memory() as repository:
        repository.save_many((f"run{i}", of_events(run)) for i, run in enumerate(runs))

        answer = repository.percentiles(quantiles, metric_type="fault_detection")

    assert (answer.count, answer.missed) == (len(events), len(events) - len(measured))
    assert [p.quantile for p in answer.values] == quantiles
    for q, value_ms, above_ms in answer.values:
        rank = min(int(len(events) * q), len(events) - 1)
        if rank < len(measured):
            assert is_near(value_ms, measured[rank])
            assert above_ms is None
        else:
            assert value_ms is None
            assert is_near(above_ms, at_least[rank])


@given(runs=st.lists(EVENTS, min_size=1, max_size=4))
def test_of_one_run_they_are_near_its_own(runs: list[list[tuple[float, bool]]]) -> None:
    with RunRepository.in_memory() as repository:
        for number, run in enumerate(runs):
            own = repository.save(f"run{number}", of_events(run)).metrics["fault_detection"]

            answer = repository.percentiles(
                [0.5, 0.95, 0.99], metric_type="fault_detection", runs=[f"run{number}"]
            )

            bounds = ((own.p50_ms, own.p50_above_ms), (own.p95_ms, own.p95_above_ms),
                      (own.p99_ms, own.p99_above_ms))  # fmt: skip
            for (_, value_ms, above_ms), (exact, bound) in zip(answer.values, bounds, strict=True):
                assert (value_ms is None) == (exact is None)
                assert is_near(above_ms, bound) if exact is None else is_near(value_ms, exact)  # type: ignore[arg-type]


@pytest.fixture
def store(results: Path) -> Iterator[RunRepository]:
    """Give three runs: of 1 ms, of 10 ms with the buckets of satellites, and of 100 ms."""
    with RunRepository.open(results) as repository:
        repository.save("one", of_events([(1.0, False)] * 3))
        both = of_events([(10.0, False)] * 3)
        both.record_fault_detection("SAT002", 9.0, 20.0)
        repository.save("ten", both, satellite_buckets=True)
        repository.save("hundred", of_events([(100.0, False)] * 3))
        yield repository


def drop_buckets(repository: RunRepository, run_id: str) -> None:
    """Make a run look like one from before there were buckets."""
    with closing(sqlite3.connect(str(repository.database_path))) as database, database:
        database.execute("DELETE FROM buckets WHERE run_id = ? AND satellite_id = ''", (run_id,))


class TestWhichRuns:
    """Of which runs they are, and of which they can't be."""

    def test_without_runs_they_are_of_all(self, store: RunRepository) -> None:
        answer = store.percentiles([0.0, 1.0], metric_type="fault_detection")

        low, high = (value.value_ms for value in answer.values)
        assert is_near(low, 1.0)
        assert is_near(high, 100.0)
        assert (answer.runs, answer.count) == (3, 10)

    def test_runs_may_be_any_iterable_and_name_one_twice(self, store: RunRepository) -> None:
        named = (run_id for run_id in ("one", "ten", "one"))

        answer = store.percentiles([1.0], metric_type="fault_detection", runs=named)

        assert is_near(answer.values[0].value_ms, 20.0)
        assert (answer.runs, answer.count) == (2, 7)

    def test_no_run_measured_nothing(self, store: RunRepository) -> None:
        answer = store.percentiles([0.5], metric_type="fault_detection", runs=[])

        assert (answer.runs, answer.count) == (0, 0)
        assert answer.values == ((0.5, None, None),)

    def test_a_run_that_did_not_measure_it_is_in_neither_number(
        self, store: RunRepository
    ) -> None:
        answer = store.percentiles([0.5], metric_type="recovery_action")

        assert (answer.runs, answer.count, answer.runs_without_buckets) == (0, 0, ())

    def test_an_unknown_run_is_an_error(self, store: RunRepository) -> None:
        with pytest.raises(RunNotFoundError, match="missing"):
            store.percentiles([0.5], metric_type="fault_detection", runs=["one", "missing"])

    def test_thousands_of_runs_are_one_parameter(self, results: Path) -> None:
        names = [f"run é {number}" for number in range(40_000)]
        RunRepository.open(results).close()
        with closing(sqlite3.connect(results / "astraguard.db")) as database, database:
            database.executemany(
                "INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements) "
                "VALUES (?, 1, 0, 1)",
                [(name,) for name in names],
            )
        with RunRepository.open(results) as repository:
            repository.save("last", recorded(4))

            answer = repository.percentiles(
                [0.5], metric_type="fault_detection", runs=[*names, "last"]
            )

        assert (answer.runs, answer.count) == (1, 4)

    def test_runs_without_buckets_are_named(self, store: RunRepository) -> None:
        drop_buckets(store, "hundred")

        answer = store.percentiles([1.0], metric_type="fault_detection")

        assert is_near(answer.values[0].value_ms, 20.0)
        assert (answer.runs, answer.runs_without_buckets) == (2, ("hundred",))

    def test_adopted_runs_are_named(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            repository.save("new", recorded(4))

            answer = repository.percentiles([0.5], metric_type="fault_detection")

        assert answer.runs_without_buckets == ("wc-s2-60s", "wc-s2-60s-10hz-1")
        assert answer.runs == 1


class TestOneSatellite:
    """Of one satellite, where its buckets are kept."""

    def test_they_are_of_its_events_only(self, store: RunRepository) -> None:
        answer = store.percentiles(
            [0.0, 1.0], metric_type="fault_detection", satellite_id="SAT002"
        )

        assert [value.value_ms for value in answer.values] == [pytest.approx(20.0, rel=0.01)] * 2
        assert (answer.satellite_id, answer.count, answer.runs) == ("SAT002", 1, 1)

    def test_runs_that_keep_no_buckets_of_it_are_named(self, store: RunRepository) -> None:
        answer = store.percentiles([0.5], metric_type="fault_detection", satellite_id="SAT001")

        assert (answer.runs, answer.count) == (1, 3)
        assert answer.runs_without_buckets == ("hundred", "one")

    def test_where_no_run_keeps_them_the_error_says_how_to(self, store: RunRepository) -> None:
        with pytest.raises(InvalidRunError, match=r"SAT001.*satellite_buckets=True"):
            store.percentiles(
                [0.5], metric_type="fault_detection", satellite_id="SAT001", runs=["one"]
            )

    def test_a_satellite_that_measured_nothing_is_no_error(self, store: RunRepository) -> None:
        answer = store.percentiles([0.5], metric_type="fault_detection", satellite_id="SAT999")

        assert answer.count == 0


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "quantile above 1": ({"quantiles": [1.5]}, "1.5"),
    "negative quantile": ({"quantiles": [-0.1]}, "-0.1"),
    "nan": ({"quantiles": [float("nan")]}, "nan"),
    "text": ({"quantiles": ["p95"]}, "p95"),
    "one alone": ({"quantiles": 0.5}, "several are needed"),
    "empty metric type": ({"metric_type": ""}, "metric_type: must be non-empty string, not ''"),
    "empty satellite": ({"satellite_id": ""}, "satellite_id: must be non-empty string, not ''"),
    "one id as runs": ({"runs": "run_001"}, "run_001"),
    "an id that can't be": ({"runs": ["a/b"]}, "a/b"),
}


class TestWrongQuestions:
    """What can't be is refused, by its value."""

    @pytest.mark.parametrize("wrong", WRONG)
    def test_the_error_names_the_value(self, store: RunRepository, wrong: str) -> None:
        given, named = WRONG[wrong]
        asked: dict[str, Any] = {"quantiles": [0.5], "metric_type": "fault_detection"}

        with pytest.raises(InvalidRunError, match=re.escape(named)):
            store.percentiles(**{**asked, **given})

    def test_run_folders_have_no_buckets(self, old_tree: Path) -> None:
        with (
            RunRepository.open(old_tree, read_only=True) as repository,
            pytest.raises(StoreNotFoundError, match="astraguard-store import"),
        ):
            repository.percentiles([0.5], metric_type="fault_detection")


def test_plain_sql_on_the_view_gives_the_same_sums(store: RunRepository) -> None:
    with closing(sqlite3.connect(str(store.database_path))) as database:
        rows = database.execute(
            "SELECT bucket, SUM(count) FROM v_buckets WHERE metric_type = 'fault_detection' "
            "AND satellite_id IS NULL AND run_id IN (SELECT value FROM json_each(?)) "
            "GROUP BY bucket",
            (json.dumps(["one", "hundred"]),),
        ).fetchall()

    answer = store.percentiles([0.0], metric_type="fault_detection", runs=["one", "hundred"])
    assert [count for _, count in rows] == [3, 3]
    assert answer.count == 6
