"""How much CPU does a command of a small store take, from its start to its end?"""

from __future__ import annotations

import resource
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from astraguard_store import RunRepository
from benchmarks.children import run_command
from benchmarks.harness import section
from benchmarks.stores import fresh_collectors
from benchmarks.targets import PYTHON

if TYPE_CHECKING:
    from benchmarks.harness import Bench
    from benchmarks.results import Section

COMMANDS = {
    "help": ("--help",),
    "recent": ("recent",),
    "show": ("show", "run_0"),
    "compare": ("compare", "run_0", "run_1"),
    "history": ("history", "fault_detection"),
    "percentiles": ("percentiles", "fault_detection"),
    "query": ("query", "SELECT run_id FROM v_runs"),
    "check": ("check",),
}


def ask(bench: Bench) -> list[Section]:
    """Take the CPU of whole processes, byte code present, beside a Python that does nothing."""
    results = bench.folder / "command-line"
    with RunRepository.open(results, durability="normal") as repository:
        for number in range(10):
            repository.save(f"run_{number}", fresh_collectors(100)())
    name, _ = bench.ours()[0]
    program = shutil.which("astraguard-store", path=str(Path(sys.executable).parent))
    started = [program] if program else [sys.executable, "-m", "astraguard_store"]
    rounds = bench.size(15, 3)
    sections = []
    # Each start is a quarter of a second of CPU.
    for key in ("recent",) if bench.quick else COMMANDS:
        arguments = COMMANDS[key]
        command = [*started, *arguments]
        if key != "help":
            command += ["--results", str(results)]
        bench.progress.say(f"command line: {key}, {rounds} rounds")
        sides = {name: command, PYTHON: [sys.executable, "-c", "pass"]}
        samples: dict[str, list[float]] = {side: [] for side in sides}
        # The first makes the byte code.
        for done in range(rounds + 1):
            for side, called in sides.items():
                seconds = _cpu_seconds(bench, called)
                if done:
                    samples[side].append(seconds)
        title = f"command line, CPU of `{arguments[0]}`"
        sections.append(section(f"command_line.{key}", title, samples, reduced=bench.quick))
    return sections


def _cpu_seconds(bench: Bench, command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_command(bench, command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
