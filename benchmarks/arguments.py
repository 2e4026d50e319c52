"""Reads the command line, and refuses before minutes of measuring what can't be done."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import file_system
from benchmarks.plot import PlotUnavailableError, require_format
from benchmarks.questions import QUESTIONS

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
        "beside the floor. Exit status 1 where a target is missed, 130 after Ctrl-C, which "
        "keeps what was measured.",
        epilog="python -m benchmarks.page_tables puts a stored result's tables into "
        "docs/performance.md; python -m benchmarks.phases measures where our time goes.",
    )
    parser.add_argument(
        "questions",
        nargs="*",
        metavar="QUESTION",
        help=f"what to ask, all without: {', '.join(QUESTIONS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: few rounds and smaller sizes"
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
        "(default: the system's temporary folder, unless that is in memory)",
    )
    return parser


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments, with all questions if none is named.

    Raises:
        SystemExit: Status 2: the arguments are wrong; the message says why.
    """
    parser = build_parser()
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.questions) - set(QUESTIONS))
    if unknown:
        parser.error(f"no question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    asked.questions = asked.questions or list(QUESTIONS)
    _check_folder(parser, asked.folder)
    if asked.json:
        _check_target(parser, "--json", asked.json)
    if asked.plot:
        _check_target(parser, "--plot", asked.plot)
        _check_plot(parser, asked.plot, asked.questions)
    return asked


def _check_folder(parser: argparse.ArgumentParser, folder: Path | None) -> None:
    system = Path(tempfile.gettempdir())
    if folder is not None:
        _check_writable(parser, "--folder", folder)
    elif file_system(system) == "tmpfs":
        parser.error(
            f"{system} is in memory (tmpfs), where an fsync costs nothing and a full run takes "
            "8 GB: name a folder on the disk to be measured with --folder"
        )


def _check_target(parser: argparse.ArgumentParser, option: str, path: Path) -> None:
    # Else a device would be replaced by the file.
    if path.exists() and not path.is_file():
        parser.error(f"{option} {path}: that is no file")
    _check_writable(parser, option, path.parent)


def _check_writable(parser: argparse.ArgumentParser, option: str, folder: Path) -> None:
    # Tried, not asked: what may be written depends on more than permissions.
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        parser.error(f"{option}: can't write in {folder}: {error.strerror}")


def _check_plot(parser: argparse.ArgumentParser, path: Path, questions: Sequence[str]) -> None:
    if "growth" not in questions:
        parser.error("--plot draws what the question growth measures: ask that, too")
    try:
        require_format(path)
    except PlotUnavailableError as error:
        parser.error(str(error))
