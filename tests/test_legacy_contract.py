"""The calls, shapes and messages that runners of the old `MetricsStorage` rely on."""

import inspect
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import reference
from recordings import recorded, rows_of, save

from astraguard_store import LatencyCollector, MetricsStorage

DEFAULT_RESULTS = "astraguard/hil/results"


class TestConstructor:
    """`MetricsStorage(run_id, results_dir="astraguard/hil/results")`."""

    def test_run_id_and_metrics_dir_are_attributes(self, results: Path) -> None:
        storage = MetricsStorage("run_001", str(results))

        assert storage.run_id == "run_001"
        assert storage.metrics_dir == results / "run_001"
        assert isinstance(storage.metrics_dir, Path)

    def test_the_folder_of_the_run_exists_afterwards(self, results: Path) -> None:
        storage = MetricsStorage("run_001", str(results))

        assert storage.metrics_dir.is_dir()

    def test_a_path_is_as_good_as_a_string(self, results: Path) -> None:
        storage = MetricsStorage("run_001", results)

        assert storage.metrics_dir == results / "run_001"

    def test_arguments_keep_their_names_and_default(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        by_default = MetricsStorage("run_001")
        by_name = MetricsStorage(run_id="run_002", results_dir="elsewhere")

        assert by_default.metrics_dir == Path(DEFAULT_RESULTS) / "run_001"
        assert (tmp_path / DEFAULT_RESULTS / "run_001").is_dir()
        assert by_name.metrics_dir == Path("elsewhere/run_002")

    @pytest.mark.parametrize(
        ("method", "names"),
        [
            ("__init__", ["self", "run_id", "results_dir"]),
            ("save_latency_stats", ["self", "collector"]),
            ("get_run_metrics", ["self", "use_cache"]),
            ("compare_runs", ["self", "other_run_id"]),
            ("get_recent_runs", ["results_dir", "limit"]),
        ],
    )
    def test_only_optional_parameters_were_added(self, method: str, names: list[str]) -> None:
        parameters = list(inspect.signature(getattr(MetricsStorage, method)).parameters.values())

        added = parameters[len(names) :]

        assert [p.name for p in parameters[: len(names)]] == names
        assert all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in added)

    def test_it_may_be_constructed_again_over_a_saved_run(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        before = save(results, "run_001", collector).get_run_metrics()

        again = MetricsStorage("run_001", str(results))

        assert again.get_run_metrics() == before


class TestGetRunMetrics:
    """`.get_run_metrics(use_cache=True)` returns the summary dict or None."""

    @pytest.mark.parametrize("use_cache", [True, False])
    def test_it_is_the_document_of_the_summary_file(
        self, results: Path, collector: LatencyCollector, use_cache: bool
    ) -> None:
        storage = save(results, "run_001", collector)

        metrics = storage.get_run_metrics(use_cache=use_cache)

        assert metrics == reference.read_document(storage.metrics_dir / reference.SUMMARY)

    def test_its_keys_come_in_the_order_of_the_file(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        storage = save(results, "run_001", collector)

        metrics = storage.get_run_metrics()

        in_file = reference.read_document(storage.metrics_dir / reference.SUMMARY)
        assert reference.ordered_pairs(metrics) == reference.ordered_pairs(in_file)

    def test_another_instance_reads_what_the_first_saved(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        first = save(results, "run_001", collector)

        second = MetricsStorage("run_001", str(results))

        assert second.get_run_metrics() == first.get_run_metrics()

    def test_it_is_json(self, results: Path, collector: LatencyCollector) -> None:
        metrics = save(results, "run_001", collector).get_run_metrics()

        assert json.loads(json.dumps(metrics)) == metrics

    def test_a_run_never_saved_is_none(self, results: Path) -> None:
        assert MetricsStorage("run_001", str(results)).get_run_metrics() is None

    def test_a_run_never_saved_is_none_beside_saved_ones(
        self, results: Path, collector: LatencyCollector
    ) -> None:
        save(results, "run_001", collector)

        assert MetricsStorage("run_002", str(results)).get_run_metrics() is None

    @pytest.mark.parametrize("use_cache", [True, False])
    def test_a_run_of_the_old_class_is_its_summary_file(
        self, old_tree: Path, use_cache: bool
    ) -> None:
        storage = MetricsStorage("wc-s2-60s", str(old_tree))

        metrics = storage.get_run_metrics(use_cache=use_cache)

        in_file = reference.read_document(storage.metrics_dir / reference.SUMMARY)
        assert reference.ordered_pairs(metrics) == reference.ordered_pairs(in_file)

    def test_a_run_of_the_old_class_is_its_summary_file_after_adoption_too(
        self, old_tree: Path, collector: LatencyCollector
    ) -> None:
        save(old_tree, "new", collector)
        storage = MetricsStorage("wc-s2-60s", str(old_tree))

        metrics = storage.get_run_metrics()

        assert metrics == reference.read_document(storage.metrics_dir / reference.SUMMARY)


class TestCompareRuns:
    """`.compare_runs(other_run_id)`."""

    def test_shape_and_order_of_the_answer(self, results: Path) -> None:
        this = save(results, "this", recorded(10))
        save(results, "other", recorded(10, scale=2.0))

        answer = this.compare_runs("other")

        assert list(answer) == ["run1", "run2", "timestamp", "metrics"]
        assert (answer["run1"], answer["run2"]) == ("this", "other")
        assert set(answer["metrics"]) == {"fault_detection", "agent_decision", "recovery_action"}
        for change in answer["metrics"].values():
            assert list(change) == [
                "this_mean_ms",
                "other_mean_ms",
                "diff_ms",
                "this_p95_ms",
                "other_p95_ms",
            ]

    def test_difference_is_this_mean_minus_other_mean(self, results: Path) -> None:
        slow, quick = recorded(10, scale=3.0), recorded(10)
        storage = save(results, "slow", slow)
        save(results, "quick", quick)

        change = storage.compare_runs("quick")["metrics"]["fault_detection"]

        this = reference.stats(rows_of(slow))["fault_detection"]
        other = reference.stats(rows_of(quick))["fault_detection"]
        assert change == {
            "this_mean_ms": this["mean_ms"],
            "other_mean_ms": other["mean_ms"],
            "diff_ms": this["mean_ms"] - other["mean_ms"],
            "this_p95_ms": this["p95_ms"],
            "other_p95_ms": other["p95_ms"],
        }
        assert change["diff_ms"] > 0

    def test_timestamp_is_iso_8601_and_now(self, results: Path) -> None:
        this = save(results, "this", recorded(3))
        save(results, "other", recorded(3))

        timestamp = datetime.fromisoformat(this.compare_runs("other")["timestamp"])

        assert abs(timestamp.astimezone(UTC) - datetime.now(UTC)) < timedelta(minutes=1)

    def test_a_run_compared_with_itself_has_no_difference(self, results: Path) -> None:
        answer = save(results, "this", recorded(5)).compare_runs("this")

        assert [m["diff_ms"] for m in answer["metrics"].values()] == [0.0, 0.0, 0.0]

    def test_a_missing_other_run_is_an_error_in_the_answer(self, results: Path) -> None:
        answer = save(results, "this", recorded(3)).compare_runs("other")

        assert answer == {"error": "Could not load metrics for run other", "metrics": {}}
        assert list(answer) == ["error", "metrics"]

    def test_a_missing_run_of_its_own_is_an_error_in_the_answer(self, results: Path) -> None:
        save(results, "other", recorded(3))

        answer = MetricsStorage("this", str(results)).compare_runs("other")

        assert answer == {"error": "Could not load metrics for run this", "metrics": {}}

    def test_the_other_run_is_looked_for_first(self, results: Path) -> None:
        answer = MetricsStorage("this", str(results)).compare_runs("other")

        assert answer["error"] == "Could not load metrics for run other"

    @pytest.mark.parametrize("other", ["", "..", "../x", "a/b", "/tmp", "x" * 129, "a\0b"])
    def test_an_id_that_no_run_can_have_is_a_run_that_is_not_there(
        self, results: Path, other: str
    ) -> None:
        answer = save(results, "this", recorded(3)).compare_runs(other)

        assert answer == {"error": f"Could not load metrics for run {other}", "metrics": {}}

    def test_answering_from_the_folders_is_said_in_the_log(
        self, old_tree: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        MetricsStorage("wc-s2-60s", str(old_tree)).compare_runs("wc-s2-60s-10hz-1")

        assert str(old_tree) in caplog.text
        assert "no database" in caplog.text

    def test_old_runs_are_compared_without_a_database(self, old_tree: Path) -> None:
        storage = MetricsStorage("wc-s2-60s", str(old_tree))

        change = storage.compare_runs("wc-s2-60s-10hz-1")["metrics"]["fault_detection"]

        assert change["this_mean_ms"] == 0.4905029749863843
        assert change["other_mean_ms"] == 2.1107325625325757
        assert change["diff_ms"] == 0.4905029749863843 - 2.1107325625325757

    def test_an_old_run_is_compared_with_a_new_one(self, old_tree: Path) -> None:
        storage = save(old_tree, "new", recorded(8))

        metrics = storage.compare_runs("wc-s2-60s")["metrics"]

        assert set(metrics) == {"fault_detection", "agent_decision"}
        assert metrics["fault_detection"]["other_p95_ms"] == 0.9962110000287794


class TestGetRecentRuns:
    """`MetricsStorage.get_recent_runs(results_dir="astraguard/hil/results", limit=10)`."""

    def test_newest_first(self, results: Path) -> None:
        for run_id in ("b", "c", "a"):
            save(results, run_id, recorded(1))

        assert MetricsStorage.get_recent_runs(str(results)) == ["a", "c", "b"]

    def test_ten_unless_told(self, results: Path) -> None:
        for i in range(12):
            reference.write_old_run(results, f"run_{i:02}", modified=1_700_000_000.0 + i)

        recent = MetricsStorage.get_recent_runs(str(results))

        assert recent == [f"run_{i:02}" for i in range(11, 1, -1)]

    def test_limit_cuts_the_list(self, results: Path) -> None:
        for run_id in ("a", "b", "c"):
            save(results, run_id, recorded(1))

        assert MetricsStorage.get_recent_runs(str(results), limit=2) == ["c", "b"]
        assert MetricsStorage.get_recent_runs(str(results), 1) == ["c"]
        assert MetricsStorage.get_recent_runs(str(results), limit=99) == ["c", "b", "a"]

    def test_a_missing_folder_gives_an_empty_list(self, results: Path) -> None:
        assert MetricsStorage.get_recent_runs(str(results)) == []

    def test_the_default_folder_is_the_old_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        MetricsStorage("run_001").save_latency_stats(recorded(1))

        assert MetricsStorage.get_recent_runs() == ["run_001"]

    @pytest.mark.parametrize("with_database", [True, False])
    def test_only_folders_with_a_summary_count(self, results: Path, with_database: bool) -> None:
        reference.write_old_run(results, "complete")
        (results / "constructed_only").mkdir()
        reference.write_old_run(results, "raw_only")
        (results / "raw_only" / reference.SUMMARY).unlink()
        (results / "a_file.json").write_text("{}")
        if with_database:
            save(results, "new", recorded(1))

        recent = MetricsStorage.get_recent_runs(str(results))

        assert recent == (["new", "complete"] if with_database else ["complete"])

    def test_a_run_saved_again_is_the_newest(self, results: Path) -> None:
        for run_id in ("a", "b", "a"):
            save(results, run_id, recorded(1))

        assert MetricsStorage.get_recent_runs(str(results)) == ["a", "b"]


def test_a_tree_that_was_copied_answers_like_the_original(results: Path, tmp_path: Path) -> None:
    for run_id in ("b", "a"):
        save(results, run_id, recorded(4))
    copy = tmp_path / "copy"
    # Without -p: file times are lost, which the database doesn't mind. Not copied
    # in this process: closing the copied file would drop SQLite's locks on it.
    subprocess.run(["cp", "-r", results, copy], check=True)

    recent = MetricsStorage.get_recent_runs(str(copy))

    assert recent == ["a", "b"]
    original = MetricsStorage("a", str(results)).get_run_metrics()
    assert MetricsStorage("a", str(copy)).get_run_metrics() == original
