"""Recording from several threads loses nothing; reading meanwhile sees whole rows."""

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import reference
from recordings import recorded

from astraguard_store import LatencyCollector

BackgroundRunner = Callable[[Callable[[], object]], None]


@pytest.fixture
def restless() -> Iterator[None]:
    """Let threads take turns every microsecond or so, not every 5 ms."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
class TestThreads:
    """Recording from several threads loses nothing; reading meanwhile sees whole rows."""

    def test_threads_lose_nothing(self) -> None:
        collector = LatencyCollector()
        start = threading.Barrier(8)

        def work(number: int) -> None:
            start.wait()
            for i in range(5_000):
                collector.record_fault_detection(f"SAT{number}", float(i), float(number))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(collector) == 40_000
        for number in range(8):
            times = [
                m.scenario_time_s
                for m in collector.measurements
                if (m.satellite_id, m.duration_ms) == (f"SAT{number}", float(number))
            ]
            assert times == [float(i) for i in range(5_000)]

    def test_threads_keep_missed_and_measured_events_apart(self) -> None:
        collector = LatencyCollector()
        start = threading.Barrier(8)

        def work() -> None:
            start.wait()
            for i in range(500):
                collector.record_missed("fault_detection", f"SAT{i}", 0.0, 2.0)
                collector.record_fault_detection(f"SAT{i}", 0.0, 1.0)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert {(m.missed, m.duration_ms) for m in collector.measurements} == {
            (True, 2.0),
            (False, 1.0),
        }
        by_satellite = collector.get_stats_by_satellite()
        assert [m["fault_detection"]["count"] for m in by_satellite.values()] == [16] * 500
        assert [m["fault_detection"]["missed"] for m in by_satellite.values()] == [8] * 500

    def test_threads_that_meet_new_satellites_at_once_agree_on_them(self) -> None:
        collector = LatencyCollector()
        start = threading.Barrier(8)

        def work() -> None:
            start.wait()
            for i in range(500):
                collector.record_agent_decision(f"SAT{i}", float(i), float(i))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert all(m.satellite_id == f"SAT{m.duration_ms:.0f}" for m in collector.measurements)
        assert {
            types["agent_decision"]["count"]
            for types in collector.get_stats_by_satellite().values()
        } == {8}

    def test_a_summary_taken_while_recording_is_of_one_moment(
        self, in_background: BackgroundRunner
    ) -> None:
        collector = recorded(1)
        in_background(lambda: collector.record_fault_detection("SAT001", 0.0, 1.0))

        for _ in range(100):
            summary = collector.get_summary()

            total = summary["total_measurements"]
            by_satellite = summary["stats_by_satellite"].values()
            assert total == sum(summary["measurement_types"].values())
            assert total == sum(types["count"] for types in summary["stats"].values())
            assert total == sum(t["count"] for types in by_satellite for t in types.values())

    def test_rows_read_while_recording_stay_as_they_are(
        self, in_background: BackgroundRunner
    ) -> None:
        collector = recorded(100)
        in_background(lambda: collector.record_fault_detection("SAT001", 7.0, 1.0))

        earlier = list(collector.measurements)
        for _ in range(10):
            later = list(collector.measurements)

            assert later[: len(earlier)] == earlier
            earlier = later

    def test_an_export_while_recording_has_whole_rows(
        self, tmp_path: Path, in_background: BackgroundRunner
    ) -> None:
        collector = recorded(100)
        in_background(lambda: collector.record_fault_detection("SAT001", 7.0, 1.5))

        for _ in range(5):
            collector.export_csv(str(tmp_path / "raw.csv"))

            rows = reference.read_rows(tmp_path / "raw.csv")
            assert len(rows) >= 300
            assert (tmp_path / "raw.csv").read_bytes() == reference.csv_bytes(rows)

    def test_reset_while_recording_leaves_whole_rows(
        self, in_background: BackgroundRunner
    ) -> None:
        collector = LatencyCollector()
        in_background(lambda: collector.record_fault_detection("SAT001", 7.0, 1.5))

        for _ in range(200):
            collector.reset()
            assert all(
                (m.metric_type, m.satellite_id, m.duration_ms, m.scenario_time_s)
                == ("fault_detection", "SAT001", 1.5, 7.0)
                for m in collector.measurements
            )
