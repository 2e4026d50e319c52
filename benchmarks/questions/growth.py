"""Do get, recent, compare and save stay flat to a million stored runs?

And does listing folders, where there is no database, grow with their number only?
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count, islice, pairwise
from typing import TYPE_CHECKING, Any

from astraguard_store import MetricsStorage, RunRepository
from benchmarks import legacy
from benchmarks.fill import fill_database, write_tree
from benchmarks.harness import Side, again, section
from benchmarks.questions.analyst import of_filled
from benchmarks.questions.recent import LIMIT, committing
from benchmarks.results import OURS, SEQUENTIAL, THREADED
from benchmarks.stores import create_store, fresh_collectors, open_bare
from benchmarks.targets import HUNDRED_RUNS
from benchmarks.workloads import latencies, record, shuffled_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from astraguard_store import LatencyCollector
    from benchmarks.harness import Bench
    from benchmarks.results import Section

    Sides = dict[str, list[Side]]
    LegacyStorage = type[legacy.SequentialStorage | legacy.ThreadedStorage]

FEWEST = 100
STORED = (FEWEST, 1_000, 10_000, 100_000, 1_000_000)
STORED_QUICK = STORED[:3]
LEGACY_UP_TO = 100_000
LEGACY_UP_TO_QUICK = 1_000
MEASUREMENTS = 1_000

ROUNDS = 24
"""With the warm-up 25 gets and 25 comparisons read 75 runs, of the 100 that are there."""

READ_BEFORE = 4_000
"""Runs read untimed, so that the pages above the runs are in SQLite's cache, as they are in a
process that has answered for a while."""

FEW_ROUNDS = 8
"""Where an old listing takes a second, and with --quick."""

TITLES = {
    "get": "get, cold, of {} runs",
    "recent": f"{LIMIT} recent of {{}} runs, after another's commit",
    "compare": "compare, cold, of {} runs",
    "save": f"save {MEASUREMENTS:,} measurements into {{}} runs",
    "scan": f"{LIMIT} recent of {{}} folders, no database",
}

FLAT = ("get", "recent", "compare", "save")
"""What must take no longer for more runs: judged as it is at the most of them."""

ASKED_OF_MOST = (
    *("join", "percentiles", "percentiles_by_week", "prune_dry"),
    *("recent_since", "recent_until", "recent_state", "recent_scenario", "recent_tag"),
)
"""What an analyst asks of the most runs, too: not what makes an answer of a million parts."""


def ask(bench: Bench) -> Iterator[Section]:
    """Time the four operations at each size, beside a store of 100 runs in the same rounds.

    The old variants stop at the number of folders that can be made in a minute. One
    durability only: the first that is asked for.
    """
    results, tree = bench.folder / "growth", bench.folder / "growth-tree"
    database = create_store(results, 0)
    measured: dict[str, Section] = {}
    for before, runs in pairwise((0, *(STORED_QUICK if bench.quick else STORED))):
        bench.progress.say(f"growth: filling the store to {runs:,} runs")
        fill_database(database, before, runs)
        with_legacy = runs <= bench.size(LEGACY_UP_TO, LEGACY_UP_TO_QUICK)
        if with_legacy:
            bench.progress.say(f"growth: writing {runs - before:,} legacy runs")
            write_tree(tree, before, runs)
        # What was just written must not be synced on the saves' time.
        os.sync()
        yield _size(runs, database)
        for one in _times(bench, runs, results, tree if with_legacy else None):
            measured[one.key] = one
            yield one
    # The filled store is there, and minutes went into it.
    yield from of_filled(bench, results, runs, f".{runs}", ASKED_OF_MOST)
    for operation in FLAT:
        most = measured[f"growth.{operation}.{runs}"]
        yield replace(most, key=f"{operation}.flat", reduced=bench.quick)


def _size(runs: int, database: Path) -> Section:
    per_run = database.stat().st_size / runs
    title = f"database of {runs:,} runs, a run"
    return section(f"growth.size.{runs}", title, {OURS: [per_run]}, unit="bytes")


def _read_some(repository: RunRepository, ids: Iterator[str]) -> None:
    for run, other in zip(*[islice(ids, READ_BEFORE)] * 2, strict=True):
        repository.get(run)
        repository.compare(run, other)


def _times(bench: Bench, runs: int, results: Path, tree: Path | None) -> Iterator[Section]:
    few = bench.folder / f"growth-{FEWEST}-beside-{runs}"
    create_store(few, FEWEST)
    ids = (f"saved-{runs}-{number}" for number in count())
    with ExitStack() as stack:
        sides: Sides = {operation: [] for operation in TITLES}
        name, _ = bench.ours()[0]
        _add_ours(sides, name, _open(bench, stack, results, runs), ids)
        _add_ours(sides, HUNDRED_RUNS, _open(bench, stack, few, FEWEST), ids)
        if tree:
            listing = again(OURS, MetricsStorage.get_recent_runs, str(tree), LIMIT)
            sides["scan"] = [listing]
            _add_legacy(sides, SEQUENTIAL, legacy.SequentialStorage, (tree, runs), ids)
            _add_legacy(sides, THREADED, legacy.ThreadedStorage, (tree, runs), ids)
        slow = bench.quick or (tree and runs >= LEGACY_UP_TO)
        rounds = FEW_ROUNDS if slow else ROUNDS
        for operation, title in TITLES.items():
            if sides[operation]:
                key, sized = f"growth.{operation}.{runs}", title.format(f"{runs:,}")
                yield bench.measure(key, sized, sides[operation], rounds=rounds)


@dataclass(frozen=True, slots=True)
class _Store:
    """A repository, runs in it that weren't read yet, and somebody else who commits to it."""

    repository: RunRepository
    unread: Iterator[str]
    commit: Callable[[], None]


def _open(bench: Bench, stack: ExitStack, results: Path, runs: int) -> _Store:
    _, durability = bench.ours()[0]
    repository = stack.enter_context(RunRepository.open(results, durability=durability))
    other = open_bare(stack, repository, durability)
    unread = iter(shuffled_ids(runs))
    if runs > 2 * READ_BEFORE:
        _read_some(repository, unread)
    return _Store(repository, unread, committing(other))


def _add_ours(sides: Sides, name: str, store: _Store, ids: Iterator[str]) -> None:
    repository, unread = store.repository, store.unread
    fresh = fresh_collectors(MEASUREMENTS)
    sides["get"].append(Side(name, repository.get, lambda: next(unread)))
    sides["recent"].append(
        Side(name, lambda _: repository.recent(LIMIT), store.commit, calls=10, anew=True)
    )
    sides["compare"].append(
        Side(name, lambda pair: repository.compare(*pair), lambda: (next(unread), next(unread)))
    )

    def new_run() -> tuple[str, LatencyCollector]:
        os.sync()
        return next(ids), fresh()

    sides["save"].append(Side(name, lambda saved: repository.save(*saved), new_run))


def _add_legacy(
    sides: Sides, name: str, storage: LegacyStorage, stored: tuple[Path, int], ids: Iterator[str]
) -> None:
    tree, runs = stored
    results = str(tree)
    unread = iter(shuffled_ids(runs))
    asked = storage(next(unread), results)
    rows = latencies(MEASUREMENTS)

    def new_run() -> tuple[str, legacy.LatencyCollector]:
        # Recorded just before: else its file would be later than its measurements, like
        # that of a copied tree, whose CSVs a scan has to read.
        collector = legacy.LatencyCollector()
        record(collector, rows)
        return next(ids), collector

    calls: dict[str, tuple[Callable[[Any], object], Callable[[], Any]]] = {
        "get": (lambda run: storage(run, results).get_run_metrics(), lambda: next(unread)),
        "recent": (lambda _: storage.get_recent_runs(results, LIMIT), lambda: None),
        "scan": (lambda _: storage.get_recent_runs(results, LIMIT), lambda: None),
        "compare": (asked.compare_runs, lambda: next(unread)),
        "save": (
            lambda saved: storage(saved[0], results).save_latency_stats(saved[1]),
            new_run,
        ),
    }
    for operation, (call, prepare) in calls.items():
        sides[operation].append(Side(name, call, prepare))
