"""Several processes on one folder: forked, spawned, and those that wait for each other."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import reference
from other_process import OtherProcess
from recordings import recorded

from astraguard_store import DatabaseBusyError, RunRepository, RunSummary
from astraguard_store.database.sqlite.engine import BEGIN_TO_WRITE, connect
from astraguard_store.store import store
from astraguard_store.system.files import databases_stay, descriptors_of

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def other() -> Iterator[OtherProcess]:
    with OtherProcess() as process:
        yield process


class TestFork:
    """A child that is forked while its parent has a store open.

    The parent is a process of its own: forking the one that runs the tests
    would fork its threads' locks too.
    """

    BEGINNING = """
import os, signal, sys, threading
from pathlib import Path
from recordings import recorded
from astraguard_store import RunRepository

def in_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            work()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return child

def must_succeed(child):
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with status {status}"

results = Path(sys.argv[1])
with RunRepository.open(results) as repository:
    repository.save("warm", recorded(10))
    repository.get("warm")
    repository.recent()
"""

    def run(self, results: Path, script: str) -> None:
        """Run *script* in a parent whose repository has warm connections."""
        folders = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        body = "".join(f"    {line}\n" for line in script.strip().splitlines())
        done = subprocess.run(
            [
                *(sys.executable, "-W", "ignore::DeprecationWarning"),
                *("-c", self.BEGINNING + body, str(results)),
            ],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def test_the_child_reads_what_the_parent_saved(self, results: Path) -> None:
        self.run(
            results,
            """
def child():
    assert repository.get("warm").total_measurements == 30
    assert [h.run_id for h in repository.recent()] == ["warm"]
must_succeed(in_child(child))
""",
        )

    def test_child_and_parent_save_on(self, results: Path) -> None:
        self.run(
            results,
            """
def save_many(who):
    for i in range(10):
        repository.save(f"{who}{i}", recorded(3))
child = in_child(lambda: save_many("child"))
save_many("parent")
must_succeed(child)
assert repository.get("child9").total_measurements == 9
assert len(repository.recent(100)) == 21
""",
        )

        with RunRepository.open(results) as repository:
            assert len(repository.recent(100)) == 21

    def test_the_child_follows_what_the_parent_commits(self, results: Path) -> None:
        self.run(
            results,
            """
seen_r, seen_w = os.pipe()
saved_r, saved_w = os.pipe()
def child():
    assert repository.get("warm").revision == 1
    os.write(seen_w, b"x")
    os.read(saved_r, 1)
    assert repository.get("warm").revision == 2
child = in_child(child)
os.read(seen_r, 1)
repository.save("warm", recorded(11))
os.write(saved_w, b"x")
must_succeed(child)
""",
        )

    def test_the_parent_follows_what_the_child_commits(self, results: Path) -> None:
        self.run(
            results,
            """
must_succeed(in_child(lambda: repository.save("warm", recorded(11))))
assert repository.get("warm").revision == 2
""",
        )

    def test_a_child_that_closes_leaves_the_parents_store_open(self, results: Path) -> None:
        self.run(
            results,
            """
must_succeed(in_child(repository.close))
repository.save("warm", recorded(11))
assert repository.get("warm").revision == 2
""",
        )

    def test_a_child_of_a_parent_that_used_polars_saves_a_large_run(self, results: Path) -> None:
        self.run(
            results,
            """
repository.save("parents", recorded(2_000))
assert "polars" in sys.modules
must_succeed(in_child(lambda: repository.save("childs", recorded(2_000))))
assert repository.get("childs").metrics == repository.get("parents").metrics
""",
        )

        # The road without polars writes what the road with it does.
        rows = [
            [row[1:] for row in reference.read_rows(results / name / reference.RAW)]
            for name in ("parents", "childs")
        ]
        assert rows[0] == rows[1]

    def test_what_the_child_saves_after_the_parent_closed_is_kept(self, results: Path) -> None:
        self.run(
            results,
            """
saved_r, saved_w = os.pipe()
closed_r, closed_w = os.pipe()
def child():
    repository.save("before", recorded(3))
    os.write(saved_w, b"x")
    os.read(closed_r, 1)
    repository.save("after", recorded(3))
child = in_child(child)
os.read(saved_r, 1)
repository.close()
os.write(closed_w, b"x")
must_succeed(child)
""",
        )

        with RunRepository.open(results) as repository:
            saved = {header.run_id for header in repository.recent()}
        assert saved == {"warm", "before", "after"}

    def test_a_child_that_is_forked_while_another_thread_commits_can_save(
        self, results: Path
    ) -> None:
        self.run(
            results,
            """
import time
from seen_sql import seen_sql
committing = threading.Event()
def linger(statement):
    if statement == "COMMIT" and threading.current_thread() is saver:
        committing.set()
        time.sleep(0.4)
def save():
    with RunRepository.open(results.with_name("other"), busy_timeout_s=2.0) as other:
        other.save("parents", recorded(3))
        seen.before = linger
        other.save("parents", recorded(4))
with seen_sql() as seen:
    saver = threading.Thread(target=save)
    saver.start()
    committing.wait(10)
    def child():
        with RunRepository.open(results.with_name("other"), busy_timeout_s=2.0) as other:
            other.save("childs", recorded(3))
    child = in_child(child)
    must_succeed(child)
    saver.join()
""",
        )

    def test_a_child_saves_through_its_parents_async_repository(self, results: Path) -> None:
        self.run(
            results,
            """
import asyncio
from astraguard_store import AsyncRunRepository
async def opened():
    repository = await AsyncRunRepository.open(results)
    await repository.save("parents", recorded(3))
    return repository
repository = asyncio.run(opened())
async def save(run_id):
    await asyncio.wait_for(repository.save(run_id, recorded(3)), 20)
must_succeed(in_child(lambda: asyncio.run(save("childs"))))
asyncio.run(save("after"))
async def ids():
    return {header.run_id for header in await repository.recent()}
assert asyncio.run(ids()) == {"warm", "parents", "childs", "after"}
""",
        )

    def test_a_child_that_is_forked_while_another_thread_records_can_record(
        self, results: Path
    ) -> None:
        self.run(
            results,
            """
collector = recorded(3)
held, may_go = threading.Event(), threading.Event()
def hold():
    with collector._lock:
        held.set()
        may_go.wait(30)
holder = threading.Thread(target=hold)
holder.start()
held.wait(10)
def child():
    collector.record_fault_detection("SAT009", 3.0, 1.0)
    assert len(collector) == 10
child = in_child(child)
must_succeed(child)
may_go.set()
holder.join()
assert len(collector) == 9
""",
        )

    def test_a_child_that_is_forked_while_another_thread_uses_the_store_in_memory(
        self, results: Path
    ) -> None:
        self.run(
            results,
            """
signal.alarm(30)
memory = RunRepository.in_memory()
memory.save("run", recorded(3))
over = threading.Event()
def save_on():
    while not over.is_set():
        memory.save("run", recorded(3))
thread = threading.Thread(target=save_on, daemon=True)
thread.start()
def child():
    signal.alarm(2)
    memory.save("run", recorded(3))
for i in range(60):
    must_succeed(in_child(child))
over.set()
""",
        )


def read_and_save(results: Path) -> tuple[RunSummary, RunSummary]:
    with RunRepository.open(results) as repository:
        return repository.get("parents"), repository.save("childs", recorded(4))


def test_a_spawned_child_reads_saves_and_sends_runs_back(results: Path) -> None:
    with RunRepository.open(results) as repository:
        mine = repository.save("parents", recorded(3))

        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            read, saved = pool.submit(read_and_save, results).result(60)

        assert read == mine
        assert repository.get("childs") == saved


class TestTicket:
    """Whose turn it is to write."""

    def test_waiting_in_vain_names_who_has_it(self, results: Path, other: OtherProcess) -> None:
        with RunRepository.open(results, busy_timeout_s=0.3) as repository:
            other.hold_ticket(results, 2.5)

            with pytest.raises(DatabaseBusyError) as caught:
                repository.save("run", recorded(2))

        assert f"is locked by process {other.pid} (a long nap, for " in str(caught.value)
        assert caught.value.path == results / "astraguard.db"
        assert 0.25 <= caught.value.waited_s < 2.5
        time.sleep(2.5)

    def test_the_run_is_kept_meanwhile(self, results: Path, other: OtherProcess) -> None:
        with RunRepository.open(results, busy_timeout_s=0.3) as repository:
            other.hold_ticket(results, 2.5)
            with pytest.raises(DatabaseBusyError):
                repository.save("run", recorded(2))
            time.sleep(2.5)

        with RunRepository.open(results) as repository:
            assert repository.get("run").total_measurements == 6

    def test_waiting_in_vain_keeps_nobody_out_later(
        self, results: Path, other: OtherProcess
    ) -> None:
        with RunRepository.open(results, busy_timeout_s=0.3) as repository:
            other.hold_ticket(results, 2.5)
            with pytest.raises(DatabaseBusyError):
                repository.save("run", recorded(2))
            time.sleep(2.5)

            assert repository.save("next", recorded(2)).revision == 1

    def test_a_long_wait_is_logged(
        self, results: Path, other: OtherProcess, caplog: pytest.LogCaptureFixture
    ) -> None:
        with RunRepository.open(results) as repository:
            other.hold_ticket(results, 1.3)

            repository.save("run", recorded(2))

        (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert record.name == "astraguard_store"
        assert "s for the write lock" in record.getMessage()

    def test_a_short_wait_is_not_logged(
        self, results: Path, other: OtherProcess, caplog: pytest.LogCaptureFixture
    ) -> None:
        with RunRepository.open(results) as repository:
            other.hold_ticket(results, 0.2)

            repository.save("run", recorded(2))

        assert caplog.records == []

    def test_reading_needs_none(self, results: Path, other: OtherProcess) -> None:
        with RunRepository.open(results) as repository:
            repository.save("run", recorded(2))
            other.hold_ticket(results, 2.5)

            started = time.monotonic()
            repository.get("run")
            repository.recent()

            assert time.monotonic() - started < 2
            time.sleep(2.5)


def locks_on(path: Path) -> list[list[str]]:
    """Give the kind and range of each lock that this process has on *path*."""
    file = f":{path.stat().st_ino}"
    locks = map(str.split, Path("/proc/locks").read_text(encoding="ascii").splitlines())
    mine = [lock for lock in locks if lock[4] == str(os.getpid())]
    return sorted(lock[3:4] + lock[6:] for lock in mine if lock[5].endswith(file))


def test_a_connection_that_takes_no_lock_drops_none_of_others(results: Path) -> None:
    RunRepository.open(results).close()
    database = results / "astraguard.db"
    asleep = [connect(database, "immutable")]
    with closing(connect(database, "rw")) as writer:
        asleep.append(connect(database, "immutable"))
        writer.execute(BEGIN_TO_WRITE)
        files = database, results / "astraguard.db-shm"
        before = [locks_on(file) for file in files]

        for connection in asleep:
            connection.execute("SELECT * FROM store").fetchall()
            connection.close()

        assert all(before)
        assert [locks_on(file) for file in files] == before


def test_one_that_reads_a_log_without_its_index_is_closed_after_those_with_locks(
    results: Path,
) -> None:
    database = results / "astraguard.db"
    RunRepository.open(results).close()
    writer = connect(database, "rw")
    writer.execute("CREATE TABLE other (x)")
    for suffix in ("", "-wal"):
        shutil.copy(f"{database}{suffix}", f"{database}{suffix}-copied")
    writer.close()
    for suffix in ("", "-wal"):
        os.rename(f"{database}{suffix}-copied", f"{database}{suffix}")
    alone = [connect(database, "alone"), connect(database, "alone")]
    opened = database.stat()
    with closing(connect(database, "rw")):
        before = locks_on(database)

        for connection in alone:
            connection.execute("SELECT * FROM store").fetchall()
            connection.close()
            connection.close()

        assert before
        assert locks_on(database) == before

    assert len(descriptors_of(opened)) == len(alone)
    connect(database, "ro").close()
    assert not descriptors_of(opened)


def test_a_repository_that_is_collected_waits_for_nobody_who_opens_another(
    results: Path, tmp_path: Path
) -> None:
    dropped = RunRepository.open(results)
    database = (results / "astraguard.db").stat()
    with databases_stay():
        # It has the table of open stores, and waits for this thread.
        other = threading.Thread(target=lambda: RunRepository.open(tmp_path / "other").close())
        other.start()
        while folder_store_is_free():
            time.sleep(0.001)
        del dropped
    other.join()

    assert not descriptors_of(database)


def folder_store_is_free() -> bool:
    """Return whether a store could be opened now."""
    is_free = store._registry_lock.acquire(blocking=False)
    if is_free:
        store._registry_lock.release()
    return is_free


class TestFoldersInTheLog:
    """What an operator sees of answers from folders."""

    @staticmethod
    def tree(results: Path, count: int) -> None:
        for i in range(count):
            (results / f"run{i}").mkdir(parents=True)
            (results / f"run{i}" / reference.SUMMARY).write_text("{}")

    def test_a_scan_of_more_than_1000_folders_is_logged(
        self, results: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.tree(results, 1_001)
        with RunRepository.open(results, read_only=True) as repository:
            caplog.clear()

            repository.recent(1)

        assert f"{results}: scanned 1001 run folders for lack of a database" in caplog.messages

    def test_a_scan_of_1000_folders_is_not(
        self, results: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.tree(results, 1_000)
        with RunRepository.open(results, read_only=True) as repository:
            caplog.clear()

            repository.recent(1)

        assert not [message for message in caplog.messages if "scanned" in message]
