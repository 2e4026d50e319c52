"""What is left in the staging folder is finished or undone, and nothing that is alive."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import reference
from recordings import recorded

from astraguard_store import DatabaseBusyError, RunNotFoundError, RunRepository

NAME = "astraguard.db"
TOKEN = "0123456789abcdef"
ARTIFACTS = {".csv": reference.RAW, ".json": reference.SUMMARY}


@pytest.fixture
def store(results: Path) -> Path:
    """Give a closed store with the run `run`, 30 measurements."""
    with RunRepository.open(results) as repository:
        repository.save("run", recorded(10))
    return results


def staging(results: Path) -> Path:
    return results / ".staging"


def left_in_staging(results: Path) -> list[str]:
    return sorted(path.name for path in staging(results).iterdir())


def token_of(results: Path, run_id: str) -> str:
    with closing(sqlite3.connect(results / NAME)) as tool:
        query = "SELECT staging_token FROM runs WHERE run_id = ?"
        (token,) = tool.execute(query, (run_id,)).fetchone()
    return str(token)


def move_back(results: Path, run_id: str, *suffixes: str) -> None:
    """Lay a run's files where a saver that died after its commit leaves them."""
    for suffix in suffixes:
        staged = staging(results) / f"{run_id}~{token_of(results, run_id)}{suffix}"
        (results / run_id / ARTIFACTS[suffix]).rename(staged)


def copy_as_uncommitted(results: Path, run_id: str) -> None:
    """Lay files where a saver that died before its commit leaves them."""
    for suffix, name in ARTIFACTS.items():
        shutil.copy2(results / run_id / name, staging(results) / f"{run_id}~{TOKEN}{suffix}")


def open_and_close(results: Path) -> None:
    RunRepository.open(results).close()


@contextmanager
def locked_by_a_tool(results: Path) -> Iterator[None]:
    """Hold SQLite's write lock as a tool does that knows no ticket."""
    with closing(sqlite3.connect(results / NAME, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        yield
        tool.execute("ROLLBACK")


def save_in_vain(results: Path, run_id: str, steps: int) -> DatabaseBusyError:
    """Save a run while a tool has the write lock."""
    with (
        RunRepository.open(results, busy_timeout_s=0.3) as repository,
        locked_by_a_tool(results),
        pytest.raises(DatabaseBusyError) as caught,
    ):
        repository.save(run_id, recorded(steps))
    return caught.value


class TestASaveThatDiedAfterItsCommit:
    """The row is there: its files are published."""

    @pytest.mark.parametrize("suffixes", [(".json",), (".csv", ".json")])
    def test_opening_publishes_what_is_missing(
        self, store: Path, suffixes: tuple[str, ...]
    ) -> None:
        before = reference.listing(store / "run")
        move_back(store, "run", *suffixes)

        open_and_close(store)

        after = reference.listing(store / "run")
        assert {name: after[name] for name in ARTIFACTS.values()} == {
            name: before[name] for name in ARTIFACTS.values()
        }
        assert left_in_staging(store) == []

    def test_opening_makes_the_folder_too(self, store: Path) -> None:
        move_back(store, "run", ".csv", ".json")
        (store / "run").rmdir()

        open_and_close(store)

        assert sorted(path.name for path in (store / "run").iterdir()) == [
            reference.RAW,
            reference.SUMMARY,
        ]

    def test_reading_the_run_publishes_them_too(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            move_back(store, "run", ".csv", ".json")

            repository.get("run")

            assert (store / "run" / reference.SUMMARY).exists()

    def test_reading_only_leaves_them(self, store: Path) -> None:
        move_back(store, "run", ".csv", ".json")
        before = left_in_staging(store)

        with RunRepository.open(store, read_only=True) as repository:
            repository.get("run")

        assert left_in_staging(store) == before

    def test_when_asked_they_are_published(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            move_back(store, "run", ".csv", ".json")

            repository.recover()

        assert (store / "run" / reference.SUMMARY).exists()

    def test_the_row_stays_as_it_is(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            before = repository.get("run")
            move_back(store, "run", ".csv", ".json")

            repository.recover()

            assert repository.get("run") == before


class TestASaveThatDiedBeforeItsCommit:
    """There is no row of it: it is undone."""

    def test_files_of_a_new_run_are_removed(self, store: Path) -> None:
        copy_as_uncommitted(store, "run")
        for suffix in ARTIFACTS:
            old = staging(store) / f"run~{TOKEN}{suffix}"
            old.rename(staging(store) / f"new~{TOKEN}{suffix}")

        open_and_close(store)

        assert left_in_staging(store) == []
        assert not (store / "new").exists()

    def test_files_of_a_run_saved_again_are_removed_and_the_old_ones_stay(
        self, store: Path
    ) -> None:
        before = reference.listing(store / "run")
        copy_as_uncommitted(store, "run")

        open_and_close(store)

        assert left_in_staging(store) == []
        assert reference.listing(store / "run") == before

    def test_a_torn_file_is_removed(self, store: Path) -> None:
        (staging(store) / f"new~{TOKEN}.csv").write_bytes(b"timestamp,metr")

        open_and_close(store)

        assert left_in_staging(store) == []

    def test_files_of_a_live_saver_are_left_alone(self, store: Path) -> None:
        copy_as_uncommitted(store, "run")
        before = left_in_staging(store)
        with (staging(store) / f"run~{TOKEN}.csv").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)

            open_and_close(store)

            assert left_in_staging(store) == before

    def test_what_the_store_did_not_name_is_left_alone(self, store: Path) -> None:
        (staging(store) / "notes.txt").write_text("mine")
        (staging(store) / "run~short.csv").write_text("mine")

        open_and_close(store)

        assert left_in_staging(store) == ["notes.txt", "run~short.csv"]


class TestADeletionThatDied:
    """Whether the row is there decides."""

    def test_it_is_finished_where_the_row_is_gone(self, store: Path) -> None:
        with closing(sqlite3.connect(store / NAME)) as tool, tool:
            tool.execute("PRAGMA foreign_keys=ON")
            tool.execute("DELETE FROM runs")
        (staging(store) / f"run~{TOKEN}.delete").touch()

        open_and_close(store)

        assert not (store / "run").exists()
        assert left_in_staging(store) == []

    def test_it_is_forgotten_where_the_row_is_there(self, store: Path) -> None:
        before = reference.listing(store / "run")
        (staging(store) / f"run~{TOKEN}.delete").touch()

        open_and_close(store)

        assert reference.listing(store / "run") == before
        assert left_in_staging(store) == []


class TestALostDatabase:
    """What was going on when the database was lost isn't judged by an empty one."""

    def lose_the_database_in_a_deletion(self, store: Path) -> None:
        (staging(store) / f"run~{TOKEN}.delete").touch()
        for path in store.glob(f"{NAME}*"):
            path.unlink()

    def test_a_deletion_that_did_not_commit_deletes_nothing(self, store: Path) -> None:
        self.lose_the_database_in_a_deletion(store)

        with RunRepository.open(store) as repository:
            assert repository.get("run").total_measurements == 30

        assert sorted(os.listdir(store / "run")) == [reference.RAW, reference.SUMMARY]
        assert left_in_staging(store) == []

    def test_nor_does_it_where_the_import_is_left_to_the_caller(self, store: Path) -> None:
        self.lose_the_database_in_a_deletion(store)

        with RunRepository.open(store, adopt=False) as repository:
            report = repository.import_legacy()

        assert report.adopted == 1
        assert (store / "run" / reference.RAW).is_file()
        assert left_in_staging(store) == []

    def test_nor_does_a_check_that_mends(self, store: Path) -> None:
        self.lose_the_database_in_a_deletion(store)

        with RunRepository.open(store, adopt=False) as repository:
            repository.check(fix=True)

        assert (store / "run" / reference.RAW).is_file()


class TestRecoveringAgain:
    """It may be done at any time, any number of times."""

    def test_a_store_where_all_is_well_is_left_as_it_is(self, store: Path) -> None:
        before = reference.listing(store)

        open_and_close(store)

        assert reference.listing(store) == before

    def test_a_second_time_changes_nothing(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            move_back(store, "run", ".csv", ".json")
            repository.recover()
            before = reference.listing(store / "run")

            repository.recover()

            assert reference.listing(store / "run") == before

    def test_what_cannot_be_settled_is_logged_and_the_store_opens(
        self, store: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (staging(store) / f"new~{TOKEN}.csv").mkdir()

        with RunRepository.open(store) as repository:
            assert len(repository.recent()) == 1

        (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
        assert "what was staged for run 'new'" in record.getMessage()

    def test_one_that_cannot_be_settled_does_not_hinder_the_next(self, store: Path) -> None:
        (staging(store) / f"aaa~{TOKEN}.csv").mkdir()
        move_back(store, "run", ".csv", ".json")

        open_and_close(store)

        assert (store / "run" / reference.SUMMARY).exists()


class TestASaveThatFoundTheDatabaseBusy:
    """Its measurements are kept on disk, and the next opening saves them."""

    def test_the_error_says_where_they_are_and_what_to_do(self, store: Path) -> None:
        error = save_in_vain(store, "kept", 20)

        assert [path.suffixes for path in error.kept] == [[".kept", ".csv"], [".kept", ".json"]]
        assert all(path.is_file() for path in error.kept)
        assert "the next opening of the store adopts" in str(error)
        assert "longer busy_timeout_s" in str(error)

    def test_the_run_is_not_there_yet(self, store: Path) -> None:
        save_in_vain(store, "kept", 20)

        with (
            RunRepository.open(store, read_only=True) as repository,
            pytest.raises(RunNotFoundError),
        ):
            repository.get("kept")

    def test_the_next_opening_has_its_statistics(self, store: Path) -> None:
        save_in_vain(store, "kept", 20)

        with RunRepository.open(store) as repository, RunRepository.in_memory() as expected:
            kept, same = repository.get("kept"), expected.save("kept", recorded(20))

        assert (kept.revision, kept.total_measurements) == (1, 60)
        assert kept.metrics == same.metrics
        assert kept.satellites == same.satellites

    def test_the_next_opening_has_the_time_of_the_save(self, store: Path) -> None:
        error = save_in_vain(store, "kept", 20)
        modified_ns = {path.stat().st_mtime_ns for path in error.kept}

        with RunRepository.open(store) as repository:
            recorded_at = repository.get("kept").recorded_at

        assert modified_ns == {round(recorded_at.timestamp() * 1e6) * 1000}

    def test_the_next_opening_publishes_its_files(self, store: Path) -> None:
        save_in_vain(store, "kept", 20)

        with RunRepository.open(store) as repository:
            artifacts = repository.get("kept").artifacts

        assert left_in_staging(store) == []
        for artifact in artifacts:
            content = (store / artifact.path).read_bytes()
            assert len(content) == artifact.bytes
            assert hashlib.sha256(content).hexdigest() == artifact.sha256

    def test_recovering_in_the_same_repository_adopts_it_too(self, store: Path) -> None:
        with RunRepository.open(store, busy_timeout_s=0.3) as repository:
            with locked_by_a_tool(store), pytest.raises(DatabaseBusyError):
                repository.save("kept", recorded(20))

            repository.recover()

            assert repository.get("kept").total_measurements == 60

    def test_a_run_saved_again_gets_its_next_revision(self, store: Path) -> None:
        save_in_vain(store, "run", 20)

        with RunRepository.open(store) as repository:
            run = repository.get("run")

        assert (run.revision, run.total_measurements) == (2, 60)

    def test_a_later_save_wins_over_a_kept_one(self, store: Path) -> None:
        with RunRepository.open(store, busy_timeout_s=0.3) as repository:
            with locked_by_a_tool(store), pytest.raises(DatabaseBusyError):
                repository.save("kept", recorded(20))
            later = repository.save("kept", recorded(5))

        with RunRepository.open(store) as repository:
            assert repository.get("kept") == later
        assert left_in_staging(store) == []

    def test_the_latest_of_several_kept_saves_wins(self, store: Path) -> None:
        for steps in (20, 5, 12):
            save_and_keep_name_order(store, steps)

        with RunRepository.open(store) as repository:
            assert repository.get("kept").total_measurements == 36
        assert left_in_staging(store) == []

    def test_several_of_one_transaction_are_all_kept(self, store: Path) -> None:
        with (
            RunRepository.open(store, busy_timeout_s=0.3) as repository,
            locked_by_a_tool(store),
            pytest.raises(DatabaseBusyError),
        ):
            repository.save_many([("one", recorded(4)), ("two", recorded(5))])

        with RunRepository.open(store) as repository:
            found = {header.run_id: header.total_measurements for header in repository.recent()}
        assert found == {"run": 30, "one": 12, "two": 15}

    def test_deleting_changes_nothing(self, store: Path) -> None:
        before = reference.listing(store / "run")
        with RunRepository.open(store, busy_timeout_s=0.3) as repository:
            with locked_by_a_tool(store), pytest.raises(DatabaseBusyError):
                repository.delete("run")

            assert repository.get("run").revision == 1
        assert reference.listing(store / "run") == before
        assert left_in_staging(store) == []

    def test_reading_goes_on_meanwhile(self, store: Path) -> None:
        with RunRepository.open(store) as repository, locked_by_a_tool(store):
            assert repository.get("run").total_measurements == 30

    def test_it_works_again_when_the_tool_is_done(self, store: Path) -> None:
        with RunRepository.open(store, busy_timeout_s=0.3) as repository:
            with locked_by_a_tool(store), pytest.raises(DatabaseBusyError):
                repository.save("kept", recorded(20))

            assert repository.save("next", recorded(3)).revision == 1


def save_and_keep_name_order(results: Path, steps: int) -> None:
    """Save `kept` in vain, without the opening that would adopt what is kept already."""
    aside = results.parent / "aside"
    if staging(results).exists():
        os.rename(staging(results), aside)
    save_in_vain(results, "kept", steps)
    if aside.exists():
        for path in aside.iterdir():
            path.rename(staging(results) / path.name)
        aside.rmdir()
