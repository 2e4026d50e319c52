"""How long do the 10 newest of 10,000 runs take just after somebody else's commit?"""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

from benchmarks import legacy
from benchmarks.fill import run_rows
from benchmarks.harness import Side, again
from benchmarks.results import SEQUENTIAL, THREADED
from benchmarks.stores import open_bare, open_stores, shared_tree, stored_runs
from benchmarks.targets import SQLITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.floors import BareStore
    from benchmarks.harness import Bench
    from benchmarks.results import Section

LIMIT = 10


def ask(bench: Bench) -> list[Section]:
    """Time the list in a store and in a legacy tree of 10,000 runs."""
    stored = stored_runs(bench)
    tree = str(shared_tree(bench, stored))
    with ExitStack() as stack:
        stores = open_stores(bench, stack, "recent", stored)
        others = {name: open_bare(stack, store, "full") for name, store in stores.items()}
        first = next(iter(stores.values()))
        reader, other = open_bare(stack, first, "full"), next(iter(others.values()))
        sides = [
            *(_side(name, store.recent, others[name]) for name, store in stores.items()),
            _side(SQLITE, reader.recent, other),
            again(SEQUENTIAL, legacy.SequentialStorage.get_recent_runs, tree, LIMIT),
            again(THREADED, legacy.ThreadedStorage.get_recent_runs, tree, LIMIT),
        ]
        title = f"{LIMIT} recent of {stored:,}, after another's commit"
        rounds = bench.size(60, 6)
        return [bench.measure("recent", title, sides, rounds=rounds, reduced=bench.quick)]


def _side(name: str, recent: Callable[[int], object], other: BareStore) -> Side:
    # Ten commits and lists a sample: what ran before, a listing of 10,000 folders,
    # has emptied the processor's caches, which no commit does.
    return Side(name, lambda _: recent(LIMIT), committing(other), calls=10, anew=True)


def committing(other: BareStore) -> Callable[[], None]:
    """Return a function that commits one more run through somebody else's connection."""
    numbers = count()

    def commit() -> None:
        now_us = time.time_ns() // 1000
        other.save(run_rows(f"other-{now_us}-{next(numbers)}", now_us))

    return commit
