"""`LatencyCollector`: what it records, and what it says of it."""

import dataclasses
import inspect
import math
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from recordings import Recorder, only, recorded, rows_of

from astraguard_store import LatencyCollector, LatencyMeasurement
from astraguard_store.formats.csv import FIELDS

# More than one block of the collector, and past the size from which polars is used.
MANY = 10_000


class TestRecording:
    """The three `record_…` methods."""

    def test_a_measurement_has_what_was_recorded(self, recorder: Recorder) -> None:
        collector = LatencyCollector()

        before = time.time()
        recorder.record(collector, "SAT001", 12.5, 3.25)
        after = time.time()

        measurement = only(collector)
        assert before <= measurement.timestamp <= after
        assert measurement == LatencyMeasurement(
            measurement.timestamp, recorder.metric_type, "SAT001", 3.25, 12.5
        )

    def test_parameters_keep_their_names(self, recorder: Recorder) -> None:
        signature = inspect.signature(getattr(LatencyCollector, f"record_{recorder.metric_type}"))

        assert list(signature.parameters) == [
            "self",
            "sat_id",
            "scenario_time_s",
            recorder.duration,
        ]

    def test_measurements_come_in_recording_order(self) -> None:
        collector = recorded(3)

        types = [m.metric_type for m in collector.measurements]

        assert types == ["fault_detection", "agent_decision", "recovery_action"] * 3

    def test_timestamps_never_go_back_while_the_clock_does_not(self) -> None:
        collector = recorded(500)

        timestamps = [m.timestamp for m in collector.measurements]

        assert timestamps == sorted(timestamps)

    def test_a_frozen_clock_is_heeded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        collector = LatencyCollector()
        monkeypatch.setattr(time, "time", lambda: 1234.5)

        collector.record_fault_detection("SAT001", 0.0, 1.0)

        assert only(collector).timestamp == 1234.5

    def test_other_kinds_are_recorded_by_their_name(self) -> None:
        collector = LatencyCollector()

        collector.record("link_up", "SAT001", 1.5, 30.0)

        row = dataclasses.astuple(only(collector))
        assert row[1:] == ("link_up", "SAT001", 30.0, 1.5)

    def test_a_measurement_has_five_fields(self) -> None:
        collector = LatencyCollector()
        collector.record_missed("link_up", "SAT001", 1.5, 30.0)

        missed = only(collector)

        assert list(dataclasses.asdict(missed)) == list(vars(missed)) == list(FIELDS)
        assert missed != LatencyMeasurement(*dataclasses.astuple(missed))
        assert dataclasses.replace(missed, duration_ms=1.0).missed
        assert pickle.loads(pickle.dumps(missed)) == missed

    def test_integers_are_stored_as_floats(self) -> None:
        collector = LatencyCollector()

        collector.record_fault_detection("SAT001", 7, 3)

        measurement = only(collector)
        assert (measurement.scenario_time_s, measurement.duration_ms) == (7.0, 3.0)
        assert type(measurement.scenario_time_s) is type(measurement.duration_ms) is float

    @pytest.mark.parametrize(
        "sat_id",
        ["S", "SAT 1", "a,b", 'q"q', "line\r\nbreak", "衛星", "\U0001f6f0", "0", "é"],
    )
    def test_any_text_is_a_satellite(self, sat_id: str) -> None:
        collector = LatencyCollector()

        collector.record_fault_detection(sat_id, 0.0, 1.0)

        assert only(collector).satellite_id == sat_id

    def test_satellites_that_look_alike_are_kept_apart(self) -> None:
        composed, decomposed = "\u00e9", "e\u0301"
        collector = LatencyCollector()

        for sat_id in (composed, decomposed, "e", "E"):
            collector.record_fault_detection(sat_id, 0.0, 1.0)

        assert list(collector.get_stats_by_satellite()) == [composed, decomposed, "e", "E"]

    def test_a_satellite_of_a_numpy_array_is_stored_as_text(self) -> None:
        collector = LatencyCollector()

        collector.record_fault_detection(np.array(["SAT001"])[0], 0.0, 1.0)

        assert type(only(collector).satellite_id) is str


class TestStatistics:
    """`.get_stats()`, `.get_stats_by_satellite()`, `.get_summary()`."""

    @pytest.mark.parametrize("steps", [1, 2, 19, 20, 21, 100, 101, 3_500])
    def test_numbers_and_key_order_are_the_old_ones(self, steps: int) -> None:
        collector = recorded(steps)
        rows = rows_of(collector)

        stats = collector.get_stats()
        by_satellite = collector.get_stats_by_satellite()

        ordered = reference.ordered_pairs
        assert ordered(stats) == ordered(reference.stats(rows))
        assert ordered(by_satellite) == ordered(reference.stats_by_satellite(rows))

    def test_the_summary_has_the_four_keys_of_the_old_one(self) -> None:
        collector = recorded(30)

        summary = collector.get_summary()

        ordered = reference.ordered_pairs
        assert ordered(summary) == ordered(reference.summary(rows_of(collector)))

    def test_an_empty_collector_has_empty_answers(self) -> None:
        collector = LatencyCollector()

        assert collector.get_stats() == {}
        assert collector.get_stats_by_satellite() == {}
        assert collector.get_summary() == {"total_measurements": 0, "metrics": {}}

    def test_every_answer_is_the_callers_own(self) -> None:
        collector = recorded(3)

        collector.get_stats()["fault_detection"]["count"] = -1
        collector.get_stats_by_satellite().clear()
        collector.get_summary()["stats"].clear()

        assert collector.get_summary() == reference.summary(rows_of(collector))

    def test_answers_follow_what_is_recorded(self) -> None:
        collector = recorded(3)
        collector.get_summary()

        collector.record_fault_detection("SAT003", 0.0, 100.0)

        assert collector.get_summary() == reference.summary(rows_of(collector))
        assert collector.get_stats()["fault_detection"]["max_ms"] == 100.0

    def test_numbers_are_plain_python(self) -> None:
        for steps in (5, 3_500):
            numbers = recorded(steps).get_stats()["fault_detection"]

            assert {type(value) for value in numbers.values()} == {int, float}

    @pytest.mark.parametrize("count", [2, 3, 4, 6, 7, 4_001])
    def test_a_sum_too_large_for_a_float_still_has_a_finite_mean(self, count: int) -> None:
        collector = LatencyCollector()
        for _ in range(count):
            collector.record_fault_detection("SAT001", 0.0, sys.float_info.max)

        mean = collector.get_stats()["fault_detection"]["mean_ms"]

        assert math.isfinite(mean)
        assert math.isclose(mean, sys.float_info.max)


class TestReset:
    """`.reset()`."""

    def test_it_forgets_everything(self) -> None:
        collector = recorded(MANY // 3)

        collector.reset()

        assert len(collector) == 0
        assert list(collector.measurements) == []
        assert collector.get_summary() == {"total_measurements": 0, "metrics": {}}

    def test_what_is_recorded_after_it_stands_alone(self) -> None:
        collector = recorded(5)

        collector.reset()
        collector.record_recovery_action("SAT002", 1.0, 4.0)
        collector.record_fault_detection("SAT001", 1.0, 2.0)

        assert list(collector.get_stats()) == ["recovery_action", "fault_detection"]
        assert list(collector.get_stats_by_satellite()) == ["SAT002", "SAT001"]
        assert len(collector) == 2


class TestExportCsv:
    """`.export_csv(filename)`."""

    @pytest.mark.parametrize("steps", [1, 100, 6_000])
    def test_it_writes_what_csv_writer_would(self, tmp_path: Path, steps: int) -> None:
        collector = recorded(steps)

        collector.export_csv(str(tmp_path / "raw.csv"))

        assert (tmp_path / "raw.csv").read_bytes() == reference.csv_bytes(rows_of(collector))

    def test_it_takes_a_path_and_a_relative_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        collector = recorded(1)

        collector.export_csv(tmp_path / "one.csv")
        collector.export_csv("two.csv")

        assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()

    def test_it_replaces_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "raw.csv"
        path.write_text("x" * 100_000)
        collector = recorded(1)

        collector.export_csv(str(path))

        assert path.read_bytes() == reference.csv_bytes(rows_of(collector))

    def test_an_empty_collector_is_refused_and_writes_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"^No measurements to export"):
            LatencyCollector().export_csv(str(tmp_path / "raw.csv"))

        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("filename", ["", None, 5])
    def test_an_empty_filename_is_refused(self, filename: Any) -> None:
        with pytest.raises(ValueError, match=r"^Invalid filename"):
            recorded(1).export_csv(filename)

    def test_it_makes_the_folders_that_are_missing(self, tmp_path: Path) -> None:
        collector = recorded(1)

        collector.export_csv(str(tmp_path / "new" / "deep" / "raw.csv"))

        written = (tmp_path / "new" / "deep" / "raw.csv").read_bytes()
        assert written == reference.csv_bytes(rows_of(collector))

    def test_a_folder_in_its_place_reaches_the_caller(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="directory"):
            recorded(1).export_csv(str(tmp_path))

    def test_a_full_disk_reaches_the_caller(self) -> None:
        with pytest.raises(OSError, match="No space left"):
            recorded(5_000).export_csv("/dev/full")


def test_a_collector_goes_to_another_process_and_back() -> None:
    collector = LatencyCollector()
    for i in range(5_000):
        collector.record_fault_detection(f"SAT{i % 3}", i / 10, 1.5)

    copied = pickle.loads(pickle.dumps(collector))
    copied.record_agent_decision("SAT1", 0.0, 2.0)

    assert copied.measurements[:5_000] == list(collector.measurements)
    assert copied.measurements[-1].metric_type == "agent_decision"
    assert len(collector) == 5_000
