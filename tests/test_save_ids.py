"""The names of saves: the same name and content again is one save, as long as the run exists."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import postgres
import pytest
from recordings import recorded
from stepping import right_after

from astraguard_store import DatabaseError, InvalidRunError, RunRepository
from astraguard_store.store.schema_versions import upgrade_schema

PROJECT = Path(__file__).parent.parent
STORED = Path(__file__).parent / "databases"
IDS = "SELECT run_id, save_id, revision FROM v_save_ids ORDER BY run_id, revision"


def saved_twice(repository: RunRepository) -> None:
    """Save a run under two names."""
    repository.save("run", recorded(5), save_id="job 7")
    repository.save("run", recorded(6), save_id="job 8")


@pytest.fixture(params=["folder", "memory", "server"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunRepository]:
    """Give each kind of store."""
    if request.param == "memory":
        opened = RunRepository.in_memory()
    elif request.param == "folder":
        opened = RunRepository.open(tmp_path / "results", durability="normal")
    else:
        opened = RunRepository.open(request.getfixturevalue("server_url"))
    with opened as given:
        yield given


class TestEveryNameEverGiven:
    """A name is known as long as its run exists."""

    def test_a_retry_after_a_newer_save_is_no_save(self, repository: RunRepository) -> None:
        saved_twice(repository)

        again = repository.save("run", recorded(5), save_id="job 7")

        assert (again.revision, again.save_id) == (2, "job 8")
        assert again == repository.get("run")

    def test_an_old_name_with_other_measurements_is_refused(
        self, repository: RunRepository
    ) -> None:
        saved_twice(repository)

        with pytest.raises(InvalidRunError, match=r"'job 7'.*other measurements"):
            repository.save("run", recorded(7), save_id="job 7")
        with pytest.raises(InvalidRunError, match="names a save of run 'run'"):
            repository.save("other", recorded(5), save_id="job 7")

        assert [header.run_id for header in repository.recent()] == ["run"]

    def test_a_save_without_a_name_forgets_none(self, repository: RunRepository) -> None:
        saved_twice(repository)
        repository.save("run", recorded(8))

        assert repository.save("run", recorded(6), save_id="job 8").revision == 3
        assert repository.query(IDS).rows == [("run", "job 7", 1), ("run", "job 8", 2)]

    def test_a_deleted_run_takes_its_names_along(self, repository: RunRepository) -> None:
        saved_twice(repository)
        repository.delete("run")

        assert repository.save("other", recorded(9), save_id="job 7").revision == 1
        assert repository.query(IDS).rows == [("other", "job 7", 1)]

    def test_a_pruned_run_takes_its_names_along(self, repository: RunRepository) -> None:
        saved_twice(repository)
        repository.save("newer", recorded(3))

        assert repository.prune(keep=1).deleted == ("run",)

        assert repository.query(IDS).rows == []

    def test_threads_that_save_it_at_a_time_save_it_once(self, repository: RunRepository) -> None:
        at_once = threading.Barrier(4)
        found: list[int] = []

        def save() -> None:
            at_once.wait()
            found.append(repository.save("run", recorded(5), save_id="job 7").revision)

        threads = [threading.Thread(target=save) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert found == [1, 1, 1, 1]

    def test_of_two_runs_that_take_a_name_at_a_time_one_has_it(
        self, repository: RunRepository
    ) -> None:
        at_once = threading.Barrier(4)
        refused: list[str] = []

        def save(run_id: str) -> None:
            at_once.wait()
            try:
                repository.save(run_id, recorded(5), save_id="job 7")
            except InvalidRunError:
                refused.append(run_id)

        threads = [threading.Thread(target=save, args=(f"run_{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        (only,) = repository.recent()
        assert sorted([*refused, only.run_id]) == [f"run_{i}" for i in range(4)]


class TestProcesses:
    """Savers of several processes."""

    def test_of_two_contents_under_one_name_one_is_saved(self, tmp_path: Path) -> None:
        results = tmp_path / "results"
        RunRepository.open(results).close()
        savers = []
        for rows in (2, 3):
            file = tmp_path / f"{rows}.csv"
            file.write_text("duration_ms,scenario_time_s\n" + "1.5,0\n" * rows, encoding="utf-8")
            words = ["save", "run", file, "--metric", "m", "--satellite", "s", "--save-id", "job"]
            command = [sys.executable, "-m", "astraguard_store", *words, "--results", results]
            savers.append(subprocess.Popen([*map(str, command)], stdout=-3, stderr=-3))

        codes = [saver.wait(60) for saver in savers]

        assert sorted(codes) == [0, 2]
        with RunRepository.open(results) as repository:
            assert repository.get("run").revision == 1
            assert repository.check().is_sound

    def test_a_save_that_the_database_could_not_take_keeps_its_name(self, tmp_path: Path) -> None:
        results = tmp_path / "results"
        with RunRepository.open(results, busy_timeout_s=0.05) as repository:
            repository.save("other", recorded(3))
            with closing(sqlite3.connect(results / "astraguard.db", isolation_level=None)) as held:
                held.execute("BEGIN IMMEDIATE")
                with pytest.raises(DatabaseError) as caught:
                    repository.save("run", recorded(5), save_id="job 7")

        with RunRepository.open(results) as repository:
            again = repository.save("run", recorded(5), save_id="job 7")

        assert caught.value.kept
        assert (again.revision, again.save_id) == (1, "job 7")

    def test_a_kept_save_that_was_made_again_goes(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        results = tmp_path / "results"
        with (
            RunRepository.open(results, busy_timeout_s=0.05) as repository,
            RunRepository.open(results) as other,
        ):
            saved_twice(repository)
            with closing(sqlite3.connect(results / "astraguard.db", isolation_level=None)) as held:
                held.execute("BEGIN IMMEDIATE")
                with pytest.raises(DatabaseError, match="not lost"):
                    repository.save("run", recorded(7), save_id="job 9")
            other.delete("run")
            other.save("run", recorded(7), save_id="job 9")
            other.save("run", recorded(8), save_id="job 10")

        with RunRepository.open(results) as repository:
            found = repository.get("run")

        assert (found.revision, found.save_id) == (2, "job 10")
        assert os.listdir(results / ".staging") == []
        assert "both stay" not in caplog.text


class TestCarried:
    """Names come along with their runs."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[RunRepository]:
        with RunRepository.open(tmp_path / "rig", durability="normal") as repository:
            saved_twice(repository)
            yield repository

    def test_export_and_import(self, rig: RunRepository, tmp_path: Path) -> None:
        rig.export(["run"], tmp_path / "runs.zip")
        with RunRepository.open(tmp_path / "new") as new:
            new.import_runs([tmp_path / "runs.zip"])

            assert new.save("run", recorded(5), save_id="job 7") == rig.get("run")
            assert new.query(IDS).rows == [("run", "job 7", 1), ("run", "job 8", 2)]

    def test_an_export_beside_a_saver_knows_no_later_save(
        self, rig: RunRepository, tmp_path: Path
    ) -> None:
        def save_another() -> None:
            rig.save("run", recorded(7), save_id="job 9")

        with right_after("files_of_one_save", save_another):
            rig.export(["run"], tmp_path / "runs.zip")

        with RunRepository.open(tmp_path / "new") as new:
            new.import_runs([tmp_path / "runs.zip"])
            assert new.query(IDS).rows == [("run", "job 7", 1), ("run", "job 8", 2)]
            assert new.save("run", recorded(7), save_id="job 9").revision == 3

    def test_an_export_while_its_run_is_made_anew_has_the_names_of_its_own(
        self, rig: RunRepository, tmp_path: Path
    ) -> None:
        def make_anew() -> None:
            rig.delete("run")
            rig.save("run", recorded(7), save_id="job 9")

        with right_after("files_of_one_save", make_anew):
            rig.export(["run"], tmp_path / "runs.zip")

        with RunRepository.open(tmp_path / "new") as new:
            new.import_runs([tmp_path / "runs.zip"])
            assert new.query(IDS).rows == [("run", "job 7", 1), ("run", "job 8", 2)]

    def test_names_of_later_saves_in_an_export_of_before_are_not_taken(
        self, rig: RunRepository, tmp_path: Path
    ) -> None:
        rig.export(["run"], tmp_path / "runs")
        notes = tmp_path / "runs" / "run" / "astraguard_run.json"
        told = json.loads(notes.read_text(encoding="utf-8"))
        told["save_ids"].append(["job 9", "0" * 64, 3])
        notes.write_text(json.dumps(told), encoding="utf-8")

        with RunRepository.open(tmp_path / "new") as new:
            new.import_runs([tmp_path / "runs"])

            assert new.query(IDS).rows == [("run", "job 7", 1), ("run", "job 8", 2)]
            assert new.save("run", recorded(7), save_id="job 9").revision == 3

    def test_an_export_of_before_knows_the_stored_save(
        self, rig: RunRepository, tmp_path: Path
    ) -> None:
        rig.export(["run"], tmp_path / "runs")
        notes = tmp_path / "runs" / "run" / "astraguard_run.json"
        told = json.loads(notes.read_text(encoding="utf-8"))
        del told["save_ids"]
        notes.write_text(json.dumps(told), encoding="utf-8")

        with RunRepository.open(tmp_path / "new") as new:
            new.import_runs([tmp_path / "runs"])

            assert new.query(IDS).rows == [("run", "job 8", 2)]

    def test_a_name_that_no_save_gives_is_refused(
        self, rig: RunRepository, tmp_path: Path
    ) -> None:
        rig.export(["run"], tmp_path / "runs")
        notes = tmp_path / "runs" / "run" / "astraguard_run.json"
        told = json.loads(notes.read_text(encoding="utf-8"))
        told["save_ids"] = [["job 7", "no hash", 1]]
        notes.write_text(json.dumps(told), encoding="utf-8")

        with RunRepository.open(tmp_path / "new") as new:
            ((run_id, reason),) = new.import_runs([tmp_path / "runs"]).refused

        assert run_id == "run"
        assert "'job 7': its hash is 'no hash'" in reason

    def test_merge_keeps_both_of_two_stores(self, rig: RunRepository, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path / "new") as new:
            new.save("mine", recorded(9), save_id="job 7")
            new.merge(rig.database_path or tmp_path)

            assert new.save("run", recorded(5), save_id="job 7").revision == 2
            assert new.save("mine", recorded(9), save_id="job 7").revision == 1
            with pytest.raises(InvalidRunError, match="of run 'mine'"):
                new.save("third", recorded(9), save_id="job 7")

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ("save_id = ''", "Invalid save_id: must be non-empty"),
            ("revision = 0", "Invalid save 'job 7': .* its revision 0"),
            ("revision = 2147483648", "Invalid save 'job 7': .* its revision 2147483648"),
        ],
    )
    def test_merge_refuses_names_that_no_store_can_have(
        self, rig: RunRepository, tmp_path: Path, change: str, why: str
    ) -> None:
        rig.save("other", recorded(3))
        with closing(sqlite3.connect(tmp_path / "rig" / "astraguard.db")) as database, database:
            database.execute(f"UPDATE save_ids SET {change} WHERE save_id = 'job 7'")

        with RunRepository.open(tmp_path / "new") as new:
            report = new.merge(tmp_path / "rig")

        ((run_id, reason),) = report.refused
        assert (run_id, report.merged) == ("run", ("other",))
        assert re.search(why, reason)

    def test_push_and_push_again(self, rig: RunRepository, server_url: str) -> None:
        rig.push(server_url)
        rig.save("run", recorded(7), save_id="job 9")
        rig.push(server_url)

        with RunRepository.open(server_url) as there:
            assert there.query(IDS).rows == rig.query(IDS).rows
            assert there.save("run", recorded(5), save_id="job 7").revision == 3
            assert there.check().is_sound

    def test_check_fix_removes_names_of_no_run(self, rig: RunRepository, tmp_path: Path) -> None:
        database = tmp_path / "rig" / "astraguard.db"
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            row = ("gone", "job 1", "0" * 64, 1)
            connection.execute("INSERT INTO save_ids VALUES (?, ?, ?, ?)", row)

        assert not rig.check().is_sound
        assert rig.check(fix=True).is_sound


class TestMigration:
    """Revision 0009 takes over what 0008 knew."""

    def test_a_stored_name_is_known_after_the_upgrade(self, tmp_path: Path) -> None:
        shutil.copyfile(STORED / "0008.sqlite", tmp_path / "astraguard.db")
        with closing(sqlite3.connect(tmp_path / "astraguard.db")) as connection, connection:
            connection.execute(
                "UPDATE runs SET save_id = 'job 7', save_sha256 = ? WHERE run_id = 'second'",
                ("0" * 64,),
            )

        upgrade_schema(tmp_path)

        with RunRepository.open(tmp_path) as repository:
            assert repository.query(IDS).rows == [("second", "job 7", 1)]
            with pytest.raises(InvalidRunError, match="of run 'second'"):
                repository.save("new", recorded(3), save_id="job 7")

    def test_a_server_of_before_is_upgraded_and_goes_back(self, server: postgres.Server) -> None:
        name = server.new_database()
        url = server.url(name)
        try:
            self.alembic(url, "upgrade", "0008")
            # What 0008 made when it was released.
            server.execute(name, "CREATE INDEX ix_runs_save_id ON runs (save_id)")
            server.execute(
                name,
                "INSERT INTO runs (run_id, revision, recorded_at_us, total_measurements, save_id, "
                f"save_sha256) VALUES ('run', 4, 1790000000000000, 0, 'job 7', '{'0' * 64}')",
            )

            upgrade_schema(url)

            with RunRepository.open(url) as there:
                assert there.query(IDS).rows == [("run", "job 7", 4)]
                with pytest.raises(InvalidRunError, match="other measurements"):
                    there.save("run", recorded(3), save_id="job 7")
                there.delete("run")
                assert there.query(IDS).rows == []
            self.alembic(url, "downgrade", "0008")
            self.alembic(url, "upgrade", "head")
            self.alembic(url, "downgrade", "base")
        finally:
            server.drop_database(name)

    @staticmethod
    def alembic(url: str, *words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *words],
            cwd=PROJECT,
            env=os.environ | {"ASTRAGUARD_STORE_URL": url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
