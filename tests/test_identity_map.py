"""A run is one object until somebody changes it, and never an old one after that."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from other_process import OtherProcess
from recordings import recorded

from astraguard_store import ArtifactWriteError, RunNotFoundError, RunRepository, RunSummary
from astraguard_store.database import runs as queries
from astraguard_store.database.identity_map import IdentityMap
from astraguard_store.database.runs import StoredRun

SLOWER = "UPDATE statistics SET mean_ms = 777.0 WHERE run_id = 'a'"


@pytest.fixture(scope="module")
def shared_process() -> Iterator[OtherProcess]:
    with OtherProcess() as process:
        yield process


@pytest.fixture
def other(shared_process: OtherProcess, results: Path) -> Iterator[OtherProcess]:
    """Give another process that has the store open for writing."""
    shared_process.open(results)
    yield shared_process
    shared_process.close()


@pytest.fixture
def repository(results: Path) -> Iterator[RunRepository]:
    """Give an open repository that holds the runs a and b."""
    with RunRepository.open(results) as repository:
        repository.save_many([("a", recorded(4)), ("b", recorded(5))])
        yield repository


@pytest.fixture(params=["on disk", "in memory"])
def either(request: pytest.FixtureRequest, results: Path) -> Iterator[RunRepository]:
    """Give a repository of each kind, with the runs a and b."""
    on_disk = request.param == "on disk"
    with RunRepository.open(results) if on_disk else RunRepository.in_memory() as repository:
        repository.save_many([("a", recorded(4)), ("b", recorded(5))])
        yield repository


@pytest.fixture
def tool(repository: RunRepository) -> Iterator[sqlite3.Connection]:
    """Give a plain connection of another tool to the repository's database."""
    assert repository.database_path is not None
    with closing(sqlite3.connect(repository.database_path, isolation_level=None)) as connection:
        yield connection


def in_their_order(run: RunSummary) -> list[list[str]]:
    return [list(mapping) for mapping in (run.metrics, run.satellites, *run.satellites.values())]


def misses_of(repository: RunRepository, call: Callable[[], object]) -> int:
    before = repository.cache_info().misses
    call()
    return repository.cache_info().misses - before


class TestOwnCommits:
    """What this process commits is forgotten exactly."""

    def test_a_run_stays_the_same_object(self, either: RunRepository) -> None:
        assert either.get("a") is either.get("a")

    def test_a_comparison_stays_the_same_object(self, either: RunRepository) -> None:
        first = either.compare("a", "b")

        assert either.compare("a", "b") is first

    def test_by_satellite_is_another_comparison(self, either: RunRepository) -> None:
        assert either.compare("a", "b") != either.compare("a", "b", by_satellite=True)

    def test_a_saved_run_is_forgotten(self, either: RunRepository) -> None:
        either.get("a")

        saved = either.save("a", recorded(9))

        assert either.get("a") == saved

    def test_a_deleted_run_is_forgotten(self, either: RunRepository) -> None:
        either.get("a")

        either.delete("a")

        with pytest.raises(RunNotFoundError):
            either.get("a")

    def test_a_run_that_was_not_there_is_found_once_it_is_saved(
        self, either: RunRepository
    ) -> None:
        with pytest.raises(RunNotFoundError):
            either.get("c")

        either.save("c", recorded(3))

        assert either.get("c").total_measurements == 9

    @pytest.mark.parametrize("changed", ["a", "b"])
    def test_a_comparison_is_forgotten_with_either_run(
        self, either: RunRepository, changed: str
    ) -> None:
        first = either.compare("a", "b")

        either.save(changed, recorded(40))

        assert either.compare("a", "b") != first

    def test_other_runs_are_kept(self, either: RunRepository) -> None:
        kept = either.get("b")

        either.save("a", recorded(9))

        assert misses_of(either, lambda: either.get("b")) == 0
        assert either.get("b") is kept

    def test_comparisons_of_other_runs_are_kept(self, either: RunRepository) -> None:
        either.compare("a", "b")

        either.save("c", recorded(9))

        assert misses_of(either, lambda: either.compare("a", "b")) == 0

    def test_each_run_of_one_transaction_is_forgotten(self, either: RunRepository) -> None:
        old = (either.get("a"), either.get("b"))

        either.save_many([("a", recorded(7)), ("b", recorded(7))])

        assert (either.get("a").revision, either.get("b").revision) == (2, 2)
        assert old[0].revision == 1

    def test_a_save_that_fails_forgets_nothing(
        self, repository: RunRepository, results: Path
    ) -> None:
        kept = repository.get("a")
        shutil.rmtree(results / "a")
        (results / "a").touch()

        with pytest.raises(ArtifactWriteError):
            repository.save("a", recorded(9))

        assert misses_of(repository, lambda: repository.get("a")) == 0
        assert repository.get("a") is kept

    def test_a_transaction_that_is_rolled_back_forgets_nothing(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        tool.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON artifacts WHEN new.run_id = 'b' "
            "BEGIN SELECT raise(ABORT, 'no more files'); END"
        )
        kept = repository.get("a")
        # The look that notices the tool's commit.
        assert repository.get("a") is kept

        with pytest.raises(Exception, match="no more files"):
            repository.save_many([("a", recorded(9)), ("b", recorded(9))])

        assert misses_of(repository, lambda: repository.get("a")) == 0
        assert repository.get("a") is kept


class TestCommitsOfOthers:
    """What other connections commit is seen at the next call."""

    def test_another_process_saves(self, repository: RunRepository, other: OtherProcess) -> None:
        repository.get("a")

        other.save("a", 20)

        assert repository.get("a").total_measurements == 60

    def test_another_process_deletes(self, repository: RunRepository, other: OtherProcess) -> None:
        repository.get("a")

        other.delete("a")

        with pytest.raises(RunNotFoundError):
            repository.get("a")

    def test_a_tool_updates_one_statistic(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        repository.get("a")

        tool.execute(SLOWER)

        assert {m.mean_ms for m in repository.get("a").metrics.values()} == {777.0}

    @pytest.mark.parametrize("which", ["=", ">"])
    def test_a_tool_changes_the_order_alone(
        self, repository: RunRepository, tool: sqlite3.Connection, which: str
    ) -> None:
        before = repository.get("a")

        tool.execute(
            "UPDATE statistics SET position = 99 - position "
            f"WHERE run_id = 'a' AND satellite_id {which} ''"
        )

        after = repository.get("a")
        assert after == before
        assert in_their_order(after) != in_their_order(before)
        assert repository.get("a") is after

    def test_a_tool_updates_one_statistic_of_a_compared_run(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        repository.compare("b", "a")

        tool.execute(SLOWER)

        changes = repository.compare("b", "a").changes
        assert {change.mean_ms.candidate for change in changes} == {777.0}

    def test_a_tool_commits_between_two_own_commits(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        repository.save("b", recorded(2))
        repository.get("a")

        tool.execute(SLOWER)
        repository.save("b", recorded(3))

        assert {m.mean_ms for m in repository.get("a").metrics.values()} == {777.0}

    def test_a_tool_rolls_back(self, repository: RunRepository, tool: sqlite3.Connection) -> None:
        repository.get("a")

        tool.execute("BEGIN IMMEDIATE")
        tool.execute(SLOWER)
        tool.execute("ROLLBACK")

        assert misses_of(repository, lambda: repository.get("a")) == 0

    def test_what_a_tool_has_not_committed_is_not_seen(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        kept = repository.get("a")

        tool.execute("BEGIN IMMEDIATE")
        tool.execute(SLOWER)
        seen = repository.get("a")
        tool.execute("ROLLBACK")

        assert seen is kept

    def test_unchanged_runs_stay_the_same_object(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        kept = repository.get("b")

        tool.execute(SLOWER)

        assert repository.get("b") is kept

    def test_unchanged_comparisons_stay_the_same_object(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        repository.save("c", recorded(6))
        kept = repository.compare("b", "c")

        tool.execute(SLOWER)

        assert repository.compare("b", "c") is kept

    def test_what_was_read_again_is_remembered_again(
        self, repository: RunRepository, tool: sqlite3.Connection
    ) -> None:
        repository.get("b")
        tool.execute(SLOWER)
        repository.get("b")

        assert misses_of(repository, lambda: repository.get("b")) == 0

    def test_a_second_repository_of_the_folder_is_no_other(
        self, repository: RunRepository, results: Path
    ) -> None:
        with RunRepository.open(results) as second:
            kept = repository.get("b")
            second.save("a", recorded(9))

            assert misses_of(repository, lambda: repository.get("b")) == 0
            assert second.get("b") is kept


class TestReadingOnly:
    """A process that only reads, beside one that writes."""

    def test_while_the_writer_is_there(self, results: Path, other: OtherProcess) -> None:
        other.save("a", 1)
        assert (results / "astraguard.db-wal").exists()
        with RunRepository.open(results, read_only=True) as reader:
            counts = [reader.get("a").total_measurements]

            for steps in (2, 3, 4):
                other.save("a", steps)
                counts.append(reader.get("a").total_measurements)

        assert counts == [3, 6, 9, 12]

    def test_while_writers_come_and_go(self, results: Path, shared_process: OtherProcess) -> None:
        counts = []
        save_in_passing(shared_process, results, 1)
        assert not (results / "astraguard.db-wal").exists()
        with RunRepository.open(results, read_only=True) as reader:
            for steps in (2, 3, 4):
                counts.append(reader.get("a").total_measurements)
                save_in_passing(shared_process, results, steps)
            counts.append(reader.get("a").total_measurements)

        assert counts == [3, 6, 9, 12]

    def test_the_same_object_where_nobody_writes(
        self, results: Path, shared_process: OtherProcess
    ) -> None:
        save_in_passing(shared_process, results, 1)
        age(results / "astraguard.db")

        with RunRepository.open(results, read_only=True) as reader:
            assert reader.get("a") is reader.get("a")
            assert misses_of(reader, lambda: reader.get("a")) == 0

    def test_a_tool_comes_and_goes(self, results: Path, shared_process: OtherProcess) -> None:
        save_in_passing(shared_process, results, 1)
        with RunRepository.open(results, read_only=True) as reader:
            reader.get("a")
            with closing(sqlite3.connect(results / "astraguard.db", isolation_level=None)) as tool:
                tool.execute(SLOWER)

            assert {m.mean_ms for m in reader.get("a").metrics.values()} == {777.0}

    def test_reading_beside_writers_that_come_and_go_leaves_no_files(
        self, results: Path, shared_process: OtherProcess
    ) -> None:
        save_in_passing(shared_process, results, 1)
        before = {path.name for path in results.iterdir()}

        with RunRepository.open(results, read_only=True) as reader:
            reader.get("a")
            save_in_passing(shared_process, results, 2)
            reader.get("a")

        assert {path.name for path in results.iterdir()} == before


def save_in_passing(process: OtherProcess, results: Path, steps: int) -> None:
    process.open(results)
    process.save("a", steps)
    process.close()


def age(path: Path) -> None:
    """Date a file back, so that its time tells of any further change."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9))


class TestRaces:
    """A query that a commit overtakes, held at its last statement until it has."""

    @pytest.mark.parametrize("by", ["this process", "a tool"])
    def test_what_was_read_before_a_commit_is_not_kept_after_it(
        self, results: Path, by: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_read, committed = threading.Event(), threading.Event()
        load_run = queries.load_run

        def load_and_wait(connection: sqlite3.Connection, run_id: str) -> StoredRun | None:
            run = load_run(connection, run_id)
            if threading.current_thread() is reader:
                has_read.set()
                committed.wait(10)
            return run

        with RunRepository.open(results) as repository:
            repository.save("a", recorded(4))
            reader = threading.Thread(target=lambda: overtaken.append(repository.get("a")))
            overtaken: list[object] = []
            monkeypatch.setattr(queries, "load_run", load_and_wait)
            reader.start()
            assert has_read.wait(10)
            if by == "this process":
                repository.save("a", recorded(20))
            else:
                with closing(sqlite3.connect(results / "astraguard.db")) as tool, tool:
                    tool.execute("UPDATE runs SET total_measurements = 60 WHERE run_id = 'a'")
            committed.set()
            reader.join(10)

            assert len(overtaken) == 1
            assert repository.get("a") != overtaken[0]
            assert repository.get("a").total_measurements == 60

    def test_a_run_compared_with_itself_is_forgotten(self) -> None:
        identity_map = IdentityMap()
        identity_map.keep(("a", "a"), ("a", "a"), "same", identity_map.mark())

        identity_map.forget(["a"])

        assert identity_map.get(("a", "a")) is None

    def test_what_was_read_before_a_forgetting_is_not_kept(self) -> None:
        identity_map = IdentityMap()
        mark = identity_map.mark()
        identity_map.forget(["a"])

        identity_map.keep(("a",), ("a",), "old", mark)

        assert identity_map.get(("a",)) is None

    def test_what_was_read_before_a_suspicion_is_not_kept(self) -> None:
        identity_map = IdentityMap()
        mark = identity_map.mark()
        identity_map.suspect_all()

        identity_map.keep(("a",), ("a",), "old", mark)

        assert identity_map.get(("a",)) is None

    def test_eight_threads_never_see_a_run_go_back(self, either: RunRepository) -> None:
        start = threading.Barrier(8)

        def work(worker: int) -> list[int]:
            seen: list[int] = []
            start.wait(10)
            for i in range(25):
                if worker < 2 and i % 2:
                    seen.append(either.save("a", recorded(2 + i)).revision)
                seen.append(either.get("a").revision)
                either.compare("a", "b")
            return seen

        with ThreadPoolExecutor(8) as pool:
            revisions = list(pool.map(work, range(8)))

        assert all(seen == sorted(seen) for seen in revisions)
        assert either.get("a").revision == 1 + 2 * 12

    def test_a_reader_sees_every_save_that_returned(self, repository: RunRepository) -> None:
        saved = [1]
        stale: list[tuple[int, int]] = []
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                at_least = saved[0]
                found = repository.get("a").revision
                if found < at_least:
                    stale.append((at_least, found))

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            for _ in range(40):
                saved[0] = repository.save("a", recorded(2)).revision
            over.set()
            for reader in readers:
                reader.result(30)

        assert stale == []


class TestBounds:
    """How much is kept, and what is counted."""

    def test_a_new_repository_has_counted_nothing(self) -> None:
        with RunRepository.in_memory() as repository:
            assert repository.cache_info() == (0, 0, 0, 1024)

    def test_hits_and_misses_are_counted(self, either: RunRepository) -> None:
        before = either.cache_info()

        for _ in range(4):
            either.get("a")

        after = either.cache_info()
        assert (after.hits - before.hits, after.misses - before.misses) == (3, 1)

    def test_its_size_is_what_is_kept(self, either: RunRepository) -> None:
        either.get("a")
        either.get("b")
        either.compare("a", "b")

        assert either.cache_info().current_size == 3

    def test_what_is_forgotten_takes_no_room(self, either: RunRepository) -> None:
        either.get("a")
        either.get("b")

        either.save("a", recorded(9))

        assert either.cache_info().current_size == 1

    def test_comparisons_that_are_forgotten_go_when_many_runs_have_changed(self) -> None:
        identity_map = IdentityMap(limit=3)
        identity_map.keep("a", (), "of a", identity_map.mark())
        identity_map.keep(("a", "b"), ("a", "b"), "of both", identity_map.mark())
        identity_map.forget(["b"])
        kept = identity_map.get("a"), identity_map.get(("a", "b"))
        before = identity_map.counts().current_size

        identity_map.forget(["c", "d", "e"])

        assert kept == ("of a", None)
        assert (before, identity_map.counts().current_size) == (2, 1)
        assert identity_map.get("a") == "of a"

    def test_a_comparison_read_after_a_change_is_true_again(self) -> None:
        identity_map = IdentityMap()
        identity_map.forget(["a"])
        identity_map.keep(("a", "b"), ("a", "b"), "of both", identity_map.mark())

        assert identity_map.get(("a", "b")) == "of both"

    def test_it_keeps_no_more_than_its_limit(self) -> None:
        identity_map = IdentityMap(limit=3)

        for run_id in "abcde":
            identity_map.keep((run_id,), (run_id,), run_id, identity_map.mark())

        counts = identity_map.counts()
        assert (counts.current_size, counts.limit) == (3, 3)

    def test_what_was_not_asked_for_longest_goes_first(self) -> None:
        identity_map = IdentityMap(limit=2)
        for run_id in "ab":
            identity_map.keep((run_id,), (run_id,), run_id, identity_map.mark())
        identity_map.get(("a",))

        identity_map.keep(("c",), ("c",), "c", identity_map.mark())

        assert identity_map.get(("a",)) == "a"
        assert identity_map.get(("b",)) is None

    def test_a_repository_keeps_at_most_its_limit(self) -> None:
        with RunRepository.in_memory() as repository:
            limit = repository.cache_info().limit
            ids = [f"run{i}" for i in range(limit + 5)]
            repository.save_many([(run_id, recorded(1)) for run_id in ids])

            for run_id in ids:
                repository.get(run_id)

            assert repository.cache_info().current_size == limit


class TestThrashing:
    """A cache that is asked for more than it holds says so, and not each time."""

    @staticmethod
    def ask_in_turn(identity_map: IdentityMap, runs: int, rounds: int) -> None:
        for _ in range(rounds):
            for i in range(runs):
                key = (f"run{i}",)
                if identity_map.get(key) is None:
                    identity_map.keep(key, key, i, identity_map.mark())

    def test_it_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        self.ask_in_turn(IdentityMap(limit=4), runs=5, rounds=10)

        (record,) = caplog.records
        assert (record.name, record.levelno) == ("astraguard_store", logging.WARNING)
        assert "thrashes: 0 hits" in record.getMessage()

    def test_a_cache_that_is_mostly_right_is_not_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        identity_map = IdentityMap(limit=4)
        self.ask_in_turn(identity_map, runs=2, rounds=100)
        self.ask_in_turn(identity_map, runs=5, rounds=10)

        assert caplog.records == []
