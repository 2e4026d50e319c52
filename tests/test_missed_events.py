"""Missed events: recorded, counted, never flattering a percentile, kept in both files."""

import csv
import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from astraguard_store.artifacts.reader import last_measured_us
from astraguard_store.columns import Columns
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.csv import parse_csv, plain_labels, render_csv, safe_labels
from astraguard_store.formats.summary import (
    parse_document,
    parse_summary,
    render_document,
    statistics_document,
)
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import LatencyMeasurement, MetricSummary
from astraguard_store.statistics import RunStatistics, summarize

FAULT = "fault_detection"
SIX_FIELDS = [*reference.HEADER, "missed"]

durations = st.one_of(
    st.integers(0, 30).map(float),
    st.floats(min_value=0.0, max_value=1e300),
)
events = st.lists(
    st.builds(
        LatencyMeasurement,
        st.just(1.5),
        st.sampled_from(["fault_detection", "=é"]),
        st.sampled_from(["SAT001", "a,b"]),
        durations,
        st.just(0.25),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@dataclass
class Own:
    """A measurement of somebody else's collector, with the optional attribute."""

    missed: Any
    timestamp: float = 1.5
    metric_type: str = FAULT
    satellite_id: str = "SAT001"
    duration_ms: float = 3.0
    scenario_time_s: float = 0.25


def detected_and_missed(detected: list[float], missed: list[float]) -> LatencyCollector:
    collector = LatencyCollector()
    # In turn, so that neither lies in one piece.
    for waited_ms in missed:
        collector.record_missed(FAULT, "SAT001", 0.0, waited_ms)
    for delay_ms in detected:
        collector.record_fault_detection("SAT001", 0.0, delay_ms)
    return collector


def expected_summary(events: list[LatencyMeasurement]) -> dict[str, Any]:
    """Return the statistics as their definition says, written plainly."""
    measured = sorted(event.duration_ms for event in events if not event.missed)
    everything = sorted(event.duration_ms for event in events)
    n = len(events)
    expected: dict[str, Any] = {
        "count": n,
        "missed": n - len(measured),
        "mean_ms": reference.mean([event.duration_ms for event in events]),
        "min_ms": everything[0],
        "max_ms": everything[-1],
    }
    for name, rank in {"p50": n // 2, "p95": int(n * 0.95), "p99": int(n * 0.99)}.items():
        known = rank < len(measured)
        expected[f"{name}_ms"] = measured[rank] if known else None
        expected[f"{name}_above_ms"] = None if known else everything[rank]
    return expected


def rendered(columns: Columns) -> bytes:
    return b"".join(render_csv(columns))


def parsed(content: bytes) -> Columns:
    return parse_csv(io.StringIO(content.decode(), newline=""))


def document_of(statistics: RunStatistics) -> dict[str, Any]:
    return statistics_document(
        statistics.total_measurements, statistics.metrics, statistics.satellites
    )


class TestRecording:
    """`record_missed`."""

    def test_a_missed_event_has_what_was_recorded(self) -> None:
        collector = LatencyCollector()

        collector.record_missed("link_up", "SAT001", 12.5, 30_000)

        (event,) = collector.measurements
        assert event == LatencyMeasurement(
            event.timestamp, "link_up", "SAT001", 30_000.0, 12.5, missed=True
        )

    def test_what_is_measured_beside_it_is_not_missed(self) -> None:
        collector = detected_and_missed([1.0, 2.0], [9.0])

        assert [event.missed for event in collector.measurements] == [True, False, False]

    @pytest.mark.parametrize("metric_type", ["", None, 1, b"x", ["x"], {}, "a\0b", "\ud800"])
    def test_a_metric_type_that_is_no_name_is_refused(self, metric_type: Any) -> None:
        with pytest.raises(InvalidRunError, match=r"^Invalid metric_type"):
            LatencyCollector().record_missed(metric_type, "SAT001", 0.0, 1.0)

    @pytest.mark.parametrize("satellite_id", ["", None, 1, b"x", ["x"], {}, "a\0b", "\ud800"])
    def test_a_satellite_that_is_no_name_is_refused(self, satellite_id: Any) -> None:
        with pytest.raises(InvalidRunError, match=r"^Invalid satellite_id"):
            LatencyCollector().record_missed(FAULT, satellite_id, 0.0, 1.0)

    @pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), None, "1", True])
    def test_a_number_that_is_none_is_refused(self, number: Any) -> None:
        collector = LatencyCollector()

        with pytest.raises(InvalidRunError, match=r"^Invalid waited_ms"):
            collector.record_missed(FAULT, "SAT001", 0.0, number)
        with pytest.raises(InvalidRunError, match=r"^Invalid scenario_time_s"):
            collector.record_missed(FAULT, "SAT001", number, 1.0)

        assert len(collector) == 0

    def test_a_refused_one_leaves_no_trace(self) -> None:
        collector = detected_and_missed([1.0], [])
        before = collector.get_summary(), rendered(collector.snapshot())

        with pytest.raises(InvalidRunError):
            collector.record_missed(FAULT, "SAT001", 0.0, -1.0)

        assert (collector.get_summary(), rendered(collector.snapshot())) == before

    def test_a_collector_goes_to_another_process_with_them(self) -> None:
        collector = detected_and_missed([1.0, 2.0], [9.0])

        copied = pickle.loads(pickle.dumps(collector))
        copied.record_missed(FAULT, "SAT001", 0.0, 8.0)
        copied.record_fault_detection("SAT001", 0.0, 3.0)

        assert copied.measurements[:3] == list(collector.measurements)
        assert [event.missed for event in copied.measurements[3:]] == [True, False]

    def test_after_a_reset_there_are_none(self) -> None:
        collector = detected_and_missed([1.0], [9.0])

        collector.reset()
        collector.record_fault_detection("SAT001", 0.0, 1.0)

        assert not collector.snapshot().has_missed
        assert rendered(collector.snapshot()).startswith(
            ",".join(reference.HEADER).encode() + b"\r"
        )
        assert "missed" not in collector.get_stats()[FAULT]


class TestForeignCollectors:
    """`.missed` of somebody else's measurements."""

    @pytest.mark.parametrize(
        ("missed", "kept"),
        [(True, True), (False, False), (None, False), (np.True_, True), (np.False_, False)],
        ids=repr,
    )
    def test_a_truth_value_is_taken(self, missed: Any, kept: bool) -> None:
        (event,) = Columns.of([Own(missed)]).measurements()

        assert event.missed is kept

    @pytest.mark.parametrize("missed", ["no", 1, 0, 0.5, [], ...], ids=repr)
    def test_anything_else_is_refused(self, missed: Any) -> None:
        with pytest.raises(InvalidRunError, match=r"^Measurement 0: Invalid missed"):
            Columns.of([Own(missed)])

    @given(events)
    def test_they_are_kept_as_they_come(self, events: list[LatencyMeasurement]) -> None:
        kept = Columns.of(events)

        assert list(kept.measurements()) == events
        assert kept.has_missed is any(event.missed for event in events)


@pytest.mark.usefixtures("road")
class TestStatistics:
    """What is said of runs with missed events."""

    @given(events)
    def test_any_events(self, events: list[LatencyMeasurement]) -> None:
        statistics = summarize(Columns.of(events))

        assert statistics.total_measurements == len(events)
        assert list(statistics.metrics) == list(dict.fromkeys(e.metric_type for e in events))
        assert list(statistics.satellites) == list(dict.fromkeys(e.satellite_id for e in events))
        for metric_type, metric in statistics.metrics.items():
            of_type = [event for event in events if event.metric_type == metric_type]
            assert metric._asdict() == expected_summary(of_type)
            for satellite, metrics in statistics.satellites.items():
                of_one = [event for event in of_type if event.satellite_id == satellite]
                assert (metric_type in metrics) is bool(of_one)
                if of_one:
                    assert metrics[metric_type]._asdict() == expected_summary(of_one)

    def test_a_short_wait_does_not_flatter_a_percentile(self) -> None:
        collector = detected_and_missed([float(n) for n in range(1, 91)], [0.5] * 10)

        metric = summarize(collector.snapshot()).metrics[FAULT]

        assert (metric.count, metric.missed) == (100, 10)
        assert metric.p50_ms == 51.0
        assert (metric.p95_ms, metric.p95_above_ms) == (None, 86.0)

    def test_where_all_were_missed_every_percentile_is_a_bound(self) -> None:
        metric = summarize(detected_and_missed([], [5.0, 7.0]).snapshot()).metrics[FAULT]

        assert metric == MetricSummary(2, 6.0, None, None, None, 5.0, 7.0, 2, 7.0, 7.0, 7.0)


class TestAnswers:
    """`.get_stats()`, `.get_stats_by_satellite()` and `.get_summary()`."""

    def test_without_missed_events_there_are_no_further_keys(self) -> None:
        stats = detected_and_missed([1.0], []).get_stats()

        assert list(stats[FAULT]) == reference.STATISTIC_KEYS

    def test_the_further_keys_come_last(self) -> None:
        collector = detected_and_missed([1.0] * 94, [9.0] * 6)

        stats = collector.get_stats()[FAULT]
        of_satellite = collector.get_stats_by_satellite()["SAT001"][FAULT]

        further = ["missed", "p95_above_ms"]
        assert list(stats) == [*reference.STATISTIC_KEYS, *further, "p99_above_ms"]
        assert list(of_satellite) == [*reference.SATELLITE_KEYS, *further]
        assert (stats["missed"], stats["p95_ms"], stats["p95_above_ms"]) == (6, None, 9.0)
        assert stats["p50_ms"] == 1.0

    def test_totals_count_the_missed(self) -> None:
        summary = detected_and_missed([1.0] * 4, [9.0]).get_summary()

        assert summary["total_measurements"] == 5
        assert summary["measurement_types"] == {FAULT: 5}


@pytest.mark.usefixtures("road")
class TestCsv:
    """`latency_raw.csv` has a sixth column for runs with missed events, and only for these."""

    @given(events)
    def test_it_is_what_csv_writer_gives(self, events: list[LatencyMeasurement]) -> None:
        some = any(event.missed for event in events)
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(SIX_FIELDS if some else reference.HEADER)
        for e in events:
            row = [e.timestamp, e.metric_type, e.satellite_id, e.duration_ms, e.scenario_time_s]
            writer.writerow([*row, int(e.missed)] if some else row)

        assert rendered(Columns.of(events)) == text.getvalue().encode()

    @given(events)
    def test_reading_gives_back_what_was_written(self, events: list[LatencyMeasurement]) -> None:
        assert list(parsed(rendered(Columns.of(events))).measurements()) == events

    @given(events)
    def test_safe_names_are_taken_back(self, events: list[LatencyMeasurement]) -> None:
        types, satellites = ({e.metric_type for e in events}, {e.satellite_id for e in events})

        read = parsed(rendered(safe_labels(Columns.of(events))))

        assert list(plain_labels(read, types, satellites).measurements()) == events


@pytest.mark.parametrize(("mark", "found"), [("0", True), ("1", True), ("2", False), ("", False)])
def test_the_time_of_a_last_row_with_six_fields_is_found(
    tmp_path: Path, mark: str, found: bool
) -> None:
    (tmp_path / "run").mkdir()
    content = f"{','.join(SIX_FIELDS)}\r\n1700000000.5,a,S,1.0,0.0,{mark}\r\n"
    (tmp_path / "run" / reference.RAW).write_text(content, newline="")

    time_us = last_measured_us(tmp_path, "run")

    assert time_us == (1_700_000_000_500_000 if found else None)


class TestDamagedCsv:
    """A sixth column that says nothing."""

    @pytest.mark.parametrize("mark", ["", "2", "true", " 1", "1,", "1,0"])
    def test_a_row_that_is_neither_missed_nor_not_is_refused(self, mark: str) -> None:
        content = f"{','.join(SIX_FIELDS)}\r\n1.5,a,S,1.0,0.0,{mark}\r\n".encode()

        with pytest.raises(ArtifactReadError, match="line 2"):
            parsed(content)

    @pytest.mark.parametrize(("header", "row"), [(SIX_FIELDS, ""), (reference.HEADER, ",1")])
    def test_rows_have_as_many_fields_as_the_header(self, header: list[str], row: str) -> None:
        content = f"{','.join(header)}\r\n1.5,a,S,1.0,0.0{row}\r\n".encode()

        with pytest.raises(ArtifactReadError, match="line 2 is no measurement"):
            parsed(content)

    def test_another_sixth_column_is_refused(self) -> None:
        with pytest.raises(ArtifactReadError, match="header"):
            parsed(f"{','.join([*reference.HEADER, 'lost'])}\r\n".encode())


class TestJson:
    """`latency_summary.json` of runs with missed events."""

    @given(events)
    def test_reading_gives_back_what_was_written(self, events: list[LatencyMeasurement]) -> None:
        statistics = summarize(Columns.of(events))

        read = parse_summary(parse_document(render_document(document_of(statistics))))

        assert read.metrics == statistics.metrics
        assert read.satellites == {
            satellite: {
                name: metric._replace(p99_ms=None, min_ms=None, p99_above_ms=None)
                for name, metric in metrics.items()
            }
            for satellite, metrics in statistics.satellites.items()
        }

    @given(events)
    def test_pythons_reader_reads_every_number_back(
        self, events: list[LatencyMeasurement]
    ) -> None:
        document = document_of(summarize(Columns.of(events)))

        assert json.loads(render_document(document)) == document

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"missed": 101}, "missed is 101, of 100"),
            ({"missed": -1}, "missed"),
            ({"missed": 6.0}, "missed"),
            ({"missed": "6"}, "missed"),
            ({"missed": True}, "missed"),
            ({"missed": 2}, "p95_ms"),
            ({"missed": 0}, "p95_ms"),
            ({"missed": None}, "p95_ms"),
            ({"missed": 60}, "p50_ms"),
            ({"p95_ms": 1.0}, "p95_ms"),
            ({"p95_above_ms": None}, "p95_above_ms"),
            ({"p95_above_ms": "9"}, "p95_above_ms"),
            ({"p95_above_ms": -9.0}, "p95_above_ms"),
            ({"p50_ms": None}, "p50_ms"),
            ({"p50_above_ms": 1.0}, "p50_above_ms"),
            ({"mean_ms": None}, "mean_ms"),
            ({"max_ms": None}, "max_ms"),
            ({"count": 0}, "count"),
        ],
        ids=str,
    )
    @pytest.mark.parametrize("of_satellite", [False, True], ids=["run", "satellite"])
    def test_damage_is_refused(
        self, of_satellite: bool, changed: dict[str, Any], message: str
    ) -> None:
        collector = detected_and_missed([1.0] * 94, [9.0] * 6)
        document = document_of(summarize(collector.snapshot()))
        by_type = document["stats_by_satellite"]["SAT001"] if of_satellite else document["stats"]
        by_type[FAULT].update(changed)

        with pytest.raises(ArtifactReadError, match=message):
            parse_summary(document)

    def test_integers_are_read_as_floats(self) -> None:
        numbers: dict[str, int | None] = dict.fromkeys(reference.STATISTIC_KEYS, 1)
        numbers |= {"count": 2, "missed": 1}
        numbers |= {f"{name}_ms": None for name in ("p50", "p95", "p99")}
        numbers |= {f"{name}_above_ms": 3 for name in ("p50", "p95", "p99")}

        read = parse_summary({"total_measurements": 2, "stats": {"a": numbers}})

        assert read.metrics["a"] == MetricSummary(
            2, 1.0, None, None, None, 1.0, 1.0, 1, 3.0, 3.0, 3.0
        )
        assert type(read.metrics["a"].p95_above_ms) is float
