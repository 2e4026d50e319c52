"""How long does adopting a legacy tree take, and does its memory grow with the tree?"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from benchmarks.children import run_child
from benchmarks.harness import section
from benchmarks.results import OURS
from benchmarks.stores import shared_tree
from benchmarks.targets import ONE_PROCESS, SMALLER_TREE

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness import Bench
    from benchmarks.results import Section

RUNS = 10_000
RUNS_QUICK = 1_000
FEWER_RUNS = 500


def ask(bench: Bench) -> list[Section]:
    """Adopt trees of 10,000 and 500 summaries in fresh processes, in turn.

    The larger one as `astraguard-store import` does, with as many processes as pay, and
    by one, whose peak is the memory (VmHWM, interpreter and libraries included).
    """
    most = bench.size(RUNS, RUNS_QUICK)
    ways = {
        OURS: (most, "auto"),
        ONE_PROCESS: (most, "1"),
        SMALLER_TREE: (FEWER_RUNS, "1"),
    }
    trees = {runs: shared_tree(bench, runs) for runs in (most, FEWER_RUNS)}
    rounds = bench.size(3, 1)
    bench.progress.say(f"import of {most:,} legacy runs: {rounds} rounds")
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (runs, jobs) in ways.items():
            measured[name].append(_adopt(bench, trees[runs], runs, jobs))
    seconds = {name: [one["seconds"] for one in ones] for name, ones in measured.items()}
    peaks = {name: [one["peak"] for one in ones] for name, ones in measured.items()}
    title = f"import of {most:,} legacy runs, summaries only"
    return [
        section("import", title, seconds, reduced=bench.quick),
        section(
            "import.memory",
            f"{title}: peak memory of one process",
            {OURS: peaks[ONE_PROCESS], SMALLER_TREE: peaks[SMALLER_TREE]},
            unit="bytes",
            reduced=bench.quick,
        ),
    ]


def _adopt(bench: Bench, tree: Path, runs: int, jobs: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run_child(bench, "import_memory", str(tree), jobs))
    for left in tree.glob("astraguard.db*"):
        left.unlink()
    shutil.rmtree(tree / ".staging", ignore_errors=True)
    if answer["adopted"] != runs:
        raise RuntimeError(f"adopted {answer['adopted']} of {runs} runs: the figure is void")
    return answer
