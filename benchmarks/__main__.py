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
from benchmarks.interruption import IGNORE, RAISE, on_interruption
from benchmarks.machine import describe_machine, with_load_at_end
from benchmarks.plot import plot_growth
from benchmarks.questions import QUESTIONS
from benchmarks.results import Result
from benchmarks.tables import render_machine, render_sides, render_targets
from benchmarks.targets import judge

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from benchmarks.results import Section


MISSED = 1
NOT_STORED = 2
INTERRUPTED = 130
"""As of a program that SIGINT has ended."""


def measure(asked: Namespace) -> Result:
    """Ask the questions in a temporary folder, remove it, and return what they measured."""
    with tempfile.TemporaryDirectory(prefix="astraguard-bench-", dir=asked.folder) as folder:
        bench = Bench(Path(folder), asked.quick, DURABILITIES[asked.durability])
        result = ask(asked.questions, bench, asked.durability)
        bench.progress.say("removing what was written")
    return result


def ask(questions: Sequence[str], bench: Bench, durability: str) -> Result:
    """Ask *questions* one after the other and return what they measured.

    Ctrl-C or SIGTERM ends it: what was measured by then is returned, marked as
    incomplete.
    """
    start = time.perf_counter()
    machine = describe_machine(bench.folder)
    sections: list[Section] = []
    complete = False
    try:
        with on_interruption(RAISE):
            for name in questions:
                # One at a time, where a question yields them.
                sections.extend(QUESTIONS[name](bench))
        complete = True
    except KeyboardInterrupt:
        bench.progress.say("interrupted")
    settings = {
        "quick": bench.quick,
        "durability": durability,
        "questions": list(questions),
        "complete": complete,
        "seconds": round(time.perf_counter() - start),
    }
    return Result(with_load_at_end(machine), settings, tuple(sections))


def print_result(result: Result) -> None:
    """Print the machine, each section's sides, and the targets."""
    print(render_machine(result), end="\n\n")
    for section in result.sections:
        # Those stand among the sizes already.
        if not section.key.endswith(".flat"):
            print(render_sides(section), end="\n\n")
    if judge(result):
        print(render_targets(result))
    if not result.settings["complete"]:
        print("INCOMPLETE: interrupted; what had been measured by then is above")


def store(result: Result, asked: Namespace) -> None:
    """Write the result and the curves if asked to; no curves of an incomplete result.

    Raises:
        OSError: One can't be written.
    """
    if asked.json:
        result.write(asked.json)
    if asked.plot and result.settings["complete"]:
        plot_growth(result, asked.plot)


def exit_status(result: Result) -> int:
    """Return the exit status that says how the measuring ended."""
    if not result.settings["complete"]:
        return INTERRUPTED
    return MISSED if any(verdict.met is False for verdict in judge(result)) else 0


@contextmanager
def quiet() -> Iterator[None]:
    """Let the store log nothing but errors inside the block.

    The scans' warnings would be timed too, and what shows stderr may be slow.
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
        Exit status: 0 if no target that was judged is missed, 1 if one is, 2 if the
        result couldn't be stored, 130 after Ctrl-C or SIGTERM.

    Raises:
        SystemExit: Status 2: the command line is wrong.
    """
    asked = parse(arguments)
    # Only the measuring is interrupted: the rest takes seconds, and leaves nothing behind.
    with quiet(), on_interruption(IGNORE):
        result = measure(asked)
        # Printed first: a full disk doesn't take what took minutes.
        print_result(result)
        try:
            store(result, asked)
        except OSError as error:
            print(f"what is shown above wasn't stored: {error}", file=sys.stderr)
            return NOT_STORED
    return exit_status(result)


if __name__ == "__main__":
    sys.exit(main())
