"""The files that a save writes, as readers of the old ones rely on them."""

import json
import os
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import reference
from recordings import OwnMeasurement, own, recorded, rows_of, save

from astraguard_store import LatencyCollector, MetricsStorage

# Clocks are read as floats here and there, which rounds to a microsecond or so.
A_MOMENT = timedelta(milliseconds=1)


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


class TestSaveLatencyStats:
    """`.save_latency_stats(collector)` returns {"summary": path, "raw": path}."""

    def test_both_paths_are_strings_of_files_that_are_there(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        paths = MetricsStorage("run_001", str(results)).save_latency_stats(collector)

        assert list(paths) == ["summary", "raw"]
        assert paths == {
            "summary": str(results / "run_001" / reference.SUMMARY),
            "raw": str(results / "run_001" / reference.RAW),
        }
        assert all(type(path) is str and os.path.isfile(path) for path in paths.values())

    def test_a_relative_results_folder_gives_relative_paths(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, collector: LatencyCollector
    ) -> None:
        monkeypatch.chdir(tmp_path)

        paths = MetricsStorage("run_001", "out").save_latency_stats(collector)

        assert paths["summary"] == f"out/run_001/{reference.SUMMARY}"
        assert os.path.isfile(paths["raw"])

    def test_only_the_two_files_lie_in_the_folder_of_the_run(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        storage = save(results, "run_001", collector)

        assert sorted(os.listdir(storage.metrics_dir)) == [reference.RAW, reference.SUMMARY]

    def test_beside_the_runs_lie_only_the_names_the_store_reserved(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        save(results, "run_001", collector)

        others = set(os.listdir(results)) - {"run_001", ".staging"}

        assert all(name.startswith("astraguard.db") for name in others)
        assert not (results / ".staging").exists() or not os.listdir(results / ".staging")

    def test_a_folder_that_was_removed_since_the_constructor_comes_back(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        storage = MetricsStorage("run_001", str(results))
        storage.metrics_dir.rmdir()

        paths = storage.save_latency_stats(collector)

        assert all(os.path.isfile(path) for path in paths.values())

    def test_an_empty_collector_is_refused_and_nothing_is_written(self, results: Path) -> None:
        storage = MetricsStorage("run_001", str(results))

        with pytest.raises(ValueError, match="No measurements to export"):
            storage.save_latency_stats(LatencyCollector())

        assert os.listdir(storage.metrics_dir) == []
        assert MetricsStorage.get_recent_runs(str(results)) == []

    def test_an_empty_collector_leaves_the_saved_run_as_it_was(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        storage = save(results, "run_001", collector)
        before = reference.listing(storage.metrics_dir)

        with pytest.raises(ValueError, match="No measurements to export"):
            storage.save_latency_stats(own([]))

        assert reference.listing(storage.metrics_dir) == before


class TestCollectorsOfRunners:
    """Anything with `.measurements` whose items have the five attributes is accepted."""

    def test_a_list_of_plain_objects_is_saved(self, results: Path) -> None:
        rows = reference.make_rows(60)

        storage = save(results, "run_001", own(rows))

        assert (storage.metrics_dir / reference.RAW).read_bytes() == reference.csv_bytes(rows)
        metrics = storage.get_run_metrics()
        assert metrics is not None
        assert metrics["stats"] == reference.stats(rows)

    @pytest.mark.parametrize("container", [tuple, deque, iter])
    def test_any_iterable_of_measurements_is_saved(self, results: Path, container: type) -> None:
        rows = reference.make_rows(12)
        measurements = container([OwnMeasurement(*row) for row in rows])

        storage = save(results, "run_001", SimpleNamespace(measurements=measurements))

        assert (storage.metrics_dir / reference.RAW).read_bytes() == reference.csv_bytes(rows)

    def test_items_may_have_more_than_the_five_attributes(self, results: Path) -> None:
        rows = reference.make_rows(5)
        items = [
            SimpleNamespace(**dict(zip(reference.HEADER, row, strict=True)), extra=1)
            for row in rows
        ]

        storage = save(results, "run_001", SimpleNamespace(measurements=items))

        assert (storage.metrics_dir / reference.RAW).read_bytes() == reference.csv_bytes(rows)

    def test_metric_types_of_their_own_are_kept(self, results: Path) -> None:
        rows = reference.make_rows(12, types=("télémétrie", "link, up"))

        metrics = save(results, "run_001", own(rows)).get_run_metrics()

        assert metrics is not None
        assert metrics["measurement_types"] == {"télémétrie": 6, "link, up": 6}

    def test_integers_are_stored_as_floats(self, results: Path) -> None:
        whole = OwnMeasurement(1_790_000_000, "fault_detection", "SAT001", 3, 7)

        storage = save(results, "run_001", SimpleNamespace(measurements=[whole]))

        line = (storage.metrics_dir / reference.RAW).read_bytes().splitlines()[1]
        assert line == b"1790000000.0,fault_detection,SAT001,3.0,7.0"

    @pytest.mark.parametrize("missing", reference.HEADER)
    def test_an_item_without_one_of_the_attributes_fails_the_save(
        self, results: Path, missing: str
    ) -> None:
        row = dict(zip(reference.HEADER, reference.make_rows(1)[0], strict=True))
        del row[missing]
        storage = MetricsStorage("run_001", str(results))

        with pytest.raises((ValueError, TypeError, AttributeError), match=missing):
            storage.save_latency_stats(SimpleNamespace(measurements=[SimpleNamespace(**row)]))

        assert os.listdir(storage.metrics_dir) == []

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, "3.0", None])
    def test_a_duration_that_is_no_latency_fails_the_save(
        self, results: Path, value: object
    ) -> None:
        row = dict(zip(reference.HEADER, reference.make_rows(1)[0], strict=True))
        item = SimpleNamespace(**(row | {"duration_ms": value}))
        storage = MetricsStorage("run_001", str(results))

        with pytest.raises(ValueError, match="duration_ms"):
            storage.save_latency_stats(SimpleNamespace(measurements=[item]))

        assert os.listdir(storage.metrics_dir) == []

    def test_an_object_without_measurements_is_refused(self, results: Path) -> None:
        not_a_collector: Any = object()
        storage = MetricsStorage("run_001", str(results))

        with pytest.raises((TypeError, ValueError, AttributeError), match="measurements"):
            storage.save_latency_stats(not_a_collector)

        assert os.listdir(storage.metrics_dir) == []

    def test_an_error_of_the_collector_reaches_the_caller(self, results: Path) -> None:
        class Broken:
            @property
            def measurements(self) -> list[OwnMeasurement]:
                raise ZeroDivisionError("in the runner's own code")

        storage = MetricsStorage("run_001", str(results))

        with pytest.raises(ZeroDivisionError, match="runner's own code"):
            storage.save_latency_stats(Broken())

        assert os.listdir(storage.metrics_dir) == []


class TestSummaryFile:
    """`latency_summary.json`."""

    def test_document_and_key_order_are_the_old_ones(self, results: Path) -> None:
        collector = recorded(25)
        storage = save(results, "run_001", collector)

        written = reference.read_document(storage.metrics_dir / reference.SUMMARY)

        expected = reference.document("run_001", written["timestamp"], rows_of(collector))
        assert reference.ordered_pairs(written) == reference.ordered_pairs(expected)

    def test_of_ascii_names_and_common_numbers_it_is_what_json_dump_writes(
        self, results: Path
    ) -> None:
        storage = save(results, "run_001", recorded(25))

        text = (storage.metrics_dir / reference.SUMMARY).read_text(encoding="utf-8")

        assert text == json.dumps(json.loads(text), indent=2)

    @pytest.mark.parametrize(
        ("satellite_id", "duration_ms"), [("SÄT", 1.0), ("SAT", 1e-05), ("SAT", 1.5e-07)]
    )
    def test_of_others_it_has_the_layout_and_values_and_not_the_bytes(
        self, results: Path, satellite_id: str, duration_ms: float
    ) -> None:
        row = OwnMeasurement(0.0, "fault_detection", satellite_id, duration_ms, 0.0)
        storage = save(results, "run_001", SimpleNamespace(measurements=[row]))

        text = (storage.metrics_dir / reference.SUMMARY).read_text(encoding="utf-8")

        document = json.loads(text)
        of_satellite = document["stats_by_satellite"][satellite_id]["fault_detection"]
        assert of_satellite["mean_ms"] == duration_ms
        dumped = json.dumps(document, indent=2)
        assert text != dumped
        assert list(map(indent_of, text.splitlines())) == list(map(indent_of, dumped.splitlines()))

    def test_names_outside_ascii_are_read_back(self, results: Path) -> None:
        rows = reference.make_rows(8, satellites=("SÄT-µ", 'quote"d', "衛星\u2028"))

        storage = save(results, "run_001", own(rows))

        written = reference.read_document(storage.metrics_dir / reference.SUMMARY)
        assert written["stats_by_satellite"] == reference.stats_by_satellite(rows)

    def test_types_and_satellites_come_in_order_of_first_appearance(self, results: Path) -> None:
        rows = reference.make_rows(12, types=("z", "a", "m"), satellites=("S9", "S10", "S1"))

        storage = save(results, "run_001", own(rows))

        written = reference.read_document(storage.metrics_dir / reference.SUMMARY)
        expected = reference.document("run_001", written["timestamp"], rows)
        assert reference.ordered_pairs(written) == reference.ordered_pairs(expected)

    def test_timestamp_is_the_naive_local_time_of_the_save(self, results: Path) -> None:
        before = datetime.now(UTC)
        storage = save(results, "run_001", recorded(1))
        after = datetime.now(UTC)

        written = reference.read_document(storage.metrics_dir / reference.SUMMARY)["timestamp"]

        timestamp = datetime.fromisoformat(written)
        assert timestamp.tzinfo is None
        assert before - A_MOMENT <= timestamp.astimezone(UTC) <= after + A_MOMENT


class TestRawFile:
    """`latency_raw.csv`."""

    def test_it_is_byte_for_byte_what_csv_writer_gives(self, results: Path) -> None:
        collector = recorded(25)

        storage = save(results, "run_001", collector)

        written = (storage.metrics_dir / reference.RAW).read_bytes()
        assert written == reference.csv_bytes(rows_of(collector))
        assert written.startswith(
            b"timestamp,metric_type,satellite_id,duration_ms,scenario_time_s\r\n"
        )

    def test_export_csv_writes_the_same_bytes(self, results: Path, tmp_path: Path) -> None:
        collector = recorded(25)
        storage = save(results, "run_001", collector)

        collector.export_csv(str(tmp_path / "exported.csv"))

        exported = (tmp_path / "exported.csv").read_bytes()
        assert exported == (storage.metrics_dir / reference.RAW).read_bytes()

    @pytest.mark.parametrize("size", [7, 5_000])
    @pytest.mark.parametrize("duration", [2.3e-05, 1e16, 5e-324, 1.7976931348623157e308, 0.0])
    def test_floats_that_print_with_an_exponent_print_as_repr(
        self, results: Path, duration: float, size: int
    ) -> None:
        rows = reference.make_rows(size)
        rows[size // 2] = (*rows[size // 2][:3], duration, 0.0)

        storage = save(results, "run_001", own(rows))

        written = (storage.metrics_dir / reference.RAW).read_bytes()
        assert written == reference.csv_bytes(rows)

    @pytest.mark.parametrize("size", [6, 6_000])
    def test_fields_are_quoted_only_where_needed(self, results: Path, size: int) -> None:
        satellites = ("a,b", 'say "hi"', "two\r\nlines", "plain", " lead", "tab\there")
        rows = reference.make_rows(size, satellites=satellites, types=("fault_detection",))

        storage = save(results, "run_001", own(rows))

        written = (storage.metrics_dir / reference.RAW).read_bytes()
        assert written == reference.csv_bytes(rows)
