"""The benchmarks themselves: honest opponents, right arithmetic."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import re
import subprocess
import time
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bench_results import ROOT
from seen_sql import seen_sql

from astraguard_store import RunRepository
from benchmarks import phases
from benchmarks.fill import run_rows, write_tree
from benchmarks.floors import BareStore, write_raw
from benchmarks.harness import Bench, Progress, Side, again, each_once, interleave
from benchmarks.legacy import LatencyCollector, SequentialStorage, ThreadedStorage
from benchmarks.machine import commit, describe_machine, file_system, with_load_at_end
from benchmarks.results import OURS, OURS_NORMAL, Spread
from benchmarks.stores import create_store, open_stores, recorded
from benchmarks.tables import replace_between
from benchmarks.workloads import STATISTICS_ROWS, latencies, record, run_id

if TYPE_CHECKING:
    from benchmarks.harness import Durability

VARIANTS = (SequentialStorage, ThreadedStorage)
Storage = type[SequentialStorage] | type[ThreadedStorage]


def collected(measurements: int = 60) -> LatencyCollector:
    collector = LatencyCollector()
    record(collector, latencies(measurements))
    return collector


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


@pytest.mark.parametrize("storage", VARIANTS)
def test_legacy_storage_neither_syncs_nor_sleeps(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an opponent was made slow")

    for module, name in ((os, "fsync"), (os, "fdatasync"), (os, "sync"), (time, "sleep")):
        monkeypatch.setattr(module, name, refuse)

    for run in ("one", "two"):
        storage(run, str(tmp_path)).save_latency_stats(collected())

    assert storage("one", str(tmp_path)).get_run_metrics()
    assert storage("one", str(tmp_path)).compare_runs("two")["metrics"]
    assert storage.get_recent_runs(str(tmp_path)) != []


def test_smallest_workload_has_every_satellite_and_metric_type() -> None:
    summary = collected(15).get_summary()

    satellites = summary["stats_by_satellite"].values()
    assert len(summary["stats"]) + sum(map(len, satellites)) == STATISTICS_ROWS == 18


# Our sides sync as they say.


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_our_side_commits_with_the_durability_it_is_named_for(
    durability: Durability, synchronous: int, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, quick=True, durabilities=(durability,))

    with ExitStack() as stack:
        ((name, store),) = open_stores(bench, stack, "store", 0).items()
        seen = stack.enter_context(seen_sql())
        store.save("run_1", recorded(latencies(15)))
        writer = seen.writer()
        found = writer.execute("PRAGMA synchronous").fetchone()

    assert name == {"full": OURS, "normal": OURS_NORMAL}[durability]
    assert found == (synchronous,)


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


def test_what_lives_is_frozen_while_sides_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append("freeze"))
    monkeypatch.setattr(gc, "unfreeze", lambda: calls.append("unfreeze"))

    interleave([again("a", calls.append, "a")], rounds=2, warm_up=1)

    assert calls == ["freeze", "a", "a", "a", "unfreeze"]


def test_nothing_stays_frozen_after_a_failure() -> None:
    frozen = gc.get_freeze_count()

    with pytest.raises(ZeroDivisionError):
        interleave([Side("a", lambda _: 1 / 0)], rounds=1)

    assert gc.get_freeze_count() <= frozen


@pytest.mark.parametrize(
    ("rounds", "smaller", "reduced"),
    [(2, False, True), (3, False, False), (3, True, True)],
)
def test_section_is_reduced_by_a_smaller_size_or_few_rounds(
    rounds: int, smaller: bool, reduced: bool, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, quick=True, progress=Progress(io.StringIO()))

    measured = bench.measure("x", "x", [again("a", str)], rounds=rounds, reduced=smaller)

    assert measured.reduced is reduced


def test_spread_is_that_of_the_samples() -> None:
    spread = Spread.of([4.0, 1.0, 1.0, 2.0])

    assert (spread.minimum, spread.median, spread.mean, spread.maximum) == (1.0, 1.5, 2.0, 4.0)
    assert spread.stdev == pytest.approx(1.4142135)
    assert Spread.of([1.0]).stdev == 0.0


def test_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a / ext4 rw 0 0\nb {tmp_path} tmpfs rw 0 0\nc /elsewhere xfs rw 0 0\n")

    assert file_system(tmp_path / "below", mounts) == "tmpfs"


def test_file_system_is_that_of_the_last_mount_at_a_place(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("a / rootfs rw 0 0\nb / ext4 rw 0 0\n")

    assert file_system(tmp_path, mounts) == "ext4"


def test_commit_says_whether_tracked_files_differ(tmp_path: Path) -> None:
    tracked = tmp_path / "tracked"
    tracked.write_text("one")
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for arguments in (("init",), ("add", "tracked"), (*author, "commit", "-m", "one")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "untracked").touch()

    clean = commit(tmp_path)
    tracked.write_text("two")
    changed = commit(tmp_path)

    assert re.fullmatch("[0-9a-f]{7,}", clean)
    assert changed == f"{clean}+changes"


def test_commit_of_what_is_no_checkout_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / ".git").touch()

    assert commit(tmp_path) == commit(tmp_path / "broken") == "unknown"


def test_load_is_that_of_start_and_end(tmp_path: Path) -> None:
    machine = with_load_at_end(describe_machine(tmp_path))

    assert re.fullmatch(r"\d+\.\d\d at the start, \d+\.\d\d at the end", machine["load"])


# Where the time goes.


def test_the_phases_page_is_the_stored_result_s() -> None:
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")

    tables = phases.render_markdown(json.loads(phases.STORED.read_text(encoding="utf-8")))

    assert replace_between(page, phases.BEGIN, phases.END, tables) == page, (
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
        assert measured["whole"] > 0
