"""The page that is made from `schema_doc`: `docs/schema.md`.

`python tests/schema_texts.py` writes it anew; a test holds it against a new store.
"""

from __future__ import annotations

import sqlite3
import tempfile
import textwrap
from pathlib import Path

from click.testing import CliRunner

from astraguard_store import RunRepository
from astraguard_store.cli import main

PROJECT = Path(__file__).parent.parent
PAGE = PROJECT / "docs" / "schema.md"


def described(results: Path, *words: str) -> str:
    """Give what `db describe` prints of the store in *results*."""
    arguments = ["db", "describe", *words, "--results", str(results)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def sql_in_description(connection: sqlite3.Connection, name: str) -> list[str]:
    """Give the statements in the description of a table or view: what is indented."""
    query = "SELECT description FROM schema_doc WHERE object = ? AND \"column\" = ''"
    (description,) = connection.execute(query, (name,)).fetchone()
    return [
        textwrap.dedent(block) for block in description.split("\n\n") if block.startswith("    ")
    ]


def write() -> None:
    """Write the page anew."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        RunRepository.open(results).close()
        page = described(results, "--markdown")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    write()
