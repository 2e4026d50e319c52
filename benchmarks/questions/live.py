"""What does recording cost while a journal is written, beside a collector without one?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from astraguard_store import LatencyCollector, RunRepository
from benchmarks.harness import Side
from benchmarks.questions.record import FLUSH_EVERY_S, MEASUREMENTS
from benchmarks.results import OURS
from benchmarks.targets import COLLECTOR
from benchmarks.workloads import latencies, record

if TYPE_CHECKING:
    from benchmarks.harness import Bench
    from benchmarks.results import Section


def ask(bench: Bench) -> list[Section]:
    """Time 10,000 recordings into a run whose journal is written meanwhile.

    The journal is synced a hundred times a second, so that the thread that writes it is at
    work in each sample. The slowest of single recordings is a section of `record`.
    """
    call = partial(record, rows=latencies(MEASUREMENTS))
    with (
        RunRepository.open(bench.folder / "live") as repository,
        repository.run("run", flush_every_s=FLUSH_EVERY_S) as run,
    ):

        def emptied() -> LatencyCollector:
            run.reset()
            return run

        live = bench.measure(
            "live",
            "record one measurement of a live run",
            [
                Side(OURS, call, emptied, operations=MEASUREMENTS),
                Side(COLLECTOR, call, LatencyCollector, operations=MEASUREMENTS),
            ],
            rounds=bench.size(100, 20),
            warm_up=3,
        )
    return [live]
