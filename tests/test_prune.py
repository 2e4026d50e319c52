"""Pruning: which runs go, which stay, and how many bytes are really free afterwards."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from recordings import recorded
from seen_sql import seen_sql
from stepping import right_before

from astraguard_store import RunRepository
from astraguard_store.database.sqlite import compaction
from astraguard_store.exceptions import (
    InvalidRunError,
    ReadOnlyStoreError,
    RunNotFoundError,
    StoreNotFoundError,
)

DAY_US = 86_400_000_000
DAY = timedelta(days=1)


def age(repository: RunRepository, days: dict[str, float]) -> None:
    """Make runs look as if they had been recorded so many days ago."""
    now_us = time.time_ns() // 1000
    with closing(sqlite3.connect(str(repository.database_path))) as database, database:
        database.executemany(
            "UPDATE runs SET recorded_at_us = ? WHERE run_id = ?",
            [(now_us - int(ago * DAY_US), run_id) for run_id, ago in days.items()],
        )


def is_sound(repository: RunRepository) -> bool:
    """Return whether a check finds nothing but the times that `age` changed in the rows."""
    faults = [found for found in repository.check().findings if found.severity == "fault"]
    return {found.kind for found in faults} <= {"rows_disagree"}


def ids(repository: RunRepository) -> list[str]:
    return [header.run_id for header in repository.recent(1_000)]


def bytes_in(folder: Path) -> int:
    """Return what all files below hold, but for SQLite's index of its log."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if not path.name.endswith(("-shm", ".lock")))


@pytest.fixture
def store(results: Path) -> Iterator[RunRepository]:
    """Give five runs, r1 a day old, r5 five days."""
    with RunRepository.open(results) as repository:
        repository.save_many((f"r{number}", recorded(4)) for number in range(1, 6))
        age(repository, {f"r{number}": number for number in range(1, 6)})
        yield repository


@pytest.fixture
def large(results: Path) -> Iterator[RunRepository]:
    """Give 60 runs whose rows fill more than 1 MB."""
    with RunRepository.open(results, durability="normal") as repository:
        repository.save_many(
            ((f"r{number:02}", recorded(60)) for number in range(60)), satellite_buckets=True
        )
        with closing(sqlite3.connect(str(repository.database_path))) as database, database:
            # Beside the buckets, so that the runs are as large as real ones.
            for number in range(60):
                keep_measurements(database, f"r{number:02}", 600)
        yield repository


def keep_measurements(database: sqlite3.Connection, run_id: str, rows: int) -> None:
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?) "
        "INSERT INTO measurements SELECT ?, i, 0, 1.7e9 + i, i / 7.0, i, 0 FROM n",
        (rows, run_id),
    )


class TestWhichGo:
    """By number, by age, by both."""

    def test_keep_keeps_the_newest(self, store: RunRepository) -> None:
        report = store.prune(keep=2)

        assert report.deleted == ("r5", "r4", "r3")
        assert ids(store) == ["r1", "r2"]

    def test_older_than_keeps_the_younger(self, store: RunRepository) -> None:
        report = store.prune(older_than=3.5 * DAY)

        assert report.deleted == ("r5", "r4")

    @pytest.mark.parametrize(
        ("keep", "days", "gone"), [(4, 1.5, ("r5",)), (1, 4.5, ("r5",)), (0, 9, ()), (9, 0, ())]
    )
    def test_with_both_a_run_goes_only_by_both(
        self, store: RunRepository, keep: int, days: float, gone: tuple[str, ...]
    ) -> None:
        report = store.prune(keep, days * DAY)

        assert report.deleted == gone

    def test_more_may_be_kept_than_there_can_be(self, store: RunRepository) -> None:
        report = store.prune(keep=10**30)

        assert report.deleted == ()

    def test_keeping_none_deletes_all(self, store: RunRepository) -> None:
        store.prune(keep=0)

        assert ids(store) == []

    def test_pinned_runs_stay_whatever_the_value(self, store: RunRepository) -> None:
        store.set_tags("r4", {"pinned": ""})
        store.set_tags("r3", {"pinned": "until the review"})

        report = store.prune(keep=1)

        assert report.deleted == ("r5", "r2")
        assert report.pinned == ("r4", "r3")
        assert ids(store) == ["r1", "r3", "r4"]

    def test_pinned_runs_count_among_the_newest(self, store: RunRepository) -> None:
        store.set_tags("r1", {"pinned": ""})

        store.prune(keep=2)

        assert ids(store) == ["r1", "r2"]

    def test_a_run_of_a_fast_clock_goes_by_its_place(self, store: RunRepository) -> None:
        age(store, {"r5": -400})

        report = store.prune(keep=0)

        assert "r5" in report.deleted

    def test_nothing_to_do_is_no_error(self, store: RunRepository) -> None:
        report = store.prune(keep=5)

        assert (report.deleted, report.pinned, report.file_bytes) == ((), (), 0)

    def test_a_repository_in_memory_prunes_too(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save_many((f"r{number:02}", recorded(9)) for number in range(30))

            report = repository.prune(keep=1)

            assert (len(report.deleted), report.freed_bytes) == (29, 0)
            assert ids(repository) == ["r29"]


class TestFilesAndRows:
    """What goes goes as a whole."""

    def test_files_and_folders_go(self, store: RunRepository, results: Path) -> None:
        store.prune(keep=4)

        assert not (results / "r5").exists()
        assert is_sound(store)

    def test_a_file_of_somebody_else_stays(self, store: RunRepository, results: Path) -> None:
        (results / "r5" / "notes.txt").write_text("mine")

        store.prune(keep=4)

        assert [path.name for path in (results / "r5").iterdir()] == ["notes.txt"]

    def test_a_file_in_the_place_of_a_folder_keeps_no_run_from_going(
        self, store: RunRepository, results: Path
    ) -> None:
        shutil.rmtree(results / "r4")
        (results / "r4").write_text("mine")

        would_go = store.prune(keep=1, dry_run=True).deleted
        report = store.prune(keep=1)

        assert report.deleted == would_go == ("r5", "r4", "r3", "r2")
        assert (results / "r4").read_text() == "mine"
        assert list((results / ".staging").iterdir()) == []

    def test_pruned_runs_are_not_answered_from_memory(self, store: RunRepository) -> None:
        store.get("r5")

        store.prune(keep=4)

        with pytest.raises(RunNotFoundError):
            store.get("r5")

    def test_progress_counts_the_runs(self, store: RunRepository) -> None:
        seen: list[tuple[int, int]] = []

        store.prune(keep=3, progress=lambda done, total: seen.append((done, total)))

        assert seen == [(0, 2), (1, 2), (2, 2)]


class TestDryRun:
    """It says what would be, and changes nothing."""

    def test_it_reports_the_same_runs_and_files(self, store: RunRepository) -> None:
        store.set_tags("r4", {"pinned": ""})

        dry = store.prune(keep=2, dry_run=True)
        wet = store.prune(keep=2)

        assert (dry.deleted, dry.pinned, dry.file_bytes) == (
            wet.deleted,
            wet.pinned,
            wet.file_bytes,
        )
        assert (dry.dry_run, wet.dry_run) == (True, False)

    def test_it_changes_nothing(self, store: RunRepository, results: Path) -> None:
        before = bytes_in(results)

        store.prune(keep=0, dry_run=True)

        assert bytes_in(results) == before
        assert len(ids(store)) == 5

    @pytest.mark.usefixtures("store")
    def test_it_needs_no_right_to_write(self, results: Path) -> None:
        with RunRepository.open(results, read_only=True) as repository:
            assert repository.prune(keep=4, dry_run=True).deleted == ("r5",)

    def test_its_estimate_is_near_what_is_freed(self, large: RunRepository) -> None:
        dry = large.prune(keep=20, dry_run=True)

        wet = large.prune(keep=20)

        assert dry.database_bytes == pytest.approx(wet.database_bytes, rel=0.3)


class TestBytes:
    """What is said to be free is free."""

    def test_the_bytes_freed_are_those_that_the_folder_lost(
        self, large: RunRepository, results: Path
    ) -> None:
        before = bytes_in(results)

        report = large.prune(keep=10)

        assert report.freed_bytes == before - bytes_in(results)
        assert report.database_bytes > 2**20
        assert report.not_compacted is None

    def test_a_few_free_pages_are_left_to_the_next_saves(self, results: Path) -> None:
        with seen_sql() as seen, RunRepository.open(results, durability="normal") as repository:
            repository.save_many((f"r{number:03}", recorded(4)) for number in range(60))

            report = repository.prune(keep=59)

        assert report.deleted == ("r000",)
        assert not [sql for sql in seen.statements if "VACUUM" in sql]

    def test_what_is_left_is_sound(self, large: RunRepository) -> None:
        large.prune(keep=10)

        assert is_sound(large)
        assert len(ids(large)) == 10

    def test_a_reader_in_the_middle_of_a_query_keeps_the_file_as_it_is(
        self, large: RunRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compaction, "_PATIENCE_MS", 50)
        with closing(sqlite3.connect(str(large.database_path), isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM runs").fetchone() == (60,)

            report = large.prune(keep=10)

            assert len(report.deleted) == 50
            assert "readers" in str(report.not_compacted)
            # The reader goes on with what it saw.
            assert reader.execute("SELECT count(*) FROM runs").fetchone() == (60,)

    def test_the_next_pruning_makes_up_for_it(
        self, large: RunRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compaction, "_PATIENCE_MS", 50)
        assert large.database_path is not None
        with closing(sqlite3.connect(large.database_path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM runs").fetchone()
            large.prune(keep=10)
            before = bytes_in(large.database_path.parent)

        large.prune(keep=10)

        assert bytes_in(large.database_path.parent) < before / 2

    def test_no_room_to_write_it_anew_is_said_and_harms_nothing(
        self, large: RunRepository
    ) -> None:
        with a_disk_that_fills_up() as fill:
            report = large.prune(keep=30, progress=fill)

        assert len(report.deleted) == 30
        assert "astraguard.db" in str(report.not_compacted)
        assert len(ids(large)) == 30
        assert is_sound(large)

    def test_after_a_failure_the_next_pruning_frees_the_bytes(self, large: RunRepository) -> None:
        with a_disk_that_fills_up() as fill:
            large.prune(keep=30, progress=fill)

        report = large.prune(keep=30)

        assert report.deleted == ()
        assert report.database_bytes > 2**20


@contextmanager
def a_disk_that_fills_up() -> Iterator[Callable[[int, int], None]]:
    """Give a progress that, once all runs are deleted, lets no file grow beyond 300 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done: int, total: int) -> None:
        if done == total:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))

    try:
        yield fill
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestMeanwhile:
    """Others go on while runs are pruned."""

    def between(
        self, store: RunRepository, step: Callable[[RunRepository], object]
    ) -> Callable[[int, int], None]:
        def progress(done: int, _: int) -> None:
            if done == 1:
                with RunRepository.open(str(store.results_dir)) as other:
                    step(other)

        return progress

    def test_a_run_that_was_pinned_meanwhile_stays(self, store: RunRepository) -> None:
        step = self.between(store, lambda other: other.set_tags("r3", {"pinned": ""}))

        report = store.prune(keep=2, progress=step)

        assert (report.deleted, report.pinned) == (("r5", "r4"), ("r3",))

    def test_a_run_that_was_saved_again_meanwhile_stays(self, store: RunRepository) -> None:
        step = self.between(store, lambda other: other.save("r3", recorded(7)))

        report = store.prune(keep=2, progress=step)

        assert (report.deleted, report.pinned) == (("r5", "r4"), ())
        assert store.get("r3").total_measurements == 21

    def test_a_run_that_was_deleted_meanwhile_is_not_counted(self, store: RunRepository) -> None:
        step = self.between(store, lambda other: other.delete("r3"))

        report = store.prune(keep=2, progress=step)

        assert report.deleted == ("r5", "r4")

    def test_a_recovery_does_not_wait_for_it_nor_it_for_a_recovery(
        self, store: RunRepository, results: Path
    ) -> None:
        staged: list[str] = []
        waits: list[bool] = []

        def recover() -> None:
            staged.extend(path.suffix for path in (results / ".staging").iterdir())
            thread = threading.Thread(target=store.recover)
            thread.start()
            thread.join(5)
            waits.append(thread.is_alive())

        with right_before("flock", recover):
            report = store.prune(keep=4)

        assert (staged, waits) == ([".delete"], [False])
        assert report.deleted == ("r5",)
        assert list((results / ".staging").iterdir()) == []

    def test_an_interruption_leaves_whole_runs(self, store: RunRepository) -> None:
        def interrupt(done: int, _: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.prune(keep=0, progress=interrupt)

        assert ids(store) == ["r1", "r2", "r3"]
        assert is_sound(store)


class TestBatches:
    """Many runs go in one transaction, and still each as a whole."""

    def test_few_transactions_delete_many_runs(self, results: Path) -> None:
        with RunRepository.open(results, durability="normal") as repository:
            repository.save_many((f"r{number:02}", recorded(2)) for number in range(64))

            with seen_sql() as seen:
                report = repository.prune(keep=0)

        assert len(report.deleted) == 64
        assert sum(sql.startswith("COMMIT") for sql in seen.statements) < 16

    @pytest.mark.parametrize(
        ("step", "call"), [("remove_files", 5), ("remove_files", 6), ("finish", 3)]
    )
    def test_what_dies_after_the_commit_is_finished_by_the_next_opening(
        self, store: RunRepository, results: Path, step: str, call: int
    ) -> None:
        with pytest.raises(KeyboardInterrupt), right_before(step, self.stop, call):
            store.prune(keep=1)
        store.close()

        with RunRepository.open(results) as repository:
            assert ids(repository) == ["r1"]
            assert is_sound(repository)
        assert sorted(path.name for path in results.glob("r*")) == ["r1"]
        assert list((results / ".staging").iterdir()) == []

    def test_what_dies_before_the_commit_takes_no_run_of_its_batch(
        self, store: RunRepository, results: Path
    ) -> None:
        with pytest.raises(KeyboardInterrupt), right_before("delete_run", self.stop, call=4):
            store.prune(keep=1)

        assert ids(store) == ["r1", "r2", "r3"]
        assert is_sound(store)
        assert list((results / ".staging").iterdir()) == []

    def test_files_that_cannot_be_removed_keep_no_other_run_from_going(
        self, store: RunRepository, results: Path
    ) -> None:
        (results / "r3" / "latency_raw.csv").unlink()
        (results / "r3" / "latency_raw.csv").mkdir()

        report = store.prune(keep=1)

        assert report.deleted == ("r5", "r4", "r3", "r2")
        assert sorted(path.name for path in results.glob("r*")) == ["r1", "r3"]

    @staticmethod
    def stop() -> None:
        raise KeyboardInterrupt


class TestMeasurementsOnly:
    """The runs stay; the measurements that the database keeps go."""

    def test_only_measurements_go(self, large: RunRepository) -> None:
        report = large.prune(keep=50, measurements_only=True)

        assert report.deleted == ()
        assert report.purged == tuple(f"r{number:02}" for number in range(10))
        assert len(ids(large)) == 60
        left = large.query("SELECT DISTINCT run_id FROM measurements").rows
        assert len(left) == 50
        assert large.get("r00").artifacts

    def test_it_frees_the_bytes_of_the_database(self, large: RunRepository, results: Path) -> None:
        before = bytes_in(results)

        report = large.prune(keep=0, measurements_only=True)

        assert (report.file_bytes, report.freed_bytes) == (0, before - bytes_in(results))
        assert report.database_bytes > 2**20

    def test_runs_without_any_are_not_counted(self, store: RunRepository) -> None:
        assert store.prune(keep=0, measurements_only=True).purged == ()

    def test_pinned_runs_keep_theirs(self, large: RunRepository) -> None:
        large.set_tags("r00", {"pinned": ""})

        report = large.prune(keep=59, measurements_only=True)

        assert (report.purged, report.pinned) == ((), ("r00",))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "keep, older_than or both"),
    "negative keep": ({"keep": -1}, "keep -1"),
    "keep that is true": ({"keep": True}, "keep True"),
    "keep that is text": ({"keep": "5"}, "keep '5'"),
    "a number of days": ({"older_than": 90}, "older_than 90"),
    "negative age": ({"older_than": -DAY}, "days=-1"),
}


class TestWrongQuestions:
    """What can't be is refused before anything goes."""

    @pytest.mark.parametrize("wrong", WRONG)
    def test_the_error_names_the_value(self, store: RunRepository, wrong: str) -> None:
        given, named = WRONG[wrong]

        with pytest.raises(InvalidRunError, match=named):
            store.prune(**given)

        assert len(ids(store)) == 5

    @pytest.mark.usefixtures("store")
    def test_a_repository_for_reading_deletes_nothing(self, results: Path) -> None:
        with (
            RunRepository.open(results, read_only=True) as repository,
            pytest.raises(ReadOnlyStoreError),
        ):
            repository.prune(keep=0)

    def test_run_folders_alone_are_not_pruned(self, old_tree: Path) -> None:
        with (
            RunRepository.open(old_tree, read_only=True) as repository,
            pytest.raises(StoreNotFoundError, match="astraguard-store import"),
        ):
            repository.prune(keep=0, dry_run=True)
