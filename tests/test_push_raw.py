"""`push --raw`: raw measurements in a folder or object storage, found by the catalogue."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
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
    DatabaseBusyError,
    DatabaseError,
    Provenance,
    RunNotFoundError,
    RunRepository,
    StoreNotFoundError,
)

FAULTS = "fault_detection"
COMMAND = (sys.executable, "-m", "astraguard_store")


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


def counts(folder: Path) -> dict[str, int]:
    """Count the measurements of each run as an engine does that knows no catalogue."""
    table = pl.scan_parquet(folder / "lake/**/*.parquet", hive_partitioning=True)
    return dict(table.group_by("run_id").len().collect().rows())


@dataclass
class Cut:
    """A push that has died, and what is needed for the next one."""

    rig: RunRepository
    there: RunRepository
    url: str
    lake: str
    folder: Path

    def push(self) -> None:
        """Push again, and see that each run is there once."""
        self.rig.push(self.url, raw=self.lake)
        expected = {h.run_id: h.total_measurements for h in self.rig.recent()}
        assert counts(self.folder) == expected
        assert len(files(self.folder)) == len(expected)


class TestLeftFiles:
    """A push that died between a file and its row, and runs that are saved again after."""

    @pytest.fixture
    def cut(
        self,
        results: Path,
        rig: RunRepository,
        there: RunRepository,
        server: postgres.Server,
        server_database: str,
        server_url: str,
        lake: str,
        tmp_path: Path,
    ) -> Cut:
        """End a push when its files are written, and its rows are not."""
        with server.transaction(server_database) as other:
            # Who reads goes on.
            other.execute("LOCK TABLE raw_files IN EXCLUSIVE MODE")
            with (
                RunRepository.open(results, busy_timeout_s=0.1) as pushing,
                pytest.raises(DatabaseBusyError),
            ):
                pushing.push(server_url, raw=lake)
        assert there.query("SELECT count(*) FROM raw_files").rows == [(0,)]
        assert len(counts(tmp_path)) == 5
        return Cut(rig, there, server_url, lake, tmp_path)

    def test_the_next_push_removes_those_of_former_saves(self, cut: Cut) -> None:
        for number in range(5):
            cut.rig.save(f"run_{number}", recorded(30 + number))

        cut.push()

    def test_of_a_run_that_was_not_saved_again_it_is_used(self, cut: Cut) -> None:
        before = {path: path.stat().st_mtime_ns for path in files(cut.folder)}
        cut.rig.save("run_1", recorded(30))

        cut.push()

        after = {path: path.stat().st_mtime_ns for path in files(cut.folder)}
        assert len(before.items() & after.items()) == 4

    def test_one_of_a_run_that_was_deleted_goes_too(self, cut: Cut) -> None:
        cut.rig.delete("run_2")
        cut.there.delete("run_2")

        cut.push()

    def test_one_whose_save_is_still_on_the_server_stays(self, cut: Cut) -> None:
        cut.rig.delete("run_2")

        cut.rig.push(cut.url, raw=cut.lake)

        assert "run_2" in counts(cut.folder)

    def test_another_push_that_is_under_way_loses_nothing(
        self, cut: Cut, server: postgres.Server, server_database: str
    ) -> None:
        with server.transaction(server_database) as other:
            other.execute("LOCK TABLE raw_files IN EXCLUSIVE MODE")
            pushing = [
                threading.Thread(target=_push_quietly, args=(cut.rig, cut.url, cut.lake))
                for _ in range(2)
            ]
            for thread in pushing:
                thread.start()
            server.wait_for_waiting(server_database, 2)
        for thread in pushing:
            thread.join(60)

        assert cut.there.query("SELECT count(*) FROM raw_files").rows == [(5,)]
        for number in range(5):
            assert cut.there.measurements(f"run_{number}").height > 0

    def test_another_store_leaves_them(self, cut: Cut) -> None:
        with RunRepository.in_memory(keep_measurements="database") as other:
            other.save("of_another", recorded(3))
            other.push(cut.url, raw=cut.lake)

        assert len(counts(cut.folder)) == 6

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[1]", b'[["precious", 1, null, "../rig=r/date=d/precious.a.parquet"]]'],
    )
    def test_what_else_lies_among_the_announcements_does_no_harm(
        self, cut: Cut, content: bytes
    ) -> None:
        precious = cut.folder / "rig=r" / "date=d" / "precious.a.parquet"
        precious.parent.mkdir(parents=True)
        precious.write_bytes(b"of somebody else")
        (announced,) = (cut.folder / "lake" / ".pushing").rglob("*.json")
        other = announced.with_name("other.json")
        other.write_bytes(content)

        cut.rig.push(cut.url, raw=cut.lake)

        assert precious.read_bytes() == b"of somebody else"
        assert other.is_file()
        assert not announced.exists()

    def test_an_old_one_is_removed(self, cut: Cut) -> None:
        (announced,) = (cut.folder / "lake" / ".pushing").rglob("*.json")
        old = announced.with_name("old.json")
        old.write_bytes(b"{")
        os.utime(old, (0, 0))

        cut.push()

    def test_a_process_that_is_killed_leaves_nothing_for_good(
        self,
        rig: RunRepository,
        there: RunRepository,
        server: postgres.Server,
        server_database: str,
        server_url: str,
        tmp_path: Path,
    ) -> None:
        lake = str(tmp_path / "lake")
        with server.transaction(server_database) as other:
            other.execute("LOCK TABLE raw_files IN EXCLUSIVE MODE")
            words = ("push", server_url, "--raw", lake, "--results", str(rig.results_dir))
            with subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL) as process:
                server.wait_for_waiting(server_database, 1)
                process.kill()
        server.wait_for_idle(server_database)
        for number in range(5):
            rig.save(f"run_{number}", recorded(30 + number))

        Cut(rig, there, server_url, lake, tmp_path).push()


def _push_quietly(rig: RunRepository, url: str, lake: str) -> None:
    with suppress(DatabaseError):
        rig.push(url, raw=lake)


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
