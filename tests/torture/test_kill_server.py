"""The server killed at every step of a push: runs, tags, baselines, verdicts and raw files."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from killed_server import KilledServer

from .report import Finding, Harm, Table

_HARMS = {"lost": Harm.LOST, "half": Harm.TORN, "twice": Harm.LEFT_OVER}


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_the_server_killed_at_every_step_of_a_push(memory: Path, table: Table) -> None:
    row = table.row("server killed at each step of a push")

    with KilledServer.new(memory) as killed:
        for step in count(1):
            was_killed, faults = killed.push(kill_after=step)
            if not was_killed:
                break
            row.add([Finding(_HARMS[one.kind], one.seen) for one in faults], f"step {step}")

    row.check()
    assert row.tries > 50
