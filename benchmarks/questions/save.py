"""How long until a run is stored: rows committed, both files written and fsynced?"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING

from benchmarks import legacy
from benchmarks.fill import run_rows
from benchmarks.floors import write_raw
from benchmarks.harness import Side
from benchmarks.results import SEQUENTIAL, THREADED
from benchmarks.stores import fresh_collectors, open_bare, open_stores
from benchmarks.targets import NORMAL, RAW_WRITE, SQLITE
from benchmarks.workloads import latencies, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from astraguard_store import LatencyCollector, RunRepository
    from benchmarks.harness import Bench
    from benchmarks.results import Section

ROUNDS = {1_000: (40, 5), 10_000: (25, 3), 100_000: (9, 1)}


def ask(bench: Bench) -> Iterator[Section]:
    """Time saves of new runs of 1,000, 10,000 and 100,000 measurements.

    The old variants sync nothing; what they left dirty is synced before the next
    sample begins, so that no side's fsync pays for another's writes.
    """
    with ExitStack() as stack:
        stores = open_stores(bench, stack, "save", 0)
        ids = (f"saved-{number}" for number in count())
        for measurements, rounds in ROUNDS.items():
            sides = [
                *_our_sides(stores, measurements, ids),
                *_legacy_sides(bench.folder / "save-legacy", measurements, ids),
                _raw_side(bench.folder / "save-raw", stores, measurements, ids),
            ]
            title = f"save {measurements:,} measurements"
            key = f"save.{measurements}"
            warm_up = bench.size(1, 0 if measurements == max(ROUNDS) else 1)
            yield bench.measure(key, title, sides, rounds=bench.size(*rounds), warm_up=warm_up)
        yield _rows_alone(bench, stack, stores)


def _our_sides(
    stores: dict[str, RunRepository], measurements: int, ids: Iterator[str]
) -> list[Side]:
    fresh = fresh_collectors(measurements)

    def prepare() -> object:
        os.sync()
        return next(ids), fresh()

    return [Side(name, _save_to(store), prepare) for name, store in stores.items()]


def _save_to(store: RunRepository) -> Callable[[tuple[str, LatencyCollector]], object]:
    return lambda saved: store.save(*saved)


def _legacy_sides(results: Path, measurements: int, ids: Iterator[str]) -> list[Side]:
    collector = legacy.LatencyCollector()
    record(collector, latencies(measurements))

    def prepare() -> str:
        os.sync()
        return next(ids)

    def sequential(run: str) -> object:
        return legacy.SequentialStorage(run, str(results)).save_latency_stats(collector)

    def threaded(run: str) -> object:
        return legacy.ThreadedStorage(run, str(results)).save_latency_stats(collector)

    return [Side(SEQUENTIAL, sequential, prepare), Side(THREADED, threaded, prepare)]


def _raw_side(
    folder: Path, stores: dict[str, RunRepository], measurements: int, ids: Iterator[str]
) -> Side:
    """Return the side that writes the bytes that a save of ours has left."""
    store = next(iter(stores.values()))
    run = next(ids)
    store.save(run, fresh_collectors(measurements)())
    if store.results_dir is None:
        raise FileNotFoundError("a repository in memory has no files to compare with")
    files = [(path.name, path.read_bytes()) for path in (store.results_dir / run).iterdir()]

    def prepare() -> Path:
        written = folder / next(ids)
        written.mkdir(parents=True)
        os.sync()
        return written

    return Side(RAW_WRITE, lambda written: write_raw(written, files), prepare)


def _rows_alone(bench: Bench, stack: ExitStack, stores: dict[str, RunRepository]) -> Section:
    """Time the rows of one run but for its buckets, which are most, on the bare connection."""
    store = next(iter(stores.values()))
    full, normal = (open_bare(stack, store, durability) for durability in ("full", "normal"))
    ids = (f"bare-{number}" for number in count())
    return bench.measure(
        "save.rows",
        "commit one run's rows, 18 of statistics",
        [
            Side(name, bare.save, lambda: run_rows(next(ids), time.time_ns() // 1000))
            for name, bare in ((SQLITE, full), (SQLITE + NORMAL, normal))
        ],
        rounds=bench.size(200, 40),
        warm_up=5,
    )
