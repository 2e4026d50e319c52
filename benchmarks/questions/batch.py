"""How many small runs a second, in one transaction and one by one?"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

from benchmarks.harness import Side
from benchmarks.results import OURS
from benchmarks.stores import fresh_collectors, open_stores
from benchmarks.targets import NORMAL, ONE_BY_ONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from astraguard_store import LatencyCollector, RunRepository
    from benchmarks.harness import Bench
    from benchmarks.results import Section

RUNS = 100
MEASUREMENTS = 100

Batch = list[tuple[str, "LatencyCollector"]]


def ask(bench: Bench) -> list[Section]:
    """Time 100 runs of 100 measurements, both ways into the same store."""
    fresh = fresh_collectors(MEASUREMENTS)
    ids = (f"saved-{number}" for number in count())
    with ExitStack() as stack:
        stores = open_stores(bench, stack, "batch", 0)
        sides = [
            side for name, store in stores.items() for side in _sides(name, store, fresh, ids)
        ]
        title = f"save_many, a run of {RUNS} with {MEASUREMENTS} measurements"
        return [bench.measure("batch", title, sides, rounds=bench.size(15, 2))]


def _sides(
    name: str,
    store: RunRepository,
    fresh: Callable[[], LatencyCollector],
    ids: Iterator[str],
) -> list[Side]:
    def prepare() -> Batch:
        return [(next(ids), fresh()) for _ in range(RUNS)]

    def one_by_one(batch: Batch) -> None:
        for run, collector in batch:
            store.save(run, collector)

    other = ONE_BY_ONE if name == OURS else ONE_BY_ONE + NORMAL
    return [
        Side(name, store.save_many, prepare, operations=RUNS),
        Side(other, one_by_one, prepare, operations=RUNS),
    ]
