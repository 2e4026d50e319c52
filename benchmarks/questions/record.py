"""What does recording one measurement cost the loop that is measured?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from astraguard_store import LatencyCollector
from benchmarks import legacy
from benchmarks.harness import Side
from benchmarks.results import OURS, SEQUENTIAL
from benchmarks.workloads import latencies, record

if TYPE_CHECKING:
    from benchmarks.harness import Bench
    from benchmarks.results import Section

MEASUREMENTS = 10_000


def ask(bench: Bench) -> list[Section]:
    """Time 10,000 recordings into a fresh collector; both old variants share theirs."""
    call = partial(record, rows=latencies(MEASUREMENTS))
    return [
        bench.measure(
            "record",
            "record one measurement",
            [
                Side(OURS, call, LatencyCollector, operations=MEASUREMENTS),
                Side(SEQUENTIAL, call, legacy.LatencyCollector, operations=MEASUREMENTS),
            ],
            rounds=bench.size(100, 20),
            warm_up=3,
        )
    ]
