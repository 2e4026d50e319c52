"""How do saving and asking compare with what else one could keep runs in?"""

from __future__ import annotations

from contextlib import ExitStack, closing
from functools import partial
from itertools import count, cycle
from typing import TYPE_CHECKING

from benchmarks.harness import Side, again, each_once
from benchmarks.peers import PEERS, installed_peers
from benchmarks.stores import fresh_collectors, open_stores
from benchmarks.workloads import run_id, shuffled_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astraguard_store import LatencyCollector, RunRepository
    from benchmarks.harness import Bench
    from benchmarks.peers import Peer
    from benchmarks.results import Section

    Store = RunRepository | Peer

STORED = 200
MEASUREMENTS = 10_000
LIMIT = 10


def ask(bench: Bench) -> Iterator[Section]:
    """Time four operations of stores with 200 small runs each; each run is read once."""
    stored = bench.size(STORED, 25)
    with ExitStack() as stack:
        ours = open_stores(bench, stack, "peers", 0)
        peers = installed_peers(bench.folder / "peers")
        for peer in peers.values():
            stack.enter_context(closing(peer))
        absent = [name for name in PEERS if name not in peers]
        if absent:
            bench.progress.say(f"peers: not installed, so left out: {', '.join(absent)}")
        stores: dict[str, Store] = {**ours, **peers}
        small = fresh_collectors(100)
        for name, store in stores.items():
            bench.progress.say(f"peers: saving {stored} small runs with {name}")
            for number in range(stored):
                store.save(run_id(number), small())
        yield _save(bench, stores)
        yield from _reads(bench, stores, stored)


def _save(bench: Bench, stores: dict[str, Store]) -> Section:
    ids = (f"saved-{number}" for number in count())
    fresh = fresh_collectors(MEASUREMENTS)

    def prepare() -> tuple[str, LatencyCollector]:
        return next(ids), fresh()

    def saved(store: Store, run: tuple[str, LatencyCollector]) -> object:
        return store.save(*run)

    sides = [Side(name, partial(saved, store), prepare) for name, store in stores.items()]
    title = f"save {MEASUREMENTS:,} measurements, beside peers"
    return bench.measure("peers.save", title, sides, rounds=bench.size(15, 2), reduced=bench.quick)


def _reads(bench: Bench, stores: dict[str, Store], stored: int) -> Iterator[Section]:
    rounds = bench.size(100, 5)
    gets, pairs, lists = [], [], []
    for name, store in stores.items():
        ids = cycle(shuffled_ids(stored))
        gets.append(each_once(name, store.get, ((one,) for one in ids)))
        others = cycle(shuffled_ids(stored))
        pairs.append(each_once(name, store.compare, zip(others, others, strict=False)))
        # Ours would know that nothing has changed: others have no cache.
        lists.append(again(name, store.recent, LIMIT))
    of = f"of {stored:,} runs, beside peers"
    for key, title, sides in (
        ("get", f"get, cold, {of}", gets),
        ("compare", f"compare, cold, {of}", pairs),
        ("recent", f"{LIMIT} recent {of}", lists),
    ):
        yield bench.measure(f"peers.{key}", title, sides, rounds=rounds, reduced=bench.quick)
