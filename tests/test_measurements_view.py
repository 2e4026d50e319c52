"""`LatencyCollector.measurements` reads like a list of `LatencyMeasurement`."""

import copy
from typing import Any

import numpy as np
import pytest
from recordings import recorded, rows_of

from astraguard_store import LatencyCollector, LatencyMeasurement

# More than one block of the collector, and past the size from which polars is used.
MANY = 10_000


class TestMeasurementsView:
    """`.measurements` reads like a list of `LatencyMeasurement`."""

    @pytest.fixture(params=[0, 1, 7, MANY], ids="{} rows".format)
    def both(
        self, request: pytest.FixtureRequest
    ) -> tuple[LatencyCollector, list[LatencyMeasurement]]:
        collector = LatencyCollector()
        for i in range(request.param):
            collector.record_fault_detection(f"SAT{i % 3}", float(i), 1.0 + i / 8)
        return collector, [LatencyMeasurement(*row) for row in rows_of(collector)]

    def test_its_length_is_the_collectors(
        self, both: tuple[LatencyCollector, list[LatencyMeasurement]]
    ) -> None:
        collector, expected = both

        assert len(collector.measurements) == len(collector) == len(expected)

    def test_it_is_true_when_there_are_any(
        self, both: tuple[LatencyCollector, list[LatencyMeasurement]]
    ) -> None:
        collector, expected = both

        assert bool(collector.measurements) is bool(expected)

    def test_it_equals_the_list_and_itself(
        self, both: tuple[LatencyCollector, list[LatencyMeasurement]]
    ) -> None:
        collector, expected = both

        assert collector.measurements == expected
        assert expected == collector.measurements
        assert collector.measurements == collector.measurements
        assert collector.measurements != [*expected, None]
        assert collector.measurements != "measurements"

    def test_it_indexes_from_both_ends(
        self, both: tuple[LatencyCollector, list[LatencyMeasurement]]
    ) -> None:
        collector, expected = both
        n = len(expected)

        for index in {i for i in (0, 1, n // 2, 4_095, 4_096, n - 1) if 0 <= i < n}:
            assert collector.measurements[index] == expected[index]
            assert collector.measurements[index - n] == expected[index - n]

    def test_an_index_outside_is_an_index_error(
        self, both: tuple[LatencyCollector, list[LatencyMeasurement]]
    ) -> None:
        collector, expected = both

        for index in (len(expected), -len(expected) - 1, 10**9):
            with pytest.raises(IndexError):
                collector.measurements[index]

    @pytest.mark.parametrize(
        "cut",
        [
            slice(None),
            slice(2),
            slice(2, 5),
            slice(-3, None),
            slice(None, None, 2),
            slice(None, None, -1),
            slice(5, 1, -2),
            slice(4_000, 4_200),
            slice(-1, 0, -997),
            slice(5, 2),
            slice(0, 10**9),
            slice(10**9, None),
        ],
        ids=str,
    )
    def test_it_slices_into_a_list(
        self, both: tuple[LatencyCollector, list[LatencyMeasurement]], cut: slice
    ) -> None:
        collector, expected = both

        part = collector.measurements[cut]

        assert type(part) is list
        assert part == expected[cut]

    def test_a_slice_step_of_zero_is_a_value_error(self) -> None:
        with pytest.raises(ValueError, match="zero"):
            recorded(1).measurements[::0]

    def test_a_text_index_is_a_type_error(self) -> None:
        with pytest.raises(TypeError):
            recorded(1).measurements["0"]  # type: ignore[call-overload]

    def test_it_indexes_by_what_numpy_counts_with(self) -> None:
        measurements = recorded(2).measurements
        one: Any = np.int64(1)

        assert measurements[one] == measurements[1]

    def test_it_iterates_again_and_again(self) -> None:
        measurements = recorded(4).measurements

        assert list(measurements) == list(measurements) == measurements[:]

    def test_it_iterates_backwards(self) -> None:
        measurements = recorded(4).measurements

        assert list(reversed(measurements)) == list(measurements)[::-1]

    def test_it_contains_what_was_recorded(self) -> None:
        measurements = recorded(4).measurements
        stranger = LatencyMeasurement(0.0, "fault_detection", "SAT001", 1.0, 1.0)

        assert measurements[3] in measurements
        assert stranger not in measurements
        assert measurements.index(measurements[3]) == 3
        assert measurements.count(measurements[3]) == 1

    def test_it_shows_what_is_recorded_later(self) -> None:
        collector = LatencyCollector()
        measurements = collector.measurements

        collector.record_fault_detection("SAT001", 0.0, 1.0)

        assert len(measurements) == 1

    def test_a_loop_over_it_ends_while_recording_goes_on(self) -> None:
        collector = recorded(10)

        seen = 0
        for seen, _ in enumerate(collector.measurements, start=1):
            collector.record_fault_detection("SAT001", 0.0, 1.0)
            if seen > 100:
                break

        assert seen == 30

    def test_a_slice_does_not_change_with_the_collector(self) -> None:
        collector = recorded(2)
        part = collector.measurements[:]

        collector.reset()

        assert len(part) == 6

    def test_it_sorts_like_a_list(self) -> None:
        measurements = recorded(5).measurements

        by_duration = sorted(measurements, key=lambda m: m.duration_ms)

        durations = [m.duration_ms for m in by_duration]
        assert durations == sorted(m.duration_ms for m in measurements)

    def test_it_has_a_repr_that_says_how_many(self) -> None:
        assert "30" in repr(recorded(10).measurements)
        assert "30" in repr(recorded(10))


def test_a_collector_can_be_copied_measurement_by_measurement() -> None:
    measurements = recorded(3).measurements

    copies = copy.deepcopy(measurements[:])

    assert copies == measurements
