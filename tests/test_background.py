"""Threads that sync and render: all is over when it is said to be, and no error is lost."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from recordings import recorded
from stepping import right_after, right_before

from astraguard_store import ArtifactWriteError, RunRepository
from astraguard_store.artifacts.staged_run import StagedRun
from astraguard_store.database.sqlite.connections import SqliteWrite
from astraguard_store.system import threads as background
from astraguard_store.system.threads import (
    RenderedAhead,
    in_background,
    run_all,
    wait_for_all,
)

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
        with moment("setdefault", background._before_fork, 1):
            run_all([partial(done.append, number) for number in range(3)])

        assert sorted(done) == [0, 1, 2]

    def test_a_fork_ends_the_threads_and_both_sides_get_new_ones(self) -> None:
        # In a process of its own: other tests' threads would be counted.
        subprocess.run([sys.executable, "-W", "error", "-c", FORK], check=True, timeout=60)


class TestRenderedAhead:
    """Chunks that threads make before they are asked for."""

    def test_chunks_come_in_order_however_long_each_takes(self) -> None:
        def part(number: int) -> bytes:
            time.sleep(0.01 if number % 2 else 0.0)
            return b"%d" % number

        parts = (partial(part, number) for number in range(20))

        assert list(RenderedAhead(parts)) == [b"%d" % number for number in range(20)]

    def test_no_more_is_rendered_than_is_soon_asked_for(self) -> None:
        rendered: list[int] = []

        def part(number: int) -> bytes:
            rendered.append(number)
            return b""

        ahead = iter(RenderedAhead((lambda i=i: part(i)) for i in range(50)))  # type: ignore[misc]
        next(ahead)
        time.sleep(0.05)

        assert len(rendered) <= 6


class TestSyncsBesideRows:
    """The rows of a small save are written while its files are synced; the commit waits."""

    def test_the_commit_waits_for_all_syncs(
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

    def test_a_sync_that_fails_fails_the_save_and_leaves_nothing(
        self, results: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(run: StagedRun, kind: str) -> None:
            time.sleep(0.05)
            raise ArtifactWriteError(f"{run.run_id}: {kind} can't be synced")

        with RunRepository.open(results) as repository:
            repository.save("before", recorded(10))
            with monkeypatch.context() as patch:
                patch.setattr(StagedRun, "sync", fail)
                with pytest.raises(ArtifactWriteError, match="raw_csv can't be synced"):
                    repository.save("run", recorded(10))

            assert [header.run_id for header in repository.recent()] == ["before"]
            assert os.listdir(results / ".staging") == []
            assert repository.save("run", recorded(10)).revision == 1


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
