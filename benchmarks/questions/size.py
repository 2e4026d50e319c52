"""How large is the database, a run with 18 statistics rows?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astraguard_store import RunRepository
from benchmarks.harness import section
from benchmarks.results import OURS
from benchmarks.stores import fresh_collectors
from benchmarks.workloads import STATISTICS_ROWS, run_id

if TYPE_CHECKING:
    from benchmarks.harness import Bench
    from benchmarks.results import Section

BATCH = 250
# So many that a metric type fills its 100 buckets.
MEASUREMENTS = 1_000


def ask(bench: Bench) -> list[Section]:
    """Save runs with full buckets through the engine, close it, and divide the file's size."""
    runs = bench.size(1_000, 250)
    bench.progress.say(f"size: saving {runs:,} runs")
    results = bench.folder / "size"
    fresh = fresh_collectors(MEASUREMENTS)
    with RunRepository.open(results, durability="normal") as repository:
        for start in range(0, runs, BATCH):
            repository.save_many([(run_id(start + i), fresh()) for i in range(BATCH)])
        database = repository.database_path
    if database is None:
        raise FileNotFoundError(f"no database in {results}")
    taken = sum(path.stat().st_size for path in results.glob("astraguard.db*"))
    title = f"database, a run with {STATISTICS_ROWS} statistics rows and buckets"
    samples = {OURS: [taken / runs]}
    return [section("size", title, samples, unit="bytes", reduced=bench.quick)]
