"""`push`: a server gets what it lacks, whole, once, whatever happens on the way."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import postgres
import pytest
from command_line import run, run_json
from killed_server import KilledServer
from network import Network
from recordings import recorded

from astraguard_store import (
    DatabaseError,
    PushReport,
    RunRepository,
    SchemaVersionError,
    StoreNotFoundError,
)
from astraguard_store.store.pushing import waits_s

TABLES = ["runs", "statistics", "buckets", "run_tags", "artifacts", "run_documents", "run_origins"]


@pytest.fixture
def rig(results: Path) -> Iterator[RunRepository]:
    """Give a store in a folder with five runs, of 30 measurements each."""
    with RunRepository.open(results) as repository:
        for number in range(5):
            repository.save(f"run_{number}", recorded(10 + number), tags={"n": str(number)})
        yield repository


@pytest.fixture
def network(server: postgres.Server) -> Iterator[Network]:
    """Give a network in front of the server."""
    with Network.before(server) as network:
        yield network


def assert_same(here: RunRepository, url: str) -> None:
    """Assert that a server has all runs of a store as they are, and sound."""
    with RunRepository.open(url) as there:
        assert there.recent(1_000) == here.recent(1_000)
        for header in here.recent(1_000):
            assert there.get(header.run_id) == here.get(header.run_id)
        assert there.check().is_sound


class TestPush:
    """`repository.push(url)`."""

    def test_every_run_is_there_as_it_is_here(self, rig: RunRepository, server_url: str) -> None:
        report = rig.push(server_url)

        assert report.pushed == tuple(f"run_{number}" for number in range(5))
        assert_same(rig, server_url)

    def test_a_second_push_sends_nothing(
        self, rig: RunRepository, server: postgres.Server, server_database: str
    ) -> None:
        rig.push(server.url(server_database))
        counted = "SELECT pg_current_wal_insert_lsn()"
        before = server.execute(server_database, counted)

        report = rig.push(server.url(server_database))

        assert report == PushReport((), (), (), 5, (), ())
        # A busy neighbour on the same server may write, but not in this database.
        written = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
        assert before <= server.execute(server_database, counted)
        assert server.execute(server_database, written)[0][0] is not None

    def test_progress_is_told_to_the_end(self, rig: RunRepository, server_url: str) -> None:
        told: list[tuple[int, int]] = []

        rig.push(server_url, progress=lambda done, total: told.append((done, total)))

        assert told[-1] == (5, 5)
        assert told == sorted(told)

    def test_a_later_save_replaces_the_one_that_was_pushed(
        self, rig: RunRepository, server_url: str
    ) -> None:
        rig.push(server_url)
        rig.save("run_2", recorded(40))

        report = rig.push(server_url)

        assert (report.replaced, report.known) == (("run_2",), 4)
        assert_same(rig, server_url)

    def test_tags_go_along_and_those_set_on_the_server_stay(
        self, rig: RunRepository, server_url: str
    ) -> None:
        rig.push(server_url)
        with RunRepository.open(server_url) as there:
            there.set_tags("run_1", {"seen": "yes"})
        rig.set_tags("run_1", {"n": None, "verdict": "bad"})

        report = rig.push(server_url)

        assert report.tagged == ("run_1",)
        assert rig.push(server_url).tagged == ()
        with RunRepository.open(server_url) as there:
            assert there.get("run_1").tags == {"seen": "yes", "verdict": "bad"}

    def test_a_run_of_another_store_is_a_conflict_and_stays(
        self, rig: RunRepository, server_url: str, tmp_path: Path
    ) -> None:
        rig.push(server_url)
        with RunRepository.open(tmp_path / "other") as other:
            other.save("run_3", recorded(50))
            other.save("run_3", recorded(51))
            other.save("own", recorded(5))

            report = other.push(server_url)

        assert report.pushed == ("own",)
        assert [run_id for run_id, _ in report.conflicts] == ["run_3"]
        assert "another store" in report.conflicts[0][1]
        with RunRepository.open(server_url) as there:
            assert there.get("run_3") == rig.get("run_3")

    def test_a_run_that_was_merged_elsewhere_is_known(
        self, rig: RunRepository, server_url: str, tmp_path: Path
    ) -> None:
        rig.push(server_url)
        with RunRepository.open(tmp_path / "other") as other:
            assert rig.results_dir
            other.merge(rig.results_dir)

            report = other.push(server_url)

        assert report == PushReport((), (), (), 5, (), ())

    def test_adopted_runs_are_pushed_once(self, old_tree: Path, server_url: str) -> None:
        with RunRepository.open(old_tree) as repository:
            number = len(repository.recent(100))

            assert len(repository.push(server_url).pushed) == number > 0
            assert repository.push(server_url).known == number
            assert_same(repository, server_url)

    def test_the_server_knows_where_the_files_are(
        self, rig: RunRepository, server: postgres.Server, server_database: str
    ) -> None:
        rig.push(server.url(server_database))

        rows = server.execute(
            server_database,
            "SELECT DISTINCT o.results_dir, a.path FROM artifacts AS a "
            "JOIN origins AS o ON o.store_id = a.store_id WHERE a.run_id = 'run_0' ORDER BY 2",
        )

        assert rows == [
            (str(rig.results_dir), "run_0/latency_raw.csv"),
            (str(rig.results_dir), "run_0/latency_summary.json"),
        ]

    def test_kept_measurements_go_along(self, results: Path, server_url: str) -> None:
        with RunRepository.open(results, keep_measurements="database") as rig:
            rig.save("run_1", recorded(200))
            rig.push(server_url)

            with RunRepository.open(server_url) as there:
                assert there.measurements("run_1").equals(rig.measurements("run_1"))

    def test_a_server_without_the_schema_says_what_to_run(
        self, rig: RunRepository, server: postgres.Server
    ) -> None:
        name = server.new_database()

        with pytest.raises(SchemaVersionError, match="db upgrade URL"):
            rig.push(server.url(name))

        server.drop_database(name)

    def test_a_store_without_an_id_says_what_to_do(
        self, rig: RunRepository, results: Path, server_url: str
    ) -> None:
        assert rig.database_path
        with closing(sqlite3.connect(rig.database_path, isolation_level=None)) as connection:
            connection.execute("UPDATE store SET store_id = NULL")

        with (
            RunRepository.open(results, read_only=True) as reader,
            pytest.raises(StoreNotFoundError, match="open it for writing once"),
        ):
            reader.push(server_url)

    def test_two_pushes_at_once_leave_each_run_once(
        self, rig: RunRepository, results: Path, server_url: str
    ) -> None:
        rig.save_many([(f"more_{number:03}", recorded(2)) for number in range(250)])
        reports: list[PushReport] = []

        def push() -> None:
            with RunRepository.open(results, read_only=True) as reader:
                reports.append(reader.push(server_url))

        threads = [threading.Thread(target=push) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(len(report.pushed) for report in reports) == 255
        assert [report.conflicts + report.refused for report in reports] == [(), (), ()]
        assert_same(rig, server_url)


class TestInterrupted:
    """Networks and servers that go away."""

    @pytest.mark.parametrize("answers_last", [False, True])
    @pytest.mark.parametrize("turns", range(8))
    def test_cut_after_any_turn_nothing_is_lost_doubled_or_half(
        self,
        rig: RunRepository,
        network: Network,
        server: postgres.Server,
        server_database: str,
        turns: int,
        answers_last: bool,
    ) -> None:
        url = server.url(server_database)
        rig.push(url)
        rig.save("run_1", recorded(33))
        rig.set_tags("run_2", {"new": "tag"})
        rig.save("run_9", recorded(9))
        network.cut_after, network.answers_last = turns, answers_last

        with contextlib.suppress(DatabaseError):
            rig.push(network.url(server_database))

        with RunRepository.open(url) as there:
            assert there.check().is_sound
            for run_id in ("run_1", "run_9"):
                if run_id == "run_1" or "run_9" in [run.run_id for run in there.recent()]:
                    assert there.get(run_id).revision in {1, 2}
        rig.push(url)
        assert_same(rig, url)
        assert rig.push(url) == PushReport((), (), (), 6, (), ())

    def test_a_server_that_is_killed_in_the_middle_has_whole_runs(self, results: Path) -> None:
        own = postgres.Server.new()
        try:
            name = own.new_database()
            assert run("db", "upgrade", own.url(name)).exit_code == 0
            with RunRepository.open(results) as rig:
                rig.save_many([(f"run_{number:04}", recorded(2)) for number in range(600)])

                def kill(done: int, total: int) -> None:
                    if 0 < done < total:
                        own.kill()

                with pytest.raises(DatabaseError, match="try again"):
                    rig.push(own.url(name), progress=kill)
                own.start()
                with RunRepository.open(own.url(name)) as there:
                    assert len(there.recent(1_000)) % 100 == 0
                    assert there.check().is_sound
                report = rig.push(own.url(name))

                assert report.known + len(report.pushed) == 600
                assert_same(rig, own.url(name))
        finally:
            own.remove()

    def test_killed_at_a_step_nothing_is_lost_twice_or_half(self, tmp_path: Path) -> None:
        # At each of some 80 steps: tests/torture/test_kill_server.py.
        with KilledServer.new(tmp_path) as killed:
            for step in (8, 27, 46, 65):
                assert killed.push(kill_after=step) == (True, []), step

    def test_an_open_repository_outlives_a_restart(self) -> None:
        own = postgres.Server.new()
        try:
            name = own.new_database()
            assert run("db", "upgrade", own.url(name)).exit_code == 0
            with RunRepository.open(own.url(name)) as there:
                there.save("run_1", recorded(3))
                own.kill()
                with pytest.raises(DatabaseError, match="can't be asked"):
                    there.get("run_1")
                own.start()

                assert there.get("run_1").revision == 1
                assert there.save("run_1", recorded(4)).revision == 2
        finally:
            own.remove()

    @pytest.mark.parametrize("answers_last", [False, True])
    @pytest.mark.parametrize("turns", range(1, 4))
    def test_a_save_whose_answer_is_lost_is_there_once(
        self,
        network: Network,
        server_database: str,
        turns: int,
        answers_last: bool,
    ) -> None:
        with RunRepository.open(network.url(server_database)) as there:
            there.save("run_1", recorded(3))
            network.cut_after = network.turns + turns
            network.answers_last = answers_last
            threading.Timer(0.6, setattr, (network, "cut_after", None)).start()

            for _ in range(20):
                try:
                    saved = there.save("run_1", recorded(4))
                    break
                except DatabaseError:
                    time.sleep(0.2)

            network.cut_after = None
            assert there.get("run_1") == saved
            assert there.check().is_sound

    def test_waits_grow_while_the_server_is_away(self) -> None:
        waits = [waits_s(10.0, failures) for failures in range(8)]

        assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
        assert waits_s(600.0, 3) == 600.0


class TestCommand:
    """`astraguard-store push URL`."""

    @pytest.mark.usefixtures("rig")
    def test_it_says_what_it_did(self, results: Path, server_url: str) -> None:
        result = run("push", server_url, "--results", results)

        assert result.exit_code == 0
        assert result.stdout.splitlines()[0] == "pushed    5"
        assert server_url.split("@")[1].split("?")[0] in result.stdout

    @pytest.mark.usefixtures("rig")
    def test_conflicts_end_it_with_1(self, results: Path, server_url: str) -> None:
        with RunRepository.open(server_url) as there:
            there.save("run_1", recorded(3))

        result = run("push", server_url, "--results", results)
        shape = run_json("push", server_url, "--results", results)

        assert result.exit_code == 1
        assert "saved on the server" in result.stdout
        assert [conflict["run_id"] for conflict in shape["conflicts"]] == ["run_1"]
        assert shape["known"] == 4

    def test_a_mistyped_folder_is_refused(self, tmp_path: Path, server_url: str) -> None:
        result = run("push", server_url, "--results", tmp_path / "nowhere")

        assert result.exit_code == 2
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize(
        "command",
        [
            ["recent"],
            ["show", "run_1", "--satellites"],
            ["compare", "run_1", "run_2"],
            ["percentiles", "fault_detection", "--by", "scenario,week"],
            ["query", "SELECT count(*) FROM v_runs"],
            ["tag", "run_1", "a=b"],
            ["check"],
            ["prune", "--keep", "4", "--dry-run"],
            ["delete", "run_4", "--yes"],
            ["db", "current"],
            ["db", "upgrade"],
            ["db", "describe", "v_latency"],
            ["history", "fault_detection", "--by", "satellite"],
            ["watch", "--times", "1"],
            ["report", "run_1", "run_2", "--to", "report.html"],
            ["baseline", "set", "nightly", "run_0", "run_1"],
            ["baseline", "list"],
            ["changes", "fault_detection"],
        ],
    )
    def test_every_command_takes_the_url(
        self,
        rig: RunRepository,
        server_url: str,
        command: list[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        rig.push(server_url)

        result = run(*command, env={"ASTRAGUARD_STORE_RESULTS": server_url})

        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout

    @pytest.mark.parametrize(
        "command",
        [
            ["import"],
            ["merge", "."],
            ["export", "run_1", "--to", "run.zip"],
            ["export", "--all", "--to", "lake", "--dataset"],
            ["db", "backup", "copy.db"],
            ["db", "restore", "former.db"],
        ],
    )
    def test_what_needs_files_is_refused_and_says_what_to_do(
        self,
        rig: RunRepository,
        server_url: str,
        command: list[str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        rig.back_up("former.db")
        before = sorted(tmp_path.rglob("*"))
        rig.push(server_url)

        result = run(*command, env={"ASTRAGUARD_STORE_RESULTS": server_url})

        assert result.exit_code == 2, result.stdout
        assert "postgresql://" in result.stderr
        assert sorted(tmp_path.rglob("*")) == before
