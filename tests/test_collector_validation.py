"""What `LatencyCollector` takes for a number and a satellite, what it refuses, and says."""

import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from recordings import Recorder, only, recorded, rows_of

from astraguard_store import LatencyCollector

# What is a number: every one of these is stored as exactly this float.
NUMBERS = [
    (0, 0.0),
    (0.0, 0.0),
    (3, 3.0),
    (2**63, 9223372036854775808.0),
    (2**53 + 1, float(2**53)),
    (10**300, 1e300),
    (5e-324, 5e-324),
    (1.7976931348623157e308, 1.7976931348623157e308),
    (np.float64(0.1), 0.1),
    (np.float32(0.1), 0.10000000149011612),
    (np.float16(0.1), 0.0999755859375),
    (np.longdouble(0.5), 0.5),
    (np.int64(7), 7.0),
    (np.int8(7), 7.0),
    (np.uint64(2**64 - 1), 18446744073709551616.0),
    (Decimal("0.1"), 0.1),
    (Decimal(12), 12.0),
    (Fraction(1, 3), 1 / 3),
]


# What is none, or can't be kept.
NO_LATENCIES: list[object] = [
    float("nan"),
    float("inf"),
    float("-inf"),
    -1,
    -1.0,
    -5e-324,
    -(10**400),
    10**400,
    10**5000,
    None,
    "1.0",
    "",
    b"1",
    [1.0],
    {},
    ...,
    1 + 0j,
    np.float64("nan"),
    np.float32("inf"),
    np.int64(-1),
    np.array(1.0),
    np.array([1.0, 2.0]),
    np.str_("1.0"),
    np.datetime64("2026-11-22"),
    np.timedelta64(5, "ms"),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal(-1),
    Decimal("1e400"),
    Fraction(-1, 3),
    Fraction(10**400),
    time.time,
]


NO_SATELLITES: list[object] = [
    "",
    " ",
    "\t\n",
    None,
    1,
    1.0,
    b"SAT001",
    ["SAT001"],
    ("SAT001",),
    {},
    ...,
    np.int64(1),
]


def shown(value: object) -> str:
    return f"{type(value).__name__}-{value!r:.25}" if not isinstance(value, int) else "int"


class TestValidation:
    """What recording accepts, refuses, and says."""

    @pytest.mark.parametrize(("value", "stored"), NUMBERS, ids=shown)
    def test_numbers_of_any_type_are_stored_as_their_float(
        self, recorder: Recorder, value: Any, stored: float
    ) -> None:
        collector = LatencyCollector()

        recorder.record(collector, "SAT001", value, value)

        measurement = only(collector)
        assert (measurement.scenario_time_s, measurement.duration_ms) == (stored, stored)
        assert type(measurement.scenario_time_s) is type(measurement.duration_ms) is float

    @pytest.mark.parametrize("value", NO_LATENCIES, ids=shown)
    def test_a_duration_that_is_no_latency_is_refused(
        self, recorder: Recorder, value: Any
    ) -> None:
        collector = LatencyCollector()

        with pytest.raises(
            ValueError, match=f"^Invalid {recorder.duration}: must be non-negative number"
        ):
            recorder.record(collector, "SAT001", 0.0, value)

        assert len(collector) == 0

    @pytest.mark.parametrize("value", NO_LATENCIES, ids=shown)
    def test_a_scenario_time_that_is_no_time_is_refused(
        self, recorder: Recorder, value: Any
    ) -> None:
        collector = LatencyCollector()

        with pytest.raises(
            ValueError, match=r"^Invalid scenario_time_s: must be non-negative number"
        ):
            recorder.record(collector, "SAT001", value, 1.0)

        assert len(collector) == 0

    @pytest.mark.parametrize("sat_id", NO_SATELLITES, ids=shown)
    def test_an_empty_or_non_string_satellite_is_refused(
        self, recorder: Recorder, sat_id: Any
    ) -> None:
        collector = LatencyCollector()

        with pytest.raises(ValueError, match=r"^Invalid sat_id: must be non-empty string"):
            recorder.record(collector, sat_id, 0.0, 1.0)

        assert len(collector) == 0

    @pytest.mark.parametrize("sat_id", NO_SATELLITES, ids=shown)
    def test_it_is_refused_beside_satellites_that_are_known(self, sat_id: Any) -> None:
        collector = LatencyCollector()
        for known in ("SAT001", "1", "1.0", "None"):
            collector.record_fault_detection(known, 0.0, 1.0)

        with pytest.raises(ValueError, match=r"^Invalid sat_id"):
            collector.record_fault_detection(sat_id, 0.0, 1.0)

        assert len(collector) == 4

    @pytest.mark.parametrize("truth", [True, False, np.True_])
    def test_a_truth_value_is_no_number(self, truth: Any) -> None:
        collector = LatencyCollector()

        with pytest.raises(ValueError, match=r"^Invalid detection_delay_ms"):
            collector.record_fault_detection("SAT001", 0.0, truth)
        with pytest.raises(ValueError, match=r"^Invalid scenario_time_s"):
            collector.record_fault_detection("SAT001", truth, 1.0)

    @pytest.mark.parametrize("sat_id", ["a\0b", "\ud800", "a\udfffb"], ids=ascii)
    def test_text_that_no_file_or_database_keeps_is_refused(self, sat_id: str) -> None:
        collector = LatencyCollector()

        with pytest.raises(ValueError, match=r"^Invalid sat_id"):
            collector.record_fault_detection(sat_id, 0.0, 1.0)

    def test_the_message_names_the_value(self) -> None:
        collector = LatencyCollector()

        with pytest.raises(ValueError, match=r"detection_delay_ms.*-4\.25"):
            collector.record_fault_detection("SAT001", 0.0, -4.25)
        with pytest.raises(ValueError, match=r"scenario_time_s.*soon"):
            collector.record_fault_detection("SAT001", "soon", 1.0)  # type: ignore[arg-type]

    def test_negative_zero_is_zero_or_keeps_its_sign_in_every_copy(self, tmp_path: Path) -> None:
        collector = LatencyCollector()
        collector.record_fault_detection("SAT001", -0.0, -0.0)

        collector.export_csv(str(tmp_path / "raw.csv"))

        assert (tmp_path / "raw.csv").read_bytes() == reference.csv_bytes(rows_of(collector))
        assert collector.get_stats()["fault_detection"]["min_ms"] == 0.0

    def test_a_refused_measurement_leaves_no_trace(self) -> None:
        collector = recorded(2)
        before = collector.get_summary()

        with pytest.raises(ValueError, match="Invalid"):
            collector.record_fault_detection("SAT999", 0.0, -1.0)

        assert collector.get_summary() == before
