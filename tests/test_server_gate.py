"""Verdicts on the runs of a server: the same as on the rig, by the same words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from command_line import run, run_json
from judged_stores import flown, saved, with_both_sides
from network import Network

from astraguard_store import (
    GateError,
    InvalidRunError,
    Limits,
    ReadOnlyStoreError,
    RunNotFoundError,
    RunRepository,
)

OLD = [f"old_{number}" for number in range(10)]
SLOW = ["new_1", "new_4", "new_7"]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunRepository]:
    """Give a store whose candidate is 30 % slower; no test changes it."""
    folder = tmp_path_factory.mktemp("judged")
    with RunRepository.open(
        folder, durability="normal", keep_measurements="database"
    ) as repository:
        with_both_sides(repository)
        yield repository


@pytest.fixture(scope="module")
def template(rig: RunRepository, server: postgres.Server, server_template: str) -> Iterator[str]:
    """Name a database with these runs, and the baseline set there."""
    name = server.new_database(server_template)
    rig.push(server.url(name))
    with RunRepository.open(server.url(name)) as repository:
        repository.set_baseline("nightly", OLD)
    yield name
    server.drop_database(name)


@pytest.fixture
def url(server: postgres.Server, template: str) -> Iterator[str]:
    """Give the URL of a copy of it."""
    name = server.new_database(template)
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def there(url: str) -> Iterator[RunRepository]:
    with RunRepository.open(url) as repository:
        yield repository


class TestVerdict:
    """What a server says is what the rig says."""

    @pytest.mark.parametrize("by_satellite", [False, True])
    @pytest.mark.parametrize(
        ("candidate", "baseline"),
        [(SLOW, "nightly"), ("new_4", "nightly"), (OLD[1::3], OLD[::3] + OLD[2::3])],
    )
    def test_a_verdict_is_the_same(
        self,
        rig: RunRepository,
        there: RunRepository,
        candidate: str | list[str],
        baseline: str | list[str],
        by_satellite: bool,
    ) -> None:
        report = there.gate(candidate, baseline=baseline, by_satellite=by_satellite)

        assert report == rig.gate(candidate, baseline=baseline, by_satellite=by_satellite)
        assert report.cells

    def test_a_deadline_reads_the_measurements(
        self, rig: RunRepository, there: RunRepository
    ) -> None:
        limits = Limits(metrics={"fault_detection": {"deadline_ms": 4.0, "at_most": 0.05}})

        report = there.gate(SLOW, baseline="nightly", limits=limits)

        assert report == rig.gate(SLOW, baseline="nightly", limits=limits)
        assert any(cell.statistic == "deadline" for cell in report.cells)

    def test_a_calibration_is_the_same(self, rig: RunRepository, there: RunRepository) -> None:
        assert there.calibrate("nightly", candidate_runs=3) == rig.calibrate(
            "nightly", candidate_runs=3
        )

    @pytest.mark.parametrize("statistic", ["mean", "p50", "p95", "p99"])
    def test_steps_in_a_history_are_the_same(
        self, rig: RunRepository, there: RunRepository, statistic: str
    ) -> None:
        found = there.change_points("fault_detection", statistic=statistic)

        assert found == rig.change_points("fault_detection", statistic=statistic)

    def test_intervals_are_the_same(self, rig: RunRepository, there: RunRepository) -> None:
        assert there.percentile_intervals("old_3") == rig.percentile_intervals("old_3")

    def test_what_is_not_there_is_named(self, there: RunRepository) -> None:
        with pytest.raises(RunNotFoundError, match="'nobody'"):
            there.gate(["new_1", "nobody"], baseline="nightly")
        with pytest.raises(GateError, match=r"no baseline 'weekly'.*'nightly'"):
            there.gate("new_1", baseline="weekly")


class TestBaselines:
    """Baselines of a fleet are set on its server."""

    def test_they_are_set_listed_and_deleted(self, there: RunRepository) -> None:
        made = there.set_baseline("two", ["old_2", "old_1", "old_2"])

        assert made.run_ids == ("old_1", "old_2")
        assert there.baseline("two") == made
        assert [one.name for one in there.baselines()] == ["nightly", "two"]
        there.delete_baseline("two")
        assert [one.name for one in there.baselines()] == ["nightly"]
        with pytest.raises(GateError, match="no baseline 'two'"):
            there.delete_baseline("two")

    def test_set_again_it_is_the_new_runs_alone(self, there: RunRepository) -> None:
        there.set_baseline("nightly", ["new_1"])

        assert there.baseline("nightly").run_ids == ("new_1",)

    def test_a_run_that_is_not_there_leaves_it_as_it_was(self, there: RunRepository) -> None:
        with pytest.raises(RunNotFoundError, match="'nobody'"):
            there.set_baseline("nightly", ["old_1", "nobody"])

        assert there.baseline("nightly").run_ids == tuple(OLD)

    def test_of_two_at_a_time_one_is_it(self, url: str) -> None:
        halves = (OLD[:5], OLD[5:])
        failures: list[BaseException] = []

        def set_often(half: list[str]) -> None:
            try:
                with RunRepository.open(url) as mine:
                    for _ in range(20):
                        mine.set_baseline("both", half)
            except BaseException as error:  # noqa: BLE001 - a thread's
                failures.append(error)

        threads = [threading.Thread(target=set_often, args=(half,)) for half in halves]
        for thread in threads:
            thread.start()
        with RunRepository.open(url) as reader:
            while any(thread.is_alive() for thread in threads):
                seen = [b.run_ids for b in reader.baselines() if b.name == "both"]
                assert seen in ([], [tuple(halves[0])], [tuple(halves[1])])
        for thread in threads:
            thread.join()

        assert failures == []

    def test_a_pruning_keeps_its_runs(self, there: RunRepository) -> None:
        estimate = there.prune(keep=0, dry_run=True)

        report = there.prune(keep=0)

        assert report.deleted == estimate.deleted == tuple(SLOW)
        assert report.pinned == estimate.pinned == tuple(OLD)

    def test_a_later_save_leaves_a_run_in_it(self, there: RunRepository) -> None:
        there.save("old_1", flown("again"))

        assert there.baseline("nightly").run_ids == tuple(OLD)

    def test_a_name_that_can_not_be_is_refused(self, there: RunRepository) -> None:
        with pytest.raises(InvalidRunError, match="commas"):
            there.set_baseline("a,b", ["old_1"])


class TestRecorded:
    """Verdicts are kept on the server that gave them."""

    def test_a_row_for_each_candidate(self, there: RunRepository) -> None:
        there.record_verdict(there.gate(SLOW, baseline="nightly"))

        rows = there.query("SELECT run_id, verdict, baseline FROM v_verdicts ORDER BY 1").rows
        assert rows == [(name, "regressed", "nightly") for name in SLOW]

    def test_a_later_save_keeps_it(self, there: RunRepository) -> None:
        there.record_verdict(there.gate(SLOW, baseline="nightly"))

        there.save("new_1", flown("again"))

        assert len(there.query("SELECT run_id FROM v_verdicts").rows) == 3

    def test_a_candidate_that_was_deleted_is_named(self, there: RunRepository) -> None:
        report = there.gate(SLOW, baseline="nightly")
        there.delete("new_4")

        with pytest.raises(RunNotFoundError, match="'new_4'"):
            there.record_verdict(report)
        assert there.query("SELECT run_id FROM v_verdicts").rows == []

    def test_a_reader_records_nothing(self, url: str) -> None:
        with RunRepository.open(url, read_only=True) as reader:
            report = reader.gate(SLOW, baseline="nightly")
            for change in (
                lambda: reader.record_verdict(report),
                lambda: reader.set_baseline("x", ["old_1"]),
                lambda: reader.delete_baseline("nightly"),
            ):
                with pytest.raises(ReadOnlyStoreError):
                    change()

    def test_a_push_leaves_it_to_the_server(
        self, rig: RunRepository, there: RunRepository, url: str, tmp_path: Path
    ) -> None:
        there.record_verdict(there.gate(SLOW, baseline="nightly"))
        with RunRepository.open(tmp_path / "twin") as twin:
            assert rig.results_dir
            twin.merge(rig.results_dir)
            report = twin.push(url)

        assert (report.known, report.replaced) == (13, ())
        assert there.baseline("nightly").run_ids == tuple(OLD)
        assert len(there.query("SELECT run_id FROM v_verdicts").rows) == 3


class TestCommands:
    """`gate`, `baseline` and `changes` take a URL."""

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (["gate", *SLOW, "--baseline", "nightly", "--record"], 1),
            (["gate", "calibrate", "--baseline", "nightly"], 0),
            (["gate", "new_1", "--baseline", "nightly", "--explain-limits"], 0),
            (["gate", "nobody", "--baseline", "nightly"], 2),
            (["baseline", "set", "mine", "old_1"], 0),
            (["baseline", "show", "nightly"], 0),
            (["baseline", "list"], 0),
            (["baseline", "delete", "nightly"], 0),
            (["changes", "fault_detection"], 0),
        ],
    )
    def test_each_takes_a_url(self, url: str, words: list[str], code: int) -> None:
        result = run(*words, env={"ASTRAGUARD_STORE_RESULTS": url})

        assert result.exit_code == code, result.stderr
        assert result.stdout or code == 2

    def test_the_words_are_those_of_the_rig(self, rig: RunRepository, url: str) -> None:
        words = ("gate", *SLOW, "--baseline", "nightly", "--all", "--results")

        assert run(*words, url).stdout == run(*words, str(rig.results_dir)).stdout

    def test_json_names_the_server(self, url: str) -> None:
        shape = run_json("baseline", "show", "nightly", "--results", url)

        assert str(shape["results_dir"]).startswith("postgresql://")


class TestRoundTrips:
    """A verdict takes some twenty, whatever the number of runs."""

    def test_it_takes_no_more_for_ten_runs_than_for_three(
        self, server: postgres.Server, server_database: str
    ) -> None:
        with (
            Network.before(server) as network,
            RunRepository.open(network.url(server_database)) as there,
        ):
            saved(there, [f"run_{number}" for number in range(12)], ticks=30)
            there.gate("run_11", baseline=["run_0"])
            ids = [f"run_{number}" for number in range(10)]

            few = network.turns_of(lambda: there.gate("run_11", baseline=ids[:3]))
            many = network.turns_of(lambda: there.gate("run_11", baseline=ids))

            # The driver prepares a statement by one more when it has run five times.
            assert max(few, many) <= 30
            assert network.turns_of(lambda: there.set_baseline("b", ids)) <= 2 + 3 * len(ids)
            assert network.turns_of(lambda: there.change_points("fault_detection")) <= 3
