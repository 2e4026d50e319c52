"""Imports the store, records and saves once: arguments are results folder, run id, count."""

import sys

from astraguard_store import LatencyCollector, MetricsStorage
from benchmarks.children.recording import record_steadily


def main() -> None:
    """Save one run as a runner does that ends with it."""
    results, run_id, count = sys.argv[1:]
    collector = LatencyCollector()
    record_steadily(collector, int(count))
    MetricsStorage(run_id, results).save_latency_stats(collector)


if __name__ == "__main__":
    main()
