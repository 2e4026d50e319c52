"""Folders of runs that were there before the database get their rows."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import reference
from recordings import recorded
from stepping import right_before

from astraguard_store import ImportReport, RunNotFoundError, RunRepository

START = 1_790_000_000.0


class StoppedError(Exception):
    """Raised where an import is to stop."""


def old_runs(results: Path, count: int) -> list[str]:
    """Write small runs of the old class, a minute apart; return their ids."""
    names = [f"old{i:04d}" for i in range(count)]
    for i, name in enumerate(names):
        rows = reference.make_rows(4, start=START + 60 * i)
        reference.write_old_run(results, name, rows)
    return names


def test_opening_for_the_first_time_adopts_them(results: Path) -> None:
    names = old_runs(results, 3)

    with RunRepository.open(results) as repository:
        assert [header.run_id for header in repository.recent()] == names[::-1]


def test_an_adopted_run_begins_at_revision_1(results: Path) -> None:
    old_runs(results, 1)

    with RunRepository.open(results) as repository:
        assert repository.get("old0000").revision == 1
        assert repository.save("old0000", recorded(2)).revision == 2


def test_opening_again_does_not_look_for_old_runs(results: Path) -> None:
    old_runs(results, 1)
    RunRepository.open(results).close()
    reference.write_old_run(results, "late")

    with RunRepository.open(results) as repository, pytest.raises(RunNotFoundError):
        repository.get("late")


def test_opening_without_adoption_leaves_them(results: Path) -> None:
    old_runs(results, 2)

    with RunRepository.open(results, adopt=False) as repository:
        assert repository.recent() == []


def test_what_was_left_is_adopted_by_the_next_opening(results: Path) -> None:
    names = old_runs(results, 2)
    RunRepository.open(results, adopt=False).close()

    with RunRepository.open(results) as repository:
        assert len(repository.recent()) == len(names)


class TestImport:
    """`import_legacy`, which reports."""

    def test_it_counts_what_it_adopts(self, results: Path) -> None:
        old_runs(results, 3)

        with RunRepository.open(results, adopt=False) as repository:
            assert repository.import_legacy() == ImportReport(3, 0, ())

    def test_a_second_time_skips_them_all(self, results: Path) -> None:
        old_runs(results, 3)

        with RunRepository.open(results, adopt=False) as repository:
            repository.import_legacy()

            assert repository.import_legacy() == ImportReport(0, 3, ())

    def test_a_second_time_changes_no_row(self, results: Path) -> None:
        names = old_runs(results, 3)
        with RunRepository.open(results) as repository:
            before = [repository.get(name) for name in names]

            repository.import_legacy()

            assert [repository.get(name) for name in names] == before

    def test_a_later_import_adopts_only_what_is_new(self, results: Path) -> None:
        old_runs(results, 3)
        with RunRepository.open(results) as repository:
            reference.write_old_run(results, "late")

            assert repository.import_legacy() == ImportReport(1, 3, ())

    def test_a_saved_run_is_skipped(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            saved = repository.save("run", recorded(3))

            assert repository.import_legacy() == ImportReport(0, 1, ())
            assert repository.get("run") == saved

    def test_what_it_cannot_read_is_reported_and_left_alone(self, results: Path) -> None:
        old_runs(results, 2)
        (results / "torn").mkdir()
        (results / "torn" / reference.SUMMARY).write_text('{"run_id": "to')
        before = reference.listing(results / "torn")

        with RunRepository.open(results, adopt=False) as repository:
            report = repository.import_legacy()

        assert (report.adopted, report.skipped) == (2, 0)
        ((name, reason),) = report.refused
        assert name == "torn"
        assert reference.SUMMARY in reason
        assert reference.listing(results / "torn") == before

    def test_a_folder_without_a_summary_is_no_run(self, results: Path) -> None:
        (results / "plots").mkdir(parents=True)

        with RunRepository.open(results, adopt=False) as repository:
            assert repository.import_legacy() == ImportReport(0, 0, (), ignored=1)

    def test_a_folder_with_a_name_that_no_run_can_have_is_reported(self, results: Path) -> None:
        reference.write_old_run(results, "ends with a dot.")

        with RunRepository.open(results, adopt=False) as repository:
            report = repository.import_legacy()

        assert [name for name, _ in report.refused] == ["ends with a dot."]

    def test_no_file_of_a_run_is_touched(self, results: Path) -> None:
        names = old_runs(results, 3)
        before = [reference.listing(results / name) for name in names]

        RunRepository.open(results).close()

        assert [reference.listing(results / name) for name in names] == before

    def test_progress_ends_at_the_total(self, results: Path) -> None:
        old_runs(results, 3)
        steps: list[tuple[int, int]] = []

        with RunRepository.open(results, adopt=False) as repository:
            repository.import_legacy(lambda done, total: steps.append((done, total)))

        assert steps[-1] == (3, 3)

    def test_in_memory_there_is_nothing_to_import(self) -> None:
        with RunRepository.in_memory() as repository:
            assert repository.import_legacy() == ImportReport(0, 0, ())


class TestInterruption:
    """An import that was stopped goes on where it was."""

    @pytest.fixture
    @staticmethod
    def stopped(results: Path) -> Path:
        """Give a tree of 501 runs whose import stopped after the first batch."""
        old_runs(results, 501)

        def stop(done: int, total: int) -> None:
            raise StoppedError(f"{done} of {total}")

        with (
            RunRepository.open(results, adopt=False) as repository,
            pytest.raises(StoppedError),
        ):
            repository.import_legacy(stop)
        return results

    def test_what_was_adopted_stays_and_the_rest_follows(self, stopped: Path) -> None:
        with RunRepository.open(stopped, adopt=False) as repository:
            before = len(repository.recent(1_000))

            report = repository.import_legacy()

            assert 0 < before < 501
            assert report == ImportReport(501 - before, before, ())

    def test_the_next_opening_goes_on_by_itself(self, stopped: Path) -> None:
        with RunRepository.open(stopped) as repository:
            assert len(repository.recent(1_000)) == 501


def test_what_is_not_adopted_is_logged_with_the_reason(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old_runs(results, 1)
    (results / "torn").mkdir()
    (results / "torn" / reference.SUMMARY).write_text("[1, 2]")

    RunRepository.open(results).close()

    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "folder 'torn' was not adopted" in record.getMessage()


def test_adopting_is_logged_with_the_number(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "astraguard_store")
    old_runs(results, 2)

    RunRepository.open(results).close()

    assert f"{results}: adopted 2 runs" in caplog.messages


class TestWhatIsNoRunOfTheStore:
    """It is counted and named, and doesn't make an import fail each time."""

    def test_a_run_folder_that_is_a_link_is_ignored_and_named(
        self, results: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        old_runs(results.parent / "elsewhere", 1)
        old_runs(results, 1)
        (results / "linked").symlink_to(results.parent / "elsewhere" / "old0000")

        with RunRepository.open(results, adopt=False) as repository:
            report = repository.import_legacy()

        assert (report.adopted, report.ignored, report.refused) == (1, 1, ())
        assert f"{results / 'linked'} is a symbolic link" in caplog.text

    def test_a_link_to_a_run_beside_it_is_none_of_the_runs(self, results: Path) -> None:
        old_runs(results, 1)
        (results / "latest").symlink_to("old0000")

        with RunRepository.open(results, adopt=False) as repository:
            assert repository.import_legacy() == ImportReport(1, 0, ())

    @pytest.mark.parametrize("name", ["System Volume Information", ".Trash-1000", "con.", "a:b"])
    def test_a_folder_of_the_system_without_a_file_of_a_run_is_ignored_and_named(
        self, results: Path, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        (results / name).mkdir(parents=True)

        with (
            caplog.at_level(logging.INFO, "astraguard_store"),
            RunRepository.open(results, adopt=False) as repository,
        ):
            assert repository.import_legacy() == ImportReport(0, 0, (), ignored=1)
        assert f"{results / name} holds no run" in caplog.text

    def test_measurements_without_a_summary_are_named_in_a_warning(
        self, results: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (reference.write_old_run(results, "half") / reference.SUMMARY).unlink()

        RunRepository.open(results).close()

        assert f"{results / 'half'} holds measurements" in caplog.text
        assert not (results / "half" / reference.SUMMARY).exists()


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_run_that_is_deleted_while_its_summary_is_read_stays_deleted(
    results: Path, is_removed: bool
) -> None:
    RunRepository.open(results).close()
    old_runs(results, 2)

    def delete() -> None:
        if is_removed:
            shutil.rmtree(results / "old0000")
        else:
            # As a deleter leaves it that died after its commit.
            (results / ".staging").mkdir(exist_ok=True)
            (results / ".staging" / "old0000~0123456789abcdef.delete").touch()

    with RunRepository.open(results, adopt=False) as repository:
        with right_before("_insert", delete):
            assert repository.import_legacy().adopted == 1

        assert [header.run_id for header in repository.recent()] == ["old0001"]


class TestTheTimeOfAnImportedRun:
    """It is told by more than one witness."""

    def test_seconds_since_the_boot_are_not_taken_for_a_date(self, results: Path) -> None:
        rows = reference.make_rows(4, start=12.5)
        reference.write_old_run(results, "boot", rows, modified=START)

        with RunRepository.open(results) as repository:
            assert repository.get("boot").recorded_at.timestamp() == START

    def test_nor_where_no_database_answers(self, results: Path) -> None:
        rows = reference.make_rows(4, start=12.5)
        reference.write_old_run(results, "boot", rows, modified=START)

        with RunRepository.open(results, read_only=True) as repository:
            assert repository.get("boot").recorded_at.timestamp() == START
