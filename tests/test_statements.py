"""The texts of statements that the package keeps: what they are, and what they save."""

from __future__ import annotations

from statement_texts import FILE, written_anew

from astraguard_store.database.runs import BELOW
from astraguard_store.database.schema import metadata


def test_the_kept_texts_are_what_is_written_now() -> None:
    kept = FILE.read_text(encoding="utf-8")

    assert kept == written_anew(), "python tests/statement_texts.py writes them anew"


def test_all_tables_of_a_run_are_named() -> None:
    of_runs = {name for name, table in metadata.tables.items() if "run_id" in table.c}

    assert {"runs", *BELOW} == of_runs
