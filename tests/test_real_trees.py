"""Trees that the old class wrote: every number recomputed from the CSVs.

Two runs are stored beside the tests. ASTRAGUARD_TREES names a folder of more;
every run in it that has both files is then checked as well.
"""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import reference
from recordings import own

from astraguard_store import MetricsStorage, RunRepository

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def runs_under(tree: Path) -> list[Path]:
    summaries = sorted(tree.glob(f"*/{reference.SUMMARY}"))
    return [path.parent for path in summaries if (path.parent / reference.RAW).is_file()]


TREES = [reference.STORED_RUNS]
if os.environ.get("ASTRAGUARD_TREES"):
    TREES.append(Path(os.environ["ASTRAGUARD_TREES"]))
RUNS = [run for tree in TREES for run in runs_under(tree)]
assert len(RUNS) >= 2

every_run = pytest.mark.parametrize(
    "original", RUNS, ids=lambda run: f"{run.parent.name}/{run.name}"
)


@pytest.fixture(scope="module", params=TREES, ids=lambda tree: tree.name)
def tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy a tree without a database, every file with the time of its run's last row."""
    copy = tmp_path_factory.mktemp("tree") / "results"
    for run in runs_under(request.param):
        (copy / run.name).mkdir(parents=True)
        for name in (reference.SUMMARY, reference.RAW):
            shutil.copyfile(run / name, copy / run.name / name)
        reference.set_modified(copy / run.name, rows_of(run)[-1][0])
    return copy


@pytest.fixture(scope="module")
def adopted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunRepository]:
    """Open a copy of the tree for the first time, file times turned round."""
    results = tmp_path_factory.mktemp("adopted") / "results"
    shutil.copytree(tree, results)
    for i, run in enumerate(sorted(results.iterdir())):
        reference.set_modified(run, 1_500_000_000.0 + i)
    with RunRepository.open(results) as repository:
        yield repository


def rows_of(run: Path) -> list[reference.Row]:
    return reference.read_rows(run / reference.RAW)


def folder_of(repository: RunRepository) -> Path:
    assert repository.results_dir is not None
    return repository.results_dir


class TestTheReference:
    """The old definitions, as the tests have them, give the numbers of the old files."""

    @every_run
    def test_it_recomputes_the_document(self, original: Path) -> None:
        document = reference.read_document(original / reference.SUMMARY)

        recomputed = reference.document(
            document["run_id"], document["timestamp"], rows_of(original)
        )

        assert reference.ordered_pairs(document) == reference.ordered_pairs(recomputed)

    @every_run
    def test_it_rewrites_the_csv(self, original: Path) -> None:
        content = (original / reference.RAW).read_bytes()

        assert reference.csv_bytes(rows_of(original)) == content


class TestAdoption:
    """Opening a tree of old runs for the first time takes them into the new database."""

    def test_every_run_is_there_by_the_time_of_its_last_row(self, adopted: RunRepository) -> None:
        runs = runs_under(folder_of(adopted))

        recent = [header.run_id for header in adopted.recent(10_000)]

        times = {run.name: rows_of(run)[-1][0] for run in runs}
        assert recent == sorted(times, key=lambda run_id: (times[run_id], run_id), reverse=True)

    def test_a_run_has_the_utc_time_of_its_last_row(self, adopted: RunRepository) -> None:
        for run in runs_under(folder_of(adopted)):
            recorded_at = adopted.get(run.name).recorded_at

            last = EPOCH + timedelta(seconds=rows_of(run)[-1][0])
            assert abs(recorded_at - last) <= timedelta(microseconds=1)

    def test_every_number_is_that_of_the_rows(self, adopted: RunRepository) -> None:
        for run in runs_under(folder_of(adopted)):
            stored, rows = adopted.get(run.name), rows_of(run)

            assert stored.total_measurements == len(rows)
            assert stored.revision == 1
            assert {
                name: {key: getattr(metric, key) for key in reference.STATISTIC_KEYS}
                for name, metric in stored.metrics.items()
            } == reference.stats(rows)

    def test_every_number_of_a_satellite_is_that_of_its_rows(self, adopted: RunRepository) -> None:
        for run in runs_under(folder_of(adopted)):
            stored = adopted.get(run.name)

            full = reference.full_stats_by_satellite(rows_of(run))
            assert {s: set(types) for s, types in stored.satellites.items()} == {
                s: set(types) for s, types in full.items()
            }
            for satellite, metrics in stored.satellites.items():
                for name, metric in metrics.items():
                    expected = full[satellite][name]
                    for key in reference.SATELLITE_KEYS:
                        assert getattr(metric, key) == expected[key]
                    assert metric.p99_ms in (None, expected["p99_ms"])
                    assert metric.min_ms in (None, expected["min_ms"])

    def test_comparisons_are_those_of_the_rows(self, adopted: RunRepository) -> None:
        for one, two in pairwise(runs_under(folder_of(adopted))):
            base, other = (reference.stats(rows_of(run)) for run in (one, two))

            for change in adopted.compare(one.name, two.name).changes:
                for key in reference.STATISTIC_KEYS:
                    value = getattr(change, key)
                    assert value.baseline == base.get(change.metric_type, {}).get(key)
                    assert value.candidate == other.get(change.metric_type, {}).get(key)

    def test_the_files_are_not_touched(self, adopted: RunRepository, tree: Path) -> None:
        results = folder_of(adopted)

        for i, run in enumerate(runs_under(results)):
            for name in (reference.SUMMARY, reference.RAW):
                path = run / name
                assert path.read_bytes() == (tree / run.name / name).read_bytes()
                assert path.stat().st_mtime_ns == (1_500_000_000 + i) * 10**9
            assert sorted(os.listdir(run)) == [reference.RAW, reference.SUMMARY]

    def test_the_facade_gives_the_documents_of_the_files(self, adopted: RunRepository) -> None:
        results = folder_of(adopted)

        for run in runs_under(results):
            metrics = MetricsStorage(run.name, str(results)).get_run_metrics()

            assert metrics == reference.read_document(run / reference.SUMMARY)

    def test_artifacts_are_the_two_files(self, adopted: RunRepository) -> None:
        for run in runs_under(folder_of(adopted)):
            artifacts = {a.path: a.bytes for a in adopted.get(run.name).artifacts}

            assert artifacts == {
                f"{run.name}/{name}": (run / name).stat().st_size
                for name in (reference.SUMMARY, reference.RAW)
            }

    def test_a_second_import_adopts_nothing(self, adopted: RunRepository) -> None:
        before = adopted.recent(10_000)

        report = adopted.import_legacy()

        assert (report.adopted, report.skipped, report.refused) == (0, len(before), ())
        assert adopted.recent(10_000) == before


class TestFolders:
    """Without a database the folders give the same."""

    def test_they_give_the_runs_in_the_same_order(
        self, tree: Path, adopted: RunRepository
    ) -> None:
        with RunRepository.open(tree, read_only=True) as folders:
            assert folders.answers_from == "folders"
            found = [header.run_id for header in folders.recent(10_000)]

        assert found == [header.run_id for header in adopted.recent(10_000)]

    def test_they_give_the_same_numbers(self, tree: Path, adopted: RunRepository) -> None:
        with RunRepository.open(tree, read_only=True) as folders:
            for run in runs_under(tree):
                from_folder, from_database = folders.get(run.name), adopted.get(run.name)

                assert from_folder.metrics == from_database.metrics
                assert from_folder.satellites == from_database.satellites
                assert from_folder.total_measurements == from_database.total_measurements


class TestSaving:
    """A collector filled from an old CSV gives files that readers can't tell apart."""

    @every_run
    def test_the_csv_is_byte_identical(self, original: Path, results: Path) -> None:
        storage = MetricsStorage("again", str(results))

        storage.save_latency_stats(own(rows_of(original)))

        written = (storage.metrics_dir / reference.RAW).read_bytes()
        assert written == (original / reference.RAW).read_bytes()

    @every_run
    def test_the_json_differs_in_run_id_and_timestamp_only(
        self, original: Path, results: Path
    ) -> None:
        storage = MetricsStorage("again", str(results))

        storage.save_latency_stats(own(rows_of(original)))

        written = (storage.metrics_dir / reference.SUMMARY).read_text()
        old = reference.read_document(original / reference.SUMMARY)
        expected = old | {"run_id": "again", "timestamp": json.loads(written)["timestamp"]}
        ordered = reference.ordered_pairs
        assert ordered(json.loads(written)) == ordered(expected)
        assert written.splitlines()[3:] == json.dumps(expected, indent=2).splitlines()[3:]

    @every_run
    def test_the_repository_returns_the_numbers_of_the_rows(
        self, original: Path, results: Path
    ) -> None:
        rows = rows_of(original)

        with RunRepository.open(results) as repository:
            run = repository.save("again", own(rows))

        full = {
            satellite: {
                name: {key: getattr(metric, key) for key in reference.STATISTIC_KEYS}
                for name, metric in metrics.items()
            }
            for satellite, metrics in run.satellites.items()
        }
        assert full == reference.full_stats_by_satellite(rows)
        assert [a.rows for a in run.artifacts if a.kind == "raw_csv"] == [len(rows)]
