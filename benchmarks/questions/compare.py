"""How long does the comparison of two runs take: cold, and again?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import legacy
from benchmarks.harness import again, each_once
from benchmarks.results import SEQUENTIAL, THREADED
from benchmarks.stores import open_bare, open_stores, shared_tree, stored_runs
from benchmarks.targets import SQLITE
from benchmarks.workloads import run_id, shuffled_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from astraguard_store import RunRepository
    from benchmarks.harness import Bench
    from benchmarks.results import Section

    Compare = Callable[[str, str], object]

COLD_CALLS = 10
WARM_CALLS = 200


def ask(bench: Bench) -> list[Section]:
    """Time comparisons in a store and in a legacy tree of 10,000 runs.

    No old variant compares by satellite.
    """
    stored = stored_runs(bench)
    tree = shared_tree(bench, stored)
    ids = shuffled_ids(stored)
    with ExitStack() as stack:
        stores = open_stores(bench, stack, "compare", stored)
        bare = open_bare(stack, next(iter(stores.values())), "full")
        types = {name: _types(store) for name, store in stores.items()} | _legacy(tree)
        satellites = {name: _satellites(store) for name, store in stores.items()}
        half = stored // 2
        return [
            _cold(bench, "types", ids[:half], types | {SQLITE: bare.compare}),
            _cold(bench, "satellites", ids[half:], satellites | {SQLITE: bare.compare_satellites}),
            _again(bench, types),
        ]


def _types(store: RunRepository) -> Compare:
    return store.compare


def _satellites(store: RunRepository) -> Compare:
    return lambda baseline, candidate: store.compare(baseline, candidate, by_satellite=True)


def _legacy(tree: Path) -> dict[str, Compare]:
    """Return the old comparisons.

    The run that is asked is always the same, so that the threaded variant has it
    cached, as it has in its users' loops.
    """
    sequential = legacy.SequentialStorage(run_id(0), str(tree))
    threaded = legacy.ThreadedStorage(run_id(0), str(tree))
    return {
        SEQUENTIAL: lambda _, other: sequential.compare_runs(other),
        THREADED: lambda _, other: threaded.compare_runs(other),
    }


def _cold(bench: Bench, groups: str, ids: list[str], calls: dict[str, Compare]) -> Section:
    """Time pairs of runs that were never read before, each once."""
    pairs = list(zip(ids[0::2], ids[1::2], strict=True))
    sides = [each_once(name, call, iter(pairs), COLD_CALLS) for name, call in calls.items()]
    title = f"compare, cold, by {groups}"
    return bench.measure(f"compare.{groups}", title, sides, rounds=bench.size(200, 30))


def _again(bench: Bench, calls: dict[str, Compare]) -> Section:
    """Time the same pair again and again."""
    pair = run_id(1), run_id(2)
    sides = [again(name, call, *pair, calls=WARM_CALLS) for name, call in calls.items()]
    return bench.measure("compare.again", "compare again", sides, rounds=bench.size(50, 5))
