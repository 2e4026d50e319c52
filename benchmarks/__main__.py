"""Command line: `python -m benchmarks [QUESTION …]`."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness import Bench, Progress
from benchmarks.machine import describe_machine, with_load_at_end
from benchmarks.plot import PlotUnavailableError, plot_growth, require_matplotlib
from benchmarks.questions import QUESTIONS
from benchmarks.results import Result
from benchmarks.tables import render_machine, render_sides, render_targets
from benchmarks.targets import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness import Durability

DURABILITIES: dict[str, tuple[Durability, ...]] = {
    "full": ("full",),
    "normal": ("normal",),
    "both": ("full", "normal"),
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time astraguard_store beside the file-based variants it replaces and "
        "beside the floor. Exit status 1 where a target is missed.",
    )
    parser.add_argument(
        "questions",
        nargs="*",
        metavar="QUESTION",
        help=f"what to ask, all without: {', '.join(QUESTIONS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="about a minute: few rounds, growth to 10,000 runs"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result to FILE")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the growth curves (extra: bench)"
    )
    parser.add_argument(
        "--durability",
        choices=tuple(DURABILITIES),
        default="both",
        help="how our sides commit; with both, NORMAL is a second column (default: both)",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="where to write meanwhile, on the disk to be measured; 8 GB for a full run "
        "(default: the system's temporary folder)",
    )
    return parser


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask the questions, print and store the result.

    Returns:
        Exit status: 0 where every target asked for is met, 1 where one is missed,
        2 where the command line can't be followed.
    """
    parser = build_parser()
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.questions) - set(QUESTIONS))
    if unknown:
        parser.error(f"no question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    questions = asked.questions or list(QUESTIONS)
    # Warnings of the scans would be timed, at the speed of whatever shows stderr.
    logger = logging.getLogger("astraguard_store")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        if asked.plot:
            require_matplotlib()
        with tempfile.TemporaryDirectory(prefix="astraguard-bench-", dir=asked.folder) as folder:
            progress = Progress()
            bench = Bench(Path(folder), asked.quick, DURABILITIES[asked.durability], progress)
            result = ask(questions, bench, asked.durability)
            progress.say("removing what was written")
        if asked.json:
            asked.json.write_text(result.to_json(), encoding="utf-8")
        print_result(result)
        if asked.plot:
            plot_growth(result, asked.plot)
    except PlotUnavailableError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        logger.setLevel(level)
    return 0 if all(verdict.met for verdict in judge(result)) else 1


if __name__ == "__main__":
    sys.exit(main())
