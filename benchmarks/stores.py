"""Stores and trees that several questions measure."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

from astraguard_store import LatencyCollector, RunRepository
from astraguard_store.options import DATABASE_NAME
from benchmarks.fill import fill_database, write_tree
from benchmarks.floors import BareStore
from benchmarks.workloads import latencies, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from benchmarks.harness import Bench, Durability
    from benchmarks.workloads import Latency


def stored_runs(bench: Bench) -> int:
    """Return how many runs the stores and the legacy tree of most questions have."""
    return bench.size(10_000, 2_000)


def create_store(results: Path, runs: int) -> Path:
    """Create a store with *runs* stored runs and return its database's path."""
    results.mkdir(parents=True, exist_ok=True)
    with RunRepository.open(results) as repository:
        database = repository.database_path
    if database is None:
        raise FileNotFoundError(f"no database in {results}")
    if runs:
        fill_database(database, 0, runs)
    return database


def open_stores(bench: Bench, stack: ExitStack, label: str, runs: int) -> dict[str, RunRepository]:
    """Return a repository of its own for each of our sides, closed with *stack*.

    Somebody else has each store open too. Without that, the store would need less work
    to know that nothing has changed, and that work is what is timed.
    """
    stores = {}
    for name, durability in bench.ours():
        results = bench.folder / f"{label}-{durability}"
        _copy_store(bench, results, runs)
        stores[name] = stack.enter_context(RunRepository.open(results, durability=durability))
        open_bare(stack, stores[name], durability)
    return stores


def _copy_store(bench: Bench, results: Path, runs: int) -> None:
    """Create a store with *runs* stored runs, filled once for all questions."""
    filled = bench.folder / f"filled-{runs}"
    database = filled / DATABASE_NAME
    if not database.exists():
        create_store(filled, runs)
    results.mkdir()
    shutil.copyfile(database, results / DATABASE_NAME)


def open_bare(stack: ExitStack, repository: RunRepository, durability: Durability) -> BareStore:
    """Return a bare connection to a repository's database, closed with *stack*."""
    database = repository.database_path
    if database is None:
        raise FileNotFoundError("a repository in memory has no database to connect to")
    bare = stack.enter_context(closing(BareStore(database, durability)))
    bare.recent()
    return bare


def shared_tree(bench: Bench, runs: int) -> Path:
    """Return a folder with *runs* legacy run folders and no database, made once."""
    tree = bench.folder / f"tree-{runs}"
    if not tree.exists():
        bench.progress.say(f"writing a legacy tree of {runs:,} runs")
        write_tree(tree, 0, runs)
    return tree


def recorded(rows: list[Latency]) -> LatencyCollector:
    """Return a collector of ours that has recorded *rows*."""
    collector = LatencyCollector()
    record(collector, rows)
    return collector


def fresh_collectors(count: int) -> Callable[[], LatencyCollector]:
    """Return a function that makes a new collector of *count* measurements.

    New each time, so that nothing a collector might keep from one save helps the next.
    """
    rows = latencies(count)
    return lambda: recorded(rows)
