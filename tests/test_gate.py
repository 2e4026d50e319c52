"""`RunRepository.gate` and what belongs to it, over real stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from judged_stores import NEW, WAS, flown, saved, with_both_sides
from seen_sql import seen_sql
from trees import drop_database

from astraguard_store import (
    ArtifactReadError,
    AsyncRunRepository,
    GateError,
    InvalidRunError,
    LatencyCollector,
    Limits,
    ReadOnlyStoreError,
    ReferenceWorkload,
    RunNotFoundError,
    RunRepository,
    StoreNotFoundError,
    Unit,
)

OLD = [f"old_{number}" for number in range(10)]
SLOW = ["new_1", "new_4", "new_7"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store whose candidate is 30 % slower; tests only read it."""
    results = tmp_path_factory.mktemp("judged")
    with RunRepository.open(results) as repository:
        with_both_sides(repository)
    return results


@pytest.fixture
def asked(store: Path) -> Iterator[RunRepository]:
    with RunRepository.open(store, read_only=True) as repository:
        yield repository


@pytest.fixture
def memory() -> Iterator[RunRepository]:
    with RunRepository.in_memory(keep_measurements="database") as repository:
        yield repository


class TestVerdict:
    """What is said of stored runs."""

    def test_a_slower_candidate_regressed(self, asked: RunRepository) -> None:
        report = asked.gate(SLOW, baseline="nightly")

        assert (report.verdict, report.baseline_name) == ("regressed", "nightly")
        assert (report.baseline, report.candidates) == (tuple(OLD), tuple(SLOW))
        cell = report.cell("fault_detection", "p50")
        assert cell.change == pytest.approx(0.3, abs=0.06)
        assert cell.reference_slope == pytest.approx(1.0, abs=0.25)
        assert report.interleaved

    def test_what_differs_between_the_sides_is_told(self, asked: RunRepository) -> None:
        report = asked.gate(SLOW, baseline="nightly")

        assert {change.name for change in report.provenance_changes} == {"firmware", "git_commit"}

    def test_a_satellite_with_another_unit_is_told(self, memory: RunRepository) -> None:
        saved(memory, ["old_0", "old_1"], was=replace(WAS, units={"SAT001": Unit(serial="7")}))
        saved(memory, ["new_0", "new_1"], was=replace(WAS, units={"SAT001": Unit(serial="8")}))

        report = memory.gate(["new_0", "new_1"], baseline=["old_0", "old_1"])

        changed = [(c.name, c.baseline, c.candidate) for c in report.provenance_changes]
        assert changed == [("units.SAT001.serial", "7", "8")]

    def test_an_unchanged_candidate_did_not(self, asked: RunRepository) -> None:
        report = asked.gate(OLD[1::3], baseline=OLD[::3] + OLD[2::3])

        assert report.verdict in {"equivalent", "inconclusive"}
        assert report.baseline_name is None

    def test_one_run_is_one_candidate(self, asked: RunRepository) -> None:
        assert asked.gate("new_4", baseline="nightly").candidates == ("new_4",)

    def test_a_store_in_memory_answers_the_same(
        self, asked: RunRepository, memory: RunRepository
    ) -> None:
        with_both_sides(memory)

        there = asked.gate(SLOW, baseline="nightly")
        here = memory.gate(SLOW, baseline="nightly")

        assert [(c.statistic, c.verdict) for c in here.cells] == [
            (c.statistic, c.verdict) for c in there.cells
        ]

    def test_the_slow_satellite_is_named_and_no_other(self, memory: RunRepository) -> None:
        with_both_sides(memory, factor=1.0, slow_satellite=2.0)

        report = memory.gate(SLOW, baseline="nightly", by_satellite=True)

        assert {cell.satellite_id for cell in report.regressed} == {"SAT002"}
        assert report.cell("fault_detection", "p50", "SAT001").verdict != "regressed"

    def test_more_missed_events_are_a_regression(self, memory: RunRepository) -> None:
        for number in range(5):
            saved(memory, [f"old_{number}"], missed=0.005)
            saved(memory, [f"new_{number}"], missed=0.05)

        report = memory.gate([f"new_{n}" for n in range(5)], baseline=OLD[:5])

        assert report.verdict == "regressed"
        assert report.cell("fault_detection", "missed").verdict == "regressed"

    def test_older_runs_of_the_set_up_show_the_noise_of_one_against_one(
        self, memory: RunRepository
    ) -> None:
        saved(memory, [f"older_{n}" for n in range(12)])
        saved(memory, ["before"])
        saved(memory, ["after"], was=NEW, factor=1.6)

        report = memory.gate("after", baseline="before")

        assert (report.verdict, report.noise_source) == ("inconclusive", "history") or (
            report.verdict,
            report.noise_source,
        ) == ("regressed", "history")
        # Firmware 4.1 alone: there is but one older run of 4.2, the candidate.
        assert report.history == 12

    def test_excluded_runs_and_known_regressions_are_no_history(
        self, memory: RunRepository
    ) -> None:
        saved(memory, [f"older_{n}" for n in range(12)])
        saved(memory, ["bad_1", "bad_2", "bad_3"], factor=3.0)
        saved(memory, ["before"])
        saved(memory, ["after"], was=NEW)
        memory.set_tags("older_0", {"gate:exclude": ""})
        bad = memory.gate(["bad_1", "bad_2", "bad_3"], baseline=[f"older_{n}" for n in range(12)])
        memory.record_verdict(bad)

        assert bad.verdict == "regressed"
        assert memory.gate("after", baseline="before").history == 11

    def test_a_verdict_takes_a_few_statements_however_many_runs(
        self, asked: RunRepository
    ) -> None:
        with seen_sql() as seen:
            few = seen.during(lambda: asked.gate(SLOW[:1], baseline=OLD[:2]))
            many = seen.during(lambda: asked.gate(SLOW, baseline=OLD))

        assert len(few) == len(many)


class TestDeadline:
    """Latencies that shall not be later than so many ms."""

    LIMITS = Limits(metrics={"fault_detection": {"deadline_ms": 4.0, "at_most": 0.05}})

    def test_it_reads_the_measurements(self, asked: RunRepository) -> None:
        report = asked.gate(SLOW, baseline="nightly", limits=self.LIMITS)

        frames = [asked.measurements(run_id) for run_id in SLOW]
        events = [frame.filter(frame["metric_type"] == "fault_detection") for frame in frames]
        late = sum((frame["duration_ms"] > 4.0).sum() for frame in events)
        cell = report.cell("fault_detection", "deadline")
        assert cell.candidate == pytest.approx(late / sum(len(frame) for frame in events))
        assert cell.limit == 0.05

    def test_what_holds_is_equivalent_and_what_does_not_regressed(
        self, asked: RunRepository
    ) -> None:
        never = Limits(deadline_ms=1000.0, at_most=0.05)
        always = Limits(deadline_ms=0.001, at_most=0.05)

        verdicts = [
            asked.gate(OLD[:3], OLD[3:], limits).cell("fault_detection", "deadline").verdict
            for limits in (never, always)
        ]

        assert verdicts == ["equivalent", "regressed"]

    def test_measurements_that_are_not_kept_are_an_error(self) -> None:
        with RunRepository.in_memory() as repository:
            with_both_sides(repository)

            with pytest.raises(ArtifactReadError):
                repository.gate(SLOW, baseline="nightly", limits=self.LIMITS)


class TestBaselines:
    """Names for runs."""

    def test_one_is_set_asked_for_replaced_and_deleted(self, memory: RunRepository) -> None:
        saved(memory, ["b", "a", "c"], ticks=3)

        first = memory.set_baseline("nightly", ["b", "a", "b"])
        assert (first.name, first.run_ids) == ("nightly", ("a", "b"))
        assert memory.baseline("nightly") == first
        assert datetime.now(UTC) - first.set_at < timedelta(minutes=5)
        memory.set_baseline("nightly", ["c"])
        memory.set_baseline("other", "a")
        assert [one.run_ids for one in memory.baselines()] == [("c",), ("a",)]
        memory.delete_baseline("nightly")

        assert [one.name for one in memory.baselines()] == ["other"]
        assert memory.get("c").run_id == "c"

    def test_an_unknown_one_is_an_error_that_lists_them(self, memory: RunRepository) -> None:
        saved(memory, ["a"], ticks=3)
        memory.set_baseline("nightly", ["a"])

        for call in (
            lambda: memory.baseline("nigtly"),
            lambda: memory.delete_baseline("nigtly"),
            lambda: memory.gate("a", baseline="nigtly"),
        ):
            with pytest.raises(GateError, match=r"no baseline 'nigtly'.*'nightly'"):
                call()

    def test_a_run_is_not_said_to_be_missing_where_only_a_baseline_will_do(
        self, memory: RunRepository
    ) -> None:
        saved(memory, ["a"], ticks=3)
        memory.set_baseline("nightly", ["a"])

        for call in (
            lambda: memory.baseline("a"),
            lambda: memory.delete_baseline("a"),
            lambda: memory.history("fault_detection", baseline="a"),
        ):
            with pytest.raises(
                GateError, match="no baseline 'a', but a run of that name: there are 'nightly'"
            ):
                call()

    @pytest.mark.parametrize(("name", "runs"), [("", ["a"]), ("a,b", ["a"]), ("x", [])])
    def test_a_wrong_one_is_refused(
        self, memory: RunRepository, name: str, runs: list[str]
    ) -> None:
        saved(memory, ["a"], ticks=3)

        with pytest.raises(InvalidRunError):
            memory.set_baseline(name, runs)

    def test_a_run_that_is_not_there_leaves_it_as_it_was(self, memory: RunRepository) -> None:
        saved(memory, ["a"], ticks=3)
        before = memory.set_baseline("nightly", ["a"])

        with pytest.raises(RunNotFoundError):
            memory.set_baseline("nightly", ["a", "missing"])

        assert memory.baseline("nightly") == before

    def test_prune_keeps_its_runs_and_says_so(self, memory: RunRepository) -> None:
        saved(memory, ["a", "b", "c"], ticks=3)
        memory.set_baseline("nightly", ["a"])

        dry = memory.prune(keep=0, dry_run=True)
        report = memory.prune(keep=0)

        assert (report.deleted, report.pinned) == (("b", "c"), ("a",))
        assert (dry.deleted, dry.pinned) == (report.deleted, report.pinned)

    def test_a_deleted_run_is_in_none(self, memory: RunRepository) -> None:
        saved(memory, ["a", "b"], ticks=3)
        memory.set_baseline("nightly", ["a", "b"])

        memory.delete("a")

        assert memory.baseline("nightly").run_ids == ("b",)

    def test_a_run_that_is_saved_again_stays_in_it(self, memory: RunRepository) -> None:
        saved(memory, ["a"], ticks=3)
        memory.set_baseline("nightly", ["a"])

        saved(memory, ["a"], ticks=4)

        assert memory.baseline("nightly").run_ids == ("a",)

    def test_merge_brings_it_along_with_its_verdicts(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path / "source") as source:
            saved(source, ["a", "b"], ticks=40)
            source.set_baseline("nightly", ["a"])
            source.record_verdict(source.gate("b", baseline="nightly"))
        with RunRepository.open(tmp_path / "target") as target:
            target.merge(tmp_path / "source")

            assert target.baseline("nightly").run_ids == ("a",)
            (row,) = target.query("SELECT run_id, baseline FROM v_verdicts").rows
            assert row == ("b", "nightly")

    def test_merge_leaves_another_one_of_that_name_alone(self, tmp_path: Path) -> None:
        with RunRepository.open(tmp_path / "source") as source:
            saved(source, ["a"], ticks=3)
            source.set_baseline("nightly", ["a"])
        with RunRepository.open(tmp_path / "target") as target:
            saved(target, ["b"], ticks=3)
            target.set_baseline("nightly", ["b"])
            target.merge(tmp_path / "source")

            assert target.baseline("nightly").run_ids == ("b",)
            assert target.get("a").run_id == "a"


class TestRecorded:
    """Verdicts that are kept."""

    def test_a_row_for_each_candidate_holds_the_report(self, memory: RunRepository) -> None:
        with_both_sides(memory)
        report = memory.gate(SLOW, baseline="nightly")

        memory.record_verdict(report)

        rows = memory.query("SELECT run_id, verdict, baseline, report FROM v_verdicts").rows
        assert [row[:3] for row in rows] == [(r, "regressed", "nightly") for r in SLOW]
        assert json.loads(rows[0][3])["cells"][0]["verdict"] == "regressed"

    def test_reading_alone_records_nothing(self, asked: RunRepository) -> None:
        report = asked.gate(SLOW, baseline="nightly")

        with pytest.raises(ReadOnlyStoreError):
            asked.record_verdict(report)


class TestRefused:
    """Where no verdict is given."""

    def test_folders_alone_are_refused(self, results: Path) -> None:
        with RunRepository.open(results) as repository:
            saved(repository, ["a", "b"], ticks=3)
        drop_database(results)

        with (
            RunRepository.open(results, read_only=True) as repository,
            pytest.raises(StoreNotFoundError, match="a verdict needs a database"),
        ):
            repository.gate("a", baseline=["b"])

    def test_an_unknown_run_is_named(self, asked: RunRepository) -> None:
        with pytest.raises(RunNotFoundError, match="'missing'"):
            asked.gate(["new_1", "missing"], baseline="nightly")

    def test_another_scenario_is_not_comparable(self, memory: RunRepository) -> None:
        saved(memory, ["a"], ticks=30)
        memory.save("b", flown("b"), provenance=type(WAS)(scenario="another", rig="rig-7"))

        with pytest.raises(GateError, match="not comparable: scenario"):
            memory.gate("b", baseline="a")

    def test_a_limit_that_matches_nothing_is_named(self, asked: RunRepository) -> None:
        with pytest.raises(GateError, match=r"'metrics\.fault' matches nothing"):
            asked.gate(SLOW, baseline="nightly", limits=Limits(metrics={"fault": {}}))

    def test_too_few_runs_are_no_calibration(self, asked: RunRepository) -> None:
        with pytest.raises(GateError, match="3 or more are needed"):
            asked.calibrate(OLD[:2])
        with pytest.raises(GateError, match="candidate_runs 0"):
            asked.calibrate("nightly", candidate_runs=0)


def test_a_calibration_says_what_three_runs_find(asked: RunRepository) -> None:
    found = asked.calibrate("nightly")

    assert (found.tries, found.candidate_runs) == (10, 3)
    assert found.false_alarms <= 1
    assert found.detectable is not None
    assert 0.05 < found.detectable < 0.3
    assert asked.calibrate("nightly", candidate_runs=10).detectable < found.detectable  # type: ignore[operator]


def test_a_step_in_a_history_is_found_of_each_set_up_by_itself(memory: RunRepository) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    for number in range(16):
        collector = LatencyCollector()
        for tick in range(20):
            wobble = 1 + 0.01 * ((number * 7 + tick) % 5)
            collector.record_fault_detection("S", tick, (2.0 if number >= 9 else 1.0) * wobble)
        for rig in ("rig-7", "rig-8"):
            was = type(WAS)(
                scenario="swarm" if rig == "rig-7" else f"odd {number}",
                rig=rig,
                started_at=start + timedelta(hours=number),
            )
            memory.save(f"{rig}_{number:02}", collector, provenance=was)

    points = memory.change_points("fault_detection")

    assert [point.run_id for point in points] == ["rig-7_09"]
    assert points[0].change == pytest.approx(1.0, abs=0.05)
    assert points[0].started_at == start + timedelta(hours=9)
    assert memory.change_points("fault_detection", "p95", scenario="swarm") != ()
    assert memory.change_points("fault_detection", since=start + timedelta(hours=9)) == ()
    with pytest.raises(GateError, match="Invalid statistic 'p42'"):
        memory.change_points("fault_detection", "p42")


class TestIntervals:
    """How sure the percentiles of one run are."""

    def test_an_interval_holds_its_percentile(self, asked: RunRepository) -> None:
        metrics = asked.get("old_0").metrics["fault_detection"]

        of_run = asked.percentile_intervals("old_0")["fault_detection"]

        for name in ("p50", "p95"):
            interval, value = of_run[name], getattr(metrics, f"{name}_ms")
            assert interval.is_enough
            assert interval.low_ms is not None
            assert interval.high_ms is not None
            assert interval.low_ms <= value <= interval.high_ms
        assert of_run["p50"].effective_events == 300

    def test_too_few_events_are_marked(self, memory: RunRepository) -> None:
        saved(memory, ["short"], ticks=40)

        of_run = memory.percentile_intervals("short")["fault_detection"]

        assert [one.is_enough for one in of_run.values()] == [True, False, False]
        assert of_run["p99"].high_ms is None
        rows = memory.query(
            "SELECT effective_n, p50_is_enough, p95_is_enough, p99_is_enough "
            "FROM v_effective_events WHERE satellite_id IS NULL AND metric_type <> 'reference'"
        ).rows
        assert rows == [(40, 1, 0, 0)]


class TestReference:
    """The in-run reference."""

    def test_it_is_recorded_with_its_version(self) -> None:
        collector = LatencyCollector()

        took_ms = ReferenceWorkload(units=4).record(collector, 1.5)

        (measured,) = collector.measurements
        assert (measured.metric_type, measured.satellite_id) == ("reference", "py1x4")
        assert (measured.duration_ms, measured.scenario_time_s) == (took_ms, 1.5)

    def test_the_time_of_one_is_recorded_alone(self) -> None:
        collector = LatencyCollector()

        collector.record_reference(0.03)

        assert collector.get_stats()["reference"]["count"] == 1

    def test_it_finds_out_how_much_work_it_is_by_itself(self) -> None:
        workload = ReferenceWorkload()

        assert workload.units in {2, 8, 32, 128, 512}
        assert workload.version == f"py1x{workload.units}"
        assert workload() > 0

    def test_no_work_is_refused(self) -> None:
        with pytest.raises(ValueError, match="Invalid units 0"):
            ReferenceWorkload(units=0)


def test_all_of_it_can_be_awaited() -> None:
    async def ask() -> tuple[str, int]:
        async with AsyncRunRepository.in_memory() as repository:
            for name in ("a", "b", "c", "d"):
                await repository.save(name, flown(name, ticks=60), provenance=WAS)
            await repository.set_baseline("nightly", ["a", "b", "c"])
            report = await repository.gate("d", baseline="nightly")
            found = await repository.calibrate("nightly")
            await repository.record_verdict(report)
            await repository.change_points("fault_detection")
            await repository.delete_baseline("nightly")
            return report.candidates[0], found.tries

    assert asyncio.run(ask()) == ("d", 3)
