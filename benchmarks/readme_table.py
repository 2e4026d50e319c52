"""README's table of figures, made from a stored result: `python -m benchmarks.readme_table`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.results import Result
from benchmarks.tables import TARGET_COLUMNS, proportions, target_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

STORED = Path(__file__).parent / "results" / "full.json"
"""The result that README shows: a full run, both durabilities."""

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


def replace_table(readme: str, table: str) -> str:
    """Return *readme* with *table* between its markers.

    Raises:
        ValueError: A marker is missing, or stands more than once.
    """
    for marker in (BEGIN, END):
        if readme.count(marker) != 1:
            raise ValueError(f"{marker} stands {readme.count(marker)} times, not once")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, or write it into or check it against a README.

    Returns:
        Exit status: 1 where the README holds something else or has no markers.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme_table", description=__doc__)
    parser.add_argument(
        "result",
        type=Path,
        nargs="?",
        default=STORED,
        help="result file of python -m benchmarks --json (default: the stored one)",
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", type=Path, metavar="README", help="put the table into README")
    action.add_argument("--check", type=Path, metavar="README", help="fail where README differs")
    asked = parser.parse_args(arguments)
    table = render_markdown(Result.read(asked.result))
    readme: Path | None = asked.write or asked.check
    if readme is None:
        print(table)
        return 0
    text = readme.read_text(encoding="utf-8")
    try:
        expected = replace_table(text, table)
    except ValueError as error:
        print(f"{readme}: {error}", file=sys.stderr)
        return 1
    if asked.write:
        readme.write_text(expected, encoding="utf-8")
    elif text != expected:
        command = f"python -m benchmarks.readme_table {asked.result} --write {readme}"
        print(f"{readme}: the table isn't that of {asked.result}; run {command}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
