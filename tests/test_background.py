"""Threads that sync and render: all is over when it is said to be, and no error is lost."""

import errno
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import pytest
from recordings import recorded
from stepping import right_after, right_before

from astraguard_store import ArtifactWriteError, DatabaseBusyError, RunRepository
from astraguard_store.database.sqlite.connections import SqliteWrite
from astraguard_store.system import threads as background
from astraguard_store.system.threads import in_background, made_ahead, run_all, wait_for_all

Moment = Callable[[str, Callable[[], object], int], AbstractContextManager[None]]

FORK = """
import os, threading
from astraguard_store.system.threads import in_background
assert in_background(lambda: 1).result() == 1
assert threading.active_count() > 1
child = os.fork()
assert in_background(lambda: 2).result(timeout=20) == 2
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


class TestRunAll:
    """Works at the same time."""

    @pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 100])
    def test_each_of_any_number_is_done_once(self, count: int) -> None:
        done: list[int] = []

        run_all([partial(done.append, number) for number in range(count)])

        assert sorted(done) == list(range(count))

    def test_the_first_error_is_raised_when_all_are_over(self) -> None:
        done: list[str] = []

        def fail(name: str) -> None:
            done.append(name)
            raise ValueError(name)

        def slow() -> None:
            time.sleep(0.05)
            done.append("slow")

        with pytest.raises(ValueError, match="first"):
            run_all([lambda: fail("first"), slow, lambda: fail("last")])

        assert sorted(done) == ["first", "last", "slow"]


class TestInBackground:
    """One work, in a thread where there can be one."""

    def test_without_a_new_thread_the_work_is_done_once_by_the_caller(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(background, "_pools", {})
        monkeypatch.setattr(threading.Thread, "start", refuse)
        done: list[int] = []

        future = in_background(lambda: done.append(1))

        wait_for_all([future])
        assert done == [1]
        assert future.done()

    @pytest.mark.parametrize("moment", [right_before, right_after])
    def test_a_fork_of_another_thread_meanwhile_leaves_no_work_undone(
        self, moment: Moment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(background, "_pools", {})
        done: list[int] = []

        # What that fork does first.
        with moment("setdefault", background._end_threads, 1):
            run_all([partial(done.append, number) for number in range(3)])

        assert sorted(done) == [0, 1, 2]

    def test_a_fork_ends_the_threads_and_both_sides_get_new_ones(self) -> None:
        # In a process of its own: other tests' threads would be counted.
        subprocess.run([sys.executable, "-W", "error", "-c", FORK], check=True, timeout=60)


class TestMadeAhead:
    """Chunks that threads make before they are asked for."""

    def test_chunks_come_in_order_however_long_each_takes(self) -> None:
        def part(number: int) -> bytes:
            time.sleep(0.01 if number % 2 else 0.0)
            return b"%d" % number

        parts = (partial(part, number) for number in range(20))

        assert list(made_ahead(parts)) == [b"%d" % number for number in range(20)]

    def test_no_more_is_rendered_than_is_soon_asked_for(self) -> None:
        rendered: list[int] = []

        def part(number: int) -> bytes:
            rendered.append(number)
            return b""

        ahead = made_ahead((lambda i=i: part(i)) for i in range(50))  # type: ignore[misc]
        next(ahead)
        time.sleep(0.05)

        assert len(rendered) <= 6


class TestFilesBesideRows:
    """The rows of a small save are written while its files are; the commit waits for both."""

    def test_the_commit_waits_for_all_files(
        self, results: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[str] = []
        fsync, commit = os.fsync, SqliteWrite.commit

        def slow_fsync(descriptor: int) -> None:
            time.sleep(0.05)
            fsync(descriptor)
            events.append("synced")

        def noted_commit(write: SqliteWrite) -> None:
            events.append("commit")
            commit(write)

        with RunRepository.open(results) as repository:
            repository.save("before", recorded(10))
            monkeypatch.setattr(os, "fsync", slow_fsync)
            monkeypatch.setattr(SqliteWrite, "commit", noted_commit)
            repository.save("run", recorded(10))

        # Both files and the staging folder before; the run's and the results folder after.
        assert events == ["synced"] * 3 + ["commit"] + ["synced"] * 2

    @pytest.mark.parametrize("rows", [10, 5_000, 50_000])
    @pytest.mark.parametrize("file", [".csv", ".json", ".staging"])
    def test_a_sync_that_fails_fails_the_save_and_leaves_nothing(
        self, results: Path, monkeypatch: pytest.MonkeyPatch, rows: int, file: str
    ) -> None:
        fsync = os.fsync

        def fail(descriptor: int) -> None:
            time.sleep(0.05)
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith(file):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fsync(descriptor)

        with RunRepository.open(results) as repository:
            repository.save("before", recorded(10))
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", fail)
                with pytest.raises(ArtifactWriteError, match="Input/output error"):
                    repository.save("run", recorded(rows))

            assert [header.run_id for header in repository.recent()] == ["before"]
            assert os.listdir(results / ".staging") == []
            assert repository.save("run", recorded(10)).revision == 1

    def test_of_several_runs_none_is_saved_if_one_file_fails(
        self, results: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fsync = os.fsync

        def fail(descriptor: int) -> None:
            if "run_07~" in os.readlink(f"/proc/self/fd/{descriptor}"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fsync(descriptor)

        with RunRepository.open(results) as repository:
            monkeypatch.setattr(os, "fsync", fail)
            with pytest.raises(ArtifactWriteError, match="run_07"):
                repository.save_many((f"run_{i:02}", recorded(10)) for i in range(20))

            assert repository.recent() == []
            assert os.listdir(results / ".staging") == []

    def test_a_busy_database_keeps_only_files_that_could_be_written(
        self, results: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = os.write

        def full_disk(descriptor: int, content: bytes) -> int:
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".json"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, content)

        with (
            RunRepository.open(results, busy_timeout_s=0.1) as repository,
            closing(sqlite3.connect(results / "astraguard.db")) as other,
        ):
            other.execute("BEGIN IMMEDIATE")
            monkeypatch.setattr(os, "write", full_disk)
            with pytest.raises(DatabaseBusyError) as raised:
                repository.save("run", recorded(5_000))

        assert raised.value.kept == ()
        assert os.listdir(results / ".staging") == []


def test_the_log_is_written_over_and_stays_short(results: Path) -> None:
    log = results / "astraguard.db-wal"
    lengths = set()
    with RunRepository.open(results, durability="normal") as repository:
        for number in range(200):
            repository.save(f"run_{number:03}", recorded(600))
            lengths.add(log.stat().st_size)

        assert 4 * 2**20 <= max(lengths) < 5 * 2**20
        # Written over, so it has one length for many saves.
        assert len(lengths) < 150
        assert (results / "astraguard.db").stat().st_size > 10**5


FIRST_SAVE_AT_EXIT = """
import sys
from astraguard_store import LatencyCollector, MetricsStorage
class Runner:
    def __del__(self):
        self.storage.save_latency_stats(self.collector)
runner = Runner()
runner.myself = runner
runner.collector = LatencyCollector()
for i in range(int(sys.argv[2])):
    runner.collector.record_fault_detection("SAT001", float(i), 1.0)
runner.storage = MetricsStorage("late", sys.argv[1])
"""


@pytest.mark.parametrize("rows", [10, 40_000])
def test_a_first_save_when_the_interpreter_has_ended_its_threads_ends(
    results: Path, rows: int
) -> None:
    command = [sys.executable, "-c", FIRST_SAVE_AT_EXIT, str(results), str(rows)]

    ended = subprocess.run(command, stderr=subprocess.PIPE, timeout=60, check=False)

    assert ended.returncode == 0
    is_saved = (results / "late" / "latency_summary.json").exists()
    assert is_saved or b"Exception ignored" in ended.stderr
