"""Logarithmic buckets: within 1 %, and merged by adding."""

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from astraguard_store.buckets import (
    GAMMA,
    LAST_BUCKET,
    ZERO_BUCKET,
    BucketColumns,
    added_up,
    bucket_of,
    bucket_value,
    buckets_of,
    count_by_bucket,
    quantiles,
    text_of,
)
from astraguard_store.columns import Columns
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import AtLeast
from astraguard_store.statistics import summarize

# What the two buckets with an open end don't hold.
SMALLEST, LARGEST = 1e-9, 1e17
# Of the two roundings that a bucket's value takes.
ROUNDING = 1e-12

in_range = st.floats(min_value=SMALLEST, max_value=LARGEST)
durations = st.one_of(st.just(0.0), in_range, st.integers(1, 5_000).map(lambda n: n / 10))
many = st.lists(durations, min_size=1, max_size=60)
parts = st.sampled_from([0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0])
missed_or_not = st.lists(st.tuples(durations, st.booleans()), min_size=1, max_size=60)


def counted(values: list[float]) -> BucketColumns:
    return count_by_bucket(sorted(values))


def columns_of(events: list[tuple[float, bool]]) -> Columns:
    collector = LatencyCollector()
    for duration, missed in events:
        if missed:
            collector.record_missed("agent_decision", "SAT001", 0.0, duration)
        else:
            collector.record_agent_decision("SAT001", 0.0, duration)
    return collector.snapshot()


def is_near(found: float | None, exact: float | None) -> bool:
    """Return whether both are missing, or within 1 % of each other."""
    if found is None or exact is None:
        return found is exact
    return abs(found - exact) <= exact * (0.01 + ROUNDING)


class TestMapping:
    """A duration's bucket, and a bucket's value."""

    @given(in_range)
    def test_the_value_is_within_one_percent_of_all_that_its_bucket_holds(
        self, duration: float
    ) -> None:
        assert is_near(bucket_value(bucket_of(duration)), duration)

    @given(st.integers(ZERO_BUCKET + 1, LAST_BUCKET - 1))
    def test_a_power_of_gamma_is_the_largest_of_its_bucket(self, bucket: int) -> None:
        boundary = GAMMA**bucket

        assert bucket_of(boundary) == bucket
        assert bucket_of(math.nextafter(boundary, math.inf)) == bucket + 1

    @given(st.integers(ZERO_BUCKET + 1, LAST_BUCKET - 1))
    def test_a_value_lies_in_its_own_bucket(self, bucket: int) -> None:
        assert bucket_of(bucket_value(bucket)) == bucket

    @given(in_range)
    def test_it_is_the_mapping_of_ddsketch_but_for_the_last_bits(self, duration: float) -> None:
        by_logarithm = math.ceil(math.log(duration) / math.log(GAMMA))

        assert abs(bucket_of(duration) - by_logarithm) <= 1
        if (
            abs(duration / GAMMA**by_logarithm - 1)
            > 1e-9
            < abs(duration / GAMMA ** (by_logarithm - 1) - 1)
        ):
            assert bucket_of(duration) == by_logarithm

    @pytest.mark.parametrize("duration", [0.0, -0.0, 5e-324, 9e-10])
    def test_what_is_next_to_nothing_is_in_the_zero_bucket(self, duration: float) -> None:
        assert bucket_of(duration) == ZERO_BUCKET
        assert bucket_value(ZERO_BUCKET) == 0.0

    @pytest.mark.parametrize("duration", [3e17, 1.7976931348623157e308])
    def test_what_takes_millions_of_years_is_in_the_last_bucket(self, duration: float) -> None:
        assert bucket_of(duration) == LAST_BUCKET

    def test_plain_sql_needs_no_exception_for_zero(self) -> None:
        assert 0 < 2 * GAMMA**ZERO_BUCKET / (GAMMA + 1) < 1e-9

    @pytest.mark.parametrize("bucket", [ZERO_BUCKET + 1, -1, 0, 1, 700])
    def test_boundaries_are_powers_of_gamma(self, bucket: int) -> None:
        boundary = GAMMA**bucket

        assert bucket_of(boundary) == bucket
        assert bucket_of(math.nextafter(boundary, math.inf)) == bucket + 1


class TestCounting:
    """Sorted durations to buckets."""

    @given(many)
    @example([1e300, 0.0])
    @example([5.0] * 3)
    def test_it_counts_each_duration_in_its_bucket(self, values: list[float]) -> None:
        found = counted(values)

        expected = [bucket_of(value) for value in values]
        filled = sorted(set(expected))
        assert found == (filled, [expected.count(i) for i in filled], [0] * len(filled))

    def test_of_no_durations_there_are_no_buckets(self) -> None:
        assert counted([]) == ([], [], [])

    @given(events=missed_or_not)
    @example(events=[(1e300, False), (0.0, True), (GAMMA**7, False)])
    def test_a_run_is_counted_as_the_comparison_does(
        self, events: list[tuple[float, bool]]
    ) -> None:
        statistics = summarize(columns_of(events), satellite_buckets=True)

        numbers = [(bucket_of(duration), missed) for duration, missed in events]
        filled = sorted({bucket for bucket, _ in numbers})
        expected = [[numbers.count((bucket, m)) for bucket in filled] for m in (False, True)]
        columns = (filled, *expected)
        assert statistics.metric_buckets == {"agent_decision": columns}
        assert statistics.satellite_buckets == {"SAT001": {"agent_decision": columns}}

    def test_buckets_of_satellites_are_counted_only_if_asked_for(self) -> None:
        assert summarize(columns_of([(1.0, False)])).satellite_buckets == {}

    def test_usual_latencies_take_about_a_hundred_rows(self) -> None:
        generator = random.Random(5)
        events = [(generator.lognormvariate(3, 0.4), False) for _ in range(1_000)]

        buckets = summarize(columns_of(events)).metric_buckets["agent_decision"]

        assert 50 < len(buckets.counts) < 150


class TestTexts:
    """Buckets as the text of their row, and back."""

    @given(missed_or_not)
    def test_a_text_is_read_as_it_was_written(self, events: list[tuple[float, bool]]) -> None:
        columns = summarize(columns_of(events)).metric_buckets["agent_decision"]

        assert buckets_of(text_of(columns)) == columns

    def test_neighbours_with_as_many_missed_are_one_part(self) -> None:
        columns = BucketColumns([4, 5, 6, 9, 10], [7, 1, 0, 2, 3], [0, 0, 1, 0, 0])

        assert text_of(columns) == "[[4,0,7,1],[6,1,0],[9,0,2,3]]"

    @pytest.mark.parametrize(
        "text",
        [
            "", "{}", "[[1,0,2]", "[[1,0]]", "[[1]]", "[[1,0,-2]]", "[[1,-1,2]]", "[[1,0,2.5]]",
            "[[1,0,2,3],[2,0,1]]", "[[7,0,1],[3,0,1]]", "[[-1038,0,1]]", "[[2000,0,1,1]]",
        ],
    )  # fmt: skip
    def test_what_no_save_writes_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            buckets_of(text)

    @pytest.mark.parametrize("text", ["[[1,0]]", "[[2000,0,1,1]]", "[[-1038,0,1]]"])
    def test_it_is_refused_among_others_too(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            added_up(["[[1,0,2]]", text])


class TestMerging:
    """Buckets of several runs."""

    @given(st.lists(many, min_size=1, max_size=4))
    def test_merging_is_counting_all_together(self, runs: list[list[float]]) -> None:
        texts = [text_of(counted(run)) for run in runs]

        assert added_up(texts) == counted([value for run in runs for value in run])

    @given(st.lists(missed_or_not, min_size=2, max_size=4))
    def test_missed_events_are_added_up_beside(self, runs: list[list[tuple[float, bool]]]) -> None:
        def buckets(events: list[tuple[float, bool]]) -> BucketColumns:
            return summarize(columns_of(events)).metric_buckets["agent_decision"]

        together = added_up(text_of(buckets(events)) for events in runs)

        assert together == buckets([event for events in runs for event in events])

    def test_of_no_texts_there_are_no_buckets(self) -> None:
        assert added_up([]) == ([], [], [])

    def test_more_than_are_read_at_a_time_are_all_counted(self) -> None:
        assert added_up(["[[3,1,2]]"] * 4_001) == ([3], [8_002], [4_001])


class TestQuantile:
    """Percentiles of buckets."""

    @given(many, parts)
    def test_it_is_within_one_percent_of_the_order_statistic(
        self, values: list[float], q: float
    ) -> None:
        exact = sorted(values)[min(int(len(values) * q), len(values) - 1)]

        (found,) = quantiles(counted(values), [q])

        assert not isinstance(found, AtLeast)
        assert is_near(found, exact)

    @given(missed_or_not)
    def test_missed_events_show_as_in_the_statistics(
        self, events: list[tuple[float, bool]]
    ) -> None:
        statistics = summarize(columns_of(events))

        names = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        values = quantiles(statistics.metric_buckets["agent_decision"], names.values())

        exact = statistics.metrics["agent_decision"]
        for name, found in zip(names, values, strict=True):
            expected = getattr(exact, name)
            assert found is not None
            assert type(found) is type(expected)
            assert is_near(float(found), float(expected))

    def test_of_no_events_there_is_none(self) -> None:
        assert quantiles(counted([]), [0.5]) == [None]

    @pytest.mark.parametrize("q", [-0.01, 1.01, 50, math.nan])
    def test_a_quantile_outside_zero_to_one_is_refused(self, q: float) -> None:
        with pytest.raises(InvalidRunError, match=r"^Invalid quantile"):
            quantiles(BucketColumns([0], [1], [0]), [0.5, q])
