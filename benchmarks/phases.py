"""Phases: where the time goes, by `python -m benchmarks.phases`.

The engine has no timers in it: while this measures, functions that read the clock
before and after stand in for its own. The time of a
phase is its own, without that of phases inside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from astraguard_store import MetricsStorage, RunRepository
from benchmarks.fill import write_tree
from benchmarks.machine import describe_machine
from benchmarks.stores import create_store, fresh_collectors
from benchmarks.tables import replace_between
from benchmarks.workloads import run_id, shuffled_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STORED = Path(__file__).parent / "results" / "phases.json"
BEGIN, END = "<!-- phases:begin -->", "<!-- phases:end -->"
MEASUREMENTS = (1_000, 10_000, 100_000)
ROUNDS, WARM_UP = 60, 10
RUNS = 10_000
BATCH = 100
"""Runs of a `save_many`, and measurements of each."""

# (module, function or method, what it is for), innermost names last.
SAVE = (
    ("store.new_runs", "new_run", "snapshot, checks, provenance"),
    ("artifacts.staged_run", "StagedRun.create", "files made, empty"),
    ("artifacts.staged_run", "StagedRun.write", "CSV of a small run hashed and written"),
    ("formats.csv", "_render_in_python", "CSV as text"),
    ("store.saving", "summarize", "statistics and buckets"),
    ("artifacts.staged_run", "StagedRuns.begin_syncs", "threads told to sync"),
    ("database.transaction", "Transaction.save_without_files", "rows written (files beside it)"),
    ("artifacts.staged_run", "StagedRuns.wait", "files waited for"),
    ("database.transaction", "Transaction.note_files", "rows of files, document written"),
    ("database.sqlite.connections", "SqliteWrite.commit", "commit, log synced"),
    ("artifacts.staged_run", "StagedRun.publish", "files moved"),
    ("store.saving", "close_all", "run's and results folder synced"),
)
IN_PLACE = (
    "database.sqlite.connections",
    "FileReader._checked_state",
    "is the file the one that was opened?",
)
COMMITTED = ("database.sqlite.connections", "FileReader.version", "has anybody committed?")
CONNECTION = ("database.sqlite.connections", "FileReader.read", "connection, lock, errors")
KEPT = ("database.identity_map", "IdentityMap.keep", "kept in the cache")
GET = (
    IN_PLACE,
    ("database.runs", "load_run", "statement, and objects of its rows"),
    CONNECTION,
    KEPT,
)
COMPARE = (
    IN_PLACE,
    ("database.runs", "compare", "statement, and objects of its rows"),
    CONNECTION,
    KEPT,
)
CACHED = (IN_PLACE, COMMITTED, ("database.identity_map", "IdentityMap.get", "looked up"))
DOCUMENT = (
    *CACHED,
    ("store.sources", "is_as_saved", "is the summary file as it was saved?"),
    ("store.sources", "copied", "the dict copied"),
)
SCAN = (("artifacts.scanner", "_newest_summaries", "listing, and a question for each folder"),)
IMPORT = (
    ("store.adoption", "read_run", "objects of the summary made and checked"),
    ("artifacts.reader", "_read_first", "summary file read"),
    ("store.adoption", "rows_of", "rows made"),
    ("database.transaction", "Transaction.insert_new", "rows written"),
    ("database.sqlite.connections", "SqliteWrite.commit", "commit, log synced"),
)

Phases = dict[str, float]
"""{phase: median time of a call, seconds}; `whole` is that of the call."""


class Stopwatch:
    """Sums the own times of phases, on the main thread."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, float]] = []
        self._inner: list[float] = []

    @contextmanager
    def timing(self, phases: Sequence[tuple[str, str, str]]) -> Iterator[None]:
        """Look at the clock around the functions of *phases* inside."""
        with ExitStack() as stack:
            for module, name, label in phases:
                owner: Any = import_module(f"astraguard_store.{module}")
                *outer, last = name.split(".")
                for part in outer:
                    owner = getattr(owner, part)
                stack.enter_context(patch.object(owner, last, self._timed(owner, last, label)))
            yield

    def call(self, function: Callable[[], object]) -> None:
        """Call *function* as one round."""
        self.rounds.append(defaultdict(float))
        started = time.perf_counter()
        function()
        self.rounds[-1]["whole"] = time.perf_counter() - started

    def medians(self) -> Phases:
        """Return the median of each phase over the rounds, and what is left of the whole."""
        names = {name: None for of_round in self.rounds for name in of_round}
        medians = {n: statistics.median(r.get(n, 0.0) for r in self.rounds) for n in names}
        whole = medians.pop("whole")
        return {**medians, "everything else": whole - sum(medians.values()), "whole": whole}

    def _timed(self, owner: Any, name: str, label: str) -> Callable[..., object]:
        function = getattr(owner, name)

        def timed(*arguments: object, **named: object) -> object:
            if current_thread() is not main_thread():
                return function(*arguments, **named)
            self._inner.append(0.0)
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                took = time.perf_counter() - started
                self.rounds[-1][label] += took - self._inner.pop()
                if self._inner:
                    self._inner[-1] += took

        return timed


def _measured(
    phases: Sequence[tuple[str, str, str]], calls: Iterator[Callable[[], object]]
) -> Phases:
    watch = Stopwatch()
    with watch.timing(phases):
        for call in calls:
            watch.call(call)
    del watch.rounds[:WARM_UP]
    return watch.medians()


def save_phases(folder: Path, measurements: int) -> Phases:
    """Return where a save of a new run goes, everything synced."""
    fresh = fresh_collectors(measurements)
    with RunRepository.open(folder / f"save{measurements}") as repository:
        collectors = [fresh() for _ in range(ROUNDS)]
        return _measured(
            SAVE,
            (
                lambda i=i, c=c: repository.save(run_id(i), c)  # type: ignore[misc]
                for i, c in enumerate(collectors)
            ),
        )


def batch_phases(folder: Path) -> Phases:
    """Return where a run of a `save_many` goes: the batch's phases, divided by its runs."""
    fresh = fresh_collectors(BATCH)
    with RunRepository.open(folder / "batch") as repository:
        batches = (
            [(run_id(round_ * BATCH + i), fresh()) for i in range(BATCH)]
            for round_ in range(WARM_UP + 10)
        )
        phases = _measured(
            SAVE,
            (lambda batch=batch: repository.save_many(batch) for batch in batches),  # type: ignore[misc]
        )
    return {name: seconds / BATCH for name, seconds in phases.items()}


def read_phases(folder: Path) -> dict[str, Phases]:
    """Return where reads of a store of 10,000 runs go."""
    create_store(folder / "read", RUNS)
    ids = shuffled_ids(RUNS)
    cold, others = ids[: RUNS // 4], ids[RUNS // 4 : RUNS // 4 * 3]
    pairs = zip(others[0::2], others[1::2], strict=True)
    with RunRepository.open(folder / "read") as repository:
        repository.set_tags(run_id(0), {"written": "so that a log is there"})
        return {
            "get, cold": _measured(GET, (lambda i=i: repository.get(i) for i in cold)),  # type: ignore[misc]
            "compare, cold, by types": _measured(
                COMPARE,
                (lambda pair=pair: repository.compare(*pair) for pair in pairs),  # type: ignore[misc]
            ),
            "get, cached": _measured(CACHED, (lambda: repository.get(ids[0]) for _ in cold)),
        }


def document_phases(folder: Path) -> Phases:
    """Return where the facade's dict goes."""
    storage = MetricsStorage("measured", folder / "facade")
    storage.save_latency_stats(fresh_collectors(1_000)())
    return _measured(DOCUMENT, (storage.get_run_metrics for _ in range(RUNS // 4)))


def scan_phases(folder: Path) -> Phases:
    """Return where a list of 10 of 10,000 folders goes, without a database."""
    write_tree(folder / "scan", 0, RUNS)
    with RunRepository.open(folder / "scan", read_only=True) as repository:
        return _measured(SCAN, (lambda: repository.recent(10) for _ in range(WARM_UP + 5)))


def import_phases(folder: Path) -> Phases:
    """Return where the import of a tree of summaries goes, divided by its runs."""
    trees = [folder / f"import{number}" for number in range(WARM_UP + 3)]
    for tree in trees:
        write_tree(tree, 0, BATCH)
    with ExitStack() as stack:
        stores = [stack.enter_context(RunRepository.open(tree, adopt=False)) for tree in trees]
        phases = _measured(IMPORT, (store.import_legacy for store in stores))
    return {name: seconds / BATCH for name, seconds in phases.items()}


def measure() -> dict[str, Any]:
    """Return all phases, with the machine's description."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        machine = describe_machine(folder)
        sections = {
            **{f"save of {n:,} measurements": save_phases(folder, n) for n in MEASUREMENTS},
            f"a run of {BATCH} measurements, of {BATCH} in a save_many": batch_phases(folder),
            **read_phases(folder),
            "get, the facade's fresh dict": document_phases(folder),
            "10 recent of 10,000 folders": scan_phases(folder),
            f"import, a run of {BATCH} summaries": import_phases(folder),
        }
    return {"machine": machine, "sections": sections}


def render_markdown(result: dict[str, Any]) -> str:
    """Return the phases of each section as a table."""
    machine = result["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['file_system']}"
    versions = f"Python {machine['python']}, SQLite {machine['sqlite']}"
    how = "medians, each phase without those inside it"
    lines = [f"Measured {machine['date']} on {where}, {versions}; {how}."]
    for title, phases in result["sections"].items():
        lines += ["", f"| {title} | time | of it |", "|---|---:|---:|"]
        whole = phases["whole"]
        for name, seconds in phases.items():
            lines.append(f"| {name} | {_text(seconds)} | {seconds / whole:.0%} |")
    return "\n".join(lines)


def _text(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, or take the stored result, and print it or put it into a page.

    Returns:
        Exit status: 1 where the page can't be read or written, or has no place for it.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.phases", description=__doc__)
    parser.add_argument("--store", action="store_true", help=f"write {STORED.name} anew")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the stored tables into it")
    asked = parser.parse_args(arguments)
    if asked.write:
        tables = render_markdown(json.loads(STORED.read_text(encoding="utf-8")))
        try:
            page = asked.write.read_text(encoding="utf-8")
            with_tables = replace_between(page, BEGIN, END, tables)
            asked.write.write_text(with_tables, encoding="utf-8")
        except (OSError, ValueError) as error:
            print(f"{asked.write}: {error}", file=sys.stderr)
            return 1
        return 0
    result = measure()
    print(render_markdown(result))
    if asked.store:
        STORED.write_text(json.dumps(result, indent=2) + os.linesep, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
