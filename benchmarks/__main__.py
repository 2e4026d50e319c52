"""Command line: `python -m benchmarks [QUESTION …]`."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.arguments import DURABILITIES, parse
from benchmarks.harness import Bench
from benchmarks.machine import describe_machine, with_load_at_end
from benchmarks.plot import plot_growth
from benchmarks.questions import QUESTIONS
from benchmarks.results import Result
from benchmarks.tables import render_machine, render_sides, render_targets
from benchmarks.targets import judge

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence


def measure(asked: Namespace) -> Result:
    """Ask the questions in a temporary folder, remove it, and return what they measured."""
    with tempfile.TemporaryDirectory(prefix="astraguard-bench-", dir=asked.folder) as folder:
        bench = Bench(Path(folder), asked.quick, DURABILITIES[asked.durability])
        result = ask(asked.questions, bench, asked.durability)
        bench.progress.say("removing what was written")
    return result


def ask(questions: Sequence[str], bench: Bench, durability: str) -> Result:
    """Ask *questions* one after the other and return what they measured."""
    start = time.perf_counter()
    machine = describe_machine(bench.folder)
    sections = [section for name in questions for section in QUESTIONS[name](bench)]
    settings = {
        "quick": bench.quick,
        "durability": durability,
        "questions": list(questions),
        "seconds": round(time.perf_counter() - start),
    }
    return Result(with_load_at_end(machine), settings, tuple(sections))


def print_result(result: Result) -> None:
    """Print the machine, each section's sides, and the targets."""
    print(render_machine(result), end="\n\n")
    for section in result.sections:
        print(render_sides(section), end="\n\n")
    if judge(result):
        print(render_targets(result))


@contextmanager
def quiet() -> Iterator[None]:
    """Let the store log errors only inside.

    Warnings of the scans would be timed, at the speed of whatever shows stderr.
    """
    logger = logging.getLogger("astraguard_store")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask the questions, print and store the result.

    Returns:
        Exit status: 0 where every target asked for is met, 1 where one is missed.

    Raises:
        SystemExit: Status 2: the command line can't be followed.
    """
    asked = parse(arguments)
    with quiet():
        result = measure(asked)
    if asked.json:
        asked.json.write_text(result.to_json(), encoding="utf-8")
    print_result(result)
    if asked.plot:
        plot_growth(result, asked.plot)
    return 0 if all(verdict.met for verdict in judge(result)) else 1


if __name__ == "__main__":
    sys.exit(main())
