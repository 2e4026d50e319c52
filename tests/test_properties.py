"""What must hold for any measurements: files, statistics and listings against plain Python.

The CSVs of large and small runs take different roads (polars, plain Python); each
property is checked on both, by moving the size from which polars is used.
"""

import csv
import io
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path

import pytest
import reference
from hypothesis import example, given, settings
from hypothesis import strategies as st
from recordings import OwnCollector, own

from astraguard_store import LatencyCollector, RunRepository, columns
from astraguard_store.columns import Columns
from astraguard_store.formats.csv import parse_csv, render_csv
from astraguard_store.formats.summary import (
    decoded_summary,
    parse_document,
    parse_summary,
    render_document,
    statistics_document,
)
from astraguard_store.statistics import summarize

THRESHOLD = columns.POLARS_PAYS_FROM_ROWS

# Any text the store keeps; the awkward characters of CSV and JSON more often than others.
names = st.text(
    st.one_of(
        st.sampled_from("aB1 ,\"'\r\n\t;|\\/{}[]:\u2028é衛\U0001f6f0\ufeff"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    min_size=1,
    max_size=12,
)
any_times = st.floats(allow_nan=False, allow_infinity=False)
any_durations = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)
# What polars prints as Python does, so that a run of only these stays on its road.
plain_floats = st.one_of(
    st.just(0.0),
    st.floats(min_value=1e-4, max_value=1e16, exclude_max=True),
    st.integers(0, 10**9).map(float),
    st.integers(0, 10**9).map(lambda thousandths: thousandths / 1000),
)


def rows_of(timestamps: st.SearchStrategy[float], durations: st.SearchStrategy[float]):  # type: ignore[no-untyped-def]
    return st.lists(st.tuples(timestamps, names, names, durations, durations), min_size=1)


any_rows = rows_of(any_times, any_durations)
plain_rows = rows_of(plain_floats, plain_floats)


def columns_of(rows: list[reference.Row]) -> Columns:
    return Columns.of(own(rows).measurements)


def rendered(rows: list[reference.Row]) -> bytes:
    return b"".join(render_csv(columns_of(rows)))


@pytest.mark.usefixtures("road")
class TestCsv:
    """`latency_raw.csv` is byte for byte what `csv.writer` gives."""

    @given(any_rows)
    # One float that polars prints in another notation, in each column.
    @example([(9.999999999999999e-05, "a", "b", 1.0, 1.0)])
    @example([(1.0, "a", "b", 9.999999999999999e-05, 1.0)])
    @example([(1.0, "a", "b", 1.0, 9.999999999999999e-05)])
    @example([(1e16, "a", "b", 1e16, 1e16)])
    @example([(-1.5, "a", "b", 1.0, 1.0)])
    @example([(-0.0, "a", "b", -0.0, -0.0)])
    @example([(5e-324, "a", "b", 1.7976931348623157e308, 2.2250738585072014e-308)])
    def test_any_floats_and_any_text(self, rows: list[reference.Row]) -> None:
        assert rendered(rows) == reference.csv_bytes(rows)

    @given(plain_rows)
    @example([(0.0001, "a", "b", 0.00010000000000000002, 9999999999999998.0)])
    @example([(1795327697.1264212, "\r", "\n", 0.1 + 0.2, 123456789012345.6)])
    def test_floats_without_an_exponent_and_any_text(self, rows: list[reference.Row]) -> None:
        assert rendered(rows) == reference.csv_bytes(rows)

    @given(any_rows)
    def test_reading_gives_back_what_was_written(self, rows: list[reference.Row]) -> None:
        lines = io.StringIO(rendered(rows).decode("utf-8"), newline="")

        read = parse_csv(lines)

        assert list(read.measurements()) == list(columns_of(rows).measurements())

    @given(any_rows)
    def test_pythons_reader_reads_every_field_back(self, rows: list[reference.Row]) -> None:
        lines = list(csv.reader(io.StringIO(rendered(rows).decode("utf-8"), newline="")))

        assert lines[0] == list(reference.HEADER)
        assert [
            (float(t), name, satellite, float(d), float(s))
            for t, name, satellite, d, s in lines[1:]
        ] == rows


class TestStatistics:
    """Percentiles and mean are the old definition, to the last bit."""

    @given(
        st.lists(
            st.tuples(
                any_times,
                st.sampled_from(["fault_detection", "agent_decision", "é"]),
                st.sampled_from(["SAT001", "SAT002", "a,b"]),
                # A sum beyond the largest double has no old definition.
                st.floats(min_value=0.0, max_value=1e305),
                any_durations,
            ),
            min_size=1,
        )
    )
    def test_any_durations(self, rows: list[reference.Row]) -> None:
        statistics = summarize(columns_of(rows))

        assert statistics.total_measurements == len(rows)
        assert_equal(statistics.metrics, reference.stats(rows))
        by_satellite = reference.full_stats_by_satellite(rows)
        assert list(statistics.satellites) == list(by_satellite)
        for satellite, expected in by_satellite.items():
            assert_equal(statistics.satellites[satellite], expected)

    @pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 40, 99, 100, 101, 199, 200, 1_000])
    def test_every_rank_at_the_edges(self, count: int) -> None:
        rows = reference.make_rows(count, types=("a",), satellites=("S",))

        statistics = summarize(columns_of(rows))

        assert_equal(statistics.metrics, reference.stats(rows))

    @given(st.lists(st.floats(min_value=0.0, max_value=1e16), min_size=1, max_size=200))
    def test_the_order_of_recording_decides_the_last_bits_of_the_mean(
        self, durations: list[float]
    ) -> None:
        rows = [(0.0, "a", "S", duration, 0.0) for duration in durations]

        mean = summarize(columns_of(rows)).metrics["a"].mean_ms

        total = 0.0
        for duration in durations:
            total += duration
        assert mean == total / len(durations)


def assert_equal(metrics: object, expected: reference.Document) -> None:
    assert isinstance(metrics, dict)
    assert list(metrics) == list(expected)
    for name, numbers in expected.items():
        assert {key: getattr(metrics[name], key) for key in numbers} == numbers


class TestBothSidesOfTheThreshold:
    """Real sizes, as a runner has them, with nothing moved."""

    @pytest.mark.parametrize("count", [THRESHOLD - 1, THRESHOLD, THRESHOLD + 1, 5 * THRESHOLD])
    def test_export_and_statistics_are_the_old_ones(self, count: int) -> None:
        rows = reference.make_rows(count, satellites=("SAT001", "a,b", 'say "hi"'))

        statistics = summarize(columns_of(rows))

        assert rendered(rows) == reference.csv_bytes(rows)
        assert_equal(statistics.metrics, reference.stats(rows))

    @pytest.mark.parametrize(("position", "odd"), [(0, 2.3e-05), (20_000, 5e-324), (39_999, 1e16)])
    def test_one_odd_float_in_a_large_run(self, position: int, odd: float) -> None:
        rows = reference.make_rows(40_000)
        rows[position] = (*rows[position][:3], odd, rows[position][4])

        assert rendered(rows) == reference.csv_bytes(rows)

    @settings(max_examples=15)
    @given(plain_rows)
    def test_any_text_in_a_large_run(self, few: list[reference.Row]) -> None:
        rows = list(islice(cycle(few), THRESHOLD + 3))

        assert rendered(rows) == reference.csv_bytes(rows)
        assert_equal(summarize(columns_of(rows)).metrics, reference.stats(rows))

    def test_the_collector_and_a_runners_own_are_rendered_alike(self) -> None:
        collector = LatencyCollector()
        for i in range(THRESHOLD + 1):
            collector.record_agent_decision(f"SAT{i % 7}", i / 4, 0.001 * i)
        foreign: OwnCollector = own(
            (m.timestamp, m.metric_type, m.satellite_id, m.duration_ms, m.scenario_time_s)
            for m in collector.measurements
        )

        from_collector = b"".join(render_csv(collector.snapshot()))

        assert from_collector == b"".join(render_csv(Columns.of(foreign.measurements)))


class TestJson:
    """`latency_summary.json` reads back as what was written."""

    @given(any_rows)
    def test_pythons_reader_reads_every_number_back(self, rows: list[reference.Row]) -> None:
        statistics = summarize(columns_of(rows))
        document = statistics_document(
            statistics.total_measurements, statistics.metrics, statistics.satellites
        )

        text = render_document(document)

        assert json.loads(text) == document
        assert reference.ordered_pairs(json.loads(text)) == reference.ordered_pairs(document)

    @given(any_rows)
    def test_reading_gives_back_what_was_written(self, rows: list[reference.Row]) -> None:
        statistics = summarize(columns_of(rows))
        document = statistics_document(
            statistics.total_measurements, statistics.metrics, statistics.satellites
        )

        read = parse_summary(parse_document(render_document(document)))

        assert read.total_measurements == len(rows)
        assert read.metrics == statistics.metrics
        assert {
            satellite: {name: metric.p95_ms for name, metric in metrics.items()}
            for satellite, metrics in read.satellites.items()
        } == {
            satellite: {name: metric.p95_ms for name, metric in metrics.items()}
            for satellite, metrics in statistics.satellites.items()
        }

    @given(any_rows, st.integers(0), st.binary(max_size=3), st.integers(0, 3))
    def test_the_short_way_reads_what_the_long_way_does_or_nothing(
        self, rows: list[reference.Row], place: int, put: bytes, cut: int
    ) -> None:
        told = summarize(columns_of(rows))
        statistics = statistics_document(told.total_measurements, told.metrics, told.satellites)
        whole = render_document({"run_id": "run", "timestamp": "2026-11-27", **statistics})
        place %= len(whole)
        changed = whole[:place] + put + whole[place + cut :]

        found = decoded_summary(changed)

        if found is not None:
            assert found == parse_summary(parse_document(changed))
        assert decoded_summary(whole) == parse_summary(parse_document(whole))

    @given(any_rows)
    def test_it_reads_the_files_of_the_old_class(self, rows: list[reference.Row]) -> None:
        old = json.dumps(reference.summary(rows), indent=2)
        finite = "Infinity" not in old

        if finite:
            read = parse_summary(parse_document(old.encode()))

            assert_equal(read.metrics, reference.stats(rows))


run_ids = st.text(st.sampled_from("abAB019-_ éß衛"), min_size=1, max_size=6).filter(
    lambda run_id: run_id == run_id.strip()
)
# Few times, so that ties are common.
times = st.integers(0, 3).map(lambda s: 1_790_000_000.25 + s)
limits = st.integers(-1, 14)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TestFolderScan:
    """The newest k by heap are the first k of a full sort."""

    @settings(max_examples=40)
    @given(runs=st.dictionaries(run_ids, times, min_size=1), limit=limits)
    def test_the_scan_is_a_full_sort(self, runs: dict[str, float], limit: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder)
            for run_id, time in runs.items():
                rows = reference.make_rows(1, start=time)
                reference.write_old_run(results, run_id, rows, with_csv=False)
            (results / "no summary").mkdir()
            (results / "a file").write_text("")

            found = scanned(results, limit)

            assert found == full_sort(runs)[: max(0, limit)]
            assert set(os.listdir(results)) == {*runs, "no summary", "a file"}

    @settings(max_examples=25)
    @given(
        runs=st.dictionaries(run_ids, st.tuples(times, st.integers(0, 50)), min_size=1),
        limit=limits,
    )
    def test_the_scan_of_a_copied_tree_is_a_full_sort_by_the_times_in_the_files(
        self, runs: dict[str, tuple[float, int]], limit: int
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder)
            for run_id, (time, copied) in runs.items():
                run = reference.write_old_run(results, run_id, reference.make_rows(1, start=time))
                # As `cp -r` leaves them: the time of the copy, to the nanosecond.
                nanoseconds = 1_795_000_000_123_456_789 + copied
                os.utime(run / reference.SUMMARY, ns=(nanoseconds, nanoseconds))

            found = scanned(results, limit)

            expected = full_sort({run_id: time for run_id, (time, _) in runs.items()})
            assert found == expected[: max(0, limit)]


def scanned(results: Path, limit: int) -> list[tuple[float, str]]:
    with RunRepository.open(results, read_only=True) as repository:
        return [
            ((header.recorded_at - EPOCH) / timedelta(seconds=1), header.run_id)
            for header in repository.recent(limit)
        ]


def full_sort(runs: dict[str, float]) -> list[tuple[float, str]]:
    return sorted(((time, run_id) for run_id, time in runs.items()), reverse=True)
