"""Tables of targets in docs/performance.md, made from stored results.

`python -m benchmarks.targets_table --write docs/performance.md` puts the one there, of a full
run; with `--newer` the other one, of the questions that this run didn't have yet.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.questions import QUESTIONS
from benchmarks.results import OURS, Result
from benchmarks.tables import (
    TARGET_COLUMNS,
    proportions,
    render_quantity,
    replace_between,
    target_rows,
)
from benchmarks.targets import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.results import Section

STORED = Path(__file__).parent / "results" / "full.json"
"""The result that docs/performance.md shows: a full run, both durabilities."""

BEGIN = "<!-- benchmarks:begin -->"
END = "<!-- benchmarks:end -->"

NEWER = ("live", "facade", "size", "analyst", "command_line")
"""Questions that were measured by themselves, after the full run; the next full run has all."""

ALONE = ("peers",)
"""Questions that have a table of their own: see `peers_table`."""

NEWER_STORED = STORED.with_name("newer.json")
NEWER_BEGIN = "<!-- newer:begin -->"
NEWER_END = "<!-- newer:end -->"


def render_newer(result: Result) -> str:
    """Return the same of the newer questions; also what no target is about."""
    judged = {verdict.section.key for verdict in judge(result)}
    others = [section for section in result.sections if section.key not in judged]
    blanks = len(TARGET_COLUMNS) - 2
    rows = [(one.title, _ours(one), *[""] * blanks) for one in others]
    return "\n".join([render_markdown(result), *map(_row, rows)])


def without_newer(result: Result) -> Result:
    """Return a result without the sections that were measured anew by themselves."""
    kept = (one for one in result.sections if one.key.partition(".")[0] not in {*NEWER, *ALONE})
    return replace(result, sections=tuple(kept))


def _ours(section: Section) -> str:
    return render_quantity(section.sides[OURS].median, section.unit)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def render_markdown(result: Result) -> str:
    """Return date, commit, machine, the table of targets and what is said of it, as Markdown."""
    machine = result.machine
    where = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, {machine['kernel']}, "
        f"{machine['file_system']}, Python {machine['python']}, SQLite {machine['sqlite']}"
    )
    heading = _row(TARGET_COLUMNS)
    rule = "|---|" + "---:|" * (len(TARGET_COLUMNS) - 1)
    rows = [_row(row) for row in target_rows(result)]
    measured = f"Measured {machine['date']} at commit {machine['commit']} on {where}."
    remarks = [line for remark in proportions(result) for line in ("", f"{remark}.")]
    return "\n".join([measured, "", heading, rule, *rows, *remarks])


def require_full_run(result: Result, questions: Iterable[str]) -> None:
    """Check that the result is one that the page may show: these questions, at full length.

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
    missing = [name for name in questions if name not in settings.get("questions", ())]
    if missing:
        raise ValueError(f"without the questions {', '.join(missing)}")


def read_table(stored: Path, *, newer: bool = False) -> str:
    """Return the table of a stored result, of the newer questions or of all others.

    Raises:
        ValueError: The file holds no result of a full run, or can't be read.
    """
    try:
        result = Result.read(stored)
        others = [q for q in QUESTIONS if q not in {*NEWER, *ALONE}]
        require_full_run(result, NEWER if newer else others)
    except (OSError, ValueError) as error:
        raise ValueError(f"{stored}: {error}") from error
    return render_newer(result) if newer else render_markdown(without_newer(result))


def put(table: str, page: Path, *, write: bool, newer: bool = False) -> None:
    """Write *table* into *page* or, if not *write*, check that it is there.

    Raises:
        ValueError: It isn't; or the file can't be read or written, or has no place for it.
    """
    try:
        text = page.read_text(encoding="utf-8")
        markers = (NEWER_BEGIN, NEWER_END) if newer else (BEGIN, END)
        expected = replace_between(text, *markers, table)
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
        help="result file of python -m benchmarks --json, of a full run (default: the stored one)",
    )
    parser.add_argument("--newer", action="store_true", help="the table of newer questions")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", type=Path, metavar="PAGE", help="put the table into PAGE")
    action.add_argument("--check", type=Path, metavar="PAGE", help="fail where PAGE differs")
    asked = parser.parse_args(arguments)
    page: Path | None = asked.write or asked.check
    try:
        stored = asked.result or (NEWER_STORED if asked.newer else STORED)
        table = read_table(stored, newer=asked.newer)
        if page is None:
            print(table)
        else:
            put(table, page, write=bool(asked.write), newer=asked.newer)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
