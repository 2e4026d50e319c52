"""The texts that are made from `schema_doc`: `docs/schema.md`, and a table in the README.

`python tests/schema_texts.py` writes both anew; tests hold them against a new store.
"""

from __future__ import annotations

import re
import sqlite3
import tempfile
import textwrap
from pathlib import Path

from click.testing import CliRunner

from astraguard_store import RunRepository
from astraguard_store.cli import main

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "schema.md"
README = PROJECT / "README.md"
_BETWEEN = re.compile(r"(?<=<!-- schema:begin -->\n).*?(?=<!-- schema:end -->)", re.DOTALL)


def described(results: Path, *words: str) -> str:
    """Give what `db describe` prints of the store in *results*."""
    arguments = ["db", "describe", *words, "--results", str(results)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def part_of_readme() -> str:
    """Give what stands between the README's marks."""
    (part,) = _BETWEEN.findall(README.read_text(encoding="utf-8"))
    return str(part)


def views_of(brief: str) -> str:
    """Give the table without its tables: the README names what to ask."""
    lines = brief.splitlines(keepends=True)
    return "".join(line for line in lines if "| table |" not in line)


def sql_in_description(connection: sqlite3.Connection, name: str) -> list[str]:
    """Give the statements in the description of a table or view: what is indented."""
    query = "SELECT description FROM schema_doc WHERE object = ? AND \"column\" = ''"
    (description,) = connection.execute(query, (name,)).fetchone()
    return [
        textwrap.dedent(block) for block in description.split("\n\n") if block.startswith("    ")
    ]


def write() -> None:
    """Write both texts anew."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        RunRepository.open(results).close()
        page = described(results, "--markdown")
        part = views_of(described(results, "--markdown", "--brief"))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    README.write_text(_BETWEEN.sub(lambda _: part, readme), encoding="utf-8")


if __name__ == "__main__":
    write()
