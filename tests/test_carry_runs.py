"""Runs on their way: nothing is lost from export to import, and a lost summary is rebuilt."""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from recordings import recorded

from astraguard_store import (
    ArtifactReadError,
    InvalidRunError,
    Provenance,
    RunRepository,
    StoreNotFoundError,
    Unit,
)
from astraguard_store.cli import main
from astraguard_store.formats.run_notes import NOTES_NAME

WAS = Provenance(scenario="orbit", units={"SAT001": Unit(serial="x1", firmware="2")})


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    """Give a store with a run that was recorded, and one that failed and was saved twice."""
    (tmp_path / "console.log").write_text("hello")
    with RunRepository.open(tmp_path / "rig", durability="normal") as repository:
        collector = recorded(20)
        with repository.run(
            "a", provenance=WAS, tags={"nightly": "green"}, satellite_buckets=True
        ) as run:
            for m in collector.measurements:
                run.record(m.metric_type, m.satellite_id, m.scenario_time_s, m.duration_ms)
            run.attach(tmp_path / "console.log")
        repository.save("b", recorded(10), provenance=WAS)
        repository.save("b", recorded(30, scale=1.5), provenance=WAS, save_id="job 7")
    return tmp_path / "rig"


def brought(results: Path, *paths: Path) -> RunRepository:
    """Import *paths* into a new store."""
    repository = RunRepository.open(results, durability="normal")
    report = repository.import_runs(paths)
    assert report.refused == ()
    return repository


@pytest.mark.parametrize("target", ["runs", "runs.zip"])
class TestThereAndBack:
    """export → import → compare."""

    def test_runs_are_the_same(self, target: str, rig: Path, tmp_path: Path) -> None:
        with RunRepository.open(rig) as repository:
            before = [repository.get("a"), repository.get("b")]
            compared = repository.compare("a", "b", by_satellite=True)
            repository.export(["a", "b"], tmp_path / target)

        with brought(tmp_path / "new", tmp_path / target) as repository:
            assert [repository.get("a"), repository.get("b")] == before
            assert repository.compare("a", "b", by_satellite=True) == compared
            assert repository.check(deep=True).is_sound

    def test_a_run_that_failed_before_its_first_measurement_comes_along(
        self, target: str, rig: Path, tmp_path: Path
    ) -> None:
        with RunRepository.open(rig) as repository:
            with suppress(RuntimeError), repository.run("c", provenance=WAS) as run:
                run.attach(tmp_path / "console.log")
                raise RuntimeError("no power")
            before = repository.get("c")
            repository.export(["a", "c"], tmp_path / target)

        with brought(tmp_path / "new", tmp_path / target) as repository:
            assert repository.get("c") == before
            assert repository.check(deep=True).is_sound
            assert repository.import_runs([tmp_path / target]).skipped == 2

    def test_files_of_runs_are_byte_for_byte_the_same(
        self, target: str, rig: Path, tmp_path: Path
    ) -> None:
        with RunRepository.open(rig) as repository:
            repository.export(["a"], tmp_path / target)

        brought(tmp_path / "new", tmp_path / target).close()

        for name in ("latency_raw.csv", "latency_summary.json", "attachments/console.log"):
            assert (tmp_path / "new/a" / name).read_bytes() == (rig / "a" / name).read_bytes()
        assert not (tmp_path / "new/a" / NOTES_NAME).exists()

    def test_buckets_come_along(self, target: str, rig: Path, tmp_path: Path) -> None:
        with RunRepository.open(rig) as repository:
            repository.export(["a"], tmp_path / target)

        with brought(tmp_path / "new", tmp_path / target) as repository:
            found = repository.percentiles(
                [0.5], metric_type="fault_detection", satellite_id="SAT001"
            )

        assert found.count == 10

    def test_baselines_and_recorded_verdicts_come_along(
        self, target: str, rig: Path, tmp_path: Path
    ) -> None:
        recorded_ones = "SELECT * FROM run_verdicts"
        with RunRepository.open(rig) as repository:
            repository.save("old", recorded(200))
            repository.save("new", recorded(200, scale=1.1))
            before = repository.set_baseline("nightly", ["old"])
            repository.record_verdict(repository.gate("new", "nightly"))
            verdicts = repository.query(recorded_ones).rows
            repository.export(["old", "new"], tmp_path / target)

        with brought(tmp_path / "new", tmp_path / target) as repository:
            assert repository.baselines() == (before,)
            assert repository.query(recorded_ones).rows == verdicts
            assert len(verdicts) == 1

    def test_a_baseline_of_that_name_stays(self, target: str, rig: Path, tmp_path: Path) -> None:
        with RunRepository.open(rig) as repository:
            repository.set_baseline("nightly", ["a"])
            repository.export(["a"], tmp_path / target)
        with RunRepository.open(tmp_path / "new", durability="normal") as repository:
            repository.save("c", recorded(20))
            there = repository.set_baseline("nightly", ["c"])

            repository.import_runs([tmp_path / target])

            assert repository.baselines() == (there,)
            assert repository.get("a").run_id == "a"

    def test_again_everything_is_skipped(self, target: str, rig: Path, tmp_path: Path) -> None:
        with RunRepository.open(rig) as repository:
            repository.export(["a", "b"], tmp_path / target)

        with brought(tmp_path / "new", tmp_path / target) as repository:
            report = repository.import_runs([tmp_path / target])

        assert (report.adopted, report.skipped, report.refused) == (0, 2, ())

    def test_a_run_that_was_recorded_meanwhile_comes_interrupted(
        self, target: str, rig: Path, tmp_path: Path
    ) -> None:
        with RunRepository.open(rig) as repository, repository.run("b"):
            repository.export(["b"], tmp_path / target)

        with brought(tmp_path / "new", tmp_path / target) as repository:
            assert repository.get("b").state == "interrupted"
            assert repository.get("b").total_measurements == 90

    def test_another_run_of_that_id_is_refused(
        self, target: str, rig: Path, tmp_path: Path
    ) -> None:
        with RunRepository.open(rig) as repository:
            repository.export(["a"], tmp_path / target)

        with RunRepository.open(tmp_path / "new") as repository:
            before = repository.save("a", recorded(3))
            report = repository.import_runs([tmp_path / target])

            assert [name for name, _ in report.refused] == ["a"]
            assert repository.get("a") == before


class TestMerge:
    """Live runs and what belongs to them, from one store into another."""

    def test_what_belongs_to_a_run_comes_along(self, rig: Path, tmp_path: Path) -> None:
        with RunRepository.open(rig) as repository:
            before = repository.get("a")

        with RunRepository.open(tmp_path / "new", durability="normal") as repository:
            report = repository.merge(rig)

            assert set(report.merged) == {"a", "b"}
            assert repository.get("a") == before
            assert repository.check(deep=True).is_sound
        copied = tmp_path / "new" / "a" / "attachments" / "console.log"
        assert copied.read_text() == "hello"

    def test_a_run_that_is_being_recorded_is_refused(self, rig: Path, tmp_path: Path) -> None:
        with (
            RunRepository.open(rig) as source,
            source.run("live") as run,
            RunRepository.open(tmp_path / "new", durability="normal") as repository,
        ):
            run.record("m", "S", 0.0, 1.0)
            report = repository.merge(rig)

        ((name, reason),) = report.refused
        assert (name, "being recorded" in reason) == ("live", True)

    def test_prune_counts_and_removes_attachments(self, rig: Path) -> None:
        with RunRepository.open(rig) as repository:
            sizes = [path.stat().st_size for path in (rig / "a").rglob("*") if path.is_file()]
            expected = repository.prune(keep=1, dry_run=True)
            report = repository.prune(keep=1)

        assert report.deleted == ("a",)
        assert expected.file_bytes == report.file_bytes == sum(sizes)
        assert not (rig / "a").exists()


class TestPaths:
    """What `import PATH…` takes, and what it refuses."""

    def test_the_command_takes_several(self, rig: Path, tmp_path: Path) -> None:
        where = ["--results", str(tmp_path / "new")]

        done = CliRunner().invoke(main, ["import", str(rig / "a"), str(rig), *where])

        assert done.exit_code == 0, done.output
        with RunRepository.open(tmp_path / "new") as repository:
            assert repository.get("a").total_measurements == 60
            assert repository.get("b").total_measurements == 90

    def test_what_is_refused_leaves_no_attachment(self, rig: Path, tmp_path: Path) -> None:
        with RunRepository.open(rig) as repository:
            repository.export(["a"], tmp_path / "whole")
        (tmp_path / "whole" / "a" / "attachments" / "console.log").write_text("other")

        with RunRepository.open(tmp_path / "new") as repository:
            report = repository.import_runs([tmp_path / "whole"])

        assert [run_id for run_id, _ in report.refused] == ["a"]
        assert not list((tmp_path / "new").glob("a/**/*.log"))

    def test_what_is_no_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "log.txt").write_text("no zip")

        with RunRepository.open(tmp_path / "new") as repository:
            for name in ("log.txt", "none"):
                with pytest.raises(StoreNotFoundError, match="neither a folder"):
                    repository.import_runs([tmp_path / name])

    def test_one_that_the_database_refuses_keeps_no_other_out(
        self, rig: Path, tmp_path: Path
    ) -> None:
        with RunRepository.open(rig) as repository:
            repository.export(["a", "b"], tmp_path / "runs")
        notes = tmp_path / "runs" / "a" / NOTES_NAME
        notes.write_text(notes.read_text().replace('"revision": 1,', '"revision": 0,', 1))
        where = ["--results", str(tmp_path / "new")]

        done = CliRunner().invoke(main, ["import", str(tmp_path / "runs"), *where])

        assert done.exit_code == 1
        assert "\na: " in done.output
        with RunRepository.open(tmp_path / "new") as repository:
            assert [header.run_id for header in repository.recent()] == ["b"]
            assert repository.check(deep=True).is_sound

    def test_names_in_a_zip_lead_nowhere_else(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as evil:
            for name in ("../latency_raw.csv", "/latency_raw.csv", "a/../../x", ".staging/x"):
                evil.writestr(name, "x")

        with RunRepository.open(tmp_path / "new") as repository:
            report = repository.import_runs([tmp_path / "evil.zip"])

        assert (report.adopted, report.refused) == (0, ())

    def test_a_torn_csv_is_refused(self, rig: Path, tmp_path: Path) -> None:
        csv = rig / "a" / "latency_raw.csv"
        os.truncate(csv, csv.stat().st_size - 7)

        with RunRepository.open(tmp_path / "new") as repository:
            report = repository.import_runs([rig / "a"])

        assert [name for name, _ in report.refused] == ["a"]
        assert not (tmp_path / "new" / "a").exists()


class TestLostSummaries:
    """A run whose CSV is whole and whose summary is not."""

    @pytest.fixture(params=["missing", "damaged"])
    def folder(self, request: pytest.FixtureRequest, rig: Path, tmp_path: Path) -> Path:
        """Give a results folder without a database, one of whose summaries is lost."""
        results = tmp_path / "found"
        results.mkdir()
        (rig / "b").rename(results / "b")
        summary = results / "b" / "latency_summary.json"
        if request.param == "missing":
            summary.unlink()
        else:
            os.truncate(summary, 100)
        return results

    def expected(self, rig: Path) -> object:
        with RunRepository.open(rig, read_only=True) as repository:
            return repository.get("b").metrics

    def test_import_rebuilds_it(self, folder: Path, rig: Path) -> None:
        with RunRepository.open(folder, adopt=False) as repository:
            report = repository.import_legacy()

            assert (report.adopted, report.rebuilt, report.refused) == (1, ("b",), ())
            assert repository.get("b").metrics == self.expected(rig)
            assert repository.check(fix=True).is_sound

    def test_import_of_a_path_rebuilds_it(self, folder: Path, rig: Path, tmp_path: Path) -> None:
        before = sorted(os.listdir(folder / "b"))
        with RunRepository.open(tmp_path / "new") as repository:
            report = repository.import_runs([folder])

            assert report.rebuilt == ("b",)
            assert repository.get("b").metrics == self.expected(rig)
            assert repository.check(deep=True).is_sound
        assert sorted(os.listdir(folder / "b")) == before

    def test_check_says_so_and_fix_rebuilds_it(self, folder: Path, rig: Path) -> None:
        with RunRepository.open(folder) as repository:
            (finding,) = (f for f in repository.check().findings if f.severity == "fault")
            report = repository.check(fix=True)

            assert "makes it anew" in finding.advice
            assert report.is_sound
            assert repository.get("b").metrics == self.expected(rig)

    def test_a_torn_csv_is_left_alone(self, folder: Path) -> None:
        csv = folder / "b" / "latency_raw.csv"
        os.truncate(csv, csv.stat().st_size - 7)
        before = {path.name: path.read_bytes() for path in (folder / "b").iterdir()}

        with RunRepository.open(folder, adopt=False) as repository:
            report = repository.import_legacy()

        assert [name for name, _ in report.refused] == ["b"]
        assert {path.name: path.read_bytes() for path in (folder / "b").iterdir()} == before


@pytest.mark.parametrize(
    "told",
    [
        {"revision": 2**62},
        {"revision": 0},
        {"recorded_at_us": 2**62},
        {"last_written_at_us": -(2**62)},
        {"utc_offset_s": 10**9},
        {"attachments": [["../../x", 5, "0" * 64]]},
        {"attachments": [["console.log", 5, "0" * 64]]},
    ],
    ids=lambda told: f"{next(iter(told))}",
)
def test_notes_that_no_store_exports_cost_one_run_and_the_others_come(
    rig: Path, tmp_path: Path, told: dict[str, object]
) -> None:
    with RunRepository.open(rig) as repository:
        repository.export(["a", "b"], tmp_path / "runs")
    notes = tmp_path / "runs" / "a" / NOTES_NAME
    notes.write_text(json.dumps({**json.loads(notes.read_text()), **told}))

    with RunRepository.open(tmp_path / "new") as repository:
        report = repository.import_runs([tmp_path / "runs"])

        assert [header.run_id for header in repository.recent()] == ["b"]
        assert [name for name, _ in report.refused] == ["a"]
        assert repository.check().is_sound
    assert not (tmp_path / "new" / "a" / "attachments").exists()


def test_a_zip_that_cannot_be_unpacked_says_so(rig: Path, tmp_path: Path) -> None:
    with RunRepository.open(rig) as repository:
        repository.export(["a"], tmp_path / "runs.zip")
    packed = bytearray((tmp_path / "runs.zip").read_bytes())
    # The first bytes of what the first member holds: no deflate stream begins so.
    start = 30 + len("a/latency_raw.csv")
    packed[start : start + 8] = b"\xff" * 8
    (tmp_path / "runs.zip").write_bytes(packed)

    with (
        RunRepository.open(tmp_path / "new") as repository,
        pytest.raises(ArtifactReadError, match=r"latency_raw\.csv"),
    ):
        repository.import_runs([tmp_path / "runs.zip"])


def test_a_zip_that_would_fill_the_disk_is_not_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb,
        bomb.open("a/latency_raw.csv", "w", force_zip64=True) as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))

    with (
        RunRepository.open(tmp_path / "results") as repository,
        pytest.raises(ArtifactReadError, match="314572800 bytes, more than 200 times"),
    ):
        repository.import_runs([tmp_path / "bomb.zip"])


def test_one_path_in_place_of_a_list_is_told(tmp_path: Path) -> None:
    with (
        RunRepository.open(tmp_path / "results") as repository,
        pytest.raises(InvalidRunError, match="give a list of them"),
    ):
        repository.import_runs("runs.zip")
