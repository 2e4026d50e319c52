"""`AtLeast`: a number of which only a lower bound is known, and what comes of it."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import recorded

from astraguard_store import (
    AtLeast,
    LatencyCollector,
    MetricChange,
    MetricsStorage,
    MetricSummary,
    Percentile,
    Provenance,
    RunRepository,
    ValueChange,
)
from astraguard_store.comparison import compare

BOUND = AtLeast(5000.0)
numbers = st.floats(-1e9, 1e9)
positive = st.floats(1e-9, 1e9)


def with_missed(missed: int) -> LatencyCollector:
    """Record 100 events of 98.7 ms, so many of them missed after 5 s."""
    collector = LatencyCollector()
    for i in range(100 - missed):
        collector.record_fault_detection("SAT001", i / 10, 98.7)
    for i in range(missed):
        collector.record_missed("fault_detection", "SAT001", i / 10, 5000.0)
    return collector


class TestAtLeast:
    """The value itself."""

    def test_it_shows_what_it_is(self) -> None:
        assert repr(BOUND) == "AtLeast(5000.0)"
        assert str(BOUND) == f"{BOUND}" == "at least 5000.0"
        assert f"{BOUND:.1f}" == "5000.0"

    def test_it_equals_only_another_of_the_same_bound(self) -> None:
        assert AtLeast(5000) == BOUND
        assert hash(AtLeast(5000)) == hash(BOUND)
        assert AtLeast(5001) != BOUND
        assert BOUND != 5000.0
        assert 5000.0 != BOUND  # noqa: SIM300 - the other side's method is asked
        assert {5000.0: "number", BOUND: "bound"} == {BOUND: "bound", 5000.0: "number"}

    def test_it_is_ordered_as_its_bound(self) -> None:
        assert BOUND > 4999
        assert not BOUND > 5000
        assert sorted([BOUND, 6000.0, AtLeast(1)]) == [AtLeast(1), BOUND, 6000.0]

    @given(numbers, numbers)
    def test_less_a_number_it_is_a_bound(self, bound: float, number: float) -> None:
        assert AtLeast(bound) - number == AtLeast(bound - number)

    @given(numbers, positive)
    def test_divided_by_a_positive_number_it_is_a_bound(self, bound: float, by: float) -> None:
        assert AtLeast(bound) / by == AtLeast(bound / by)

    @pytest.mark.parametrize(
        "unknown",
        [
            lambda: 5.0 - BOUND,
            lambda: 5 - BOUND,
            lambda: BOUND - BOUND,
            lambda: 5.0 / BOUND,
            lambda: BOUND / BOUND,
            lambda: BOUND / -1.0,
        ],
    )
    def test_what_has_only_an_upper_bound_is_not_known(
        self, unknown: Callable[[], float | None]
    ) -> None:
        assert unknown() is None

    @pytest.mark.parametrize(
        "copied",
        [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    )
    def test_it_copies_and_pickles(self, copied: Callable[[AtLeast], AtLeast]) -> None:
        other = copied(BOUND)

        assert type(other) is AtLeast
        assert other == BOUND

    def test_json_has_its_bound(self) -> None:
        assert json.dumps(BOUND) == "5000.0"


class TestPercentiles:
    """A percentile that is a number, a bound, or unknown."""

    def test_a_summary_has_either(self) -> None:
        with RunRepository.in_memory() as repository:
            found = repository.save("run", with_missed(3)).metrics["fault_detection"]

        assert (found.p50, found.p95, found.p99) == (98.7, 98.7, AtLeast(5000.0))
        assert (found.p99_ms, found.p99_above_ms) == (None, 5000.0)

    def test_what_an_old_file_lacks_is_none(self) -> None:
        assert MetricSummary(3, 1.0, 1.0, 2.0, None, None, 3.0).p99 is None

    def test_one_of_many_runs_has_either(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("run", with_missed(3))
            low, high = repository.percentiles((0.5, 0.99), metric_type="fault_detection").values

        assert low.value == low.value_ms == pytest.approx(98.7, rel=0.01)
        assert isinstance(high.value, AtLeast)
        assert float(high.value) == high.above_ms == pytest.approx(5000, rel=0.01)

    @pytest.mark.parametrize("value", [None, 4.0, BOUND])
    def test_it_is_made_of_its_value(self, value: float | AtLeast | None) -> None:
        assert Percentile.of(0.99, value).value == value


class TestValueChange:
    """`difference` and `relative_change` of sides that may be bounds."""

    def test_from_a_number_to_a_bound_the_change_is_a_bound(self) -> None:
        change = ValueChange(98.7, BOUND)

        assert change.difference == AtLeast(5000.0 - 98.7)
        assert change.relative_change == AtLeast((5000.0 - 98.7) / 98.7)
        assert repr(change) == "<98.7 -> at least 5000.0, at least +4901.3, at least +4965.9%>"

    @pytest.mark.parametrize("candidate", [98.7, BOUND, None])
    def test_from_a_bound_nothing_is_known(self, candidate: float | None) -> None:
        change = ValueChange(BOUND, candidate)

        assert (change.difference, change.relative_change) == (None, None)

    def test_from_zero_to_a_bound_only_the_difference_is_known(self) -> None:
        change = ValueChange(0.0, BOUND)

        assert (change.difference, change.relative_change) == (BOUND, None)

    def test_a_gate_sees_a_percentile_that_fell_among_the_missed(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("before", with_missed(0))
            repository.save("after", with_missed(6))

            change = repository.compare("before", "after").change("fault_detection")

        assert change.p95_ms == ValueChange(98.7, BOUND)
        assert change.p95_ms.relative_change is not None
        assert change.p95_ms.relative_change > 0.1
        assert change.p50_ms.relative_change == 0.0


events = st.lists(
    st.tuples(
        st.sampled_from(["fault_detection", "agent_decision", "recovery_action"]),
        st.sampled_from(["S1", "S10", "S2"]),
        st.floats(0, 1e6),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)
provenances = st.builds(
    Provenance,
    scenario=st.sampled_from([None, "swarm", "solo"]),
    seed=st.sampled_from([None, 0, 7]),
    git_commit=st.sampled_from([None, "abc"]),
    git_dirty=st.sampled_from([None, True, False]),
    host=st.sampled_from(["rig-a", "rig-b"]),
)


def collected(recorded: list[tuple[str, str, float, bool]]) -> LatencyCollector:
    collector = LatencyCollector()
    for metric_type, satellite_id, duration_ms, missed in recorded:
        if missed:
            collector.record_missed(metric_type, satellite_id, 0.0, duration_ms)
        else:
            getattr(collector, f"record_{metric_type}")(satellite_id, 0.0, duration_ms)
    return collector


class TestCompare:
    """`compare` of two summaries defines what the database joins."""

    @pytest.mark.parametrize("by_satellite", [False, True])
    @settings(max_examples=50)
    @given(events, provenances, events, provenances)
    def test_the_database_answers_what_it_defines(
        self, by_satellite: bool, before: Any, was: Provenance, after: Any, became: Provenance
    ) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("before", collected(before), provenance=was)
            repository.save("after", collected(after), provenance=became)

            joined = repository.compare("before", "after", by_satellite=by_satellite)
            runs = repository.get("before"), repository.get("after")

        defined = compare(*runs, by_satellite=by_satellite)
        assert joined == defined
        assert repr(joined) == repr(defined)
        assert joined.warnings == defined.warnings

    def test_it_names_both_runs_and_what_only_one_has(self) -> None:
        with RunRepository.in_memory() as repository:
            before = repository.save("before", recorded(10))
            after = repository.save("after", with_missed(0))

        comparison = compare(before, after)

        assert (comparison.baseline, comparison.candidate) == ("before", "after")
        assert comparison.change("agent_decision") == MetricChange(
            "agent_decision", None, before.metrics["agent_decision"], None
        )

    def test_the_drop_in_has_null_where_a_percentile_fell_among_the_missed(
        self, results: Path
    ) -> None:
        MetricsStorage("before", str(results)).save_latency_stats(with_missed(0))
        after = MetricsStorage("after", str(results))
        after.save_latency_stats(with_missed(6))

        of_type = after.compare_runs("before")["metrics"]["fault_detection"]

        assert (of_type["other_p95_ms"], of_type["this_p95_ms"]) == (98.7, None)
