"""The known failures of the old class, and what holds here instead: those of odd names and values.

One class a row, with the numbers of the contract.
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference
from observing import assert_files_agree
from recordings import OwnMeasurement, recorded, save

from astraguard_store import LatencyCollector, MetricsStorage, RunRepository, StoreError

# Row 9: what the contract refuses. What the store itself is called is refused
# too, since everything else in the results folder is a run.
IDS_THAT_LEAVE_THE_FOLDER = ["", ".", "..", "../x", "a/b", "/tmp/x", "a/../b", "x/", "./x"]
IDS_WITH_CONTROL_CHARACTERS = ["a\0b", "a\nb", "\t", "\x1b[31m", "a\x7f", "\x85"]
IDS_TOO_LONG = ["x" * 129, "x" * 5_000]
IDS_OF_THE_STORE = ["astraguard.db", "astraguard.db-wal", "astraguard.db.lock", ".staging"]
IDS_NO_FILE_SYSTEM_TAKES = ["\ud800", "a\udcffb"]


class TestRow09RunIdsStayInTheirFolder:
    """9: some run ids wrote outside of the run's folder."""

    @pytest.mark.parametrize(
        "run_id",
        [
            *IDS_THAT_LEAVE_THE_FOLDER,
            *IDS_WITH_CONTROL_CHARACTERS,
            *IDS_TOO_LONG,
            *IDS_OF_THE_STORE,
            *IDS_NO_FILE_SYSTEM_TAKES,
        ],
        ids=ascii,
    )
    def test_the_constructor_refuses_it_and_names_it(self, results: Path, run_id: str) -> None:
        with pytest.raises(ValueError, match="run_id") as refusal:
            MetricsStorage(run_id, str(results))

        assert repr(run_id) in str(refusal.value)
        assert not results.exists()

    @pytest.mark.parametrize("run_id", [None, 5, b"run", Path("run")], ids=repr)
    def test_the_constructor_refuses_what_is_no_string(
        self, results: Path, run_id: object
    ) -> None:
        with pytest.raises(ValueError, match="run_id"):
            MetricsStorage(run_id, str(results))  # type: ignore[arg-type]

        assert not results.exists()

    @pytest.mark.parametrize(
        "run_id",
        [
            "x",
            "x" * 128,
            "run 1",
            "20261122_060201",
            "2026-11-22T06:02:01.123456",
            "nominal+load=0.5,seed#1",
            "käse-衛星",
            "...x",
            "-rf",
            "run.json",
        ],
        ids=ascii,
    )
    def test_every_other_name_is_a_run(self, results: Path, run_id: str) -> None:
        storage = save(results, run_id, recorded(2))

        assert (storage.get_run_metrics() or {})["run_id"] == run_id
        assert MetricsStorage.get_recent_runs(str(results)) == [run_id]
        assert storage.metrics_dir.parent == results

    @pytest.mark.parametrize("length", [60, 100, 118, 120, 127, 128])
    @pytest.mark.parametrize("letter", ["é", "衛", "𝄞"])
    def test_a_name_that_is_accepted_is_short_enough_for_the_file_system(
        self, results: Path, letter: str, length: int
    ) -> None:
        run_id = letter * length

        try:
            storage = MetricsStorage(run_id, str(results))
        except ValueError:
            return

        storage.save_latency_stats(recorded(1))
        assert storage.get_run_metrics() is not None


class TestRow09SymbolicLinksStayUnfollowed:
    """9: a link planted in the results folder doesn't lead a save out of it."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        folder = tmp_path / "outside"
        folder.mkdir()
        (folder / "precious.txt").write_text("untouched")
        return folder

    def test_a_run_folder_that_is_a_link_is_refused(self, results: Path, outside: Path) -> None:
        results.mkdir()
        (results / "run_001").symlink_to(outside)

        with pytest.raises((StoreError, OSError)):
            save(results, "run_001", recorded(1))

        assert os.listdir(outside) == ["precious.txt"]

    @pytest.mark.parametrize("name", [reference.SUMMARY, reference.RAW])
    def test_a_file_that_is_a_link_is_replaced_and_its_target_untouched(
        self, results: Path, outside: Path, name: str
    ) -> None:
        storage = MetricsStorage("run_001", str(results))
        (storage.metrics_dir / name).symlink_to(outside / "precious.txt")

        storage.save_latency_stats(recorded(1))

        assert (outside / "precious.txt").read_text() == "untouched"
        assert assert_files_agree(storage.metrics_dir) == 3
        assert not (storage.metrics_dir / name).is_symlink()

    def test_a_staging_folder_that_is_a_link_is_not_written_through(
        self, results: Path, outside: Path
    ) -> None:
        results.mkdir()
        (results / ".staging").symlink_to(outside)

        with suppress(StoreError, OSError):
            save(results, "run_001", recorded(1))

        assert os.listdir(outside) == ["precious.txt"]


class TestRow10NanAndInfinityAreRefused:
    """10: NaN and infinity went into the JSON as bare tokens."""

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_recording_refuses_it(self, value: float) -> None:
        collector = LatencyCollector()

        with pytest.raises(ValueError, match="Invalid detection_delay_ms"):
            collector.record_fault_detection("SAT001", 0.0, value)
        with pytest.raises(ValueError, match="Invalid scenario_time_s"):
            collector.record_fault_detection("SAT001", value, 1.0)

        assert len(collector) == 0

    @pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
    def test_a_file_that_has_it_is_reported_and_not_fatal(
        self, old_tree: Path, token: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = old_tree / "wc-s2-60s" / reference.SUMMARY
        path.write_text(path.read_text().replace("0.4905029749863843", token))

        with caplog.at_level(logging.WARNING, "astraguard_store"):
            metrics = MetricsStorage("wc-s2-60s", str(old_tree)).get_run_metrics()

        assert metrics is None
        assert "wc-s2-60s" in caplog.text

    def test_a_file_that_has_it_does_not_hinder_the_other_runs(self, old_tree: Path) -> None:
        path = old_tree / "wc-s2-60s" / reference.SUMMARY
        path.write_text(path.read_text().replace("0.4905029749863843", "NaN"))

        with RunRepository.open(old_tree) as repository:
            found = [header.run_id for header in repository.recent()]

        assert found == ["wc-s2-60s-10hz-1"]
        assert "NaN" in path.read_text()


class TestRow11NumpyNumbersAreNumbers:
    """11: numpy floats were refused, or saved as strings."""

    @pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64, np.uint8])
    def test_a_numpy_scalar_is_saved_as_its_number(
        self, results: Path, kind: Callable[[float], Any]
    ) -> None:
        collector = LatencyCollector()
        collector.record_fault_detection("SAT001", kind(3), kind(12.1))

        storage = save(results, "run_001", collector)

        written = (storage.metrics_dir / reference.RAW).read_text().splitlines()[1]
        assert written.endswith(f",fault_detection,SAT001,{float(kind(12.1))!r},3.0")
        document = reference.read_document(storage.metrics_dir / reference.SUMMARY)
        assert document["stats"]["fault_detection"]["mean_ms"] == float(kind(12.1))

    def test_a_runners_own_numpy_columns_are_saved_as_their_numbers(self, results: Path) -> None:
        rows = reference.make_rows(50)
        items = [
            OwnMeasurement(
                np.float64(t), np.str_(name), np.str_(sat), np.float64(d), np.float64(s)
            )
            for t, name, sat, d, s in rows
        ]

        storage = save(results, "run_001", SimpleNamespace(measurements=items))

        assert (storage.metrics_dir / reference.RAW).read_bytes() == reference.csv_bytes(rows)
        assert assert_files_agree(storage.metrics_dir) == 50


NOT_A_SUMMARY = {
    "empty": b"",
    "not json": b"not json",
    "half": b'{"run_id": "odd", "total_measurements": 3, "stats": {',
    "array": b"[]",
    "number": b"5",
    "string": b'"odd"',
    "null": b"null",
    "not utf-8": b'{"run_id": "\xff\xfe"}',
    "zeros": b"\0" * 100,
    "another run": b'{"run_id": "wc-s2-60s", "total_measurements": 1, "stats": {}}',
    "nested 100,000 deep": b"[" * 100_000,
}


class TestRow13AnOddSummary:
    """13: it was taken at face value, or crashed the reader."""

    @pytest.mark.parametrize("content", NOT_A_SUMMARY.values(), ids=NOT_A_SUMMARY.keys())
    def test_it_is_none_and_the_log_says_why(
        self, results: Path, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        storage = MetricsStorage("odd", str(results))
        (storage.metrics_dir / reference.SUMMARY).write_bytes(content)

        with caplog.at_level(logging.WARNING, "astraguard_store"):
            metrics = storage.get_run_metrics()

        assert metrics is None
        assert "odd" in caplog.text

    def test_a_folder_of_that_name_is_none_and_the_log_says_why(
        self, results: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        storage = MetricsStorage("odd", str(results))
        (storage.metrics_dir / reference.SUMMARY).mkdir()

        with caplog.at_level(logging.WARNING, "astraguard_store"):
            metrics = storage.get_run_metrics()

        assert metrics is None
        assert "odd" in caplog.text

    @pytest.mark.parametrize("content", NOT_A_SUMMARY.values(), ids=NOT_A_SUMMARY.keys())
    def test_it_does_not_hinder_comparing_or_listing(self, old_tree: Path, content: bytes) -> None:
        (old_tree / "odd").mkdir()
        (old_tree / "odd" / reference.SUMMARY).write_bytes(content)
        storage = MetricsStorage("wc-s2-60s", str(old_tree))

        answer = storage.compare_runs("odd")

        assert answer == {"error": "Could not load metrics for run odd", "metrics": {}}
        recent = MetricsStorage.get_recent_runs(str(old_tree))
        assert [run_id for run_id in recent if run_id != "odd"] == [
            "wc-s2-60s",
            "wc-s2-60s-10hz-1",
        ]

    @pytest.mark.parametrize("with_database", [False, True])
    def test_an_object_without_a_run_id_is_returned_as_it_is(
        self, results: Path, with_database: bool
    ) -> None:
        if with_database:
            save(results, "another", recorded(1))
        by_hand = {"note": "made by hand", "stats": {"fault_detection": {"mean_ms": 1.5}}}
        storage = MetricsStorage("by_hand", str(results))
        (storage.metrics_dir / reference.SUMMARY).write_text(json.dumps(by_hand))

        assert storage.get_run_metrics() == by_hand
        assert storage.get_run_metrics(use_cache=False) == by_hand

    def test_hand_made_summaries_are_compared(self, results: Path) -> None:
        for run_id, mean in (("this", 3.0), ("other", 1.0)):
            storage = MetricsStorage(run_id, str(results))
            by_hand = {"stats": {"fault_detection": {"mean_ms": mean, "p95_ms": 2 * mean}}}
            (storage.metrics_dir / reference.SUMMARY).write_text(json.dumps(by_hand))

        metrics = MetricsStorage("this", str(results)).compare_runs("other")["metrics"]

        assert metrics == {
            "fault_detection": {
                "this_mean_ms": 3.0,
                "other_mean_ms": 1.0,
                "diff_ms": 2.0,
                "this_p95_ms": 6.0,
                "other_p95_ms": 2.0,
            }
        }


ODD_NUMBERS = [
    "1e400",
    "-1e400",
    "9" * 400,
    "9" * 5_000,
    "null",
    '"5.5"',
    "true",
    "-5.5",
    "[]",
    "{}",
]


class TestRow13OddNumbersInASummary:
    """13: numbers that are none, in a summary that is one."""

    @pytest.fixture(params=ODD_NUMBERS, ids=lambda number: number[:8])
    def odd_tree(self, request: pytest.FixtureRequest, old_tree: Path) -> Path:
        path = old_tree / "wc-s2-60s" / reference.SUMMARY
        path.write_text(path.read_text().replace("0.4905029749863843", request.param))
        return old_tree

    def test_reading_and_comparing_do_not_crash(self, odd_tree: Path) -> None:
        storage = MetricsStorage("wc-s2-60s", str(odd_tree))

        metrics = storage.get_run_metrics()
        answer = storage.compare_runs("wc-s2-60s-10hz-1")

        assert metrics is None or metrics["stats"]["agent_decision"]["count"] == 120
        assert ("error" in answer) == (metrics is None)

    def test_the_first_opening_leaves_the_run_and_adopts_the_others(self, odd_tree: Path) -> None:
        with RunRepository.open(odd_tree) as repository:
            assert [header.run_id for header in repository.recent()] == ["wc-s2-60s-10hz-1"]

    def test_the_import_takes_the_numbers_of_the_run_from_its_csv(self, odd_tree: Path) -> None:
        damaged = (odd_tree / "wc-s2-60s" / reference.SUMMARY).read_text()

        with RunRepository.open(odd_tree) as repository:
            report = repository.import_legacy()

            assert report.rebuilt == ("wc-s2-60s",)
            assert repository.get("wc-s2-60s").metrics["agent_decision"].count == 120
        kept = odd_tree / "wc-s2-60s" / f"{reference.SUMMARY}.changed"
        assert kept.read_text() == damaged
