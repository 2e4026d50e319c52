"""How long does the drop-in take to be made and to read a run's file afresh?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astraguard_store import LatencyCollector, MetricsStorage
from benchmarks import legacy
from benchmarks.harness import again
from benchmarks.results import OURS, SEQUENTIAL, THREADED

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness import Bench
    from benchmarks.results import Section

SATELLITES = (1, 5, 20)
CALLS = 50


def ask(bench: Bench) -> list[Section]:
    """Time it beside both old variants, with few satellites and many."""
    results = str(bench.folder / "facade")
    sections = []
    for satellites in SATELLITES:
        run = f"of-{satellites}"
        MetricsStorage(run, results).save_latency_stats(_collector(satellites))
        calls: dict[str, Callable[[str], object]] = {
            OURS: lambda run: MetricsStorage(run, results).get_run_metrics(use_cache=False),
            SEQUENTIAL: lambda run: legacy.SequentialStorage(run, results).get_run_metrics(),
            THREADED: lambda run: legacy.ThreadedStorage(run, results).get_run_metrics(),
        }
        title = f"the drop-in made, and a run of {satellites} satellites read afresh"
        sides = [again(name, call, run, calls=CALLS) for name, call in calls.items()]
        rounds = bench.size(60, 10)
        sections.append(bench.measure(f"facade.{satellites}", title, sides, rounds=rounds))
    return sections


def _collector(satellites: int) -> LatencyCollector:
    collector = LatencyCollector()
    for number in range(satellites * 10):
        satellite_id = f"SAT{number % satellites:03d}"
        collector.record_fault_detection(satellite_id, number * 0.1, 70.0 + number % 40)
        collector.record_agent_decision(satellite_id, number * 0.1, 20.0 + number % 30)
        collector.record_recovery_action(satellite_id, number * 0.1, 40.0 + number % 20)
    return collector
