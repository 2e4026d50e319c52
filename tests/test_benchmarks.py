"""The benchmarks themselves: honest opponents, right arithmetic, README's table."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import sys
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from astraguard_store import RunRepository
from benchmarks import __main__ as command_line
from benchmarks import phases, plot, readme_table, tables
from benchmarks.fill import run_rows, write_tree
from benchmarks.floors import BareStore, write_raw
from benchmarks.harness import Side, again, each_once, interleave, section
from benchmarks.legacy import LatencyCollector, SequentialStorage, ThreadedStorage
from benchmarks.machine import describe_machine, file_system
from benchmarks.questions import QUESTIONS
from benchmarks.results import OURS, OURS_NORMAL, SEQUENTIAL, THREADED, Result, Spread
from benchmarks.stores import create_store
from benchmarks.targets import RAW_WRITE, TARGETS, Bound, Target, judge, judge_section
from benchmarks.workloads import STATISTICS_ROWS, latencies, record, run_id

if TYPE_CHECKING:
    from benchmarks.results import Section

ROOT = Path(__file__).parents[1]
VARIANTS = (SequentialStorage, ThreadedStorage)
Storage = type[SequentialStorage] | type[ThreadedStorage]


def collected(measurements: int = 60) -> LatencyCollector:
    collector = LatencyCollector()
    record(collector, latencies(measurements))
    return collector


def timed(key: str, **medians: float) -> Section:
    names = {"ours": OURS, "normal": OURS_NORMAL, "raw_write": RAW_WRITE}
    return section(key, key, {names.get(side, side): [s] for side, s in medians.items()})


def a_result(*sections: Section, **settings: object) -> Result:
    return Result(describe_machine(ROOT), settings, sections)


# The opponents do what the old class did.


@pytest.mark.parametrize("storage", VARIANTS)
def test_legacy_csv_is_what_csv_writer_gives(storage: Storage, tmp_path: Path) -> None:
    collector = collected()
    collector.record_fault_detection('SAT "a", b', 0, 2.3e-05)
    expected = io.StringIO(newline="")
    writer = csv.writer(expected)
    writer.writerow(["timestamp", "metric_type", "satellite_id", "duration_ms", "scenario_time_s"])
    writer.writerows(vars(measurement).values() for measurement in collector.measurements)

    paths = storage("run_1", str(tmp_path)).save_latency_stats(collector)

    assert Path(paths["raw"]).read_bytes() == expected.getvalue().encode()


@pytest.mark.parametrize("storage", VARIANTS)
def test_legacy_summary_has_the_contract_s_keys_in_order(storage: Storage, tmp_path: Path) -> None:
    paths = storage("run_1", str(tmp_path)).save_latency_stats(collected())

    text = Path(paths["summary"]).read_text(encoding="utf-8")
    summary = json.loads(text)
    satellite = summary["stats_by_satellite"]["SAT001"]["fault_detection"]
    assert text == json.dumps(summary, indent=2)
    assert list(summary) == [
        "run_id", "timestamp", "total_measurements", "measurement_types",
        "stats", "stats_by_satellite",
    ]  # fmt: skip
    assert list(summary["stats"]["fault_detection"]) == [
        "count", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "min_ms",
    ]  # fmt: skip
    assert list(satellite) == ["count", "mean_ms", "p50_ms", "p95_ms", "max_ms"]


def test_legacy_percentiles_are_order_statistics() -> None:
    collector = LatencyCollector()
    for duration_ms in range(100, 0, -1):
        collector.record_agent_decision("SAT001", 0, duration_ms)

    stats = collector.get_stats()["agent_decision"]

    assert (stats["p50_ms"], stats["p95_ms"], stats["p99_ms"]) == (51, 96, 100)
    assert (stats["min_ms"], stats["max_ms"], stats["mean_ms"]) == (1, 100, 50.5)


@pytest.mark.parametrize("storage", VARIANTS)
def test_legacy_save_of_an_empty_collector_writes_nothing(
    storage: Storage, tmp_path: Path
) -> None:
    empty = storage("run_1", str(tmp_path))

    with pytest.raises(ValueError, match="No measurements to export"):
        empty.save_latency_stats(LatencyCollector())

    assert list(empty.metrics_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 0.0, 1.0), "Invalid sat_id"),
        (("SAT001", -1.0, 1.0), "Invalid scenario_time_s"),
        (("SAT001", 0.0, -1.0), "Invalid detection_delay_ms"),
    ],
)
def test_legacy_collector_refuses_what_the_old_one_refused(
    arguments: tuple[str, float, float], message: str
) -> None:
    collector = LatencyCollector()

    with pytest.raises(ValueError, match=message):
        collector.record_fault_detection(*arguments)


@pytest.mark.parametrize("storage", VARIANTS)
def test_legacy_difference_is_this_mean_minus_the_other(storage: Storage, tmp_path: Path) -> None:
    slow, fast = LatencyCollector(), LatencyCollector()
    slow.record_fault_detection("SAT001", 0, 30.0)
    fast.record_fault_detection("SAT001", 0, 10.0)
    storage("slow", str(tmp_path)).save_latency_stats(slow)
    storage("fast", str(tmp_path)).save_latency_stats(fast)

    compared = storage("slow", str(tmp_path)).compare_runs("fast")

    assert compared["metrics"]["fault_detection"]["diff_ms"] == 20.0


@pytest.mark.parametrize("storage", VARIANTS)
def test_legacy_comparison_names_the_run_that_is_missing(storage: Storage, tmp_path: Path) -> None:
    compared = storage("here", str(tmp_path)).compare_runs("there")

    assert compared == {"error": "Could not load metrics for run there", "metrics": {}}


def test_sequential_lists_by_name_and_threaded_by_modification_time(tmp_path: Path) -> None:
    for seconds, run in enumerate(("run_9", "run_10", "run_8")):
        paths = SequentialStorage(run, str(tmp_path)).save_latency_stats(collected())
        os.utime(paths["summary"], (seconds, seconds))
    (tmp_path / "empty").mkdir()

    by_name = SequentialStorage.get_recent_runs(str(tmp_path), 2)
    by_time = ThreadedStorage.get_recent_runs(str(tmp_path), 2)

    assert by_name == ["run_9", "run_8"]
    assert by_time == ["run_8", "run_10"]


def test_threaded_hands_out_its_cached_dict_and_sequential_a_fresh_one(tmp_path: Path) -> None:
    SequentialStorage("run_1", str(tmp_path)).save_latency_stats(collected())
    sequential = SequentialStorage("run_1", str(tmp_path))
    threaded = ThreadedStorage("run_1", str(tmp_path))

    assert sequential.get_run_metrics() is not sequential.get_run_metrics()
    assert threaded.get_run_metrics() is threaded.get_run_metrics()


def test_smallest_workload_has_every_satellite_and_metric_type() -> None:
    summary = collected(15).get_summary()

    satellites = summary["stats_by_satellite"].values()
    assert len(summary["stats"]) + sum(map(len, satellites)) == STATISTICS_ROWS == 18


# Filled stores and trees are what the store itself would have made.


def test_filled_runs_read_like_saved_ones(tmp_path: Path) -> None:
    database = create_store(tmp_path, 30)

    with RunRepository.open(tmp_path) as repository, closing(BareStore(database)) as bare:
        newest = repository.recent(1)[0]
        run = repository.get(newest.run_id)
        rows = bare.get(newest.run_id)

    satellites = run.satellites.values()
    assert newest.run_id == run_id(29)
    assert len(run.metrics) + sum(map(len, satellites)) == STATISTICS_ROWS
    assert [row[-1] is not None for row in rows] == [True], "it has a document"


def test_rows_that_somebody_else_commits_are_those_of_a_run(tmp_path: Path) -> None:
    database = create_store(tmp_path, 0)

    with closing(BareStore(database)) as bare, RunRepository.open(tmp_path) as repository:
        bare.save(run_rows("other", 1_700_000_000_000_000))
        run = repository.get("other")

    assert len(run.metrics) == 3
    assert run.satellites["SAT005"]["recovery_action"].count == 100


def test_bare_comparison_answers_what_the_store_answers(tmp_path: Path) -> None:
    database = create_store(tmp_path, 2)

    with RunRepository.open(tmp_path) as repository, closing(BareStore(database)) as bare:
        types = repository.compare(run_id(0), run_id(1)).changes
        satellites = repository.compare(run_id(0), run_id(1), by_satellite=True).changes
        bare_types = bare.compare(run_id(0), run_id(1))
        bare_satellites = bare.compare_satellites(run_id(0), run_id(1))

    assert sorted(row[0] for row in bare_types) == [change.metric_type for change in types]
    assert len(bare_satellites) == len(satellites) == 15
    assert {row[2] for row in bare_types} == {change.mean_ms.baseline for change in types}


def test_written_tree_is_adopted_whole(tmp_path: Path) -> None:
    write_tree(tmp_path, 0, 3)

    with RunRepository.open(tmp_path) as repository:
        adopted = repository.recent()

    assert [header.run_id for header in adopted] == [run_id(2), run_id(1), run_id(0)]


def test_raw_floor_writes_the_same_bytes(tmp_path: Path) -> None:
    write_raw(tmp_path, [("a.csv", b"1\r\n"), ("b.json", b"{}")])

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.csv": b"1\r\n",
        "b.json": b"{}",
    }


# The harness times what it says.


def test_sides_are_timed_in_turn_after_the_warm_up() -> None:
    calls: list[str] = []
    sides = [again("a", calls.append, "a", calls=2), again("b", calls.append, "b")]

    samples = interleave(sides, rounds=20, warm_up=1)

    rounds = ["".join(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert rounds[0] == "aab"
    assert {"aab", "baa"} == set(rounds)
    assert {name: len(values) for name, values in samples.items()} == {"a": 20, "b": 20}


def test_a_sample_is_the_time_of_one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(step=12.0)
    side = Side("a", lambda _: None, calls=3, operations=2)

    with monkeypatch.context() as patched:
        patched.setattr(time, "perf_counter", lambda: next(clock))
        samples = interleave([side], rounds=1)

    assert samples == {"a": [2.0]}


def test_each_sample_gets_what_was_prepared_for_it() -> None:
    numbers = count()
    seen: list[int] = []

    interleave([Side("a", seen.append, lambda: next(numbers))], rounds=2, warm_up=0)

    assert seen == [0, 1]


def test_calls_prepared_anew_are_timed_without_their_preparation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]

    def advance(seconds: float) -> float:
        clock[0] += seconds
        return 2.0

    with monkeypatch.context() as patched:
        patched.setattr(time, "perf_counter", lambda: clock[0])
        samples = interleave(
            [Side("a", advance, lambda: advance(100.0), calls=3, anew=True)], rounds=1
        )

    assert samples == {"a": [2.0]}


def test_each_subject_is_used_once() -> None:
    seen: list[int] = []
    side = each_once("a", seen.append, zip(range(9), strict=True), calls=2)

    interleave([side], rounds=2, warm_up=1)

    assert seen == [0, 1, 2, 3, 4, 5]


def test_nothing_stays_frozen_after_a_failure() -> None:
    frozen = gc.get_freeze_count()

    with pytest.raises(ZeroDivisionError):
        interleave([Side("a", lambda _: 1 / 0)], rounds=1)

    assert gc.get_freeze_count() <= frozen


def test_spread_is_that_of_the_samples() -> None:
    spread = Spread.of([4.0, 1.0, 1.0, 2.0])

    assert (spread.minimum, spread.median, spread.mean, spread.maximum) == (1.0, 1.5, 2.0, 4.0)
    assert spread.stdev == pytest.approx(1.4142135)
    assert Spread.of([1.0]).stdev == 0.0


def test_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw 0 0\nb {tmp_path} tmpfs rw 0 0\nc /elsewhere xfs rw 0 0\n")

    assert file_system(tmp_path / "below", mounts) == "tmpfs"


# Targets are judged as announced.


def test_better_of_the_opponents_is_the_one_to_beat() -> None:
    verdict = judge_section(
        Target("x", Bound.FASTER, 4, (SEQUENTIAL, THREADED)),
        timed("x", ours=1.0, sequential=9.0, threaded=3.0),
    )

    assert (verdict.opponent, verdict.ratio, verdict.met) == (THREADED, 3.0, False)


def test_time_over_the_floor_is_bounded_from_above() -> None:
    target = Target("x", Bound.TIMES, 5, (RAW_WRITE,))

    assert judge_section(target, timed("x", ours=5.0, raw_write=1.0)).met
    assert not judge_section(target, timed("x", ours=5.1, raw_write=1.0)).met


def test_limit_is_in_the_section_s_unit() -> None:
    target = Target("x", Bound.LIMIT, 10e-6)

    assert judge_section(target, timed("x", ours=9e-6)).met
    assert not judge_section(target, timed("x", ours=11e-6)).met


def test_normal_is_judged_only_where_full_was_not_measured() -> None:
    target = Target("x", Bound.LIMIT, 1.0)

    assert judge_section(target, timed("x", ours=0.5, normal=2.0)).met
    assert not judge_section(target, timed("x", normal=2.0)).met


def test_target_without_an_opponent_is_refused() -> None:
    with pytest.raises(KeyError, match="raw write"):
        judge_section(Target("x", Bound.TIMES, 5, (RAW_WRITE,)), timed("x", ours=1.0))


def test_only_what_was_measured_is_judged() -> None:
    result = a_result(timed("record", ours=1.0, sequential=2.0))

    assert [verdict.target.section for verdict in judge(result)] == ["record"]


# What is shown.


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.234, "s", "1.23 s"),
        (0.0123, "s", "12.3 ms"),
        (456.7e-6, "s", "457 µs"),
        (9e-9, "s", "9.00 ns"),
        (2_270, "bytes", "2.27 kB"),
        (96e6, "bytes", "96.0 MB"),
    ],
)
def test_quantities_have_three_digits(value: float, unit: str, text: str) -> None:
    assert tables.render_quantity(value, unit) == text


def test_targets_table_says_met_or_missed() -> None:
    fast = timed("record", ours=1e-6, normal=1e-6, sequential=2e-6)
    slow = timed("save.1000", ours=5e-3, sequential=9e-3, threaded=10e-3)

    text = tables.render_targets(a_result(fast, slow, quick=True))

    assert "1 targets met, 1 missed" in text
    assert "2.00× faster" in text
    assert "MISSED" in text
    assert "--quick" in text


def test_result_survives_its_file() -> None:
    result = a_result(timed("record", ours=1e-6, sequential=2e-6), quick=False)

    assert Result.from_json(result.to_json()) == result


def test_result_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 99"):
        Result.from_json('{"format": 99}')


def test_growth_curve_goes_as_far_as_its_side() -> None:
    small = timed("growth.get.100", ours=1.0, sequential=2.0)
    large = timed("growth.get.1000", ours=1.5)

    result = a_result(small, large)

    assert plot.growth_curve(result, "get", OURS) == ([100, 1000], [1.0, 1.5])
    assert plot.growth_curve(result, "get", SEQUENTIAL) == ([100], [2.0])


def test_missing_matplotlib_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    status = command_line.main(["record", "--plot", "growth.svg"])

    assert status == 2
    assert "astraguard-store[bench]" in capsys.readouterr().err


def test_unknown_question_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command_line.main(["recrod"])

    message = capsys.readouterr().err
    assert all(question in message for question in QUESTIONS)


# README's table is the stored result's.


def test_the_phases_page_is_the_stored_result_s() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    tables = phases.render_markdown(json.loads(phases.STORED.read_text(encoding="utf-8")))

    assert phases.replace_tables(page, tables) == page, (
        "run python -m benchmarks.phases --write docs/performance.md"
    )


def test_every_phase_takes_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "RUNS", 20)
    monkeypatch.setattr(phases, "BATCH", 15)
    monkeypatch.setattr(phases, "ROUNDS", 3)
    monkeypatch.setattr(phases, "WARM_UP", 1)
    read = phases.read_phases(tmp_path)

    for asked, measured in (
        (phases.SAVE, phases.save_phases(tmp_path, 15)),
        (phases.SAVE, phases.batch_phases(tmp_path)),
        (phases.GET, read["get, cold"]),
        (phases.COMPARE, read["compare, cold, by types"]),
        (phases.CACHED, read["get, cached"]),
        (phases.DOCUMENT, phases.document_phases(tmp_path)),
        (phases.SCAN, phases.scan_phases(tmp_path)),
        (phases.IMPORT, phases.import_phases(tmp_path)),
    ):
        labels = {label for _, _, label in asked}
        assert labels <= measured.keys()
        assert all(measured[label] > 0 for label in labels)
        assert measured["whole"] > sum(measured[label] for label in labels)


def test_readme_table_is_the_stored_result_s() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme_table.render_markdown(Result.read(readme_table.STORED))

    assert readme_table.replace_table(readme, table) == readme, (
        "run python -m benchmarks.readme_table --write README.md"
    )


def test_stored_result_is_a_full_run_that_judges_every_target() -> None:
    result = Result.read(readme_table.STORED)

    verdicts = judge(result)

    assert result.settings["quick"] is False
    assert [verdict.target for verdict in verdicts] == list(TARGETS)


def test_written_table_passes_its_check_and_an_edited_one_does_not(tmp_path: Path) -> None:
    readme, stored = tmp_path / "README.md", tmp_path / "result.json"
    readme.write_text(f"above\n{readme_table.BEGIN}\nold\n{readme_table.END}\nbelow\n")
    stored.write_text(a_result(timed("record", ours=1e-6, sequential=2e-6)).to_json())

    written = readme_table.main([str(stored), "--write", str(readme)])
    checked = readme_table.main([str(stored), "--check", str(readme)])
    readme.write_text(readme.read_text().replace("2.00×", "3.00×"))
    edited = readme_table.main([str(stored), "--check", str(readme)])

    assert (written, checked, edited) == (0, 0, 1)


def test_readme_without_markers_fails_the_check(tmp_path: Path) -> None:
    readme, stored = tmp_path / "README.md", tmp_path / "result.json"
    readme.write_text("no table here\n")
    stored.write_text(a_result(timed("record", ours=1e-6, sequential=2e-6)).to_json())

    assert readme_table.main([str(stored), "--check", str(readme)]) == 1
