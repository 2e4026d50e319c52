"""The known failures of the old class, and what holds here instead: those of saving.

One class a row, with the numbers of the contract.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import reference
from observing import assert_files_agree, in_child, profiled
from recordings import OwnMeasurement, own, recorded, save

from astraguard_store import LatencyCollector, MetricsStorage, RunRepository, StoreError

BackgroundRunner = Callable[[Callable[[], object]], None]


class TestRow03EveryFailureReachesTheCaller:
    """3: an exception in a writer thread was lost."""

    def test_a_staging_folder_that_cannot_be_made_fails_the_save(self, results: Path) -> None:
        results.mkdir()
        (results / ".staging").write_text("in the way")
        storage = MetricsStorage("run_001", str(results))

        with pytest.raises(StoreError):
            storage.save_latency_stats(recorded(1))

        assert os.listdir(storage.metrics_dir) == []
        assert MetricsStorage.get_recent_runs(str(results)) == []

    def test_a_file_in_place_of_the_run_folder_fails_the_save(self, results: Path) -> None:
        storage = MetricsStorage("run_001", str(results))
        storage.metrics_dir.rmdir()
        storage.metrics_dir.write_text("in the way")

        with pytest.raises((StoreError, OSError)):
            storage.save_latency_stats(recorded(1))

    @pytest.mark.parametrize("name", [reference.SUMMARY, reference.RAW])
    def test_no_path_is_returned_of_a_file_that_does_not_exist(
        self, results: Path, name: str
    ) -> None:
        storage = MetricsStorage("run_001", str(results))
        (storage.metrics_dir / name / "in_the_way").mkdir(parents=True)

        with pytest.raises((StoreError, OSError)):
            storage.save_latency_stats(recorded(1))

    def test_one_run_that_fails_takes_all_of_its_batch_with_it(self, results: Path) -> None:
        (results / "run_002" / reference.RAW / "in_the_way").mkdir(parents=True)

        with RunRepository.open(results) as repository:
            with pytest.raises(StoreError):
                repository.save_many([(f"run_00{i}", recorded(i)) for i in (1, 2, 3)])

            assert repository.recent() == []
        assert sorted(os.listdir(results / ".staging")) == []
        assert not list(results.glob(f"*/{reference.SUMMARY}"))

    def test_results_that_are_a_file_fail_at_once(self, results: Path) -> None:
        results.write_text("not a folder")

        with pytest.raises((StoreError, OSError)):
            save(results, "run_001", recorded(1))


class TestRow04AFullDiskIsAllOrNothing:
    """4: a disk that filled up left half a CSV, and the save returned normally."""

    # A limit on the size of files fails the write in the middle of the CSV, as a
    # full disk does; 1 MB leaves the database all it needs.
    SAVE_WITH_A_SIZE_LIMIT = """
        import resource, sys
        from astraguard_store import MetricsStorage, StoreError
        from recordings import recorded
        storage = MetricsStorage("run_001", sys.argv[1])
        big = recorded(10_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        try:
            storage.save_latency_stats(big)
        except StoreError as error:
            print(type(error).__name__, error, repr(error.__cause__))
        else:
            sys.exit("the save returned normally")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        metrics = storage.get_run_metrics()
        print(metrics and metrics["total_measurements"])
    """

    def save_fails(self, results: Path) -> tuple[str, str]:
        """Return what the error said, and what is stored of the run after it."""
        said, after = in_child(self.SAVE_WITH_A_SIZE_LIMIT, results).splitlines()
        return said, after

    def test_a_new_run_leaves_nothing_and_the_next_save_works(self, results: Path) -> None:
        said, after = self.save_fails(results)

        assert reference.RAW in said
        assert "File too large" in said
        assert after == "None"
        assert os.listdir(results / "run_001") == []
        assert os.listdir(results / ".staging") == []
        storage = save(results, "run_001", recorded(10))
        assert assert_files_agree(storage.metrics_dir) == 30

    def test_a_run_saved_again_keeps_its_last_good_revision(self, results: Path) -> None:
        save(results, "run_001", recorded(10))
        before = reference.listing(results / "run_001")

        _, after = self.save_fails(results)

        assert after == "30"
        assert reference.listing(results / "run_001") == before
        assert os.listdir(results / ".staging") == []


class TestRow07ReadersSeeTheOldFileOrTheNewOne:
    """7: writes were in place; a polling reader saw torn JSON."""

    def test_a_polling_reader_never_sees_a_torn_file(
        self, results: Path, in_background: BackgroundRunner
    ) -> None:
        storage = save(results, "run_001", recorded(300))
        reads = []

        def read_both() -> None:
            raw = (storage.metrics_dir / reference.RAW).read_bytes()
            text = (storage.metrics_dir / reference.SUMMARY).read_bytes()
            reads.append((json.loads(text)["total_measurements"], raw.count(b"\r\n") - 1))

        in_background(read_both)
        for i in range(40):
            storage.save_latency_stats(recorded(300 + i % 2))

        assert {total for total, _ in reads} <= {900, 903}
        assert {rows for _, rows in reads} <= {900, 903}
        assert len(reads) > 10


class TestRow08FilesAgreeAfterAKill:
    """8: after `kill -9` during a save, CSV and JSON disagreed."""

    SAVE_FOR_EVER = """
        import sys
        from astraguard_store import MetricsStorage
        from recordings import recorded
        storage = MetricsStorage("run_001", sys.argv[1])
        print("ready", flush=True)
        step = 0
        while True:
            step += 1
            storage.save_latency_stats(recorded(100 + step))
            print(300 + 3 * step, flush=True)
    """

    @pytest.mark.parametrize("after_s", [0.2, 0.213])
    def test_files_and_database_agree_after_kill_9(self, results: Path, after_s: float) -> None:
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(self.SAVE_FOR_EVER), str(results)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(reference.TESTS)},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.stdout.readline()  # one save was acknowledged
        time.sleep(after_s)
        child.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in child.communicate()[0].split()]

        with RunRepository.open(results) as repository:
            run = repository.get("run_001")

        assert assert_files_agree(results / "run_001") == run.total_measurements
        assert run.total_measurements >= max(acknowledged, default=303)
        assert os.listdir(results / ".staging") == []


class TestRow14SavingWhileRecording:
    """14: total, stats and CSV disagreed when another thread recorded during the save."""

    def test_a_save_is_one_consistent_snapshot(
        self, results: Path, in_background: BackgroundRunner
    ) -> None:
        collector = recorded(50)
        in_background(lambda: collector.record_fault_detection("SAT001", 1.0, 2.5))

        with RunRepository.open(results) as repository:
            for _ in range(15):
                run = repository.save("run_001", collector)

                rows = assert_files_agree(results / "run_001")
                assert rows == run.total_measurements
                assert rows == sum(metric.count for metric in run.metrics.values())

    def test_a_collector_of_a_runner_that_grows_is_saved_consistently(
        self, results: Path, in_background: BackgroundRunner
    ) -> None:
        growing = own(reference.make_rows(500))
        more = own(reference.make_rows(1)).measurements[0]

        in_background(lambda: growing.measurements.append(more))
        storage = MetricsStorage("run_001", str(results))
        for _ in range(10):
            storage.save_latency_stats(growing)

            assert assert_files_agree(storage.metrics_dir) >= 500


class TestRow15SavingARunAgain:
    """15: a second save silently replaced the first; now the revision counts up."""

    def test_the_second_save_replaces_the_first_and_is_revision_2(self, results: Path) -> None:
        save(results, "run_001", recorded(4))
        storage = save(results, "run_001", recorded(5))

        with RunRepository.open(results, read_only=True) as repository:
            run = repository.get("run_001")

        assert (run.revision, run.total_measurements) == (2, 15)
        assert assert_files_agree(storage.metrics_dir) == 15
        assert (storage.get_run_metrics() or {})["total_measurements"] == 15

    def test_what_the_second_save_no_longer_has_is_gone(self, results: Path) -> None:
        save(results, "run_001", recorded(4))
        fewer = LatencyCollector()
        fewer.record_agent_decision("SAT009", 0.0, 1.0)

        metrics = save(results, "run_001", fewer).get_run_metrics()

        assert metrics is not None
        assert list(metrics["stats"]) == ["agent_decision"]
        assert list(metrics["stats_by_satellite"]) == ["SAT009"]

    def test_the_same_collector_may_be_saved_under_two_ids(self, results: Path) -> None:
        collector = recorded(4)

        first, second = save(results, "a", collector), save(results, "b", collector)

        assert (first.metrics_dir / reference.RAW).read_bytes() == (
            second.metrics_dir / reference.RAW
        ).read_bytes()


class TestRow18StatisticsOnce:
    """18: statistics were computed twice a save."""

    def test_a_save_goes_through_the_measurements_once(self, results: Path) -> None:
        passes: Counter[str] = Counter()

        class Counting:
            def __iter__(self) -> Iterator[OwnMeasurement]:
                passes["iterated"] += 1
                return iter(own(reference.make_rows(20)).measurements)

        class Collector:
            @property
            def measurements(self) -> Counting:
                passes["asked"] += 1
                return Counting()

        save(results, "run_001", Collector())

        assert passes == {"asked": 1, "iterated": 1}

    def test_a_save_computes_them_once(self, results: Path) -> None:
        collector = recorded(10)
        storage = MetricsStorage("run_001", str(results))

        with profiled() as calls:
            storage.save_latency_stats(collector)

        assert calls["summarize"] == 1


class TestRow19SavesThatAreFast:
    """19: threads made saving no faster, since Python built a dict for every row."""

    def test_a_large_save_runs_no_python_for_each_row(self, results: Path) -> None:
        collector = recorded(20_000)
        storage = save(results, "run_001", collector)

        with profiled() as calls:
            storage.save_latency_stats(collector)

        assert calls.total() < len(collector) / 3, calls.most_common(10)
