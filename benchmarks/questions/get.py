"""How long does one run's summary take: cached, as a fresh dict, and from the database?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from astraguard_store import MetricsStorage
from benchmarks import legacy
from benchmarks.harness import Side, again, each_once
from benchmarks.results import OURS, SEQUENTIAL, THREADED
from benchmarks.stores import fresh_collectors, open_bare, open_stores, shared_tree
from benchmarks.targets import SQLITE
from benchmarks.workloads import run_id, shuffled_ids

if TYPE_CHECKING:
    from pathlib import Path

    from astraguard_store import RunRepository
    from benchmarks.harness import Bench
    from benchmarks.results import Section

STORED = 10_000
COLD_CALLS = 20
WARM_CALLS = 200


def ask(bench: Bench) -> list[Section]:
    """Time reads of a store and of a legacy tree of 10,000 runs."""
    tree = shared_tree(bench, STORED)
    with ExitStack() as stack:
        stores = open_stores(bench, stack, "get", STORED)
        return [
            _cached(bench, stores, tree),
            _dict(bench, tree),
            _cold(bench, stack, stores, tree),
        ]


def _cached(bench: Bench, stores: dict[str, RunRepository], tree: Path) -> Section:
    """Time the same run again and again; the old cache is neither private nor coherent."""
    run = run_id(STORED // 2)
    ours = [again(name, store.get, run, calls=WARM_CALLS) for name, store in stores.items()]
    sides = [*ours, *_legacy_again(run, tree)]
    return bench.measure(
        "get.cached", "get, cached and coherent", sides, rounds=bench.size(50, 20)
    )


def _legacy_again(run: str, tree: Path) -> list[Side]:
    sequential = legacy.SequentialStorage(run, str(tree))
    threaded = legacy.ThreadedStorage(run, str(tree))
    return [
        again(SEQUENTIAL, sequential.get_run_metrics, calls=WARM_CALLS),
        again(THREADED, threaded.get_run_metrics, calls=WARM_CALLS),
    ]


def _dict(bench: Bench, tree: Path) -> Section:
    """Time the facade, which hands out a fresh dict from the cached summary."""
    results = str(bench.folder / "get-facade")
    storage = MetricsStorage("measured", results)
    storage.save_latency_stats(fresh_collectors(1_000)())
    ours = again(OURS, storage.get_run_metrics, calls=WARM_CALLS)
    sides = [ours, *_legacy_again(run_id(STORED // 2), tree)]
    return bench.measure(
        "get.dict", "get, the facade's fresh dict", sides, rounds=bench.size(50, 20)
    )


def _cold(bench: Bench, stack: ExitStack, stores: dict[str, RunRepository], tree: Path) -> Section:
    """Time runs that were never read before, each once."""
    bare = open_bare(stack, next(iter(stores.values())), "full")
    results = str(tree)

    def sequential(run: str) -> object:
        return legacy.SequentialStorage(run, results).get_run_metrics()

    def threaded(run: str) -> object:
        return legacy.ThreadedStorage(run, results).get_run_metrics()

    calls = {
        **{name: store.get for name, store in stores.items()},
        SEQUENTIAL: sequential,
        THREADED: threaded,
        SQLITE: bare.get,
    }
    sides = [
        each_once(name, call, zip(shuffled_ids(STORED), strict=True), calls=COLD_CALLS)
        for name, call in calls.items()
    ]
    rounds = bench.size(200, 60)
    return bench.measure("get.cold", "get, cold from the database", sides, rounds=rounds)
