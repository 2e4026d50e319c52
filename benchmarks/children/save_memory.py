"""Prints the memory that recording and saving took: arguments are results folder and count."""

import gc
import json
import sys
from pathlib import Path

from astraguard_store import LatencyCollector, RunRepository
from benchmarks.children.memory import forget_peak, peak_bytes, resident_bytes
from benchmarks.children.recording import record_steadily

WARM_UP = 20_000


def main() -> None:
    """Save a small run, so that all is imported and open, then the one that is measured."""
    results, count = Path(sys.argv[1]), int(sys.argv[2])
    with RunRepository.open(results) as repository:
        small = LatencyCollector()
        record_steadily(small, WARM_UP)
        repository.save("warm-up", small)
        del small
        gc.collect()
        before = resident_bytes()
        collector = LatencyCollector()
        record_steadily(collector, count)
        recorded = resident_bytes()
        forget_peak()
        repository.save("measured", collector)
        peak = peak_bytes()
    print(json.dumps({"columns": recorded - before, "peak": peak - before}))


if __name__ == "__main__":
    main()
