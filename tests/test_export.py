"""`export`: runs as a folder, a zip or a parquet file, checked while they are copied."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import polars as pl
import pytest
import reference
from observing import assert_files_agree
from recordings import recorded

from astraguard_store import (
    ArtifactReadError,
    ArtifactWriteError,
    ExportReport,
    InvalidRunError,
    LatencyCollector,
    RunNotFoundError,
    RunRepository,
    StoreNotFoundError,
)
from astraguard_store.formats.run_notes import NOTES_NAME

TARGETS = ["out", "out.zip", "out.parquet"]
every_target = pytest.mark.parametrize("name", TARGETS)


@pytest.fixture
def store(results: Path) -> Path:
    """Give a store with two saved runs and an adopted one."""
    reference.write_old_run(results, "old")
    with RunRepository.open(results) as repository:
        repository.save("b", recorded(20))
        repository.save("a", recorded(10))
    return results


def export(store: Path, run_ids: list[str], target: Path) -> ExportReport:
    with RunRepository.open(store, read_only=True) as repository:
        return repository.export(run_ids, target)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestFolder:
    """A folder of runs."""

    def test_it_holds_the_files_as_they_are_with_their_times(
        self, store: Path, tmp_path: Path
    ) -> None:
        export(store, ["a", "old"], tmp_path / "out")

        for run_id in ("a", "old"):
            copied = reference.listing(tmp_path / "out" / run_id)
            original = reference.listing(store / run_id)
            del copied["."], original["."], copied[NOTES_NAME]
            assert copied == original

    def test_it_holds_no_other_run(self, store: Path, tmp_path: Path) -> None:
        export(store, ["a"], tmp_path / "out")

        assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]

    def test_the_report_says_what_was_made(self, store: Path, tmp_path: Path) -> None:
        report = export(store, ["a", "b"], tmp_path / "out")

        files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        assert report == ExportReport(tmp_path / "out", 2, 4, size)

    def test_a_store_made_of_it_has_the_same_runs(self, store: Path, tmp_path: Path) -> None:
        export(store, ["a", "b", "old"], tmp_path / "out")

        with RunRepository.open(store) as one, RunRepository.open(tmp_path / "out") as other:
            assert [h.run_id for h in other.recent()] == [h.run_id for h in one.recent()]
            for run_id in ("a", "b", "old"):
                assert other.get(run_id).recorded_at == one.get(run_id).recorded_at
                assert other.get(run_id).metrics == one.get(run_id).metrics

    def test_it_may_not_lie_in_the_results_folder(self, store: Path) -> None:
        with pytest.raises(ArtifactWriteError, match="name a folder elsewhere"):
            export(store, ["a"], store / "out")

    def test_run_folders_without_a_database_can_be_exported(
        self, old_tree: Path, tmp_path: Path
    ) -> None:
        names = sorted(path.name for path in old_tree.iterdir())

        report = export(old_tree, names, tmp_path / "out")

        assert report.runs == len(names)
        for name in names:
            assert_files_agree(tmp_path / "out" / name)


class TestZip:
    """A zip with the same layout."""

    def test_its_members_are_the_files_in_order(self, store: Path, tmp_path: Path) -> None:
        export(store, ["b", "a"], tmp_path / "out.zip")

        with zipfile.ZipFile(tmp_path / "out.zip") as archive:
            assert archive.testzip() is None
            assert archive.namelist() == [
                f"{run_id}/{name}"
                for run_id in ("a", "b")
                for name in (reference.RAW, reference.SUMMARY, NOTES_NAME)
            ]
            for name in archive.namelist():
                if name.endswith(NOTES_NAME):
                    continue
                assert archive.read(name) == (store / name).read_bytes()

    def test_the_same_runs_give_the_same_bytes(self, store: Path, tmp_path: Path) -> None:
        export(store, ["a", "b"], tmp_path / "one.zip")
        export(store, ["b", "a", "a"], tmp_path / "two.zip")

        assert sha256(tmp_path / "one.zip") == sha256(tmp_path / "two.zip")

    def test_unpacked_it_can_be_imported(self, store: Path, tmp_path: Path) -> None:
        export(store, ["a", "old"], tmp_path / "out.zip")
        with zipfile.ZipFile(tmp_path / "out.zip") as archive:
            archive.extractall(tmp_path / "unpacked")

        with RunRepository.open(tmp_path / "unpacked", adopt=False) as repository:
            assert repository.import_legacy().adopted == 2

    def test_files_that_are_too_large_for_an_old_zip_are_written_all_the_same(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1_000)  # as if it were 2 GiB

        export(store, ["a", "b"], tmp_path / "out.zip")

        with zipfile.ZipFile(tmp_path / "out.zip") as archive:
            assert archive.testzip() is None
            assert archive.read(f"b/{reference.RAW}") == (store / "b" / reference.RAW).read_bytes()

    def test_a_run_before_1980_gets_the_first_time_that_a_zip_knows(
        self, results: Path, tmp_path: Path
    ) -> None:
        reference.write_old_run(results, "early", reference.make_rows(4, start=86_400.0))
        RunRepository.open(results).close()

        export(results, ["early"], tmp_path / "out.zip")

        with zipfile.ZipFile(tmp_path / "out.zip") as archive:
            assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


class TestParquet:
    """One file with the measurements of all runs."""

    def test_it_has_the_measurements_of_each_run(self, store: Path, tmp_path: Path) -> None:
        export(store, ["a", "old"], tmp_path / "out.parquet")

        frame = pl.read_parquet(tmp_path / "out.parquet")
        assert frame.columns == [
            "run_id",
            "timestamp",
            "metric_type",
            "satellite_id",
            "duration_ms",
            "scenario_time_s",
            "missed",
        ]
        for run_id in ("a", "old"):
            rows = frame.filter(pl.col("run_id") == run_id).drop("run_id", "missed").rows()
            assert rows == reference.read_rows(store / run_id / reference.RAW)

    def test_missed_events_are_marked(self, results: Path, tmp_path: Path) -> None:
        collector = LatencyCollector()
        collector.record_fault_detection("SAT001", 1.0, 5.0)
        collector.record_missed("fault_detection", "SAT001", 2.0, 60_000.0)
        with RunRepository.open(results) as repository:
            repository.save("run", collector)

        export(results, ["run"], tmp_path / "out.parquet")

        frame = pl.read_parquet(tmp_path / "out.parquet")
        assert frame["missed"].to_list() == [False, True]

    def test_the_report_counts_one_file(self, store: Path, tmp_path: Path) -> None:
        report = export(store, ["a", "b"], tmp_path / "out.parquet")

        size = (tmp_path / "out.parquet").stat().st_size
        assert report == ExportReport(tmp_path / "out.parquet", 2, 1, size)


class TestAllOrNothing:
    """What can't be made whole isn't made, and nothing is left of it."""

    @every_target
    def test_a_target_that_is_there_is_refused_and_kept(
        self, store: Path, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / name).write_text("mine")

        with pytest.raises(ArtifactWriteError, match="is there already"):
            export(store, ["a"], tmp_path / name)

        assert (tmp_path / name).read_text() == "mine"

    @every_target
    def test_a_damaged_file_is_named(self, store: Path, tmp_path: Path, name: str) -> None:
        csv = store / "b" / reference.RAW
        csv.write_bytes(csv.read_bytes().replace(b"SAT001", b"SAT009", 1))

        with pytest.raises(ArtifactReadError, match=r"b/latency_raw\.csv"):
            export(store, ["a", "b"], tmp_path / name)

        assert [path.name for path in tmp_path.iterdir()] == [store.name]

    @every_target
    def test_a_missing_file_is_named(self, store: Path, tmp_path: Path, name: str) -> None:
        (store / "b" / reference.RAW).unlink()

        with pytest.raises(ArtifactReadError, match=r"latency_raw\.csv"):
            export(store, ["a", "b"], tmp_path / name)

        assert [path.name for path in tmp_path.iterdir()] == [store.name]

    @every_target
    def test_a_run_that_is_not_there_ends_it(self, store: Path, tmp_path: Path, name: str) -> None:
        with pytest.raises(RunNotFoundError):
            export(store, ["a", "nobody"], tmp_path / name)

        assert [path.name for path in tmp_path.iterdir()] == [store.name]

    @every_target
    def test_stopped_by_the_caller_it_leaves_nothing(
        self, store: Path, tmp_path: Path, name: str
    ) -> None:
        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt(f"{done} of {total}")

        with RunRepository.open(store) as repository, pytest.raises(KeyboardInterrupt):
            repository.export(["a", "b"], tmp_path / name, stop)

        assert [path.name for path in tmp_path.iterdir()] == [store.name]

    def test_a_zip_that_finds_no_room_says_so_once(self, results: Path, tmp_path: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save_many((f"r{number}", recorded(2_000)) for number in range(3))
        target = tmp_path / "out.zip"
        program = (
            "import gc, resource\n"
            "from astraguard_store import ArtifactWriteError, RunRepository\n"
            f"repository = RunRepository.open({str(results)!r}, read_only=True)\n"
            "for room in range(2_000, 40_000, 2_500):\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))\n"
            "    try:\n"
            f"        repository.export(['r0', 'r1', 'r2'], {str(target)!r})\n"
            "    except ArtifactWriteError:\n"
            "        pass\n"
            "gc.collect()\n"
        )

        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
        )

        assert done.stderr == ""
        assert [path.name for path in tmp_path.iterdir()] == [results.name]

    @every_target
    def test_a_folder_that_takes_no_files_is_an_error_with_its_reason(
        self, store: Path, name: str
    ) -> None:
        with pytest.raises(ArtifactWriteError, match="No such file") as raised:
            export(store, ["a"], Path("/proc") / name)

        assert "nothing was exported" in str(raised.value)

    @every_target
    def test_a_loop_of_links_is_no_place_for_it(
        self, store: Path, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "loop").symlink_to(tmp_path / "loop")

        with pytest.raises(ArtifactWriteError, match="is no folder"):
            export(store, ["a"], tmp_path / "loop" / name)

    @every_target
    def test_without_a_folder_to_put_it_in_it_says_so(
        self, store: Path, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(ArtifactWriteError, match="is no folder"):
            export(store, ["a"], tmp_path / "nowhere" / name)


def test_no_run_is_nothing_to_export(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRunError, match="nothing to export"):
        export(store, [], tmp_path / "out")


def test_a_single_id_is_not_taken_for_many(store: Path, tmp_path: Path) -> None:
    with RunRepository.open(store) as repository, pytest.raises(InvalidRunError):
        repository.export("a", tmp_path / "out")


def test_a_store_in_memory_has_no_files(tmp_path: Path) -> None:
    with RunRepository.in_memory() as repository:
        repository.save("run", recorded(1))

        with pytest.raises(StoreNotFoundError, match="in memory"):
            repository.export(["run"], tmp_path / "out")


@every_target
def test_progress_ends_at_the_total(store: Path, tmp_path: Path, name: str) -> None:
    steps: list[tuple[int, int]] = []

    with RunRepository.open(store) as repository:
        repository.export(["a", "b"], tmp_path / name, lambda *step: steps.append(step))

    assert steps == [(1, 2), (2, 2)]


@every_target
def test_nothing_is_written_into_the_store(store: Path, tmp_path: Path, name: str) -> None:
    before = reference.listing(store)

    export(store, ["a", "b", "old"], tmp_path / name)

    assert reference.listing(store) == before
