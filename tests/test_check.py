"""`check`: what it finds, what it mends, and that it writes nothing unasked."""

import dataclasses
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest
import reference
from observing import flip_a_byte
from recordings import recorded

from astraguard_store import (
    CheckReport,
    DatabaseError,
    Finding,
    LatencyCollector,
    Provenance,
    ReadOnlyStoreError,
    RunRepository,
    RunSummary,
    StoreNotFoundError,
)
from astraguard_store.reports import FindingKind
from astraguard_store.store.checking import check_folder
from astraguard_store.system import mounts as file_systems

DATABASE = "astraguard.db"
DEAD = "run_9~0123456789abcdef"


@pytest.fixture
def store(results: Path) -> Path:
    """Give a closed store with three runs."""
    with RunRepository.open(results) as repository:
        for number in range(3):
            repository.save(f"run_{number}", recorded(10 + number))
    return results


def check(results: Path, *, fix: bool = False) -> CheckReport:
    return check_folder(results, fix=fix)


def faults(report: CheckReport) -> list[tuple[str, str]]:
    return [(f.kind, f.where) for f in report.findings if f.severity == "fault"]


def mended(report: CheckReport) -> list[tuple[str, str]]:
    return [(f.kind, f.where) for f in report.mended]


def finding(report: CheckReport, kind: str) -> Finding:
    return next(f for f in report.findings if f.kind == kind)


def run_all_sql(results: Path, *statements: str) -> None:
    with closing(sqlite3.connect(results / DATABASE)) as database, database:
        for statement in statements:
            database.execute(statement)


def all_buckets(results: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(results / DATABASE)) as database:
        return database.execute("SELECT * FROM buckets ORDER BY 1, 2, 3").fetchall()


def buckets_of(results: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(results / DATABASE)) as database:
        query = "SELECT run_id, sum(count) FROM v_buckets GROUP BY run_id"
        return database.execute(query).fetchall()


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def fill_with_noise(results: Path) -> None:
    (results / DATABASE).write_bytes(b"no database at all" * 500)


def zero_a_page(results: Path) -> None:
    with (results / DATABASE).open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"\0" * 4096)


def cut_in_half(results: Path) -> None:
    os.truncate(results / DATABASE, (results / DATABASE).stat().st_size // 2)


def empty_the_database(results: Path) -> None:
    os.truncate(results / DATABASE, 0)


def remove_the_database(results: Path) -> None:
    (results / DATABASE).unlink()


def make_it_newer(results: Path) -> None:
    run_all_sql(results, "UPDATE astraguard_schema_version SET version_num = '9999'")


def make_it_anothers(results: Path) -> None:
    remove_the_database(results)
    run_all_sql(results, "CREATE TABLE theirs (name TEXT)")


def leave_rows_of(results: Path, run_id: str) -> None:
    """Delete a run alone, as another program could before there was a trigger."""
    run_all_sql(
        results, "DROP TRIGGER tr_runs_delete", f"DELETE FROM runs WHERE run_id = '{run_id}'"
    )


def harm_files(results: Path) -> None:
    (results / "run_0" / reference.SUMMARY).unlink()
    flip_a_byte(results / "run_1" / reference.RAW)
    (results / ".staging" / f"{DEAD}.csv").touch()
    reference.write_old_run(results, "old_run")


DAMAGES = [fill_with_noise, zero_a_page, cut_in_half, empty_the_database]
UNOPENABLE = [remove_the_database, make_it_newer, make_it_anothers]


class TestSound:
    """A store as it should be."""

    def test_a_sound_store_has_no_faults(self, store: Path) -> None:
        report = check(store)

        assert report.is_sound
        assert faults(report) == []
        assert (report.runs, report.files) == (3, 6)
        files = [file for run in store.glob("run_*") for file in run.iterdir()]
        assert report.bytes == sum(file.stat().st_size for file in files)

    def test_an_open_repository_can_be_checked(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            repository.save("run_3", recorded(5))

            report = repository.check()

        assert report.is_sound
        assert report.runs == 4

    def test_a_store_in_memory_can_be_checked(self) -> None:
        with RunRepository.in_memory() as repository:
            repository.save("run", recorded(5))

            assert repository.check().is_sound
            assert repository.check(fix=True).is_sound

    def test_progress_counts_the_runs(self, store: Path) -> None:
        seen: list[tuple[int, int]] = []

        check_folder(store, progress=lambda done, total: seen.append((done, total)))

        assert seen == [(1, 3), (2, 3), (3, 3)]

    def test_an_old_sqlite_is_a_note_that_says_what_the_store_does(self, store: Path) -> None:
        if sqlite3.sqlite_version_info >= (3, 51, 3):
            pytest.skip("this SQLite doesn't have the bug")

        note = finding(check(store), "sqlite_version")

        assert note.severity == "note"
        assert "WAL-reset" in note.what
        assert "write ticket" in note.what

    def test_saves_and_deletions_meanwhile_are_no_faults(
        self, store: Path, in_background: Callable[[Callable[[], object]], None]
    ) -> None:
        turns = 0

        def save_and_delete() -> None:
            nonlocal turns
            turns += 1
            with RunRepository.open(store) as repository:
                repository.save(f"run_{turns % 3}", recorded(5))
                repository.save(f"brief_{turns}", recorded(5))
                repository.delete(f"brief_{turns}")

        in_background(save_and_delete)
        while turns < 3:
            time.sleep(0.01)
        reports = [check(store) for _ in range(25)]

        assert [faults(report) for report in reports] == [[]] * 25


@pytest.mark.parametrize("kind", get_args(FindingKind))
def test_the_page_on_upkeep_has_each_kind_of_finding(kind: str) -> None:
    page = Path(__file__).parent.parent / "docs" / "upkeep.md"

    assert f"`{kind}`" in page.read_text(encoding="utf-8")


class TestFindings:
    """Each kind of fault is found, and only it."""

    @pytest.mark.parametrize("name", [reference.SUMMARY, reference.RAW])
    def test_a_missing_file(self, store: Path, name: str) -> None:
        (store / "run_1" / name).unlink()

        assert faults(check(store)) == [("missing_file", f"run_1/{name}")]

    @pytest.mark.parametrize("name", [reference.SUMMARY, reference.RAW])
    def test_one_flipped_bit(self, store: Path, name: str) -> None:
        flip_a_byte(store / "run_1" / name)

        report = check(store)

        assert faults(report) == [("changed_file", f"run_1/{name}")]
        assert "SHA-256" in finding(report, "changed_file").what

    def test_a_file_that_has_grown(self, store: Path) -> None:
        append(store / "run_1" / reference.RAW, b"one more\r\n")

        assert "bytes" in finding(check(store), "changed_file").what

    def test_a_link_in_place_of_a_file(self, store: Path) -> None:
        summary = store / "run_1" / reference.SUMMARY
        summary.rename(store / "elsewhere")
        summary.symlink_to(store / "elsewhere")

        assert faults(check(store)) == [("changed_file", f"run_1/{reference.SUMMARY}")]

    def test_a_removed_folder(self, store: Path) -> None:
        shutil.rmtree(store / "run_1")

        assert faults(check(store)) == [
            ("missing_file", f"run_1/{reference.RAW}"),
            ("missing_file", f"run_1/{reference.SUMMARY}"),
        ]

    def test_a_folder_without_a_row(self, store: Path) -> None:
        reference.write_old_run(store, "old_run")

        report = check(store)

        assert faults(report) == [("missing_row", "old_run")]
        assert "import" in finding(report, "missing_row").advice

    def test_a_folder_with_a_csv_alone_says_what_is_missing(self, store: Path) -> None:
        (reference.write_old_run(store, "old_run") / reference.SUMMARY).unlink()

        assert reference.SUMMARY in finding(check(store), "missing_row").advice

    def test_a_folder_whose_name_is_no_run_id(self, store: Path) -> None:
        reference.write_old_run(store, "nul")

        assert "rename" in finding(check(store), "missing_row").advice

    def test_an_empty_folder_is_none(self, store: Path) -> None:
        (store / "notes").mkdir()

        assert check(store).is_sound

    def test_rows_that_belong_to_no_run(self, store: Path) -> None:
        leave_rows_of(store, "run_0")

        kinds = {kind for kind, _ in faults(check(store))}

        assert kinds == {"foreign_key", "missing_row"}

    def test_what_a_dead_save_left(self, store: Path) -> None:
        (store / ".staging" / f"{DEAD}.csv").touch()

        report = check(store)

        assert faults(report) == [("staging_left_over", f".staging/{DEAD}.csv")]
        assert "unfinished save of run 'run_9'" in finding(report, "staging_left_over").what

    def test_a_live_save_is_none(self, store: Path) -> None:
        with (store / ".staging" / f"{DEAD}.csv").open("w") as staged:
            fcntl.flock(staged, fcntl.LOCK_EX)

            assert check(store).is_sound

    def test_a_strange_file_in_the_staging_folder(self, store: Path) -> None:
        (store / ".staging" / "mine").touch()

        assert faults(check(store)) == [("staging_left_over", ".staging/mine")]

    def test_csvs_of_adopted_runs_are_a_note(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            report = repository.check()

        assert report.is_sound
        assert "2 adopted runs" in finding(report, "unhashed_csv").what

    def test_a_csv_of_an_adopted_run_that_is_shorter(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            os.truncate(old_tree / "wc-s2-60s" / reference.RAW, 100)

            report = repository.check()

        assert faults(report) == [("changed_file", f"wc-s2-60s/{reference.RAW}")]


class TestDatabase:
    """A database that is damaged, missing or another is reported, not raised."""

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_damage_is_a_fault_with_the_way_out(
        self, store: Path, damage: Callable[[Path], None]
    ) -> None:
        damage(store)

        report = check(store)

        assert not report.is_sound
        advice = finding(report, "damaged_database").advice
        assert "astraguard-store import" in advice
        assert "astraguard.db-wal" in advice

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_a_damaged_database_is_never_mended(
        self, store: Path, damage: Callable[[Path], None]
    ) -> None:
        damage(store)
        harm_files(store)
        before = reference.listing(store)

        report = check(store, fix=True)

        assert not report.is_sound
        assert report.mended == ()
        assert reference.listing(store) == before

    def test_a_missing_database_is_a_fault(self, store: Path) -> None:
        remove_the_database(store)

        assert faults(check(store)) == [("missing_database", str(store / DATABASE))]

    @pytest.mark.parametrize("change", [make_it_newer, make_it_anothers])
    def test_another_schema_is_a_fault(self, store: Path, change: Callable[[Path], None]) -> None:
        change(store)

        for fix in (False, True):
            assert faults(check(store, fix=fix)) == [("schema_version", str(store / DATABASE))]

    def test_a_newer_schema_names_the_mend(self, store: Path) -> None:
        make_it_newer(store)

        assert "pip install --upgrade" in finding(check(store), "schema_version").advice

    def test_a_folder_without_runs_is_an_error(self, tmp_path: Path) -> None:
        for fix in (False, True):
            with pytest.raises(StoreNotFoundError):
                check(tmp_path, fix=fix)

        assert list(tmp_path.iterdir()) == []

    def test_a_repository_that_answers_from_folders_can_be_checked(self, store: Path) -> None:
        fill_with_noise(store)
        with RunRepository.open(store, read_only=True) as repository:
            report = repository.check()

        assert faults(report) == [("damaged_database", str(store / DATABASE))]


class TestReadingOnly:
    """Without `fix` nothing is written."""

    @pytest.mark.parametrize("harm", [*DAMAGES, *UNOPENABLE, lambda _: None])
    def test_a_check_writes_nothing(self, store: Path, harm: Callable[[Path], None]) -> None:
        harm_files(store)
        harm(store)
        before = reference.listing(store)

        check(store)

        assert reference.listing(store) == before

    def test_a_read_only_repository_can_be_checked(self, store: Path) -> None:
        before = reference.listing(store)

        with RunRepository.open(store, read_only=True) as repository:
            report = repository.check()

        assert report.is_sound
        assert reference.listing(store) == before

    def test_a_read_only_repository_mends_nothing(self, store: Path) -> None:
        with (
            RunRepository.open(store, read_only=True) as repository,
            pytest.raises(ReadOnlyStoreError),
        ):
            repository.check(fix=True)


class TestFix:
    """What `fix` mends, and what it leaves."""

    def test_a_missing_summary_comes_back_byte_for_byte(self, store: Path) -> None:
        before = reference.listing(store / "run_1")
        (store / "run_1" / reference.SUMMARY).unlink()

        report = check(store, fix=True)

        assert report.is_sound
        assert mended(report) == [("missing_file", f"run_1/{reference.SUMMARY}")]
        after = reference.listing(store / "run_1")
        assert after[reference.SUMMARY] == before[reference.SUMMARY]

    def test_a_changed_summary_is_kept_beside_the_new_one(self, store: Path) -> None:
        summary = store / "run_1" / reference.SUMMARY
        original = summary.read_bytes()
        summary.write_bytes(b"my notes")

        report = check(store, fix=True)

        assert report.is_sound
        assert summary.read_bytes() == original
        assert (store / "run_1" / f"{reference.SUMMARY}.changed").read_bytes() == b"my notes"

    def test_a_second_changed_summary_is_kept_too(self, store: Path) -> None:
        for notes in (b"first", b"second"):
            (store / "run_1" / reference.SUMMARY).write_bytes(notes)
            check(store, fix=True)

        kept = sorted((store / "run_1").glob("*.changed*"))
        assert [path.read_bytes() for path in kept] == [b"first", b"second"]

    def test_what_a_killed_mending_kept_already_is_not_kept_twice(self, store: Path) -> None:
        summary = store / "run_1" / reference.SUMMARY
        summary.write_bytes(b"my notes")
        # As a process leaves it that is killed before it replaces the file.
        summary.with_name(f"{reference.SUMMARY}.changed").hardlink_to(summary)

        check(store, fix=True)

        kept = list((store / "run_1").glob("*.changed*"))
        assert [path.read_bytes() for path in kept] == [b"my notes"]

    def test_a_summary_saved_in_another_time_zone_comes_back(
        self, results: Path, in_zone: Callable[[str], None]
    ) -> None:
        in_zone("Asia/Kathmandu")
        with RunRepository.open(results) as repository:
            repository.save("run", recorded(5))
        summary = results / "run" / reference.SUMMARY
        original = summary.read_bytes()
        summary.unlink()
        in_zone("America/St_Johns")

        report = check(results, fix=True)

        assert report.is_sound
        assert summary.read_bytes() == original

    def test_a_removed_folder_gets_its_summary_back(self, store: Path) -> None:
        shutil.rmtree(store / "run_1")

        report = check(store, fix=True)

        assert faults(report) == [("missing_file", f"run_1/{reference.RAW}")]
        assert (store / "run_1" / reference.SUMMARY).is_file()

    def test_a_csv_cannot_be_mended(self, store: Path) -> None:
        flip_a_byte(store / "run_1" / reference.RAW)

        report = check(store, fix=True)

        assert faults(report) == [("changed_file", f"run_1/{reference.RAW}")]
        assert "backup" in finding(report, "changed_file").advice

    def test_a_summary_of_the_old_class_cannot_be_written_anew(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            (old_tree / "wc-s2-60s" / reference.SUMMARY).unlink()

            report = repository.check(fix=True)

        assert faults(report) == [("missing_file", f"wc-s2-60s/{reference.SUMMARY}")]
        assert "another program" in finding(report, "missing_file").advice

    def test_left_overs_are_settled(self, store: Path) -> None:
        (store / ".staging" / f"{DEAD}.csv").touch()

        report = check(store, fix=True)

        assert mended(report) == [("staging_left_over", f".staging/{DEAD}.csv")]
        assert report.is_sound
        assert list((store / ".staging").iterdir()) == []

    def test_folders_without_rows_are_adopted(self, store: Path) -> None:
        reference.write_old_run(store, "old_run")

        report = check(store, fix=True)

        assert ("missing_row", "old_run") in mended(report)
        assert report.is_sound
        with RunRepository.open(store, read_only=True) as repository:
            assert repository.get("old_run").total_measurements == 40

    def test_a_folder_that_cannot_be_adopted_is_left_with_the_reason(self, store: Path) -> None:
        (store / "broken").mkdir()
        (store / "broken" / reference.SUMMARY).write_text("{ half of")

        report = check(store, fix=True)

        assert faults(report) == [("missing_row", "broken")]
        assert "not JSON" in finding(report, "missing_row").advice

    def test_rows_that_belong_to_no_run_are_deleted(self, store: Path) -> None:
        leave_rows_of(store, "run_0")

        report = check(store, fix=True)

        assert report.is_sound
        assert {f.kind for f in report.mended} >= {"foreign_key", "missing_row"}
        assert check(store).is_sound

    def test_rows_of_another_programs_table_are_left(self, store: Path) -> None:
        run_all_sql(
            store,
            "CREATE TABLE theirs (run_id TEXT REFERENCES runs)",
            "INSERT INTO theirs VALUES ('nobody')",
        )

        report = check(store, fix=True)

        assert faults(report) == [("foreign_key", str(store / DATABASE))]
        assert finding(report, "foreign_key").what == "1 row of theirs belong to no run"

    def test_a_save_that_such_rows_hindered_is_adopted(self, store: Path) -> None:
        leave_rows_of(store, "run_0")
        with RunRepository.open(store) as repository:
            with pytest.raises(DatabaseError, match="check --fix` deletes rows") as caught:
                repository.save("run_0", recorded(7))
            assert len(caught.value.kept) == 2

        report = check(store, fix=True)

        assert report.is_sound
        with RunRepository.open(store) as repository:
            assert repository.get("run_0").total_measurements == 21

    def test_a_missing_database_is_made(self, store: Path) -> None:
        remove_the_database(store)

        report = check(store, fix=True)

        assert report.is_sound
        assert ("missing_database", str(store / DATABASE)) in mended(report)
        assert report.runs == 3

    def test_an_adopted_csv_is_hashed_and_counted(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            held = repository.get("wc-s2-60s")

            report = repository.check(fix=True)
            run = repository.get("wc-s2-60s")

        assert report.is_sound
        assert held.artifacts[0].sha256 is None
        assert run.artifacts[0].rows == run.total_measurements
        flip_a_byte(old_tree / "wc-s2-60s" / reference.RAW)
        assert faults(check(old_tree)) == [("changed_file", f"wc-s2-60s/{reference.RAW}")]

    def test_an_adopted_csv_gives_satellites_their_p99_and_minimum(self, old_tree: Path) -> None:
        rows = reference.read_rows(old_tree / "wc-s2-60s" / reference.RAW)
        expected = reference.full_stats_by_satellite(rows)
        with RunRepository.open(old_tree) as repository:
            repository.check(fix=True)

            run = repository.get("wc-s2-60s")

        for satellite, metrics in run.satellites.items():
            for name, metric in metrics.items():
                assert metric.p99_ms == expected[satellite][name]["p99_ms"]
                assert metric.min_ms == expected[satellite][name]["min_ms"]
        assert run.revision == 1

    def test_a_csv_that_disagrees_with_its_summary_is_left_unhashed(self, results: Path) -> None:
        folder = reference.write_old_run(results, "old_run")
        (folder / reference.RAW).write_bytes(reference.csv_bytes(reference.make_rows(39)))

        for _ in range(2):
            report = check(results, fix=True)

            assert faults(report) == [("csv_disagrees", f"old_run/{reference.RAW}")]
            assert "39 rows" in finding(report, "csv_disagrees").what

    def test_a_csv_that_is_torn_is_reported(self, results: Path) -> None:
        folder = reference.write_old_run(results, "old_run")
        os.truncate(folder / reference.RAW, 150)

        report = check(results, fix=True)

        assert faults(report) == [("csv_disagrees", f"old_run/{reference.RAW}")]

    def test_buckets_of_adopted_runs_are_filled(self, old_tree: Path) -> None:
        with RunRepository.open(old_tree) as repository:
            before = repository.check()

            report = repository.check(fix=True)

            counts = dict(buckets_of(old_tree))
            runs = [repository.get(header.run_id) for header in repository.recent()]
        assert "2 runs have no buckets" in finding(before, "missing_buckets").what
        assert finding(before, "missing_buckets").severity == "note"
        assert ("missing_buckets", DATABASE) in mended(report)
        assert [f.kind for f in report.findings if f.kind == "missing_buckets"] == []
        assert counts == {run.run_id: run.total_measurements for run in runs}

    def test_filled_they_are_those_of_a_save(self, store: Path) -> None:
        saved = all_buckets(store)
        run_all_sql(store, "DELETE FROM buckets WHERE run_id <> 'run_1'")

        report = check(store, fix=True)

        assert mended(report) == [("missing_buckets", DATABASE)]
        assert all_buckets(store) == saved

    def test_buckets_of_a_run_without_its_csv_stay_a_note(self, store: Path) -> None:
        run_all_sql(store, "DELETE FROM buckets WHERE run_id = 'run_1'")
        (store / "run_1" / reference.RAW).unlink()

        for _ in range(2):
            report = check(store, fix=True)

            assert "one run has no buckets" in finding(report, "missing_buckets").what
            assert faults(report) == [("missing_file", f"run_1/{reference.RAW}")]

    def test_buckets_are_not_filled_from_a_changed_csv(self, store: Path) -> None:
        run_all_sql(store, "DELETE FROM buckets WHERE run_id = 'run_1'")
        flip_a_byte(store / "run_1" / reference.RAW)

        check(store, fix=True)

        assert "run_1" not in dict(buckets_of(store))

    def test_mending_twice_mends_nothing_more(self, store: Path) -> None:
        harm_files(store)
        check(store, fix=True)

        assert check(store, fix=True).mended == ()


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Give a step that moves this process into another time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


class TestRebuild:
    """A database that is lost costs nothing that the files hold."""

    def rebuild(self, store: Path) -> None:
        remove_the_database(store)
        with RunRepository.open(store, adopt=False) as repository:
            report = repository.import_legacy()
        assert report.refused == ()

    def runs(self, store: Path) -> dict[str, RunSummary]:
        """Give what files can tell of the runs: not what they were."""
        with RunRepository.open(store, read_only=True) as repository:
            runs = [repository.get(header.run_id) for header in repository.recent()]
        return {run.run_id: dataclasses.replace(run, provenance=Provenance()) for run in runs}

    def test_an_import_finds_runs_times_and_order(self, store: Path) -> None:
        before = [run.header for run in self.runs(store).values()]

        self.rebuild(store)

        assert [run.header for run in self.runs(store).values()] == before

    def test_after_a_fix_everything_is_as_it_was(self, store: Path) -> None:
        before = self.runs(store)

        self.rebuild(store)
        report = check(store, fix=True)

        assert report.is_sound
        assert self.runs(store) == before

    def test_only_the_count_of_revisions_is_lost(self, store: Path) -> None:
        with RunRepository.open(store) as repository:
            saved = repository.save("run_0", recorded(3))

        self.rebuild(store)
        check(store, fix=True)

        assert self.runs(store)["run_0"] == dataclasses.replace(
            saved, revision=1, provenance=Provenance()
        )

    def test_a_rebuilt_store_writes_summaries_anew(
        self, store: Path, in_zone: Callable[[str], None]
    ) -> None:
        in_zone("Asia/Kathmandu")
        with RunRepository.open(store) as repository:
            repository.save("run_0", recorded(3))
        summary = store / "run_0" / reference.SUMMARY
        original = summary.read_bytes()
        self.rebuild(store)
        summary.unlink()

        report = check(store, fix=True)

        assert report.is_sound
        assert summary.read_bytes() == original

    def test_names_with_the_apostrophe_of_safe_csv_are_known_again(self, results: Path) -> None:
        named = LatencyCollector()
        named.record_fault_detection("=cmd()", 0.0, 1.0)
        with RunRepository.open(results, safe_csv=True) as repository:
            repository.save("run", named)
        before = self.runs(results)

        self.rebuild(results)
        report = check(results, fix=True)

        assert report.is_sound
        assert self.runs(results) == before


class TestNetworkFileSystem:
    """A write-ahead log over a network is a fault, and a warning at opening."""

    @pytest.fixture(params=["nfs4", "cifs", "9p", "fuse.sshfs", "ceph", "lustre"])
    def mounted(
        self,
        request: pytest.FixtureRequest,
        store: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> str:
        """Let the table of mounts say that the store lies on a network."""
        kind: str = request.param
        point = str(store.parent).replace(" ", r"\040")
        table = tmp_path / "mountinfo"
        table.write_text(
            "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda rw\n"
            f"23 22 0:51 / {point} rw master:3 - {kind} server:/x rw\n"
            "24 22 0:52 / /elsewhere rw - tmpfs tmpfs rw\n"
        )
        monkeypatch.setattr(file_systems, "MOUNTS", table)
        return kind

    def test_it_is_a_fault(self, store: Path, mounted: str) -> None:
        report = check(store)

        assert faults(report) == [("network_file_system", str(store / DATABASE))]
        assert mounted in finding(report, "network_file_system").what

    @pytest.mark.parametrize("read_only", [False, True])
    def test_opening_warns(
        self, store: Path, mounted: str, read_only: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        with RunRepository.open(store, read_only=read_only):
            pass

        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert f"network file system ({mounted})" in caplog.text

    def test_a_local_disk_is_none(self, store: Path) -> None:
        assert file_systems.network_file_system(store) is None

    def test_a_table_that_cannot_be_read_is_none(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "no such file")

        assert file_systems.network_file_system(store) is None
