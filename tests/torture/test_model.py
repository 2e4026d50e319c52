"""The full form of tests/test_store_machine.py."""

from __future__ import annotations

import pytest
from test_store_machine import other_program, run_machine

from .report import Table

__all__ = ["other_program"]

EXAMPLES = 600


@pytest.mark.timeout(3600)
@pytest.mark.torture
@pytest.mark.usefixtures("other_program")
def test_the_store_agrees_with_a_dict(table: Table) -> None:
    tally = table.row("two repositories and a second program against a dict")

    run_machine(EXAMPLES, 50, shrink=True)

    tally.tries = EXAMPLES
    tally.check()
