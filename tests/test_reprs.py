"""What a notebook or a debugger shows of an answer: one short line, however large it is."""

from typing import Any

import pytest
from recordings import recorded

from astraguard_store import (
    AsyncRunRepository,
    CheckReport,
    Comparison,
    Finding,
    LatencyCollector,
    MergeReport,
    MetricChange,
    MetricsStorage,
    MetricSummary,
    Percentile,
    Percentiles,
    Provenance,
    ProvenanceChange,
    PruneReport,
    QueryResult,
    RunRepository,
)

MANY = tuple(f"run_{number:04}" for number in range(2_000))
METRIC = MetricSummary(600, 4.0, 4.0, 6.0, 6.0, 2.0, 6.0)
SLOWER = METRIC._replace(mean_ms=6.0)
MISSED = METRIC._replace(missed=60, p95_ms=None, p95_above_ms=5000.0)
NOTE = Finding("sqlite_version", "note", "astraguard.db", "old", "use a newer SQLite")
FAULT = Finding("changed_file", "fault", "a/latency_raw.csv", "other hash", "save again")


def comparison(
    *changes: MetricChange, provenance: tuple[ProvenanceChange, ...] = ()
) -> Comparison:
    return Comparison("run_001", "run_002", changes, provenance)


REPRS: list[tuple[Any, str]] = [
    (
        MetricChange("fault_detection", None, METRIC, SLOWER),
        "<MetricChange fault_detection: mean 4 -> 6 ms (+50.0%)>",
    ),
    (
        MetricChange("fault_detection", "SAT001", METRIC, None),
        "<MetricChange fault_detection on SAT001: only in the baseline>",
    ),
    (
        comparison(MetricChange("fault_detection", None, METRIC, SLOWER)),
        "<Comparison 'run_001' -> 'run_002'; fault_detection mean 4 -> 6 ms (+50.0%)>",
    ),
    (
        MetricChange("fault_detection", None, METRIC, MISSED).p95_ms,
        "<6.0 -> at least 5000.0, at least +4994, at least +83233.3%>",
    ),
    (
        comparison(
            MetricChange("a", None, METRIC, None),
            MetricChange("fault_detection", None, METRIC, SLOWER),
            MetricChange("z", None, None, METRIC),
        ),
        (
            "<Comparison 'run_001' -> 'run_002'; fault_detection mean 4 -> 6 ms (+50.0%); "
            "only in 'run_001': a; only in 'run_002': z>"
        ),
    ),
    (
        comparison(*(MetricChange("a", f"S{n}", None, METRIC) for n in range(500))),
        (
            "<Comparison 'run_001' -> 'run_002'; 500 changes; "
            "only in 'run_002': a on S0, a on S1, a on S2, …>"
        ),
    ),
    (
        comparison(provenance=(ProvenanceChange("host", "rig-a", "rig-b"),)),
        "<Comparison 'run_001' -> 'run_002'; 0 changes; another host; not comparable>",
    ),
    (
        Percentiles(
            "fault_detection",
            "SAT001",
            (Percentile(0.5, 4.02, None), Percentile(0.99, None, 5_000.0)),
            600,
            12,
            1,
            ("old",),
        ),
        (
            "<Percentiles fault_detection on SAT001: 0.5: 4.02 ms, 0.99: above 5000 ms; "
            "600 events of 1 run, 12 missed; 1 without buckets>"
        ),
    ),
    (
        QueryResult(("run_id", "n"), [("run_001", 1)], truncated=False),
        "<QueryResult 1 row of (run_id, n)>",
    ),
    (
        QueryResult(MANY, [MANY] * 1_000, truncated=True),
        (
            "<QueryResult 1000 rows of (run_0000, run_0001, run_0002, run_0003, run_0004, …), "
            "and there are more>"
        ),
    ),
    (
        MergeReport(MANY, ("a",), (), (("b", "torn"),), ()),
        "<MergeReport 2000 merged, 1 skipped, 0 in conflict, 1 refused>",
    ),
    (
        PruneReport(MANY, (), ("a",), 1_000, 24, None, dry_run=True),
        "<PruneReport would delete 2000 runs, purged 0, 1 pinned; 1024 bytes>",
    ),
    (
        CheckReport(3, 6, 48_000, (NOTE,), ()),
        "<CheckReport 3 runs, 6 files: sound; 1 note, 0 mended>",
    ),
    (
        CheckReport(1, 2, 48_000, (FAULT,) * 7, ()),
        f"<CheckReport 1 run, 2 files: faults: {'changed_file, ' * 5}…; 0 notes, 0 mended>",
    ),
]


@pytest.mark.parametrize(("value", "text"), REPRS, ids=lambda value: type(value).__name__)
def test_an_answer_is_shown_in_one_short_line(value: Any, text: str) -> None:
    assert repr(value) == text


def test_a_comparison_by_satellites_counts_them() -> None:
    changes = [MetricChange("fault_detection", f"S{n}", METRIC, SLOWER) for n in range(500)]

    shown = repr(comparison(*changes))

    assert shown == "<Comparison 'run_001' -> 'run_002'; 500 changes>"


def test_what_a_repository_answers_is_shown_so_too() -> None:
    with RunRepository.in_memory() as repository:
        for run_id, host in (("a", "rig-a"), ("b", "rig-b")):
            repository.save(run_id, recorded(30), provenance=Provenance(host=host))

        compared = repository.compare("a", "b")
        asked = repository.query("SELECT * FROM v_runs")

    assert "another host; not comparable" in repr(compared)
    assert len(repr(compared)) < 300
    assert len(repr(asked)) < 300


def test_one_measurement_is_not_several() -> None:
    collector = LatencyCollector()
    collector.record_fault_detection("SAT001", 0.0, 1.0)

    assert repr(collector) == "<LatencyCollector with 1 measurement>"
    assert repr(collector.measurements) == "<1 measurement>"


def test_a_repository_that_is_not_awaited_says_so() -> None:
    opening = AsyncRunRepository.open("results")

    assert repr(opening) == "<OpeningRepository: await it, or enter it with async with>"


def test_the_drop_in_names_its_run_and_folder(tmp_path: Any) -> None:
    storage = MetricsStorage("run_001", results_dir=tmp_path)

    assert repr(storage) == f"<MetricsStorage 'run_001' in {tmp_path}>"
