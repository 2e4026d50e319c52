"""Table of peers in docs/performance.md, made from a stored result.

`python -m benchmarks peers --json benchmarks/results/peers.json` measures it, MLflow too where
it is installed; `python -m benchmarks.peers_table --write docs/performance.md` puts it there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import PEERS
from benchmarks.results import OURS, OURS_NORMAL, Result
from benchmarks.tables import render_quantity, replace_between
from benchmarks.targets_table import require_full_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.results import Section

STORED = Path(__file__).parent / "results" / "peers.json"
BEGIN = "<!-- peers:begin -->"
END = "<!-- peers:end -->"


def render(result: Result) -> str:
    """Return when and where it was measured, and a row an operation, as Markdown."""
    machine = result.machine
    sections = [one for one in result.sections if one.key.startswith("peers.")]
    sides = [name for name in (OURS, OURS_NORMAL, *PEERS) if name in sections[0].sides]
    measured = (
        f"Measured {machine['date']} at commit {machine['commit']} on {machine['cpu']}, "
        f"{machine['cores']} cores, load {machine['load']}; medians."
    )
    heading = f"| operation | {' | '.join(sides)} | ours is |"
    rule = "|---|" + "---:|" * (len(sides) + 1)
    return "\n".join([measured, "", heading, rule, *(_row(one, sides) for one in sections)])


def _row(section: Section, sides: Sequence[str]) -> str:
    title = section.title.removesuffix(", beside peers")
    medians = (render_quantity(section.sides[name].median, section.unit) for name in sides)
    return f"| {title} | {' | '.join(medians)} | {_is(section)} |"


def _is(section: Section) -> str:
    """Return how ours compares with the fastest of the others."""
    ours = section.sides[OURS].median
    theirs = {name: section.sides[name].median for name in PEERS if name in section.sides}
    fastest = min(theirs, key=theirs.__getitem__)
    ratio = theirs[fastest] / ours
    if ratio >= 1:
        return f"{ratio:.1f}× faster than {fastest}"
    return f"{1 / ratio:.1f}× slower than {fastest}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, write it into a page, or check the one that the page has.

    Returns:
        Exit status: 1 where the page has another table.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers_table", description=__doc__)
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", type=Path, metavar="PAGE", help="put the table into PAGE")
    action.add_argument("--check", type=Path, metavar="PAGE", help="fail where PAGE differs")
    asked = parser.parse_args(arguments)
    result = Result.read(STORED)
    require_full_run(result, ["peers"])
    table = render(result)
    page: Path | None = asked.write or asked.check
    if page is None:
        print(table)
        return 0
    text = page.read_text(encoding="utf-8")
    expected = replace_between(text, BEGIN, END, table)
    if asked.write:
        page.write_text(expected, encoding="utf-8")
    elif text != expected:
        print(f"{page}: the table is another one; --write {page} puts this there", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
