"""Table of targets in docs/performance.md, made from a stored result.

`python -m benchmarks.targets_table --write docs/performance.md` puts it there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.questions import QUESTIONS
from benchmarks.results import Result
from benchmarks.tables import TARGET_COLUMNS, proportions, replace_between, target_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

STORED = Path(__file__).parent / "results" / "full.json"
"""The result that docs/performance.md shows: a full run, both durabilities."""

BEGIN = "<!-- benchmarks:begin -->"
END = "<!-- benchmarks:end -->"


def render_markdown(result: Result) -> str:
    """Return date, commit, machine, the table of targets and what is said of it, as Markdown."""
    machine = result.machine
    where = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, {machine['kernel']}, "
        f"{machine['file_system']}, Python {machine['python']}, SQLite {machine['sqlite']}"
    )
    heading = "| " + " | ".join(TARGET_COLUMNS) + " |"
    rule = "|---|" + "---:|" * (len(TARGET_COLUMNS) - 1)
    rows = ["| " + " | ".join(row) + " |" for row in target_rows(result)]
    measured = f"Measured {machine['date']} at commit {machine['commit']} on {where}."
    remarks = [line for remark in proportions(result) for line in ("", f"{remark}.")]
    return "\n".join([measured, "", heading, rule, *rows, *remarks])


def require_full_run(result: Result) -> None:
    """Check that the result is one that the page may show: every question, at full length.

    Raises:
        ValueError: It isn't; the message says what is wrong with the result.
    """
    settings = result.settings
    if settings.get("quick"):
        raise ValueError("measured with --quick, which is no evidence")
    if not settings.get("complete"):
        raise ValueError("not complete: the run was interrupted")
    if settings.get("durability") != "both":
        raise ValueError(f"of durability {settings.get('durability')} only, not of both")
    missing = [name for name in QUESTIONS if name not in settings.get("questions", ())]
    if missing:
        raise ValueError(f"without the questions {', '.join(missing)}")


def read_table(stored: Path) -> str:
    """Return the table of a stored result.

    Raises:
        ValueError: The file holds no result of a full run, or can't be read.
    """
    try:
        result = Result.read(stored)
        require_full_run(result)
    except (OSError, ValueError) as error:
        raise ValueError(f"{stored}: {error}") from error
    return render_markdown(result)


def put(table: str, page: Path, *, write: bool) -> None:
    """Write *table* into *page* or, if not *write*, check that it is there.

    Raises:
        ValueError: It isn't; or the file can't be read or written, or has no place for it.
    """
    try:
        text = page.read_text(encoding="utf-8")
        expected = replace_between(text, BEGIN, END, table)
        if write:
            page.write_text(expected, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(f"{page}: {error}") from error
    if not write and text != expected:
        raise ValueError(f"{page}: the table is another one; --write {page} puts this there")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write it into a page, or check the one that the page has.

    Returns:
        Exit status: 1 if the result isn't of a full run, or the page has another table or
        no markers.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.targets_table", description=__doc__
    )
    parser.add_argument(
        "result",
        type=Path,
        nargs="?",
        default=STORED,
        help="result file of python -m benchmarks --json, of a full run (default: the stored one)",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", type=Path, metavar="PAGE", help="put the table into PAGE")
    action.add_argument("--check", type=Path, metavar="PAGE", help="fail where PAGE differs")
    asked = parser.parse_args(arguments)
    page: Path | None = asked.write or asked.check
    try:
        table = read_table(asked.result)
        if page is None:
            print(table)
        else:
            put(table, page, write=bool(asked.write))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
