"""How long does one run's summary take: cached, as a fresh dict, and from the database?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from astraguard_store import MetricsStorage
from benchmarks import legacy
from benchmarks.harness import Side, again, each_once
from benchmarks.results import OURS, SEQUENTIAL, THREADED
from benchmarks.stores import (
    fresh_collectors,
    open_bare,
    open_stores,
    shared_tree,
    stored_runs,
)
from benchmarks.targets import SQLITE
from benchmarks.workloads import run_id, shuffled_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from astraguard_store import RunRepository
    from benchmarks.floors import BareStore
    from benchmarks.harness import Bench
    from benchmarks.results import Section

COLD_CALLS = 20
WARM_CALLS = 200


def ask(bench: Bench) -> list[Section]:
    """Time reads of a store and of a legacy tree of 10,000 runs."""
    stored = stored_runs(bench)
    tree = shared_tree(bench, stored)
    with ExitStack() as stack:
        stores = open_stores(bench, stack, "get", stored)
        bare = open_bare(stack, next(iter(stores.values())), "full")
        return [
            _cached(bench, stores, bare, tree),
            _dict(bench, tree),
            _cold(bench, stores, bare, tree),
            _cold_and_whole(bench, stores, tree),
        ]


def _cached(
    bench: Bench, stores: dict[str, RunRepository], bare: BareStore, tree: Path
) -> Section:
    """Time the same run again and again; the old cache is neither private nor coherent.

    The floor is the question whether somebody has committed.
    """
    run = run_id(stored_runs(bench) // 2)
    ours = [again(name, store.get, run, calls=WARM_CALLS) for name, store in stores.items()]
    floor = again(SQLITE, bare.version, calls=WARM_CALLS)
    sides = [*ours, *_legacy_again(run, tree), floor]
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
    sides = [ours, *_legacy_again(run_id(stored_runs(bench) // 2), tree)]
    return bench.measure(
        "get.dict", "get, the facade's fresh dict", sides, rounds=bench.size(50, 20)
    )


def _cold(bench: Bench, stores: dict[str, RunRepository], bare: BareStore, tree: Path) -> Section:
    """Time runs that were never read before, each once."""
    calls = {
        **{name: store.get for name, store in stores.items()},
        **_legacy_first(tree),
        SQLITE: bare.get,
    }
    return _each_once(bench, "get.cold", "get, cold from the database", calls, half=0)


def _cold_and_whole(bench: Bench, stores: dict[str, RunRepository], tree: Path) -> Section:
    """Time other such runs with a look at their satellites, which a cold get leaves packed."""

    def whole(store: RunRepository) -> Callable[[str], object]:
        return lambda run: store.get(run).satellites.items()

    calls = {**{name: whole(store) for name, store in stores.items()}, **_legacy_first(tree)}
    title = "get, cold, its satellites looked at"
    return _each_once(bench, "get.whole", title, calls, half=1)


def _legacy_first(tree: Path) -> dict[str, Callable[[str], object]]:
    results = str(tree)
    return {
        SEQUENTIAL: lambda run: legacy.SequentialStorage(run, results).get_run_metrics(),
        THREADED: lambda run: legacy.ThreadedStorage(run, results).get_run_metrics(),
    }


def _each_once(
    bench: Bench, key: str, title: str, calls: dict[str, Callable[[str], object]], half: int
) -> Section:
    stored = stored_runs(bench)
    ids = shuffled_ids(stored)[half * stored // 2 : (half + 1) * stored // 2]
    sides = [
        each_once(name, call, zip(ids, strict=True), calls=COLD_CALLS)
        for name, call in calls.items()
    ]
    return bench.measure(key, title, sides, rounds=bench.size(200, 30))
