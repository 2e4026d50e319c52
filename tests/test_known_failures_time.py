"""The known failures of the old class, and what holds here instead: those of time.

One class a row, with the numbers of the contract.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import reference
from observing import OPEN_AND_CLOSE, SAVE_RUN_001, in_child
from recordings import OwnCollector, OwnMeasurement, recorded, save

from astraguard_store import MetricsStorage, Provenance, RunRepository


class TestRow16RecentRunsByTime:
    """16: they were ordered by folder name or file time, ties in no order, limit 0 gave 1."""

    def test_run_10_saved_after_run_9_comes_first(self, results: Path) -> None:
        for i in (8, 9, 10, 11):
            save(results, f"run_{i}", recorded(1))

        recent = MetricsStorage.get_recent_runs(str(results))

        assert recent == ["run_11", "run_10", "run_9", "run_8"]

    def test_touching_a_folder_does_not_make_a_saved_run_newer(self, results: Path) -> None:
        for run_id in ("a", "b"):
            save(results, run_id, recorded(1))
        (results / "a" / "notes.txt").write_text("edited later")

        assert MetricsStorage.get_recent_runs(str(results)) == ["b", "a"]

    def test_adopted_runs_are_ordered_by_their_measurements_not_by_file_time(
        self, results: Path
    ) -> None:
        # The copy turned the order of the files round.
        for i in range(3):
            rows = reference.make_rows(start=1_700_000_000.0 + i)
            reference.write_old_run(results, f"run_{i}", rows, modified=1_790_000_000.0 - i)
        RunRepository.open(results).close()

        recent = MetricsStorage.get_recent_runs(str(results))

        assert recent == ["run_2", "run_1", "run_0"]

    @pytest.mark.parametrize("adopted", [True, False])
    def test_ties_are_broken_by_run_id(self, results: Path, adopted: bool) -> None:
        for run_id in ("b", "d", "a", "c"):
            reference.write_old_run(results, run_id)
        if adopted:
            RunRepository.open(results).close()

        assert MetricsStorage.get_recent_runs(str(results)) == ["d", "c", "b", "a"]
        assert MetricsStorage.get_recent_runs(str(results), limit=2) == ["d", "c"]

    @pytest.mark.parametrize("limit", [0, -1, -(2**70)])
    @pytest.mark.parametrize("with_database", [True, False])
    def test_a_limit_below_one_gives_none(
        self, results: Path, limit: int, with_database: bool
    ) -> None:
        reference.write_old_run(results, "a")
        if with_database:
            save(results, "b", recorded(1))

        assert MetricsStorage.get_recent_runs(str(results), limit=limit) == []


class TestRow17TimesAreUtc:
    """17: times were local, with no zone."""

    @pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns"])
    def test_the_time_of_a_save_is_utc_wherever_it_is_made(self, results: Path, zone: str) -> None:
        before = datetime.now(UTC)
        in_child(SAVE_RUN_001, results, TZ=zone)
        after = datetime.now(UTC)

        with RunRepository.open(results, read_only=True) as repository:
            recorded_at = repository.get("run_001").recorded_at

        assert recorded_at.utcoffset() == timedelta(0)
        assert before <= recorded_at <= after

    def test_the_json_has_the_local_time_of_the_machine_that_saved(self, results: Path) -> None:
        in_child(SAVE_RUN_001, results, TZ="Asia/Kolkata")

        with RunRepository.open(results, read_only=True) as repository:
            recorded_at = repository.get("run_001").recorded_at

        local = (recorded_at + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat()
        storage = MetricsStorage("run_001", str(results))
        document = reference.read_document(storage.metrics_dir / reference.SUMMARY)
        assert document["timestamp"] == local
        assert storage.get_run_metrics() == document

    def test_an_adopted_run_has_the_time_of_its_last_measurement(self, results: Path) -> None:
        reference.write_old_run(results, "old", reference.make_rows(5, start=1_700_000_000.5))

        in_child(OPEN_AND_CLOSE, results, TZ="Asia/Kolkata")

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.get("old").recorded_at == datetime(
                2023, 11, 14, 22, 13, 22, 500_000, tzinfo=UTC
            )

    def test_an_adopted_run_has_no_time_to_come(self, results: Path) -> None:
        rows = reference.make_rows(5, start=4_100_000_000.5)
        path = reference.write_old_run(results, "old", rows) / reference.SUMMARY
        document = reference.read_document(path)
        path.write_text(json.dumps({**document, "timestamp": "2026-11-20T10:00:00+00:00"}))

        with RunRepository.open(results) as repository:
            recorded_at = repository.get("old").recorded_at

        assert recorded_at == datetime(2026, 11, 20, 10, tzinfo=UTC)

    def test_an_adopted_run_without_a_csv_has_the_local_time_of_its_json(
        self, results: Path
    ) -> None:
        folder = reference.write_old_run(results, "old", with_csv=False)
        document = reference.read_document(folder / reference.SUMMARY)
        document["timestamp"] = "2026-11-22T12:00:00.250000"
        (folder / reference.SUMMARY).write_text(json.dumps(document))

        in_child(OPEN_AND_CLOSE, results, TZ="Asia/Kolkata")

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.get("old").recorded_at == datetime(
                2026, 11, 22, 6, 30, 0, 250_000, tzinfo=UTC
            )

    def test_an_adopted_run_with_no_time_in_it_has_that_of_its_file(self, results: Path) -> None:
        folder = reference.write_old_run(results, "old", with_csv=False)
        document = reference.read_document(folder / reference.SUMMARY)
        del document["timestamp"]
        (folder / reference.SUMMARY).write_text(json.dumps(document))
        reference.set_modified(folder, 1_600_000_000.25)

        with RunRepository.open(results) as repository:
            assert repository.get("old").recorded_at == datetime(
                2020, 9, 13, 12, 26, 40, 250_000, tzinfo=UTC
            )

    @pytest.mark.parametrize(
        "satellite", ["a,b", 'q"q', "line\u2028break", "line\r\nbreak", "\x85"]
    )
    def test_the_last_row_of_a_csv_is_found_whatever_its_satellite(
        self, results: Path, satellite: str
    ) -> None:
        rows = reference.make_rows(5, start=1_700_000_000.0, satellites=(satellite,))
        reference.write_old_run(results, "old", rows, modified=1_600_000_000.0)

        with RunRepository.open(results) as repository:
            recorded_at = repository.get("old").recorded_at

        assert recorded_at == datetime(2023, 11, 14, 22, 13, 22, tzinfo=UTC)

    def test_files_have_the_time_of_the_run(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            recorded_at = repository.save("run_001", recorded(1)).recorded_at

        microseconds = (recorded_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
            microseconds=1
        )
        for name in (reference.SUMMARY, reference.RAW):
            assert (results / "run_001" / name).stat().st_mtime_ns == microseconds * 1_000


class TestTheTimesOfARunOutOfOrder:
    """The first row need not be the earliest, nor a number be a date."""

    @staticmethod
    def saved_with(timestamps: list[float]) -> Provenance:
        measurements = [OwnMeasurement(t, "a", "s", 1.0, 0.0) for t in timestamps]
        with RunRepository.in_memory() as repository:
            return repository.save("run", OwnCollector(measurements)).provenance

    def test_it_started_at_the_earliest_and_finished_at_the_latest(self) -> None:
        was = self.saved_with([1.79e9 + t for t in (5, 9, 1, 3)])

        assert was.started_at == datetime.fromtimestamp(1.79e9 + 1, UTC)
        assert was.finished_at == datetime.fromtimestamp(1.79e9 + 9, UTC)

    def test_seconds_since_the_boot_are_no_dates(self) -> None:
        was = self.saved_with([0.0, 9.9, 250_000.0])

        assert (was.started_at, was.finished_at) == (None, None)
