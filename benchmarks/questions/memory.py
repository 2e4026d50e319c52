"""How much memory does a save of 1,000,000 measurements take at its peak?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.children import run_child
from benchmarks.harness import section
from benchmarks.results import OURS
from benchmarks.stores import create_store
from benchmarks.targets import COLUMNS

if TYPE_CHECKING:
    from benchmarks.harness import Bench
    from benchmarks.results import Section

MEASUREMENTS = 1_000_000
MEASUREMENTS_QUICK = 200_000
ROW_BYTES = 32
"""Three doubles, and 8 bytes for metric type and satellite."""


def ask(bench: Bench) -> list[Section]:
    """Save in a fresh process and read its peak from the kernel (VmHWM).

    Counted from before the recording, with the columns themselves, in a process that has
    saved a smaller run before. So the libraries' own memory isn't counted, but what they
    allocate for this save is. `recorded` is what the collector
    took, `columns` the measurements' own size.
    """
    rounds = bench.size(3, 1)
    measurements = bench.size(MEASUREMENTS, MEASUREMENTS_QUICK)
    bench.progress.say(f"memory of a save of {measurements:,}: {rounds} rounds")
    samples: dict[str, list[float]] = {OURS: [], "recorded": []}
    for number in range(rounds):
        results = bench.folder / f"memory-{number}"
        create_store(results, 0)
        answer = json.loads(run_child(bench, "save_memory", str(results), str(measurements)))
        samples[OURS].append(answer["peak"])
        samples["recorded"].append(answer["columns"])
    samples[COLUMNS] = [measurements * ROW_BYTES]
    title = f"peak memory of a save of {measurements:,}"
    return [section("memory", title, samples, unit="bytes", reduced=bench.quick)]
