"""A clock that jumps, blunt file times, copied trees: no save is lost, and none comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from .cases import new_case
from .children import Children
from .clocks import harms, live_with_a_bad_clock
from .report import Table

LONG = [pytest.mark.torture, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("tries", "steps"),
    [pytest.param(3, 12, id="bounded"), pytest.param(200, 20, id="full", marks=LONG)],
)
def test_a_clock_that_jumps_loses_no_save(
    tries: int, steps: int, memory: Path, children: Children, table: Table
) -> None:
    tally = table.row("clock that jumps, beside locked databases and copies without times")
    for seed in range(tries):
        case = new_case(memory / f"try{seed}")

        code = children.run(live_with_a_bad_clock, case, seed, steps)

        assert code == 0
        # Every run of it is in the model; the ledger is empty.
        left = [found for found in case.audit() if "nobody saved" not in found.seen]
        tally.add([*harms(case), *left], f"seed {seed}")
        case.remove()
    tally.check()
