"""One contract for the answers of the database and those of the folders."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import reference
from recordings import recorded
from trees import NEW_RUNS, NO_DATABASE, OLD_RUNS, drop_database, expected_order, make_tree

from astraguard_store import (
    InvalidRunError,
    MetricsStorage,
    ReadOnlyStoreError,
    RunNotFoundError,
    RunRepository,
    StoreError,
    StoreNotFoundError,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Answers:
    """A tree of runs opened for reading, and where its answers come from."""

    repository: RunRepository
    results: Path
    source: str

    def rows(self, run_id: str) -> list[reference.Row]:
        return reference.read_rows(self.results / run_id / reference.RAW)


@pytest.fixture(scope="module", params=["database", "folders", "damaged database"])
def kind(request: pytest.FixtureRequest) -> str:
    """Name what the tree has: its database, none, or a broken one."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(scope="module")
def tree(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one and the same tree of runs, of each kind; no test here changes it."""
    results = tmp_path_factory.mktemp("tree") / "results"
    make_tree(results)
    if kind != "database":
        drop_database(results)
    if kind == "damaged database":
        (results / "astraguard.db").write_bytes(NO_DATABASE)
    return results


@pytest.fixture
def answers(kind: str, tree: Path) -> Iterator[Answers]:
    """Open the tree for reading."""
    source = "database" if kind == "database" else "folders"
    with RunRepository.open(tree, read_only=True) as repository:
        yield Answers(repository, tree, source)


class TestSource:
    """Where the answers come from."""

    def test_it_says_where_its_answers_come_from(self, answers: Answers) -> None:
        assert answers.repository.answers_from == answers.source

    def test_answering_from_folders_is_logged_with_the_reason(
        self, kind: str, tree: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "astraguard_store")

        with RunRepository.open(tree, read_only=True) as repository:
            repository.recent()

        assert (str(tree) in caplog.text) == (kind != "database")


class TestRecent:
    """`.recent(limit=10)`."""

    def test_newest_first_and_ties_by_run_id(self, answers: Answers) -> None:
        recent = [header.run_id for header in answers.repository.recent()]

        assert recent == ["one_type", *reversed(NEW_RUNS), "old_b", "old_a", "old_c"]
        assert recent == expected_order(answers.results)

    @pytest.mark.parametrize("limit", [1, 2, 5, 8, 9, 1_000, 2**62])
    def test_a_limit_gives_the_first_of_them(self, answers: Answers, limit: int) -> None:
        recent = [header.run_id for header in answers.repository.recent(limit)]

        assert recent == expected_order(answers.results)[:limit]

    @pytest.mark.parametrize("limit", [0, -1, -(2**62)])
    def test_a_limit_below_one_gives_none(self, answers: Answers, limit: int) -> None:
        assert answers.repository.recent(limit=limit) == []

    def test_a_header_has_the_time_of_the_file_and_the_number_of_rows(
        self, answers: Answers
    ) -> None:
        for header in answers.repository.recent():
            summary = answers.results / header.run_id / reference.SUMMARY
            modified_us = summary.stat().st_mtime_ns // 1_000

            assert header.recorded_at == EPOCH + timedelta(microseconds=modified_us)
            assert header.recorded_at.utcoffset() == timedelta(0)
            assert header.total_measurements == len(answers.rows(header.run_id))

    def test_only_the_database_counts_revisions(self, answers: Answers) -> None:
        revisions = {h.run_id: h.revision for h in answers.repository.recent()}

        counted = {"zebra": 2} if answers.source == "database" else {}
        assert revisions == dict.fromkeys(revisions, int(answers.source == "database")) | counted

    def test_the_list_is_the_callers_own(self, answers: Answers) -> None:
        answers.repository.recent().clear()

        assert len(answers.repository.recent()) == 8


class TestGet:
    """`.get(run_id)`."""

    @pytest.mark.parametrize("run_id", [*OLD_RUNS, *NEW_RUNS, "one_type"])
    def test_numbers_are_those_of_the_rows(self, answers: Answers, run_id: str) -> None:
        run = answers.repository.get(run_id)

        rows = answers.rows(run_id)
        assert run.run_id == run_id
        assert run.total_measurements == len(rows)
        assert {
            name: {key: getattr(metric, key) for key in reference.STATISTIC_KEYS}
            for name, metric in run.metrics.items()
        } == reference.stats(rows)

    @pytest.mark.parametrize("run_id", [*OLD_RUNS, *NEW_RUNS, "one_type"])
    def test_the_five_numbers_of_a_satellite_are_those_of_its_rows(
        self, answers: Answers, run_id: str
    ) -> None:
        run = answers.repository.get(run_id)

        assert {
            satellite: {
                name: {key: getattr(metric, key) for key in reference.SATELLITE_KEYS}
                for name, metric in metrics.items()
            }
            for satellite, metrics in run.satellites.items()
        } == reference.stats_by_satellite(answers.rows(run_id))

    @pytest.mark.parametrize("run_id", ["old_c", "käse"])
    def test_what_a_summary_file_does_not_say_is_none_or_right(
        self, answers: Answers, run_id: str
    ) -> None:
        run = answers.repository.get(run_id)

        known = answers.source == "database" and run_id in NEW_RUNS
        full = reference.full_stats_by_satellite(answers.rows(run_id))
        for satellite, metrics in run.satellites.items():
            for name, metric in metrics.items():
                expected = full[satellite][name]
                assert metric.p99_ms == (expected["p99_ms"] if known else None)
                assert metric.min_ms == (expected["min_ms"] if known else None)

    @pytest.mark.parametrize("run_id", ["old_a", "run_9"])
    def test_its_header_is_the_one_in_the_list(self, answers: Answers, run_id: str) -> None:
        listed = {header.run_id: header for header in answers.repository.recent()}

        assert answers.repository.get(run_id).header == listed[run_id]

    @pytest.mark.parametrize("run_id", ["old_a", "run_9"])
    def test_its_artifacts_are_the_two_files(self, answers: Answers, run_id: str) -> None:
        artifacts = answers.repository.get(run_id).artifacts

        sizes = {(a.kind, a.path): a.bytes for a in artifacts}
        assert sizes == {
            (kind, f"{run_id}/{name}"): (answers.results / run_id / name).stat().st_size
            for kind, name in (("summary_json", reference.SUMMARY), ("raw_csv", reference.RAW))
        }

    def test_asking_twice_gives_equal_answers(self, answers: Answers) -> None:
        assert answers.repository.get("old_a") == answers.repository.get("old_a")


class TestCompare:
    """`.compare(baseline, candidate, by_satellite=False)`."""

    def test_every_number_of_both_sides(self, answers: Answers) -> None:
        comparison = answers.repository.compare("old_a", "käse")

        base = reference.stats(answers.rows("old_a"))
        other = reference.stats(answers.rows("käse"))
        assert (comparison.baseline, comparison.candidate) == ("old_a", "käse")
        assert {c.metric_type for c in comparison.changes} == base.keys() | other.keys()
        for change in comparison.changes:
            assert change.satellite_id is None
            for key in reference.STATISTIC_KEYS:
                value = getattr(change, key)
                assert value.baseline == base.get(change.metric_type, {}).get(key)
                assert value.candidate == other.get(change.metric_type, {}).get(key)

    def test_every_number_by_satellite(self, answers: Answers) -> None:
        comparison = answers.repository.compare("old_c", "run_9", by_satellite=True)

        base = reference.stats_by_satellite(answers.rows("old_c"))
        other = reference.stats_by_satellite(answers.rows("run_9"))
        pairs = {
            (s, name) for side in (base, other) for s, types in side.items() for name in types
        }
        assert {(c.satellite_id, c.metric_type) for c in comparison.changes} == pairs
        for change in comparison.changes:
            satellite, name = change.satellite_id or "", change.metric_type
            for key in reference.SATELLITE_KEYS:
                value = getattr(change, key)
                assert value.baseline == base.get(satellite, {}).get(name, {}).get(key)
                assert value.candidate == other.get(satellite, {}).get(name, {}).get(key)

    def test_changes_come_in_the_order_of_their_names(self, answers: Answers) -> None:
        plain = answers.repository.compare("old_c", "run_9").changes
        by_satellite = answers.repository.compare("old_c", "run_9", by_satellite=True).changes

        assert [c.metric_type for c in plain] == sorted(c.metric_type for c in plain)
        pairs = [(c.satellite_id or "", c.metric_type) for c in by_satellite]
        assert pairs == sorted(pairs)
        one_sided = answers.repository.compare("one_type", "old_c").changes
        assert [c.metric_type for c in one_sided] == sorted(c.metric_type for c in one_sided)

    def test_runs_with_nothing_in_common_are_all_one_sided(self, answers: Answers) -> None:
        comparison = answers.repository.compare("one_type", "old_a")

        counts = {c.metric_type: (c.count.baseline, c.count.candidate) for c in comparison.changes}
        assert counts == {
            "recovery_action": (8, None),
            "fault_detection": (None, 20),
            "agent_decision": (None, 20),
        }

    def test_a_run_with_itself_has_no_differences(self, answers: Answers) -> None:
        changes = answers.repository.compare("run_9", "run_9").changes

        assert [c.mean_ms.difference for c in changes] == [0.0, 0.0, 0.0]


UNKNOWN = ["missing", "constructed_only", "Zebra", "OLD_A", "ka\u0308se"]


IMPOSSIBLE = ["", ".", "..", "../results/zebra", "zebra/", "./zebra", "notes.txt/x", "x" * 300]


class TestUnknownRuns:
    """Runs that aren't there, and ids that no run can have."""

    @pytest.mark.parametrize("run_id", UNKNOWN, ids=ascii)
    def test_getting_it_says_which_run_is_missing(self, answers: Answers, run_id: str) -> None:
        with pytest.raises(StoreError) as raised:
            answers.repository.get(run_id)

        assert isinstance(raised.value, LookupError | ValueError)
        assert repr(run_id) in str(raised.value)

    @pytest.mark.parametrize("by_satellite", [False, True])
    @pytest.mark.parametrize(("pair"), [("missing", "zebra"), ("zebra", "missing")], ids=str)
    def test_comparing_with_it_says_which_run_is_missing(
        self, answers: Answers, pair: tuple[str, str], by_satellite: bool
    ) -> None:
        with pytest.raises(RunNotFoundError, match="'missing'") as raised:
            answers.repository.compare(*pair, by_satellite=by_satellite)

        assert raised.value.run_id == "missing"

    @pytest.mark.parametrize("run_id", IMPOSSIBLE, ids=ascii)
    def test_an_id_that_leaves_the_folder_is_refused_or_not_there(
        self, answers: Answers, run_id: str
    ) -> None:
        with pytest.raises((InvalidRunError, RunNotFoundError)):
            answers.repository.get(run_id)
        with pytest.raises((InvalidRunError, RunNotFoundError)):
            answers.repository.compare("zebra", run_id)


class TestReadingCreatesNothing:
    """Opened for reading, the store never writes."""

    def test_asking_everything_leaves_the_tree_as_it_was(self, tree: Path) -> None:
        before = reference.listing(tree)

        with RunRepository.open(tree, read_only=True) as repository:
            for header in repository.recent(1_000):
                repository.get(header.run_id)
                repository.compare("zebra", header.run_id)
                repository.compare("zebra", header.run_id, by_satellite=True)
            for run_id in ("missing", "constructed_only"):
                with pytest.raises(RunNotFoundError):
                    repository.get(run_id)
            repository.cache_info()

        assert reference.listing(tree) == before

    def test_asking_the_facade_leaves_the_tree_as_it_was(self, tree: Path) -> None:
        before = reference.listing(tree)

        storage = MetricsStorage("zebra", str(tree))
        storage.get_run_metrics()
        storage.get_run_metrics(use_cache=False)
        storage.compare_runs("old_a")
        storage.compare_runs("missing")
        MetricsStorage.get_recent_runs(str(tree))

        listed = reference.listing(tree)
        # A database that is open for reading has its index of the log beside it.
        for name in ("astraguard.db-wal", "astraguard.db-shm"):
            if name not in before:
                listed.pop(name, None)
        del before["."], listed["."]
        assert listed == before

    def test_every_write_is_refused_and_leaves_the_tree_as_it_was(self, tree: Path) -> None:
        before = reference.listing(tree)

        with RunRepository.open(tree, read_only=True) as repository:
            for write in (
                lambda: repository.save("new", recorded(1)),
                lambda: repository.save("zebra", recorded(1)),
                lambda: repository.save_many([("new", recorded(1))]),
                lambda: repository.delete("zebra"),
                lambda: repository.delete("missing"),
                lambda: repository.import_legacy(),
            ):
                with pytest.raises(ReadOnlyStoreError):
                    write()

        assert reference.listing(tree) == before

    def test_where_nothing_is_it_says_so_and_creates_nothing(self, results: Path) -> None:
        with pytest.raises(StoreNotFoundError, match=results.name):
            RunRepository.open(results, read_only=True)

        assert not results.exists()

    def test_an_empty_folder_is_no_store_and_stays_empty(self, results: Path) -> None:
        results.mkdir()

        with pytest.raises(StoreNotFoundError, match=results.name):
            RunRepository.open(results, read_only=True)

        assert os.listdir(results) == []


class TestFacade:
    """`MetricsStorage` answers the same, whether there is a usable database or not."""

    @pytest.mark.parametrize("run_id", ["old_a", "käse", "one_type"])
    def test_metrics_are_the_document_of_the_file(self, tree: Path, run_id: str) -> None:
        metrics = MetricsStorage(run_id, str(tree)).get_run_metrics()

        assert metrics == reference.read_document(tree / run_id / reference.SUMMARY)

    def test_recent_runs_are_the_same(self, tree: Path) -> None:
        assert MetricsStorage.get_recent_runs(str(tree), 100) == expected_order(tree)

    def test_comparisons_are_the_same(self, tree: Path) -> None:
        answer = MetricsStorage("käse", str(tree)).compare_runs("old_a")

        this, other = (
            reference.stats(reference.read_rows(tree / run_id / reference.RAW))
            for run_id in ("käse", "old_a")
        )
        assert answer["metrics"] == {
            name: {
                "this_mean_ms": this[name]["mean_ms"],
                "other_mean_ms": other[name]["mean_ms"],
                "diff_ms": this[name]["mean_ms"] - other[name]["mean_ms"],
                "this_p95_ms": this[name]["p95_ms"],
                "other_p95_ms": other[name]["p95_ms"],
            }
            for name in ("fault_detection", "agent_decision")
        }
