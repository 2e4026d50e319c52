"""`merge`: the runs of another store, whole, once, and never over what is here."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import reference
from observing import assert_files_agree
from recordings import recorded
from stepping import right_before

from astraguard_store import (
    InvalidRunError,
    LatencyCollector,
    MergeReport,
    MetricsStorage,
    Provenance,
    ReadOnlyStoreError,
    RunRepository,
    SchemaVersionError,
    StoreNotFoundError,
)

TABLES = (
    "runs",
    "statistics",
    "artifacts",
    "run_tags",
    "buckets",
    "measurements",
)
PROVENANCE = Provenance(
    scenario="eclipse", seed=7, rig="rig-2", started_at=datetime(2026, 1, 2, tzinfo=UTC)
)


def with_missed() -> LatencyCollector:
    collector = recorded(12)
    collector.record_missed("fault_detection", "SAT001", 3.0, 60_000.0)
    return collector


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Give a store with the run `own`."""
    with RunRepository.open(tmp_path / "here") as repository:
        repository.save("own", recorded(3))
    return tmp_path / "here"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Give a store with an adopted run, a plain one, and one with all that a run can have."""
    folder = tmp_path / "other"
    reference.write_old_run(folder, "old")
    with RunRepository.open(folder) as repository:
        repository.save("plain", recorded(5))
    with RunRepository.open(folder, keep_measurements="database") as repository:
        repository.save("full", recorded(2))
        repository.save(
            "full",
            with_missed(),
            provenance=PROVENANCE,
            tags={"pinned": "", "rig": "2"},
            satellite_buckets=True,
        )
    return folder


def merge(here: Path, other: Path) -> MergeReport:
    with RunRepository.open(here) as repository:
        return repository.merge(other)


def rows_of(results: Path, run_id: str) -> dict[str, list[Any]]:
    """Read all rows of a run; the token of an adopted one is where it was published."""
    with closing(sqlite3.connect(f"file:{results}/astraguard.db?mode=ro", uri=True)) as database:
        rows = {
            table: database.execute(
                f"SELECT * FROM {table} WHERE run_id = ? ORDER BY 1, 2, 3", (run_id,)
            ).fetchall()
            for table in TABLES
        }
        database.row_factory = sqlite3.Row
        run = dict(database.execute("SELECT * FROM runs WHERE run_id = ?", (run_id,)).fetchone())
    if run["utc_offset_s"] is None:
        del run["staging_token"]
    return {**rows, "runs": [run]}


class TestWholeRuns:
    """What comes over is all that there is of a run."""

    @pytest.mark.parametrize("run_id", ["old", "plain", "full"])
    def test_all_its_rows(self, here: Path, other: Path, run_id: str) -> None:
        merge(here, other)

        assert rows_of(here, run_id) == rows_of(other, run_id)

    @pytest.mark.parametrize("run_id", ["old", "plain", "full"])
    def test_its_files_with_their_times(self, here: Path, other: Path, run_id: str) -> None:
        merge(here, other)

        merged, original = (reference.listing(store / run_id) for store in (here, other))
        del merged["."], original["."]
        assert merged == original

    def test_its_revision_time_provenance_and_tags(self, here: Path, other: Path) -> None:
        merge(here, other)

        with RunRepository.open(here) as repository, RunRepository.open(other) as there:
            assert repository.get("full") == there.get("full")
            assert repository.get("full").revision == 2

    def test_an_adopted_run_is_still_called_so(self, here: Path, other: Path) -> None:
        merge(here, other)

        with RunRepository.open(here) as repository:
            found = repository.query("SELECT run_id FROM v_runs WHERE adopted")
            assert found.rows == [("old",)]

    def test_its_kept_measurements(self, here: Path, other: Path) -> None:
        merge(here, other)

        with RunRepository.open(here) as repository, RunRepository.open(other) as there:
            assert repository.measurements("full").equals(there.measurements("full"))
            assert repository.purge_measurements("full") == 37

    def test_its_summary_answers_the_old_class(self, here: Path, other: Path) -> None:
        merge(here, other)

        for run_id in ("old", "plain", "full"):
            loaded = MetricsStorage(run_id, str(here)).get_run_metrics()
            assert loaded == reference.read_document(other / run_id / reference.SUMMARY)

    def test_a_check_finds_nothing_wrong(self, here: Path, other: Path) -> None:
        merge(here, other)

        with RunRepository.open(here) as repository:
            assert repository.check().is_sound

    def test_compressed_files_too(self, here: Path, other: Path) -> None:
        with RunRepository.open(other, compression="gzip") as repository:
            repository.save("packed", recorded(8))

        merge(here, other)

        with RunRepository.open(here) as repository:
            assert repository.measurements("packed").height == 24
            assert repository.check().is_sound

    def test_an_empty_folder_gets_all_of_them(self, tmp_path: Path, other: Path) -> None:
        report = merge(tmp_path / "new", other)

        assert report.merged == ("full", "old", "plain")
        assert_files_agree(tmp_path / "new" / "plain")

    def test_more_than_one_batch(self, here: Path, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path / "many", durability="normal") as repository:
            repository.save_many((f"run{i:03d}", recorded(1)) for i in range(205))
        steps: list[tuple[int, int]] = []

        with RunRepository.open(here) as repository:
            report = repository.merge(tmp_path / "many", progress=lambda *step: steps.append(step))

        assert len(report.merged) == 205
        assert steps == [(100, 205), (200, 205), (205, 205)]

    def test_into_a_store_in_memory_come_the_rows(self, other: Path) -> None:
        with RunRepository.in_memory() as repository:
            report = repository.merge(other)

            assert report.without_files == report.merged == ("full", "old", "plain")
            assert repository.get("full").tags == {"pinned": "", "rig": "2"}

    def test_the_other_store_is_left_as_it_is(self, here: Path, other: Path) -> None:
        before = reference.listing(other)

        merge(here, other)

        assert reference.listing(other) == before


class TestIdentity:
    """The same save comes once; another one of the same name doesn't come at all."""

    def test_a_second_time_all_are_skipped(self, here: Path, other: Path) -> None:
        merge(here, other)

        assert merge(here, other) == MergeReport((), ("full", "old", "plain"), (), (), ())

    def test_a_second_time_changes_nothing(self, here: Path, other: Path) -> None:
        merge(here, other)
        before = reference.listing(here)

        merge(here, other)

        after = reference.listing(here)
        assert {name for name in before if before[name] != after[name]} <= {
            ".",
            "astraguard.db.lock",
        }

    def test_two_stores_that_merge_each_other_have_the_same_runs(
        self, here: Path, other: Path
    ) -> None:
        merge(here, other)
        report = merge(other, here)

        assert report == MergeReport(("own",), ("full", "old", "plain"), (), (), ())
        for run_id in ("full", "old", "own", "plain"):
            assert rows_of(here, run_id) == rows_of(other, run_id)

    def test_an_adopted_run_comes_once_by_whichever_way(
        self, tmp_path: Path, here: Path, other: Path
    ) -> None:
        shutil.copytree(other / "old", tmp_path / "third" / "old")
        RunRepository.open(tmp_path / "third").close()
        merge(tmp_path / "fourth", tmp_path / "third")
        merge(here, other)

        assert merge(here, tmp_path / "third").skipped == ("old",)
        assert merge(here, tmp_path / "fourth").skipped == ("old",)

    def test_an_adopted_run_is_known_although_one_side_has_hashed_its_csv(
        self, here: Path, other: Path
    ) -> None:
        merge(here, other)
        with RunRepository.open(here) as repository:
            repository.check(fix=True)

        assert merge(here, other).skipped == ("full", "old", "plain")
        assert merge(other, here).skipped == ("full", "old", "plain")

    def test_another_save_of_the_name_is_a_conflict(self, here: Path, other: Path) -> None:
        with RunRepository.open(other) as repository:
            repository.save("own", recorded(3))
        before = reference.listing(here / "own"), rows_of(here, "own")

        report = merge(here, other)

        ((run_id, reason),) = report.conflicts
        assert run_id == "own"
        assert "UTC here" in reason
        assert report.merged == ("full", "old", "plain")
        assert (reference.listing(here / "own"), rows_of(here, "own")) == before

    def test_an_adopted_run_with_other_numbers_is_a_conflict(
        self, here: Path, tmp_path: Path
    ) -> None:
        for name, scale in (("one", 1.0), ("two", 2.0)):
            rows = reference.make_rows(scale=scale)
            reference.write_old_run(tmp_path / name, "old", rows)
            RunRepository.open(tmp_path / name).close()
        merge(here, tmp_path / "one")

        report = merge(here, tmp_path / "two")

        assert report.conflicts == (("old", "it has other statistics here"),)

    def test_a_folder_that_has_no_row_yet_is_not_overwritten(
        self, here: Path, other: Path
    ) -> None:
        reference.write_old_run(here, "plain")
        before = reference.listing(here / "plain")

        report = merge(here, other)

        ((run_id, reason),) = report.conflicts
        assert run_id == "plain"
        assert "astraguard-store import" in reason
        assert reference.listing(here / "plain") == before

    def test_tags_of_a_run_that_is_here_stay(self, here: Path, other: Path) -> None:
        merge(here, other)
        with RunRepository.open(here) as repository:
            repository.set_tags("full", {"rig": "mine"})

        merge(here, other)

        with RunRepository.open(here) as repository:
            assert repository.get("full").tags["rig"] == "mine"

    @pytest.mark.parametrize("name", ["", "astraguard.db"])
    def test_a_store_does_not_merge_itself(self, here: Path, name: str) -> None:
        with pytest.raises(InvalidRunError, match="this store itself"):
            merge(here, here / name)

    def test_nor_by_a_link(self, here: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(here)

        with pytest.raises(InvalidRunError, match="this store itself"):
            merge(here, tmp_path / "link")


class TestRefusedRuns:
    """A run that isn't whole in the other store doesn't come; the others do."""

    @pytest.mark.parametrize("name", [reference.RAW, reference.SUMMARY])
    def test_a_damaged_file(self, here: Path, other: Path, name: str) -> None:
        file = other / "plain" / name
        file.write_bytes(file.read_bytes().replace(b"SAT001", b"SAT009", 1))

        report = merge(here, other)

        ((run_id, reason),) = report.refused
        assert run_id == "plain"
        assert f"plain/{name} was changed" in reason
        assert report.merged == ("full", "old")
        assert not (here / "plain").exists()
        assert list((here / ".staging").iterdir()) == []

    @pytest.mark.parametrize(
        "change", ["UPDATE statistics SET max_ms = 1e308", "UPDATE statistics SET min_ms = 0.0"]
    )
    def test_rows_that_its_summary_file_contradicts(
        self, here: Path, other: Path, change: str
    ) -> None:
        with closing(sqlite3.connect(other / "astraguard.db")) as database, database:
            database.execute(f"{change} WHERE run_id = 'plain'")

        report = merge(here, other)

        ((run_id, reason),) = report.refused
        assert run_id == "plain"
        assert "its rows are not those of its files" in reason
        assert report.merged == ("full", "old")

    @pytest.mark.parametrize("name", [reference.RAW, reference.SUMMARY])
    def test_a_missing_file(self, here: Path, other: Path, name: str) -> None:
        (other / "plain" / name).unlink()

        report = merge(here, other)

        ((run_id, reason),) = report.refused
        assert run_id == "plain"
        assert f"plain/{name} is missing" in reason

    def test_mended_it_comes_the_next_time(self, here: Path, other: Path) -> None:
        (other / "plain" / reference.SUMMARY).unlink()
        merge(here, other)
        with RunRepository.open(other) as repository:
            repository.check(fix=True)

        assert merge(here, other) == MergeReport(("plain",), ("full", "old"), (), (), ())

    def test_a_path_that_leads_elsewhere(self, here: Path, other: Path, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("mine")
        with closing(sqlite3.connect(other / "astraguard.db")) as database, database:
            database.execute(
                "UPDATE artifacts SET path = '../secret' "
                "WHERE run_id = 'plain' AND kind = 'raw_csv'"
            )

        report = merge(here, other)

        ((run_id, reason),) = report.refused
        assert run_id == "plain"
        assert "../secret" in reason


class TestDatabaseAlone:
    """A database without its run folders, such as a backup."""

    @pytest.fixture
    @staticmethod
    def copy(other: Path, tmp_path: Path) -> Path:
        """Give a backup of the other store's database, elsewhere."""
        (tmp_path / "elsewhere").mkdir()
        with RunRepository.open(other) as repository:
            repository.back_up(tmp_path / "elsewhere" / "rig2.db")
        return tmp_path / "elsewhere" / "rig2.db"

    def test_its_runs_come_without_files(self, here: Path, copy: Path) -> None:
        report = merge(here, copy)

        assert report.merged == report.without_files == ("full", "old", "plain")

    def test_they_have_all_rows_but_those_of_files(
        self, here: Path, other: Path, copy: Path
    ) -> None:
        merge(here, copy)

        merged, original = rows_of(here, "full"), rows_of(other, "full")
        assert [row[1] for row in merged.pop("artifacts")] == ["summary_json"]
        del original["artifacts"]
        assert merged == original

    def test_their_summaries_are_those_that_were_saved(
        self, here: Path, other: Path, copy: Path
    ) -> None:
        merge(here, copy)

        for run_id in ("full", "plain"):
            written, saved = (
                (store / run_id / reference.SUMMARY).read_bytes() for store in (here, other)
            )
            assert written == saved

    def test_a_check_finds_nothing_wrong(self, here: Path, copy: Path) -> None:
        merge(here, copy)

        with RunRepository.open(here) as repository:
            assert repository.check().is_sound

    def test_a_second_time_all_are_skipped(self, here: Path, other: Path, copy: Path) -> None:
        merge(here, copy)

        assert merge(here, copy).skipped == ("full", "old", "plain")
        assert merge(here, other).skipped == ("full", "old", "plain")
        assert merge(other, here).skipped == ("full", "old", "plain")

    def test_nothing_is_written_beside_it(self, here: Path, copy: Path) -> None:
        before = reference.listing(copy.parent)

        merge(here, copy)

        assert reference.listing(copy.parent) == before


class TestOtherStoresThatCannotBe:
    """What can't be read says so, and what to do."""

    def test_another_schema_version(self, here: Path, tmp_path: Path) -> None:
        (tmp_path / "old").mkdir()
        stored = reference.TESTS / "databases" / "0001.sqlite"
        shutil.copyfile(stored, tmp_path / "old" / "astraguard.db")

        with pytest.raises(SchemaVersionError, match="astraguard-store db upgrade"):
            merge(here, tmp_path / "old")

    def test_a_folder_without_a_database(self, here: Path, old_tree: Path) -> None:
        with pytest.raises(StoreNotFoundError, match="astraguard-store import"):
            merge(here, old_tree)

    def test_a_folder_that_is_not_there(self, here: Path, tmp_path: Path) -> None:
        with pytest.raises(StoreNotFoundError):
            merge(here, tmp_path / "nowhere")

    def test_through_a_repository_that_only_reads(self, here: Path, other: Path) -> None:
        with (
            RunRepository.open(here, read_only=True) as repository,
            pytest.raises(ReadOnlyStoreError),
        ):
            repository.merge(other)


@pytest.mark.parametrize("what", ["file", "loop"])
def test_a_run_whose_folder_cannot_be_looked_into_is_not_merged_without_its_files(
    here: Path, other: Path, what: str
) -> None:
    folder = other / "full"
    shutil.rmtree(folder)
    if what == "loop":
        folder.symlink_to(folder)
    else:
        folder.write_text("mine")

    report = merge(here, other)

    assert (report.merged, report.without_files) == (("old", "plain"), ())
    assert [run_id for run_id, _ in report.refused] == ["full"]


@pytest.mark.parametrize("what", ["file", "link", "folder for the CSV"])
def test_what_is_in_the_way_of_one_run_stops_no_other(
    here: Path, other: Path, tmp_path: Path, what: str
) -> None:
    if what == "file":
        (here / "full").write_text("mine")
    elif what == "link":
        (here / "full").symlink_to(tmp_path)
    else:
        (here / "full" / "latency_raw.csv").mkdir(parents=True)

    report = merge(here, other)

    assert report.merged == ("old", "plain")
    assert [run_id for run_id, _ in (*report.refused, *report.conflicts)] == ["full"]
    assert list((here / ".staging").iterdir()) == []


def test_a_run_that_another_merge_is_about_to_bring_stops_no_other(
    here: Path, other: Path
) -> None:
    reports: list[MergeReport] = []

    with RunRepository.open(here) as first, RunRepository.open(here) as second:

        def merge_too() -> None:
            reports.append(second.merge(other))

        with right_before("sync_staging", merge_too):
            report = first.merge(other)

    # An adopted run has no name of its save, by which the two would meet.
    assert [run_id for run_id, _ in reports[0].refused] == ["full", "plain"]
    assert reports[0].merged == report.skipped == ("old",)
    assert report.merged == ("full", "plain")


@pytest.mark.parametrize("name", ["loop", "file/results"])
def test_a_path_that_leads_nowhere_is_no_store(here: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreNotFoundError, match=name):
        merge(here, tmp_path / name)


def test_a_fork_in_the_middle_of_a_merge_goes_on(tmp_path: Path, other: Path) -> None:
    program = """
        import os, sys, threading, time
        from astraguard_store import RunRepository
        from stepping import right_before

        other, here = sys.argv[1:]
        kept_open = RunRepository.open(other)
        # Which of two databases a fork looks at first is a matter of chance.
        for number in range(5):
            writing = threading.Event()

            def merge():
                with RunRepository.open(f"{here}{number}") as repository:
                    with right_before("load_rows", lambda: (writing.set(), time.sleep(0.1))):
                        repository.merge(other)

            thread = threading.Thread(target=merge)
            thread.start()
            writing.wait()
            child = os.fork()
            if not child:
                os._exit(0)
            os.waitpid(child, 0)
            thread.join()
            print(len(RunRepository.open(f"{here}{number}").recent()), end=" ")
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(other), str(tmp_path / "new")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parent,
    )

    assert done.stdout.split() == ["3"] * 5


def test_both_stores_may_be_open_in_this_process(here: Path, other: Path) -> None:
    with RunRepository.open(here) as one, RunRepository.open(other) as two:
        two.save("late", recorded(2))

        assert "late" in one.merge(other).merged
        assert two.save("later", recorded(2)).revision == 1
        assert one.merge(other).merged == ("later",)


KILLED_MERGE = """
    import os, signal, sys
    from pathlib import Path
    from astraguard_store import RunRepository
    from astraguard_store.artifacts import staged_run
    from astraguard_store.database import transaction

    here, other, where = sys.argv[1:]

    def killing(function, before):
        def call(*arguments, **keywords):
            if before:
                os.kill(os.getpid(), signal.SIGKILL)
            function(*arguments, **keywords)
            os.kill(os.getpid(), signal.SIGKILL)
        return call

    if where == "between files":
        staged_run.StagedRun.copy = killing(staged_run.StagedRun.copy, before=False)
    elif where == "before the commit":
        transaction.Transaction.insert_new = killing(
            transaction.Transaction.insert_new, before=False)
    elif where == "before the files are moved":
        staged_run.StagedRun.publish = killing(staged_run.StagedRun.publish, before=True)
    elif where == "between runs":
        staged_run.StagedRun.publish = killing(staged_run.StagedRun.publish, before=False)
    with RunRepository.open(here) as repository:
        repository.merge(other)
"""

COMMITTED = {
    "between files": False,
    "before the commit": False,
    "before the files are moved": True,
    "between runs": True,
}


class TestKilled:
    """A merge that dies has brought its runs, or not; the next one brings the rest."""

    @pytest.fixture(params=COMMITTED)
    def died(self, request: pytest.FixtureRequest, here: Path, other: Path) -> str:
        """Kill a merge there."""
        where = str(request.param)
        program = textwrap.dedent(KILLED_MERGE)
        done = subprocess.run(
            [sys.executable, "-c", program, str(here), str(other), where], check=False, timeout=60
        )
        assert done.returncode == -9
        return where

    def test_the_next_opening_finishes_or_undoes_it(self, here: Path, died: str) -> None:
        expected = ["full", "old", "own", "plain"] if COMMITTED[died] else ["own"]

        with RunRepository.open(here) as repository:
            assert sorted(header.run_id for header in repository.recent()) == expected
            assert repository.check().is_sound

        assert list((here / ".staging").iterdir()) == []
        assert sorted(path.parent.name for path in here.glob("*/*.json")) == expected

    @pytest.mark.usefixtures("died")
    def test_the_next_merge_goes_on(self, here: Path, other: Path) -> None:
        report = merge(here, other)

        assert sorted(report.merged + report.skipped) == ["full", "old", "plain"]
        for run_id in ("full", "old", "plain"):
            assert rows_of(here, run_id) == rows_of(other, run_id)

    def test_a_repository_that_is_open_goes_on_too(self, tmp_path: Path, other: Path) -> None:
        new = tmp_path / "new"
        with RunRepository.open(new) as repository:
            program = textwrap.dedent(KILLED_MERGE)
            subprocess.run(
                [sys.executable, "-c", program, str(new), str(other), "between files"],
                check=False,
                timeout=60,
            )

            assert repository.merge(other).merged == ("full", "old", "plain")
