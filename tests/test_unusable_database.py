"""A database that is lost or damaged, and run folders that are: reading goes on."""

import logging
from pathlib import Path

import pytest
import reference
from recordings import recorded
from trees import NO_DATABASE, drop_database, expected_order, make_tree

from astraguard_store import (
    ArtifactError,
    DatabaseDamagedError,
    MetricsStorage,
    RunNotFoundError,
    RunRepository,
)


class TestADamagedDatabase:
    """Reads fall back to the folders and say so; writes are refused and leave it alone."""

    @pytest.fixture
    def broken(self, results: Path) -> Path:
        make_tree(results)
        drop_database(results)
        (results / "astraguard.db").write_bytes(NO_DATABASE)
        return results

    def test_the_facade_says_in_the_log_that_it_reads_the_folders(
        self, broken: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING, "astraguard_store"):
            recent = MetricsStorage.get_recent_runs(str(broken), 100)

        assert recent == expected_order(broken)
        assert "astraguard.db" in caplog.text

    def test_the_facade_says_so_once(self, broken: Path, caplog: pytest.LogCaptureFixture) -> None:
        for _ in range(5):
            MetricsStorage("zebra", str(broken)).get_run_metrics()
            MetricsStorage.get_recent_runs(str(broken), 3)

        said = [r for r in caplog.records if "answering from the run folders" in r.getMessage()]

        # The opening names the damage; that it isn't tried again is said once more.
        assert len(said) == 2

    def test_the_facade_asks_a_database_that_was_put_in_its_place(
        self, broken: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        MetricsStorage.get_recent_runs(str(broken), 3)
        drop_database(broken)
        RunRepository.open(broken).close()
        caplog.clear()

        recent = MetricsStorage.get_recent_runs(str(broken), 100)

        assert recent == expected_order(broken)
        assert "answering from the run folders" not in caplog.text

    def test_a_save_is_refused_and_leaves_all_but_its_own_files(self, broken: Path) -> None:
        before = reference.listing(broken)
        storage = MetricsStorage("zebra", str(broken))

        with pytest.raises(DatabaseDamagedError, match=r"astraguard\.db") as caught:
            storage.save_latency_stats(recorded(1))

        for path in [*caught.value.kept, *(broken / ".staging").glob("*.kept.run")]:
            path.unlink(missing_ok=True)
        after = reference.listing(broken)
        after.pop("astraguard.db.lock", None)
        before.pop("astraguard.db.lock", None)
        del before["."], after["."]
        before.pop(".staging", None)
        after.pop(".staging", None)
        assert after == before
        assert (broken / "astraguard.db").read_bytes() == NO_DATABASE


class TestALostDatabase:
    """Opening the folder for writing makes a new one from the run folders."""

    def test_it_has_the_runs_times_and_numbers_of_the_old_one(self, results: Path) -> None:
        make_tree(results)
        with RunRepository.open(results, read_only=True) as repository:
            before = [repository.get(header.run_id) for header in repository.recent()]
        drop_database(results)

        with RunRepository.open(results) as repository:
            after = [repository.get(header.run_id) for header in repository.recent()]

        assert [(run.run_id, run.recorded_at) for run in after] == [
            (run.run_id, run.recorded_at) for run in before
        ]
        assert [run.metrics for run in after] == [run.metrics for run in before]


class TestAnUnreadableRun:
    """A summary that can't be read is an error of its own where the folders answer."""

    def test_getting_it_says_what_is_wrong_with_the_file(self, results: Path) -> None:
        reference.write_old_run(results, "good")
        reference.write_old_run(results, "odd")
        (results / "odd" / reference.SUMMARY).write_text("{half")

        with RunRepository.open(results, read_only=True) as repository:
            with pytest.raises((ArtifactError, RunNotFoundError), match="odd"):
                repository.get("odd")

            assert repository.get("good").total_measurements == 40
            assert [h.run_id for h in repository.recent() if h.run_id != "odd"] == ["good"]

    @pytest.mark.parametrize("limit", [1, 2, 3, 4])
    def test_a_list_is_as_long_as_asked_without_it(self, results: Path, limit: int) -> None:
        for i in range(6):
            reference.write_old_run(results, f"run_{i}", reference.make_rows(4, start=1e9 + i))
        for i in (5, 3):
            (results / f"run_{i}" / reference.SUMMARY).write_text("{half")

        with RunRepository.open(results, read_only=True) as repository:
            recent = [header.run_id for header in repository.recent(limit)]

        assert recent == ["run_4", "run_2", "run_1", "run_0"][:limit]

    @pytest.mark.parametrize("adopting", [False, True])
    def test_a_run_folder_that_is_a_link_is_no_run(
        self, results: Path, tmp_path: Path, adopting: bool
    ) -> None:
        outside = reference.write_old_run(tmp_path / "outside", "linked")
        reference.write_old_run(results, "good")
        (results / "linked").symlink_to(outside)

        with RunRepository.open(results, read_only=not adopting) as repository:
            assert [header.run_id for header in repository.recent()] == ["good"]

    def test_a_summary_that_is_a_link_out_of_the_folder_is_not_followed(
        self, results: Path, tmp_path: Path
    ) -> None:
        outside = reference.write_old_run(tmp_path / "outside", "linked")
        reference.write_old_run(results, "good")
        (results / "linked").mkdir()
        (results / "linked" / reference.SUMMARY).symlink_to(outside / reference.SUMMARY)

        with (
            RunRepository.open(results, read_only=True) as repository,
            pytest.raises((ArtifactError, RunNotFoundError), match="linked"),
        ):
            repository.get("linked")
