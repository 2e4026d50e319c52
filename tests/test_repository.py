"""RunRepository as a resource: opened, shared, closed; and what its writes promise."""

from __future__ import annotations

import gc
import os
import pickle
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import reference
from recordings import own, recorded
from seen_sql import seen_sql

from astraguard_store import (
    ArtifactWriteError,
    InvalidRunError,
    LatencyCollector,
    ReadOnlyStoreError,
    RunNotFoundError,
    RunRepository,
    StoreError,
)
from astraguard_store.exceptions import ClosedStoreError

LOG = "astraguard.db-wal"
CALLS: dict[str, Callable[[RunRepository], object]] = {
    "save": lambda r: r.save("run", recorded(2)),
    "save_many": lambda r: r.save_many([("run", recorded(2))]),
    "get": lambda r: r.get("run"),
    "recent": lambda r: r.recent(),
    "recent of none": lambda r: r.recent(0),
    "compare": lambda r: r.compare("run", "run"),
    "delete": lambda r: r.delete("run"),
    "read_document": lambda r: r.read_document("run"),
    "import_legacy": lambda r: r.import_legacy(),
    "recover": lambda r: r.recover(),
    "cache_info": lambda r: r.cache_info(),
}
WRITING = ["save", "save_many", "delete", "import_legacy", "recover"]


def calls(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", [CALLS[name] for name in names], ids=names)


class TestOpening:
    """How a repository is had."""

    def test_the_variable_of_the_command_names_the_folder_too(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASTRAGUARD_STORE_RESULTS", str(store))

        with RunRepository.open() as repository:
            assert repository.results_dir == store

    def test_a_folder_that_is_named_counts_more(
        self, store: Path, results: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ASTRAGUARD_STORE_RESULTS", str(results / "another"))

        with RunRepository.open(store) as repository:
            assert repository.results_dir == store

    def test_the_constructor_names_the_call_that_opens_a_folder(self) -> None:
        folder: Any = "results"

        with pytest.raises(TypeError, match=r"RunRepository\.open\('results'\)"):
            RunRepository(folder)


class TestSharing:
    """One folder, one process: one engine and one cache."""

    @pytest.fixture
    @staticmethod
    def other_name(
        request: pytest.FixtureRequest,
        store: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> str | Path:
        """Give another name of the folder."""
        link = tmp_path / "link"
        link.symlink_to(store)
        monkeypatch.chdir(tmp_path)
        names: dict[str, str | Path] = {
            "the same": store,
            "text": str(store),
            "a link": link,
            "relative": store.name,
            "roundabout": store / ".." / store.name,
        }
        return names[request.param]

    @pytest.mark.parametrize(
        "other_name", ["the same", "text", "a link", "relative", "roundabout"], indirect=True
    )
    def test_by_any_name_it_is_the_same_cache(self, store: Path, other_name: str | Path) -> None:
        with RunRepository.open(store) as first, RunRepository.open(other_name) as second:
            assert second.get("run") is first.get("run")
            assert second.cache_info() == first.cache_info()

    def test_a_second_opening_opens_no_connection(self, store: Path) -> None:
        with seen_sql() as seen, RunRepository.open(store) as first:
            first.get("run")
            before = len(seen.connections)

            with RunRepository.open(store) as second:
                second.get("run")

            assert len(seen.connections) == before

    def test_a_reader_shares_with_a_writer(self, store: Path) -> None:
        with (
            RunRepository.open(store) as writer,
            RunRepository.open(store, read_only=True) as reader,
        ):
            assert reader.get("run") is writer.get("run")

    def test_another_folder_is_another_store(self, store: Path, tmp_path: Path) -> None:
        with RunRepository.open(store) as first, RunRepository.open(tmp_path / "2") as second:
            first.save("mine", recorded(2))

            assert second.recent() == []

    def test_many_threads_open_one_store(self, results: Path) -> None:
        start = threading.Barrier(8)

        def use(i: int) -> int:
            start.wait(10)
            with RunRepository.open(results) as repository:
                return repository.save(f"run{i}", recorded(2)).revision

        with ThreadPoolExecutor(8) as pool:
            revisions = list(pool.map(use, range(8)))

        with RunRepository.open(results) as repository:
            assert revisions == [1] * 8
            assert len(repository.recent()) == 8

    @pytest.mark.parametrize("name", ["a b", "q?mode=memory", "50%41#x", "Zürich", "it's; --"])
    def test_a_folder_may_have_any_name(self, tmp_path: Path, name: str) -> None:
        with RunRepository.open(tmp_path / name) as repository:
            repository.save("run", recorded(2))

        assert (tmp_path / name / "astraguard.db").stat().st_size > 0

    @pytest.mark.parametrize(("umask", "rights"), [(0o002, 0o664), (0o077, 0o600)])
    def test_its_files_have_the_rights_that_the_umask_leaves(
        self, results: Path, umask: int, rights: int
    ) -> None:
        before = os.umask(umask)
        try:
            with RunRepository.open(results) as repository:
                repository.save("run_001", recorded(4))
                found = {
                    path.name: stat.S_IMODE(path.stat().st_mode)
                    for path in results.iterdir()
                    if path.is_file()
                }
        finally:
            os.umask(before)

        assert {"astraguard.db", "astraguard.db-wal", "astraguard.db-shm"} <= found.keys()
        assert set(found.values()) == {rights}

    def test_a_folder_may_have_a_name_that_is_no_text(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path / os.fsdecode(b"caf\xe9")) as repository:
            repository.save("run", recorded(2))

            assert len(repository.recent()) == 1


class TestClosing:
    """What closing lets go of, and what it leaves."""

    def test_the_last_closing_leaves_one_database_file(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            repository.save("run", recorded(3))
            assert (store / LOG).exists()

        found = {path.name for path in store.iterdir()}
        names = {f"astraguard.db{end}" for end in ("", ".id", ".lock")}
        assert found == {*names, ".staging", "run"}

    def test_closing_one_of_two_leaves_the_other_working(self, store: Path) -> None:
        first, second = RunRepository.open(store), RunRepository.open(store)

        first.close()

        second.save("more", recorded(2))
        assert len(second.recent()) == 2
        second.close()

    def test_only_the_last_one_closes_the_connections(self, store: Path) -> None:
        first, second = RunRepository.open(store), RunRepository.open(store)
        second.save("more", recorded(2))

        second.close()
        after_one = (store / LOG).exists()
        first.close()

        assert (after_one, (store / LOG).exists()) == (True, False)

    def test_closing_twice_counts_once(self, store: Path) -> None:
        first, second = RunRepository.open(store), RunRepository.open(store)

        first.close()
        first.close()

        second.save("more", recorded(2))
        assert (store / LOG).exists()
        second.close()

    def test_every_connection_is_closed(self, store: Path) -> None:
        with seen_sql() as seen, RunRepository.open(store) as repository:
            repository.save("run", recorded(3))
            repository.get("run")

        assert len(seen.connections) >= 3
        for connection in seen.connections:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                connection.execute("SELECT 1")

    def test_no_descriptor_stays_open(self, store: Path) -> None:
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))

        for _ in range(3):
            with RunRepository.open(store) as repository:
                repository.save("run", recorded(3))
                repository.get("run")

        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_repository_that_is_forgotten_closes_itself(self, store: Path) -> None:
        repository = RunRepository.open(store)
        repository.save("run", recorded(3))
        assert (store / LOG).exists()

        del repository
        gc.collect()

        assert not (store / LOG).exists()

    def test_an_error_inside_with_closes_too(self, store: Path) -> None:
        with pytest.raises(ZeroDivisionError), RunRepository.open(store) as repository:  # noqa: PT012
            repository.save("run", recorded(3))
            raise ZeroDivisionError

        assert not (store / LOG).exists()

    @calls(*(name for name in CALLS if name != "recent of none"))
    def test_a_closed_repository_refuses(
        self, store: Path, call: Callable[[RunRepository], object]
    ) -> None:
        repository = RunRepository.open(store)
        repository.close()

        with pytest.raises(ClosedStoreError, match="closed; open another"):
            call(repository)

    def test_a_closed_repository_refuses_a_list_of_none(self, store: Path) -> None:
        repository = RunRepository.open(store)
        repository.close()

        with pytest.raises(ClosedStoreError):
            repository.recent(0)

    @calls("get", "recent", "compare", "cache_info")
    def test_a_closed_repository_of_folders_refuses(
        self, old_tree: Path, call: Callable[[RunRepository], object]
    ) -> None:
        reference.write_old_run(old_tree, "run")
        repository = RunRepository.open(old_tree, read_only=True)
        repository.close()

        with pytest.raises(ClosedStoreError):
            call(repository)

    def test_a_closed_one_in_memory_refuses(self) -> None:
        repository = RunRepository.in_memory()
        repository.close()

        with pytest.raises(ClosedStoreError):
            repository.recent()

    def test_its_repr_says_that_it_is_closed(self, store: Path) -> None:
        repository = RunRepository.open(store)
        repository.close()

        assert repr(repository) == f"<RunRepository {store}, answers from database, closed>"


class TestDurability:
    """The setting reaches SQLite, each time it is another."""

    @pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
    def test_it_is_set_on_the_connection_that_writes(
        self, results: Path, durability: str, level: int
    ) -> None:
        with (
            seen_sql() as seen,
            RunRepository.open(results, durability=durability) as repository,  # type: ignore[arg-type]
        ):
            repository.save("run", recorded(3))

            assert seen.writer().execute("PRAGMA synchronous").fetchone() == (level,)

    def test_full_is_the_default(self, results: Path) -> None:
        with seen_sql() as seen, RunRepository.open(results) as repository:
            repository.save("run", recorded(3))

            assert seen.writer().execute("PRAGMA synchronous").fetchone() == (2,)

    def test_each_of_two_that_share_a_connection_gets_its_own(self, results: Path) -> None:
        with (
            seen_sql() as seen,
            RunRepository.open(results, durability="normal") as quick,
            RunRepository.open(results, durability="full") as careful,
        ):
            levels = []
            for repository in (quick, careful, quick):
                repository.save("run", recorded(3))
                levels += seen.writer().execute("PRAGMA synchronous").fetchone()

        assert levels == [1, 2, 1]

    def test_each_of_two_waits_as_long_as_it_was_told(self, results: Path) -> None:
        with (
            seen_sql() as seen,
            RunRepository.open(results, busy_timeout_s=7.0) as patient,
            RunRepository.open(results, busy_timeout_s=0.25) as hasty,
        ):
            waits = []
            for repository in (patient, hasty):
                repository.save("run", recorded(3))
                waits += seen.writer().execute("PRAGMA busy_timeout").fetchone()

        assert waits == [7000, 250]

    def test_another_word_is_refused(self, results: Path) -> None:
        with pytest.raises(ValueError, match="'full' or 'normal'"):
            RunRepository.open(results, durability="some")  # type: ignore[arg-type]

        assert not results.exists()


@pytest.fixture(params=["on disk", "in memory"])
def either(request: pytest.FixtureRequest, results: Path) -> Iterator[RunRepository]:
    """Give an empty repository of each kind."""
    on_disk = request.param == "on disk"
    with RunRepository.open(results) if on_disk else RunRepository.in_memory() as repository:
        yield repository


class TestSaving:
    """What a save returns and counts."""

    def test_it_returns_what_get_returns(self, either: RunRepository) -> None:
        saved = either.save("run", recorded(10))

        assert either.get("run") == saved

    def test_revisions_count_each_run_for_itself(self, either: RunRepository) -> None:
        saved = [either.save(run_id, recorded(2)).revision for run_id in "aabab"]

        assert saved == [1, 2, 1, 3, 2]

    def test_revisions_go_on_after_reopening(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            assert repository.save("run", recorded(2)).revision == 2

    def test_a_deleted_run_begins_again(self, either: RunRepository) -> None:
        either.save("run", recorded(2))
        either.delete("run")

        assert either.save("run", recorded(2)).revision == 1

    def test_recorded_at_is_the_moment_of_the_save(self, either: RunRepository) -> None:
        before = datetime.now(UTC)
        saved = either.save("run", recorded(2))

        assert timedelta(0) <= saved.recorded_at - before + timedelta(microseconds=1)
        assert saved.recorded_at <= datetime.now(UTC)

    def test_several_are_returned_in_the_order_given(self, either: RunRepository) -> None:
        saved = either.save_many([(run_id, recorded(2)) for run_id in "cab"])

        assert [run.run_id for run in saved] == ["c", "a", "b"]

    def test_several_share_one_moment(self, either: RunRepository) -> None:
        saved = either.save_many([(run_id, recorded(2)) for run_id in "cab"])

        assert len({run.recorded_at for run in saved}) == 1

    def test_none_is_nothing_to_save(self, either: RunRepository) -> None:
        assert either.save_many([]) == []

    def test_a_generator_will_do(self, either: RunRepository) -> None:
        either.save_many((f"run{i}", recorded(2)) for i in range(3))

        assert len(either.recent()) == 3

    def test_any_object_with_measurements_will_do(self, either: RunRepository) -> None:
        rows = reference.make_rows(12)

        saved = either.save("run", own(rows))

        expected = reference.stats(rows)
        assert {name: m.mean_ms for name, m in saved.metrics.items()} == {
            name: numbers["mean_ms"] for name, numbers in expected.items()
        }

    def test_in_memory_a_run_has_no_files(self) -> None:
        with RunRepository.in_memory() as repository:
            assert repository.save("run", recorded(2)).artifacts == ()


class TestAllOrNothing:
    """If one of several can't be saved, none is."""

    @pytest.mark.parametrize(
        ("run_id", "collector", "message"),
        [
            ("good", recorded(2), "'good': it is named twice"),
            ("../bad", recorded(2), "Invalid run_id"),
            ("empty", LatencyCollector(), "No measurements to export"),
            ("strange", object(), "Invalid collector"),
        ],
    )
    def test_one_that_is_not_allowed(
        self, either: RunRepository, run_id: str, collector: LatencyCollector, message: str
    ) -> None:
        with pytest.raises(InvalidRunError, match=message):
            either.save_many([("good", recorded(2)), (run_id, collector)])

        assert either.recent() == []

    def test_one_whose_file_cannot_be_written(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            (results / "bad").write_text("in the way")

            with pytest.raises(ArtifactWriteError, match="bad"):
                repository.save_many([("good", recorded(2)), ("bad", recorded(2))])

            assert repository.recent() == []
            assert not (results / "good").exists()
            assert list((results / ".staging").iterdir()) == []

    def test_one_that_the_database_refuses(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            with closing(sqlite3.connect(results / "astraguard.db")) as tool:
                tool.execute(
                    "CREATE TRIGGER refuse BEFORE INSERT ON runs WHEN new.run_id = 'bad' "
                    "BEGIN SELECT raise(ABORT, 'refused'); END"
                )

            with pytest.raises(StoreError, match="refused"):
                repository.save_many([("good", recorded(2)), ("bad", recorded(2))])

            assert repository.recent() == []
            assert not (results / "good").exists()


class TestDeleting:
    """Rows, files, folder: what goes and what stays."""

    @pytest.mark.parametrize("table", ["runs", "statistics", "buckets", "artifacts"])
    def test_its_rows_go(self, store: Path, table: str) -> None:
        with RunRepository.open(store) as repository:
            repository.delete("run")

        with closing(sqlite3.connect(store / "astraguard.db")) as tool:
            assert tool.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)

    def test_one_that_another_program_deleted_can_be_saved_anew(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            repository.set_tags("run", {"pinned": ""})
            # It leaves foreign keys off, as SQLite does.
            with closing(sqlite3.connect(store / "astraguard.db")) as tool, tool:
                tool.execute("DELETE FROM runs WHERE run_id = 'run'")

            saved = repository.save("run", recorded(10))

            assert (saved.revision, dict(saved.tags)) == (1, {})
            assert repository.get("run") == saved

    def test_its_folder_goes(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            repository.delete("run")

        assert not (store / "run").exists()
        assert list((store / ".staging").iterdir()) == []

    def test_files_of_others_stay(self, store: Path) -> None:
        (store / "run" / "notes.txt").write_text("mine")

        with RunRepository.open(store) as repository:
            repository.delete("run")

        assert [path.name for path in (store / "run").iterdir()] == ["notes.txt"]

    def test_other_runs_stay(self, either: RunRepository) -> None:
        kept = either.save("kept", recorded(2))
        either.save("run", recorded(2))

        either.delete("run")

        assert [header.run_id for header in either.recent()] == ["kept"]
        assert either.get("kept") == kept

    def test_a_run_that_is_not_there_is_an_error(self, either: RunRepository) -> None:
        with pytest.raises(RunNotFoundError, match="no run 'nobody'"):
            either.delete("nobody")

    def test_a_deleted_run_is_not_adopted_again(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            repository.delete("run")
        with RunRepository.open(store) as repository:
            repository.import_legacy()

            assert repository.recent() == []

    @pytest.mark.parametrize("what", ["file", "link"])
    def test_what_lies_in_the_place_of_a_folder_outlives_its_run(
        self, store: Path, tmp_path: Path, what: str
    ) -> None:
        with RunRepository.open(store) as repository:
            run_id = repository.recent(1)[0].run_id
            place = (store / run_id).rename(tmp_path / "elsewhere")
            if what == "link":
                (store / run_id).symlink_to(place)
            else:
                (store / run_id).write_text("mine")

            repository.delete(run_id)

        assert list((store / ".staging").iterdir()) == []
        assert (store / run_id).exists()
        assert len(list(place.iterdir())) == 2

    def test_a_run_whose_folder_is_gone_can_be_deleted(self, store: Path) -> None:
        for path in (store / "run").iterdir():
            path.unlink()
        (store / "run").rmdir()

        with RunRepository.open(store) as repository:
            repository.delete("run")

            assert repository.recent() == []


class TestReadingOnly:
    """A repository opened for reading."""

    @calls(*WRITING)
    def test_it_refuses_to_write(
        self, store: Path, call: Callable[[RunRepository], object]
    ) -> None:
        with RunRepository.open(store, read_only=True) as repository:
            before = reference.listing(store)

            with pytest.raises(ReadOnlyStoreError, match="read_only=True; open it without"):
                call(repository)

            assert reference.listing(store) == before

    @calls(*(name for name in CALLS if name not in WRITING))
    def test_its_answers_create_nothing(
        self, store: Path, call: Callable[[RunRepository], object]
    ) -> None:
        before = reference.listing(store)

        with RunRepository.open(store, read_only=True) as repository:
            call(repository)

        assert reference.listing(store) == before

    def test_it_refuses_beside_one_that_may_write(self, store: Path) -> None:
        with (
            RunRepository.open(store),
            RunRepository.open(store, read_only=True) as reader,
            pytest.raises(ReadOnlyStoreError),
        ):
            reader.save("more", recorded(2))


class TestInMemory:
    """A store without a folder."""

    def test_it_writes_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

        with RunRepository.in_memory() as repository:
            repository.save("run", recorded(4))
            repository.get("run")

        assert list(tmp_path.iterdir()) == []

    def test_two_are_independent(self) -> None:
        with RunRepository.in_memory() as first, RunRepository.in_memory() as second:
            first.save("run", recorded(4))

            assert second.recent() == []

    def test_threads_share_it(self) -> None:
        def use(i: int) -> int:
            return repository.save(f"run{i % 4}", recorded(3)).revision

        with RunRepository.in_memory() as repository, ThreadPoolExecutor(8) as pool:
            revisions = sorted(pool.map(use, range(40)))

        assert revisions == sorted(list(range(1, 11)) * 4)

    def test_another_thread_sees_what_one_saved(self) -> None:
        with RunRepository.in_memory() as repository, ThreadPoolExecutor(1) as pool:
            saved = pool.submit(repository.save, "run", recorded(4)).result(10)

            assert repository.get("run") == saved

    def test_a_document_is_that_of_a_file(self, results: Path) -> None:
        collector = recorded(10)
        with RunRepository.open(results) as on_disk, RunRepository.in_memory() as in_memory:
            on_disk.save("run", collector)
            in_memory.save("run", collector)

            documents = [r.read_document("run") for r in (on_disk, in_memory)]

        for document in documents:
            del document["timestamp"]
        assert documents[0] == documents[1]


def test_a_saved_run_survives_pickling(store: Path) -> None:
    with RunRepository.open(store) as repository:
        run = repository.get("run")

    assert pickle.loads(pickle.dumps(run)) == run
