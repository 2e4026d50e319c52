"""`compression`: what lies on disk, who reads it, and that changing over leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import permutations
from pathlib import Path

import pytest
import reference
import zstandard
from recordings import recorded
from trees import drop_database

from astraguard_store import (
    ArtifactReadError,
    ArtifactWriteError,
    MetricsStorage,
    RunRepository,
)
from astraguard_store.artifacts.scanner import newest_runs
from astraguard_store.formats import compression as packing
from astraguard_store.options import Compression
from astraguard_store.store.checking import check_folder

WAYS: list[Compression] = ["gzip", "zstd"]
ENDINGS: dict[Compression | None, str] = {None: "", "gzip": ".gz", "zstd": ".zst"}
UNPACK: dict[Compression, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": lambda content: zstandard.ZstdDecompressor().decompressobj().decompress(content),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Compression:
    """Give one way to compress after the other."""
    found: Compression = request.param
    return found


def save(results: Path, way: Compression | None, run_id: str = "run", steps: int = 20) -> None:
    with RunRepository.open(results, compression=way) as repository:
        repository.save(run_id, recorded(steps))


def names(results: Path, run_id: str = "run") -> list[str]:
    return sorted(path.name for path in (results / run_id).iterdir())


def names_of(way: Compression | None) -> list[str]:
    return [reference.RAW + ENDINGS[way], reference.SUMMARY + ENDINGS[way]]


def summary_path(results: Path, way: Compression) -> Path:
    return results / "run" / (reference.SUMMARY + ENDINGS[way])


def csv_path(results: Path, way: Compression) -> Path:
    return results / "run" / (reference.RAW + ENDINGS[way])


def write_bomb(path: Path, way: Compression) -> None:
    """Write 300 MB of zeros, packed."""
    path.write_bytes(b"".join(packing.compressed([bytes(2**20)] * 300, way)))


class TestFiles:
    """What a save writes."""

    def test_both_files_are_compressed(self, results: Path, way: Compression) -> None:
        save(results, way)

        assert names(results) == names_of(way)

    def test_they_hold_what_the_plain_ones_would(self, results: Path, way: Compression) -> None:
        collector = recorded(20)
        with RunRepository.open(results, compression=way) as repository:
            repository.save("run", collector)
        with RunRepository.open(results) as repository:
            repository.save("plain", collector)

        csv = UNPACK[way](csv_path(results, way).read_bytes())
        document = json.loads(UNPACK[way](summary_path(results, way).read_bytes()))

        assert csv == (results / "plain" / reference.RAW).read_bytes()
        plain = json.loads((results / "plain" / reference.SUMMARY).read_bytes())
        assert document["stats"] == plain["stats"]
        assert list(document) == list(plain)

    def test_the_row_tells_names_sizes_and_hashes(self, results: Path, way: Compression) -> None:
        save(results, way)

        with RunRepository.open(results) as repository:
            artifacts = repository.get("run").artifacts

        assert [artifact.path for artifact in artifacts] == [f"run/{n}" for n in names_of(way)]
        for artifact in artifacts:
            content = (results / artifact.path).read_bytes()
            assert artifact.bytes == len(content)
            assert artifact.sha256 == hashlib.sha256(content).hexdigest()

    def test_gzip_tells_neither_time_nor_name(self, results: Path) -> None:
        save(results, "gzip")

        header = csv_path(results, "gzip").read_bytes()[:10]

        assert header[:4] == b"\x1f\x8b\x08\x00"
        assert header[4:8] == bytes(4)

    def test_many_chunks_are_one_file(self, results: Path, way: Compression) -> None:
        save(results, way, steps=20_000)

        csv = UNPACK[way](csv_path(results, way).read_bytes())

        assert csv.count(b"\r\n") == 60_001

    def test_the_longest_id_can_be_saved(self, results: Path, way: Compression) -> None:
        longest = "ü" * 100

        save(results, way, longest)

        assert names(results, longest) == names_of(way)


class TestChangingOver:
    """A run that is saved again with another compression."""

    @pytest.mark.parametrize(("before", "after"), list(permutations([None, *WAYS], 2)))
    def test_the_old_files_are_gone(
        self, results: Path, before: Compression | None, after: Compression | None
    ) -> None:
        save(results, before)

        save(results, after, steps=5)

        assert names(results) == names_of(after)
        assert os.listdir(results / ".staging") == []
        assert check_folder(results).is_sound

    def test_files_of_others_stay(self, results: Path, way: Compression) -> None:
        save(results, None)
        (results / "run" / "plot.png").touch()

        save(results, way)

        assert names(results) == sorted([*names_of(way), "plot.png"])

    def die_among_the_old_files(self, results: Path, way: Compression) -> None:
        """Lay files as a saver leaves them that died after the new summary got its name."""
        save(results, None)
        shutil.copytree(results / "run", results / "old")
        save(results, way, steps=5)
        with closing(sqlite3.connect(results / "astraguard.db")) as tool:
            (token,) = tool.execute("SELECT staging_token FROM runs").fetchone()
        (results / "old" / reference.RAW).rename(results / "run" / reference.RAW)
        shutil.rmtree(results / "old")
        staged = results / ".staging" / f"run~{token}.json{ENDINGS[way]}"
        os.link(summary_path(results, way), staged)

    def test_recovery_finishes_it(self, results: Path, way: Compression) -> None:
        self.die_among_the_old_files(results, way)

        RunRepository.open(results).close()

        assert names(results) == names_of(way)
        assert os.listdir(results / ".staging") == []
        assert check_folder(results).is_sound

    def test_it_is_finished_without_the_database_too(
        self, results: Path, way: Compression
    ) -> None:
        self.die_among_the_old_files(results, way)
        drop_database(results)

        RunRepository.open(results).close()

        assert names(results) == names_of(way)
        assert os.listdir(results / ".staging") == []
        assert check_folder(results).is_sound

    def test_the_folders_alone_tell_of_one_save(self, results: Path, way: Compression) -> None:
        self.die_among_the_old_files(results, way)
        drop_database(results)

        with RunRepository.open(results, read_only=True) as repository:
            run = repository.get("run")
            frame = repository.measurements("run")

        assert (run.total_measurements, frame.height) == (15, 15)

    def test_a_reader_finishes_it_too(self, results: Path, way: Compression) -> None:
        save(results, way)
        with closing(sqlite3.connect(results / "astraguard.db")) as tool:
            (token,) = tool.execute("SELECT staging_token FROM runs").fetchone()
        with RunRepository.open(results) as repository:
            for path in (results / "run").iterdir():
                suffix = path.name[path.name.index(".") :]
                path.rename(results / ".staging" / f"run~{token}{suffix}")

            repository.get("run")

        assert names(results) == names_of(way)

    def test_delete_removes_them(self, results: Path, way: Compression) -> None:
        save(results, way)

        with RunRepository.open(results) as repository:
            repository.delete("run")

        assert not (results / "run").exists()


class TestReaders:
    """Everybody who reads the folders."""

    def test_the_document_is_read_afresh(self, results: Path, way: Compression) -> None:
        save(results, way)

        with RunRepository.open(results) as repository:
            assert repository.read_document("run", afresh=True) == repository.read_document("run")

    def test_a_file_that_was_changed_counts(self, results: Path, way: Compression) -> None:
        save(results, way)
        changed = b"".join(packing.compressed([b'{"mine": 1}'], way))
        summary_path(results, way).write_bytes(changed)

        with RunRepository.open(results) as repository:
            assert repository.read_document("run") == {"mine": 1}

    def test_one_that_was_unpacked_by_hand_is_read(self, results: Path) -> None:
        save(results, "gzip")
        path = summary_path(results, "gzip")
        (results / "run" / reference.SUMMARY).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()

        with RunRepository.open(results) as repository:
            assert repository.read_document("run")["total_measurements"] == 60

    def test_the_facade_knows_the_run(self, results: Path, way: Compression) -> None:
        save(results, way)

        document = MetricsStorage("run", results).get_run_metrics()

        assert document is not None
        assert document["total_measurements"] == 60
        assert MetricsStorage.get_recent_runs(results) == ["run"]

    def test_the_facade_saves_it_plain(self, results: Path, way: Compression) -> None:
        save(results, way)

        MetricsStorage("run", results).save_latency_stats(recorded(3))

        assert names(results) == names_of(None)

    def test_the_folders_answer_alike(self, results: Path, way: Compression) -> None:
        save(results, None, "before")
        save(results, way)
        save(results, None, "after")
        with RunRepository.open(results) as repository:
            expected = repository.get("run")
        drop_database(results)

        with RunRepository.open(results, read_only=True) as repository:
            found = repository.get("run")

            assert repository.answers_from == "folders"
            assert [run.run_id for run in repository.recent()] == ["after", "run", "before"]
        assert (found.metrics.keys(), found.recorded_at) == (
            expected.metrics.keys(),
            expected.recorded_at,
        )

    def test_a_tree_with_the_times_of_a_copy_is_in_order(
        self, results: Path, way: Compression
    ) -> None:
        save(results, way, "first")
        save(results, way, "second")
        for number, run_id in enumerate(["second", "first"]):
            for path in (results / run_id).iterdir():
                os.utime(path, (2e9 + number, 2e9 + number))

        found = newest_runs(results, 10)

        # `recorded` measures just before it is saved.
        assert [run_id for _, run_id in found] == ["second", "first"]

    def test_a_lost_database_is_made_anew(self, results: Path, way: Compression) -> None:
        save(results, way)
        with RunRepository.open(results) as repository:
            before = repository.get("run")
        drop_database(results)

        report = check_folder(results, fix=True)

        with RunRepository.open(results) as repository:
            after = repository.get("run")
        assert report.is_sound
        assert (after.metrics, after.satellites) == (before.metrics, before.satellites)
        assert after.artifacts == before.artifacts


class TestCheck:
    """What a check finds and mends."""

    def test_a_changed_csv_is_a_fault(self, results: Path, way: Compression) -> None:
        save(results, way)
        path = csv_path(results, way)
        path.write_bytes(path.read_bytes()[:-1] + b"?")

        report = check_folder(results)

        assert [(f.kind, f.where) for f in report.findings if f.severity == "fault"] == [
            ("changed_file", f"run/{path.name}")
        ]

    def test_a_missing_summary_is_written_anew(self, results: Path, way: Compression) -> None:
        save(results, way)
        content = summary_path(results, way).read_bytes()
        summary_path(results, way).unlink()

        report = check_folder(results, fix=True)

        assert report.is_sound
        assert summary_path(results, way).read_bytes() == content

    def test_a_changed_one_is_kept_beside(self, results: Path, way: Compression) -> None:
        save(results, way)
        content = summary_path(results, way).read_bytes()
        summary_path(results, way).write_bytes(b"mine")

        check_folder(results, fix=True)

        assert summary_path(results, way).read_bytes() == content
        beside = summary_path(results, way).with_name(summary_path(results, way).name + ".changed")
        assert beside.read_bytes() == b"mine"

    def test_a_plain_one_in_its_place_is_kept_beside(
        self, results: Path, way: Compression
    ) -> None:
        save(results, way)
        summary_path(results, way).unlink()
        (results / "run" / reference.SUMMARY).write_bytes(b"mine")

        check_folder(results, fix=True)

        assert names(results) == sorted([*names_of(way), f"{reference.SUMMARY}.changed"])

    def test_another_compressor_gives_an_equal_document(
        self, results: Path, way: Compression, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(results, way)
        content = summary_path(results, way).read_bytes()
        summary_path(results, way).unlink()
        # As another version of the compressor may do.
        monkeypatch.setattr(packing, "_GZIP_LEVEL", 1)
        monkeypatch.setattr(packing, "_ZSTD_LEVEL", 12)

        report = check_folder(results, fix=True)

        written = summary_path(results, way).read_bytes()
        assert written != content
        assert UNPACK[way](written) == UNPACK[way](content)
        assert report.is_sound
        assert check_folder(results).is_sound


class TestHostile:
    """Files that nobody vouches for."""

    def test_a_bomb_for_a_summary_is_refused(self, results: Path, way: Compression) -> None:
        (results / "run").mkdir(parents=True)
        write_bomb(summary_path(results, way), way)

        with (
            RunRepository.open(results, read_only=True) as repository,
            pytest.raises(ArtifactReadError, match="it unpacks to over 67108864 bytes"),
        ):
            repository.get("run")

    def test_a_bomb_for_a_csv_is_refused(self, results: Path, way: Compression) -> None:
        save(results, way)
        drop_database(results)
        write_bomb(csv_path(results, way), way)

        with (
            RunRepository.open(results, read_only=True) as repository,
            pytest.raises(ArtifactReadError, match=r"latency_raw\.csv"),
        ):
            repository.measurements("run")

    def test_a_bomb_does_not_hold_up_the_list(self, results: Path, way: Compression) -> None:
        save(results, way)
        drop_database(results)
        write_bomb(csv_path(results, way), way)
        os.utime(summary_path(results, way), (1.7e9, 1.7e9))

        assert [run_id for _, run_id in newest_runs(results, 10)] == ["run"]

    @pytest.mark.parametrize("left", [0, 5, 30, -1])
    def test_a_torn_summary_is_an_error(self, results: Path, way: Compression, left: int) -> None:
        save(results, way)
        drop_database(results)
        path = summary_path(results, way)
        path.write_bytes(path.read_bytes()[:left])

        with (
            RunRepository.open(results, read_only=True) as repository,
            pytest.raises(ArtifactReadError, match=path.name),
        ):
            repository.get("run")

    def test_files_that_are_joined_are_one(self, way: Compression) -> None:
        parts = [b"".join(packing.compressed([part], way)) for part in (b"one ", b"two")]

        assert packing.unpacked(b"".join(parts), way, 100) == b"one two"

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 2**20, 2**20 + 1, 3_000_000])
    def test_what_is_packed_is_unpacked(self, way: Compression, size: int) -> None:
        content = os.urandom(size // 2) + bytes(size - size // 2)
        packed = b"".join(packing.compressed([content[:9], content[9:]], way))

        assert packing.unpacked(packed, way, size) == content


class TestOptions:
    """What can't be asked for is refused when the store is opened."""

    def test_an_unknown_one_is_refused(self, results: Path) -> None:
        with pytest.raises(ValueError, match="'gzip' or 'zstd', not 'bzip2'"):
            RunRepository.open(results, compression="bzip2")  # type: ignore[arg-type]

    def test_a_missing_package_is_named_at_opening(
        self, results: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "zstandard", None)

        with pytest.raises(ArtifactWriteError, match=r"astraguard-store\[zstd\]"):
            RunRepository.open(results, compression="zstd")

        assert not results.exists()

    def test_a_missing_package_is_named_by_a_reader(
        self, results: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(results, "zstd")
        monkeypatch.setitem(sys.modules, "zstandard", None)

        with (
            RunRepository.open(results) as repository,
            pytest.raises(ArtifactReadError, match=r"astraguard-store\[zstd\]"),
        ):
            repository.measurements("run")
