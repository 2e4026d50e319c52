"""`push --raw`: raw measurements in a folder or object storage, found by the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import polars as pl
import postgres
import pytest
from command_line import assert_one_line, run, run_json
from network import Network
from recordings import recorded

from astraguard_store import (
    ArtifactReadError,
    ArtifactWriteError,
    DatabaseError,
    Provenance,
    RunNotFoundError,
    RunRepository,
    StoreNotFoundError,
)

FAULTS = "fault_detection"


def in_folder(folder: Path) -> str:
    return str(folder / "lake")


def in_objects(folder: Path) -> str:
    pytest.importorskip("obstore", reason="no obstore: install the extra `objects`")
    (folder / "lake").mkdir(exist_ok=True)
    return f"file://{folder}/lake"


@pytest.fixture(params=[in_folder, in_objects], ids=["folder", "objects"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name a place for raw measurements; the files are in the folder `lake` either way."""
    return str(request.param(tmp_path))


@pytest.fixture
def rig(results: Path) -> Iterator[RunRepository]:
    """Give a store with five runs of three rigs, with odd names."""
    with RunRepository.open(results, durability="normal") as repository:
        for number, name in enumerate([None, "r 1", "r/1", "ü=%", "r 1"]):
            repository.save(f"run_{number}", recorded(5 + number), provenance=Provenance(rig=name))
        yield repository


def files(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "lake").rglob("*") if path.is_file())


class TestPlaces:
    """A folder and object storage alike."""

    def test_measurements_are_found_by_the_catalogue(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str
    ) -> None:
        report = rig.push(server_url, raw=lake)

        assert report.raw == report.pushed == tuple(f"run_{number}" for number in range(5))
        assert report.refused == ()
        for number in range(5):
            frame = there.measurements(f"run_{number}")
            assert frame.equals(rig.measurements(f"run_{number}"))

    def test_a_second_push_writes_nothing(
        self, rig: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)
        before = {path: path.stat().st_mtime_ns for path in files(tmp_path)}

        report = rig.push(server_url, raw=lake)

        assert (report.raw, report.known) == ((), 5)
        assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == before

    def test_runs_that_were_pushed_without_come_after(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str
    ) -> None:
        rig.push(server_url)

        report = rig.push(server_url, raw=lake)

        assert (report.pushed, len(report.raw)) == ((), 5)
        assert there.measurements("run_3").height == rig.get("run_3").total_measurements

    def test_a_run_that_is_saved_again_replaces_its_file(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)
        rig.save("run_2", recorded(50))
        rig.push(server_url)
        with pytest.raises(ArtifactReadError, match="keeps no measurements"):
            there.measurements("run_2")

        report = rig.push(server_url, raw=lake)

        assert report.raw == ("run_2",)
        assert there.measurements("run_2").height == 150
        assert len(files(tmp_path)) == 5

    def test_engines_read_it_as_one_table(
        self, rig: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)

        table = pl.scan_parquet(tmp_path / "lake/**/*.parquet", hive_partitioning=True)
        counted = table.group_by("run_id").len().sort("run_id").collect()

        assert counted.rows() == [
            (f"run_{number}", rig.get(f"run_{number}").total_measurements) for number in range(5)
        ]
        assert {*table.select("rig").collect()["rig"]} == {None, "r 1", "r/1", "ü=%"}

    def test_a_file_that_was_changed_is_an_error(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)
        for path in files(tmp_path):
            path.write_bytes(path.read_bytes()[:-1] + b"?")

        with pytest.raises(ArtifactReadError, match="is not what was pushed"):
            there.measurements("run_1")

    def test_a_file_that_is_gone_is_an_error_that_names_it(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)
        for path in files(tmp_path):
            path.unlink()

        with pytest.raises(ArtifactReadError, match=r"lake/rig=.*run_1"):
            there.measurements("run_1")

    def test_a_running_run_has_no_file_until_it_is_saved(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str
    ) -> None:
        with rig.run("live") as live:
            live.record(FAULTS, "S", 0.0, 1.0)
            first = rig.push(server_url, raw=lake)
        second = rig.push(server_url, raw=lake)

        assert "live" not in first.raw
        assert second.raw == ("live",)
        assert there.measurements("live").height == 1


class TestInterrupted:
    """No row names a file that isn't there; no file is written twice."""

    @pytest.mark.parametrize("turns", range(12))
    def test_cut_after_any_turn_the_next_push_finishes_it(
        self,
        rig: RunRepository,
        server: postgres.Server,
        server_database: str,
        tmp_path: Path,
        turns: int,
    ) -> None:
        with Network.before(server) as network:
            network.cut_after = turns
            with suppress(DatabaseError):
                rig.push(network.url(server_database), raw=tmp_path / "lake")
            network.cut_after = None
            with RunRepository.open(server.url(server_database)) as there:
                for (place,) in there.query("SELECT location FROM raw_files").rows:
                    assert Path(str(place)).is_file()

                rig.push(network.url(server_database), raw=tmp_path / "lake")

                for header in rig.recent():
                    assert there.measurements(header.run_id).equals(
                        rig.measurements(header.run_id)
                    )
        assert len(files(tmp_path)) == 5

    def test_a_run_whose_csv_is_gone_is_pushed_without(
        self, rig: RunRepository, there: RunRepository, server_url: str, tmp_path: Path
    ) -> None:
        assert rig.results_dir
        (rig.results_dir / "run_1" / "latency_raw.csv").unlink()

        report = rig.push(server_url, raw=tmp_path / "lake")

        assert [run_id for run_id, _ in report.refused] == ["run_1"]
        assert len(report.raw) == 4
        assert there.get("run_1") == rig.get("run_1")

    def test_a_place_that_can_not_be_written_is_an_error_after_the_rows(
        self, rig: RunRepository, there: RunRepository, server_url: str, tmp_path: Path
    ) -> None:
        (tmp_path / "lake").write_text("a file", encoding="utf-8")

        with pytest.raises(ArtifactWriteError, match="can't be"):
            rig.push(server_url, raw=tmp_path / "lake")

        assert len(there.recent()) == 5

    def test_another_stores_run_of_that_id_has_no_file_of_ours(
        self, rig: RunRepository, server_url: str, tmp_path: Path
    ) -> None:
        with RunRepository.in_memory(keep_measurements="database") as other:
            other.save("run_1", recorded(3))
            other.push(server_url)

        report = rig.push(server_url, raw=tmp_path / "lake")

        assert [run_id for run_id, _ in report.conflicts] == ["run_1"]
        assert "run_1" not in report.raw
        assert len(files(tmp_path)) == 4


class TestDeletion:
    """The file of a run that is deleted on the server."""

    def test_it_goes_with_its_run(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)

        there.delete("run_2")

        names = [path.name.partition(".")[0] for path in files(tmp_path)]
        assert sorted(names) == ["run_0", "run_1", "run_3", "run_4"]

    def test_those_of_pruned_runs_go_and_are_counted(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)
        before = {path.name: path.stat().st_size for path in files(tmp_path)}

        expected = there.prune(keep=2, dry_run=True)
        report = there.prune(keep=2)

        left = {path.name: path.stat().st_size for path in files(tmp_path)}
        assert sorted(name.partition(".")[0] for name in left) == ["run_3", "run_4"]
        assert report.deleted == expected.deleted == ("run_0", "run_1", "run_2")
        assert report.file_bytes == sum(before.values()) - sum(left.values())
        assert report.file_bytes == expected.file_bytes

    def test_one_of_a_save_of_before_goes_too(
        self, rig: RunRepository, there: RunRepository, server_url: str, lake: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=lake)
        rig.save("run_2", recorded(50))
        rig.push(server_url)

        there.delete("run_2")

        assert len(files(tmp_path)) == 4

    def test_one_that_can_not_be_reached_is_named(
        self, rig: RunRepository, server_url: str, tmp_path: Path
    ) -> None:
        rig.push(server_url, raw=tmp_path / "lake")
        (tmp_path / "lake").rename(tmp_path / "elsewhere")

        result = run("delete", "run_1", "--yes", "--results", server_url)

        assert (result.exit_code, result.stdout) == (0, "deleted run_1\n")
        assert "run_1." in result.stderr
        assert f"there is no folder {tmp_path / 'lake'} on this machine" in result.stderr

    @pytest.mark.parametrize(
        "name", ["precious", "rig=r/date=2026-01-01/run_2.a.parquet", "rig=r/date=d/run_1.a.csv"]
    )
    def test_what_no_push_writes_is_not_removed(
        self,
        rig: RunRepository,
        there: RunRepository,
        server_url: str,
        server: postgres.Server,
        server_database: str,
        tmp_path: Path,
        name: str,
    ) -> None:
        rig.push(server_url, raw=tmp_path / "lake")
        precious = tmp_path / "other" / name
        precious.parent.mkdir(parents=True)
        precious.write_text("of somebody else", encoding="utf-8")
        server.execute(
            server_database,
            "UPDATE raw_files SET location = %s WHERE run_id = 'run_1'",
            str(precious),
        )

        there.delete("run_1")

        assert precious.is_file()
        with pytest.raises(RunNotFoundError):
            there.get("run_1")


class TestCommand:
    """`push URL --raw`."""

    def test_it_says_how_many_were_written(
        self, rig: RunRepository, server_url: str, tmp_path: Path
    ) -> None:
        words = ("push", server_url, "--raw", tmp_path / "lake", "--results", rig.results_dir)

        result = run(*map(str, words))
        shape = run_json(*map(str, words))

        assert "raw       5" in result.stdout
        assert shape["raw"] == []

    @pytest.mark.parametrize(
        "place",
        ["s3://key:tr0ub4dor@bucket/lake", "s3://b/lake?secret=tr0ub4dor",
         "postgresql://rig:tr0ub4dor@server/runs", "postgresql:rig:tr0ub4dor@server/runs"],
    )  # fmt: skip
    def test_a_place_with_secrets_is_refused_without_them(
        self, rig: RunRepository, server_url: str, place: str
    ) -> None:
        result = run("push", server_url, "--raw", place, "--results", str(rig.results_dir))

        assert result.exit_code == 2
        assert_one_line(result)
        assert "tr0ub4dor" not in result.stderr

    def test_a_kind_of_storage_that_is_not_known_is_refused(
        self, rig: RunRepository, server_url: str
    ) -> None:
        pytest.importorskip("obstore", reason="no obstore: install the extra `objects`")

        with pytest.raises(StoreNotFoundError, match="can't be used"):
            rig.push(server_url, raw="gopher://bucket/lake")
