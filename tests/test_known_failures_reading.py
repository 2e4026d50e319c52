"""The known failures of the old class, and what holds here instead: those of reading.

One class a row, with the numbers of the contract.
"""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import reference
from observing import FILE_SYSTEM_CALLS, SAVE_RUN_001, in_child, profiled
from recordings import own, recorded, save

from astraguard_store import LatencyCollector, MetricsStorage, RunNotFoundError, RunRepository


class TestRow01OtherRunOfTheSameStore:
    """1: the other run was looked for under the default folder."""

    def test_compare_looks_in_the_same_results_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        save(tmp_path / "astraguard/hil/results", "other", recorded(4, scale=9.0))
        this = save(tmp_path / "elsewhere", "this", recorded(4))
        save(tmp_path / "elsewhere", "other", recorded(4))

        answer = this.compare_runs("other")

        assert answer["metrics"]["fault_detection"]["diff_ms"] == 0.0

    def test_a_run_of_the_default_folder_is_not_found_from_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        save(tmp_path / "astraguard/hil/results", "other", recorded(4))
        this = save(tmp_path / "elsewhere", "this", recorded(4))

        assert "error" in this.compare_runs("other")


class TestRow02ReadingCreatesNothing:
    """2: looking for a run created its folder."""

    def test_comparing_with_a_run_creates_nothing(self, results: Path) -> None:
        this = save(results, "this", recorded(1))
        before = reference.listing(results)

        this.compare_runs("other")

        assert reference.listing(results) == before

    def test_listing_a_missing_folder_creates_nothing(self, results: Path) -> None:
        MetricsStorage.get_recent_runs(str(results))

        assert not results.exists()

    def test_listing_an_empty_folder_creates_nothing(self, results: Path) -> None:
        results.mkdir()

        MetricsStorage.get_recent_runs(str(results))

        assert list(results.iterdir()) == []

    def test_asking_a_tree_of_the_old_class_changes_nothing(self, old_tree: Path) -> None:
        storage = MetricsStorage("wc-s2-60s", str(old_tree))
        before = reference.listing(old_tree)

        storage.get_run_metrics()
        storage.get_run_metrics(use_cache=False)
        storage.compare_runs("wc-s2-60s-10hz-1")
        storage.compare_runs("other")
        MetricsStorage.get_recent_runs(str(old_tree))

        assert reference.listing(old_tree) == before

    def test_asking_for_a_run_never_saved_leaves_only_the_constructed_folder(
        self, results: Path
    ) -> None:
        MetricsStorage("this", str(results)).get_run_metrics()

        assert [path.name for path in results.rglob("*")] == ["this"]


def _dicts_in(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    return [value, *(found for below in value.values() for found in _dicts_in(below))]


class TestRow05CallersCannotChangeWhatIsCached:
    """5: the cached dict was handed out by reference."""

    def test_an_edit_does_not_show_in_the_next_read(self, results: Path) -> None:
        storage = save(results, "run_001", recorded(4))
        first = storage.get_run_metrics()
        assert first is not None

        first["stats"]["fault_detection"]["mean_ms"] = -1.0
        first["stats_by_satellite"].clear()
        first["measurement_types"]["fault_detection"] = 0
        del first["run_id"]

        second = storage.get_run_metrics()
        assert second == reference.read_document(storage.metrics_dir / reference.SUMMARY)

    def test_two_reads_share_no_dict(self, results: Path) -> None:
        storage = save(results, "run_001", recorded(4))

        documents = [storage.get_run_metrics() for _ in range(3)]

        seen = [id(found) for document in documents for found in _dicts_in(document)]
        assert len(set(seen)) == len(seen) > 3 * 5

    def test_an_edit_of_an_old_run_does_not_show_in_the_next_read(self, old_tree: Path) -> None:
        storage = MetricsStorage("wc-s2-60s", str(old_tree))
        first = storage.get_run_metrics()
        assert first is not None

        first["stats"]["fault_detection"].clear()

        second = storage.get_run_metrics()
        assert second == reference.read_document(storage.metrics_dir / reference.SUMMARY)

    def test_an_edit_of_a_comparison_does_not_show_in_the_next(self, results: Path) -> None:
        storage = save(results, "this", recorded(4))
        save(results, "other", recorded(4))

        storage.compare_runs("other")["metrics"].clear()

        assert len(storage.compare_runs("other")["metrics"]) == 3

    def test_what_the_repository_hands_out_is_frozen(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            repository.save("run_001", recorded(4))
            metrics: Any = repository.get("run_001").metrics

            with pytest.raises(TypeError):
                metrics["fault_detection"] = None


class TestRow06TheCacheIsNeverStale:
    """6: the cache was stale once somebody else saved, and still served a deleted run."""

    def test_another_instance_saves(self, results: Path) -> None:
        reader = save(results, "run_001", recorded(4))
        reader.get_run_metrics()

        save(results, "run_001", recorded(5))

        assert (reader.get_run_metrics() or {})["total_measurements"] == 15

    def test_another_thread_saves(self, results: Path) -> None:
        reader = save(results, "run_001", recorded(4))
        reader.get_run_metrics()

        thread = threading.Thread(target=save, args=(results, "run_001", recorded(5)))
        thread.start()
        thread.join()

        assert (reader.get_run_metrics() or {})["total_measurements"] == 15

    def test_another_process_saves(self, results: Path) -> None:
        reader = save(results, "run_001", recorded(4))
        reader.get_run_metrics()

        in_child(SAVE_RUN_001, results)

        assert (reader.get_run_metrics() or {})["total_measurements"] == 15
        assert reader.compare_runs("run_001")["metrics"]["fault_detection"]["diff_ms"] == 0.0

    def test_a_deleted_run_is_gone(self, results: Path) -> None:
        reader = save(results, "run_001", recorded(4))
        reader.get_run_metrics()

        with RunRepository.open(results) as repository:
            repository.delete("run_001")

        assert reader.get_run_metrics() is None
        assert reader.get_run_metrics(use_cache=False) is None
        assert MetricsStorage.get_recent_runs(str(results)) == []

    def test_a_run_whose_folder_was_removed_by_hand_is_gone(self, results: Path) -> None:
        reader = save(results, "run_001", recorded(4))
        save(results, "run_002", recorded(4))
        reader.get_run_metrics()

        shutil.rmtree(reader.metrics_dir)

        assert reader.get_run_metrics() is None
        assert reader.compare_runs("run_002")["error"].endswith("run_001")
        assert MetricsStorage.get_recent_runs(str(results)) == ["run_002"]
        assert not reader.metrics_dir.exists()

    @pytest.mark.parametrize("use_cache", [True, False])
    def test_a_summary_that_was_edited_by_hand_is_what_counts(
        self, results: Path, use_cache: bool
    ) -> None:
        reader = save(results, "run_001", recorded(4))
        edited = reader.get_run_metrics() or {}
        edited["stats"]["fault_detection"]["mean_ms"] = 77.5

        (reader.metrics_dir / reference.SUMMARY).write_text(json.dumps(edited))

        assert reader.get_run_metrics(use_cache=use_cache) == edited

    def test_use_cache_false_reads_a_file_that_looks_unchanged(self, results: Path) -> None:
        reader = save(results, "run_001", recorded(4))
        reader.get_run_metrics()
        path = reader.metrics_dir / reference.SUMMARY
        before = path.stat()

        path.write_bytes(path.read_bytes().replace(b'"SAT001"', b'"SAT009"'))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

        afresh = reader.get_run_metrics(use_cache=False)
        assert afresh is not None
        assert set(afresh["stats_by_satellite"]) == {"SAT009", "SAT002"}

    @pytest.mark.parametrize("use_cache", [True, False])
    def test_a_summary_that_was_broken_by_hand_is_none(
        self, results: Path, use_cache: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        reader = save(results, "run_001", recorded(4))
        reader.get_run_metrics()

        (reader.metrics_dir / reference.SUMMARY).write_text("{half")

        assert reader.get_run_metrics(use_cache=use_cache) is None
        assert "run_001" in caplog.text

    def test_a_run_deleted_by_another_process_is_gone(self, results: Path) -> None:
        reader = save(results, "run_001", recorded(4))
        reader.get_run_metrics()

        in_child(
            """
            import sys
            from astraguard_store import RunRepository
            with RunRepository.open(sys.argv[1]) as repository:
                repository.delete("run_001")
            """,
            results,
        )

        assert reader.get_run_metrics() is None

    def test_the_first_database_is_noticed_after_reads_without_one(self, old_tree: Path) -> None:
        reader = MetricsStorage("wc-s2-60s", str(old_tree))
        reader.get_run_metrics()

        save(old_tree, "wc-s2-60s", recorded(5))

        assert (reader.get_run_metrics() or {})["total_measurements"] == 15


class TestRow06TheRepositoryIsNeverStale:
    """6: nor is `RunRepository.get`, which hands out one object until the run changes."""

    @pytest.fixture
    def repository(self, results: Path) -> Iterator[RunRepository]:
        with RunRepository.open(results) as repository:
            repository.save("run_001", recorded(4))
            repository.save("run_002", recorded(4))
            repository.get("run_001")
            repository.compare("run_001", "run_002")
            yield repository

    def assert_sees(self, repository: RunRepository, total: int) -> None:
        assert repository.get("run_001").total_measurements == total
        counts = [
            change.count.baseline for change in repository.compare("run_001", "run_002").changes
        ]
        assert counts == [total / 3] * 3

    def test_it_is_one_object_until_the_run_changes(self, repository: RunRepository) -> None:
        first = repository.get("run_001")

        repository.save("run_002", recorded(5))

        assert repository.get("run_001") is first

    def test_it_saves_itself(self, repository: RunRepository) -> None:
        repository.save("run_001", recorded(5))

        self.assert_sees(repository, 15)

    def test_it_saves_itself_more_than_once(self, repository: RunRepository) -> None:
        for steps in (5, 6, 7):
            repository.save("run_001", recorded(steps))

            self.assert_sees(repository, 3 * steps)

    def test_the_facade_saves(self, repository: RunRepository, results: Path) -> None:
        save(results, "run_001", recorded(5))

        self.assert_sees(repository, 15)

    def test_another_process_saves(self, repository: RunRepository, results: Path) -> None:
        in_child(SAVE_RUN_001, results)

        self.assert_sees(repository, 15)

    def test_it_deletes(self, repository: RunRepository) -> None:
        repository.delete("run_001")

        with pytest.raises(RunNotFoundError):
            repository.get("run_001")
        with pytest.raises(RunNotFoundError):
            repository.compare("run_001", "run_002")


class TestRow12AMetricOfOneRunOnly:
    """12: it vanished from the comparison, and a missing mean counted as 0."""

    def one_sided(self) -> tuple[LatencyCollector, LatencyCollector]:
        baseline, candidate = LatencyCollector(), LatencyCollector()
        for collector in (baseline, candidate):
            collector.record_fault_detection("SAT001", 0.0, 5.0)
        baseline.record_agent_decision("SAT001", 0.0, 6.0)
        candidate.record_recovery_action("SAT001", 0.0, 7.0)
        return baseline, candidate

    def test_the_repository_reports_it_as_missing(self, results: Path) -> None:
        baseline, candidate = self.one_sided()
        with RunRepository.open(results) as repository:
            repository.save("baseline", baseline)
            repository.save("candidate", candidate)

            changes = {
                change.metric_type: change
                for change in repository.compare("baseline", "candidate").changes
            }

        assert set(changes) == {"fault_detection", "agent_decision", "recovery_action"}
        gone, new = changes["agent_decision"], changes["recovery_action"]
        assert (gone.mean_ms.baseline, gone.mean_ms.candidate) == (6.0, None)
        assert (new.mean_ms.baseline, new.mean_ms.candidate) == (None, 7.0)
        for change in (gone, new):
            assert change.mean_ms.difference is None
            assert change.mean_ms.relative_change is None

    def test_the_facade_keeps_only_common_metrics(self, results: Path) -> None:
        baseline, candidate = self.one_sided()
        this = save(results, "this", baseline)
        save(results, "other", candidate)

        assert list(this.compare_runs("other")["metrics"]) == ["fault_detection"]

    def test_runs_without_a_common_metric_compare_to_nothing(self, results: Path) -> None:
        this = save(results, "this", own(reference.make_rows(3, types=("a",))))
        save(results, "other", own(reference.make_rows(3, types=("b",))))

        answer = this.compare_runs("other")

        assert answer["metrics"] == {}
        assert "error" not in answer


class TestRow20ListingsThatAreFast:
    """20: listing asked the file system three things a folder."""

    def test_a_listing_of_folders_asks_one_thing_a_folder(self, results: Path) -> None:
        for i in range(100):
            reference.write_old_run(results, f"run_{i:03}", reference.make_rows(1), with_csv=False)
        MetricsStorage.get_recent_runs(str(results), limit=5)

        with profiled() as calls:
            recent = MetricsStorage.get_recent_runs(str(results), limit=5)

        assert len(recent) == 5
        asked = {name: n for name, n in calls.items() if name in FILE_SYSTEM_CALLS}
        # One a folder, and a handful more for each of the five that are returned.
        assert 100 <= sum(asked.values()) <= 100 + 8 * 5, asked

    def test_a_listing_of_the_database_asks_no_run_folder(self, results: Path) -> None:
        for i in range(100):
            reference.write_old_run(results, f"run_{i:03}", reference.make_rows(1), with_csv=False)
        RunRepository.open(results).close()
        MetricsStorage.get_recent_runs(str(results), limit=5)

        with profiled() as calls:
            recent = MetricsStorage.get_recent_runs(str(results), limit=5)

        assert len(recent) == 5
        assert sum(n for name, n in calls.items() if name in FILE_SYSTEM_CALLS) <= 30
