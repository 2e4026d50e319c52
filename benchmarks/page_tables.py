"""The tables of docs/performance.md, made from the stored result of one full run.

`python -m benchmarks --json benchmarks/results/full.json` measures, and
`python -m benchmarks.page_tables --write docs/performance.md` puts the tables into the page:
the targets, what has no target, and the peers.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import PEERS
from benchmarks.questions import QUESTIONS
from benchmarks.results import OURS, OURS_NORMAL, Result
from benchmarks.tables import (
    TARGET_COLUMNS,
    proportions,
    render_quantity,
    replace_between,
    target_rows,
)
from benchmarks.targets import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.results import Section

STORED = Path(__file__).parent / "results" / "full.json"
"""The result that docs/performance.md shows: a full run, both durabilities."""

COSTS = ("analyst.", "check", "command_line.")
"""How the keys begin of what the second table shows, where no target is about it."""


def render_targets(result: Result) -> str:
    """Return date, commit, machine, the table of targets and what is said of it, as Markdown."""
    machine = result.machine
    where = (
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']}, "
        f"{machine['memory']}, {machine['kernel']}, {machine['file_system']}, "
        f"Python {machine['python']}, SQLite {machine['sqlite']}"
    )
    measured = f"Measured {machine['date']} at commit {machine['commit']} on {where}."
    remarks = [line for remark in proportions(result) for line in ("", f"{remark}.")]
    return "\n".join([measured, "", *_table(TARGET_COLUMNS, target_rows(result)), *remarks])


def render_costs(result: Result) -> str:
    """Return what questions take that no target is about, as Markdown."""
    judged = {verdict.section.key for verdict in judge(result)}
    sections = [one for one in result.sections if one.key.startswith(COSTS)]
    rows = [(one.title, _median(one, OURS)) for one in sections if one.key not in judged]
    return "\n".join(_table(("question", "time"), rows))


def render_peers(result: Result) -> str:
    """Return how long ours and its peers take for an operation, as Markdown."""
    sections = [one for one in result.sections if one.key.startswith("peers.")]
    measured = {name for section in sections for name in section.sides}
    sides = [name for name in (OURS, OURS_NORMAL, *PEERS) if name in measured]
    rows = [
        (
            section.title.removesuffix(", beside peers"),
            *(_median(section, name) for name in sides),
            _beside_the_fastest(section),
        )
        for section in sections
    ]
    return "\n".join(_table(("operation", *sides, "ours is"), rows))


TABLES: dict[str, Callable[[Result], str]] = {
    "benchmarks": render_targets,
    "costs": render_costs,
    "peers": render_peers,
}
"""What the page has, by the name in its markers."""


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = "|---|" + "---:|" * (len(heading) - 1)
    return [_row(heading), rule, *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _median(section: Section, name: str) -> str:
    return render_quantity(section.sides[name].median, section.unit)


def _beside_the_fastest(section: Section) -> str:
    ours = section.sides[OURS].median
    theirs = {name: section.sides[name].median for name in PEERS if name in section.sides}
    fastest = min(theirs, key=theirs.__getitem__)
    ratio = theirs[fastest] / ours
    if ratio >= 1:
        return f"{ratio:.1f}× faster than {fastest}"
    return f"{1 / ratio:.1f}× slower than {fastest}"


def require_full_run(result: Result) -> None:
    """Check that the result is one that the page may show: all questions, at full length.

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


def read_full_run(stored: Path) -> Result:
    """Return the result of a full run.

    Raises:
        ValueError: The file holds none, or can't be read.
    """
    try:
        result = Result.read(stored)
        require_full_run(result)
    except (OSError, ValueError) as error:
        raise ValueError(f"{stored}: {error}") from error
    return result


def put(result: Result, page: Path, *, write: bool) -> None:
    """Write the tables into *page* or, if not *write*, check that they are there.

    Raises:
        ValueError: One isn't; or the file can't be read or written, or has no place for it.
    """
    try:
        text = expected = page.read_text(encoding="utf-8")
        for name, render in TABLES.items():
            markers = (f"<!-- {name}:begin -->", f"<!-- {name}:end -->")
            expected = replace_between(expected, *markers, render(result))
        if write:
            page.write_text(expected, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(f"{page}: {error}") from error
    if not write and text != expected:
        raise ValueError(f"{page}: the tables are others; --write {page} puts these there")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, write them into a page, or check those that the page has.

    Returns:
        Exit status: 1 if the result isn't of a full run, or the page has other tables or
        no markers.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_tables", description=__doc__)
    parser.add_argument(
        "result",
        type=Path,
        nargs="?",
        default=STORED,
        help="result file of python -m benchmarks --json, of a full run (default: the stored one)",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into PAGE")
    action.add_argument("--check", type=Path, metavar="PAGE", help="fail where PAGE differs")
    asked = parser.parse_args(arguments)
    page: Path | None = asked.write or asked.check
    try:
        result = read_full_run(asked.result)
        if page is None:
            print("\n\n".join(render(result) for render in TABLES.values()))
        else:
            put(result, page, write=bool(asked.write))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
