"""What is left in the staging folder is finished or undone, and nothing that is alive."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import reference
from observing import assert_files_agree, locked_by_a_tool
from recordings import recorded
from stepping import right_before

from astraguard_store import (
    DatabaseBusyError,
    LatencyCollector,
    RunNotFoundError,
    RunRepository,
    RunSummary,
)

NAME = "astraguard.db"
TOKEN = "0123456789abcdef"
ARTIFACTS = {".csv": reference.RAW, ".json": reference.SUMMARY}


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


class TestASaveInALostDatabase:
    """Only that database knew whether it was committed: a run is never lost, so it is saved."""

    def lose_the_database(self, store: Path) -> None:
        for path in store.glob(f"{NAME}*"):
            path.unlink()

    def as_uncommitted(self, kept: tuple[Path, ...]) -> list[Path]:
        """Lay kept files where a saver that died around its commit leaves them."""
        for note in kept[0].parent.glob("*.kept.run"):
            note.unlink()
        return [path.rename(str(path).replace(".kept", "")) for path in kept]

    def stage_whole(self, store: Path, run_id: str, steps: int = 20) -> list[Path]:
        return self.as_uncommitted(save_in_vain(store, run_id, steps).kept)

    def assert_sound(self, store: Path, run_id: str, measurements: int) -> None:
        with RunRepository.open(store) as repository:
            report = repository.check(fix=True)
            assert repository.get(run_id).total_measurements == measurements
        assert report.is_sound
        assert assert_files_agree(store / run_id) == measurements
        assert left_in_staging(store) == []

    def test_a_new_run_is_saved(self, store: Path) -> None:
        self.stage_whole(store, "new")
        self.lose_the_database(store)

        self.assert_sound(store, "new", 60)

    def test_a_run_saved_again_has_the_newer_measurements(self, store: Path) -> None:
        self.stage_whole(store, "run")
        self.lose_the_database(store)

        self.assert_sound(store, "run", 60)

    def test_a_save_older_than_what_was_published_is_undone(self, store: Path) -> None:
        staged = self.stage_whole(store, "run")
        aside = [path.rename(store.parent / path.name) for path in staged]
        with RunRepository.open(store) as repository:
            repository.save("run", recorded(5))
        for path, elsewhere in zip(staged, aside, strict=True):
            elsewhere.rename(path)
        self.lose_the_database(store)

        self.assert_sound(store, "run", 15)

    @pytest.mark.parametrize("left_bytes", [0, 4, 100])
    def test_a_save_whose_parquet_file_is_torn_is_undone(
        self, store: Path, left_bytes: int
    ) -> None:
        with (
            RunRepository.open(
                store, busy_timeout_s=0.3, keep_measurements="parquet"
            ) as repository,
            locked_by_a_tool(store),
            pytest.raises(DatabaseBusyError) as caught,
        ):
            repository.save("new", recorded(5))
        for path in self.as_uncommitted(caught.value.kept):
            if path.suffix == ".parquet":
                os.truncate(path, left_bytes)
        self.lose_the_database(store)

        with RunRepository.open(store) as repository:
            assert [header.run_id for header in repository.recent()] == ["run"]
        assert left_in_staging(store) == []

    def test_names_with_the_apostrophe_of_safe_csv_are_known(self, store: Path) -> None:
        collector = LatencyCollector()
        collector.record_fault_detection("=SAT", 0.0, 1.0)
        with (
            RunRepository.open(store, busy_timeout_s=0.3, safe_csv=True) as repository,
            locked_by_a_tool(store),
            pytest.raises(DatabaseBusyError) as caught,
        ):
            repository.save("new", collector)
        self.as_uncommitted(caught.value.kept)
        self.lose_the_database(store)

        with RunRepository.open(store) as repository:
            assert set(repository.get("new").satellites) == {"=SAT"}

    def test_one_of_which_only_the_csv_was_published_gets_its_summary(self, store: Path) -> None:
        before = reference.listing(store / "run")
        move_back(store, "run", ".json")
        self.lose_the_database(store)

        self.assert_sound(store, "run", 30)

        after = reference.listing(store / "run")
        assert {name: after[name] for name in ARTIFACTS.values()} == {
            name: before[name] for name in ARTIFACTS.values()
        }

    def test_one_whose_csv_lies_beside_the_summary_of_before_gets_its_own(
        self, store: Path
    ) -> None:
        old = (store / "run" / reference.SUMMARY).read_bytes()
        with RunRepository.open(store) as repository:
            repository.save("run", recorded(20))
        move_back(store, "run", ".json")
        (store / "run" / reference.SUMMARY).write_bytes(old)
        os.utime(store / "run" / reference.SUMMARY, (1_700_000_000.5, 1_700_000_000.5))
        self.lose_the_database(store)

        self.assert_sound(store, "run", 60)

    def test_dying_while_it_is_kept_loses_nothing(self, store: Path) -> None:
        csv, _ = self.stage_whole(store, "new")
        csv.rename(csv.with_suffix(".kept.csv"))
        self.lose_the_database(store)

        self.assert_sound(store, "new", 60)

    def test_it_is_saved_where_the_import_is_left_to_the_caller(self, store: Path) -> None:
        self.stage_whole(store, "new")
        self.lose_the_database(store)

        with RunRepository.open(store, adopt=False) as repository:
            repository.import_legacy()

            assert repository.get("new").total_measurements == 60

    def test_in_a_database_that_is_there_it_is_undone(self, store: Path) -> None:
        self.stage_whole(store, "new")

        with RunRepository.open(store) as repository, pytest.raises(RunNotFoundError):
            repository.get("new")
        assert left_in_staging(store) == []

    @pytest.mark.parametrize("torn", [".csv", ".json"])
    @pytest.mark.parametrize("rest", [0.0, 0.5, 0.99])
    def test_a_torn_one_is_undone(self, store: Path, torn: str, rest: float) -> None:
        staged = {path.suffix: path for path in self.stage_whole(store, "run")}
        os.truncate(staged[torn], int(staged[torn].stat().st_size * rest))
        self.lose_the_database(store)

        self.assert_sound(store, "run", 30)

    def test_one_whose_csv_lacks_whole_lines_is_undone(self, store: Path) -> None:
        csv, _ = self.stage_whole(store, "run")
        lines = csv.read_bytes().splitlines(keepends=True)
        csv.write_bytes(b"".join(lines[:-1]))
        self.lose_the_database(store)

        self.assert_sound(store, "run", 30)

    @pytest.mark.parametrize("missing", [0, 1], ids=["csv", "json"])
    def test_half_of_one_is_undone(self, store: Path, missing: int) -> None:
        self.stage_whole(store, "run")[missing].unlink()
        self.lose_the_database(store)

        self.assert_sound(store, "run", 30)

    def test_one_that_is_alive_is_left_alone(self, store: Path) -> None:
        staged = self.stage_whole(store, "new")
        self.lose_the_database(store)

        with staged[0].open() as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            open_and_close(store)

        assert left_in_staging(store) == sorted(path.name for path in staged)

    def test_what_cannot_be_told_is_left_to_an_opening_that_can(self, store: Path) -> None:
        self.stage_whole(store, "new")
        odd = staging(store) / f"odd~{TOKEN}.csv"
        odd.symlink_to(store)
        self.lose_the_database(store)

        open_and_close(store)
        odd.unlink()

        self.assert_sound(store, "new", 60)

    def test_a_deletion_of_a_run_that_cannot_be_read_deletes_nothing(self, store: Path) -> None:
        (store / "run" / reference.SUMMARY).write_text("{")
        (staging(store) / f"run~{TOKEN}.delete").touch()
        self.lose_the_database(store)

        open_and_close(store)

        assert sorted(os.listdir(store / "run")) == [reference.RAW, reference.SUMMARY]

    def test_a_deletion_that_had_begun_is_finished(self, store: Path) -> None:
        (store / "run" / reference.SUMMARY).unlink()
        (staging(store) / f"run~{TOKEN}.delete").touch()
        self.lose_the_database(store)

        open_and_close(store)

        assert not (store / "run").exists()


class TestFilesThatAreGone:
    """A row whose files somebody removed from the staging folder before they were published."""

    @pytest.mark.parametrize("suffix", [".csv", ".json"])
    def test_publishing_the_rest_says_which_is_missing(
        self, store: Path, suffix: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        move_back(store, "run", ".csv", ".json")
        (staging(store) / f"run~{token_of(store, 'run')}{suffix}").unlink()

        open_and_close(store)

        (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
        assert f"the {ARTIFACTS[suffix]} of run 'run' is neither" in record.getMessage()

    def test_a_check_finds_it(self, store: Path) -> None:
        move_back(store, "run", ".csv", ".json")
        (staging(store) / f"run~{token_of(store, 'run')}.csv").unlink()

        with RunRepository.open(store) as repository:
            kinds = {finding.kind for finding in repository.check().findings}

        assert "missing_file" in kinds

    def test_publishing_all_says_nothing(
        self, store: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        move_back(store, "run", ".json")

        open_and_close(store)

        assert [r for r in caplog.records if r.levelname == "WARNING"] == []


class TestAdoptingBesideOthers:
    """What is kept is read before it is anybody's turn to write."""

    def test_others_may_write_while_it_is_read(self, store: Path) -> None:
        save_in_vain(store, "kept", 20)

        answers: list[bool] = []

        with right_before("read_columns", lambda: answers.append(ticket_is_free(store))):
            open_and_close(store)

        assert answers == [True]

    def test_a_save_that_comes_meanwhile_wins(self, store: Path) -> None:
        save_in_vain(store, "kept", 20)
        later: list[RunSummary] = []

        def save() -> None:
            with RunRepository.open(store, busy_timeout_s=2.0) as repository:
                later.append(repository.save("kept", recorded(5)))

        def save_in_a_thread() -> None:
            saver = threading.Thread(target=save)
            saver.start()
            saver.join()

        with right_before("read_columns", save_in_a_thread):
            open_and_close(store)

        with RunRepository.open(store) as repository:
            assert [repository.get("kept")] == later
        assert assert_files_agree(store / "kept") == 15
        assert left_in_staging(store) == []


def ticket_is_free(results: Path) -> bool:
    with (results / f"{NAME}.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


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
        assert "when the cause is gone, the next opening of the store adopts" in str(error)
        assert "longer busy_timeout_s" in str(error)

    def test_their_new_names_are_synced(self, store: Path) -> None:
        kept_at_syncs: list[int] = []

        def count() -> None:
            kept = [name for name in left_in_staging(store) if ".kept." in name]
            kept_at_syncs.append(sum(name.endswith((".csv", ".json")) for name in kept))

        with right_before("fsync", count, call=0):
            save_in_vain(store, "kept", 20)

        assert kept_at_syncs[-1] == 2

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


class TestInterruptedBesideTheCommit:
    """A save or deletion that was committed, and whose files nobody has moved."""

    @staticmethod
    def stop() -> None:
        raise KeyboardInterrupt

    def test_the_next_save_publishes_the_files(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            with pytest.raises(KeyboardInterrupt), right_before("publish_files", self.stop):
                repository.save("run", recorded(20))

            repository.save("next", recorded(1))

            assert os.listdir(store / ".staging") == []
            assert assert_files_agree(store / "run") == 60

    def test_the_next_save_removes_the_files(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            with pytest.raises(KeyboardInterrupt), right_before("remove_files", self.stop):
                repository.delete("run")

            repository.save("next", recorded(1))

            assert os.listdir(store / ".staging") == []
            assert not (store / "run").exists()
