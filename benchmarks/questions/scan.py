"""How long do the 10 newest of 10,000 run folders take where there is no database?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from astraguard_store import MetricsStorage
from benchmarks import legacy
from benchmarks.harness import again
from benchmarks.results import OURS, SEQUENTIAL, THREADED
from benchmarks.stores import shared_tree, stored_runs

if TYPE_CHECKING:
    from benchmarks.harness import Bench
    from benchmarks.results import Section

LIMIT = 10


def ask(bench: Bench) -> list[Section]:
    """Time `get_recent_runs` of all three on the same tree."""
    folders = stored_runs(bench)
    tree = str(shared_tree(bench, folders))
    listings = {
        OURS: MetricsStorage.get_recent_runs,
        SEQUENTIAL: legacy.SequentialStorage.get_recent_runs,
        THREADED: legacy.ThreadedStorage.get_recent_runs,
    }
    sides = [again(name, listing, tree, LIMIT) for name, listing in listings.items()]
    title = f"{LIMIT} recent of {folders:,} folders, no database"
    rounds = bench.size(40, 4)
    return [bench.measure("scan", title, sides, rounds=rounds, reduced=bench.quick)]
