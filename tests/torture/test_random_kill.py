"""`kill -9` at random: several savers of new and existing runs, and sweepers beside them."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from .cases import Case, new_case
from .children import Children, finish, wait_until
from .crowds import sweep_until
from .ledger import acknowledged_saves
from .report import Finding, Harm, Table
from .savers import prepare, save_forever

SAVERS = 3
ROUNDS_A_STORE = 8  # an audit reads every run, and each round adds dozens


def kill_savers(case: Case, children: Children, name: str, *, fresh: bool = False) -> None:
    """Let three savers work for a moment, and kill them."""
    before = len(acknowledged_saves(case.entries()))
    savers = [
        children.start(save_forever, case, f"{name}-{saver}", "shared", fresh=fresh)
        for saver in range(SAVERS)
    ]
    wait_until(lambda: len(acknowledged_saves(case.entries())) > before, "a save returns")
    time.sleep(random.uniform(0.0, 0.3))
    for saver in savers:
        saver.kill()
    for saver in savers:
        finish(saver)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("rounds", "fresh"),
    [
        pytest.param(6, False, id="bounded"),
        pytest.param(140, False, id="full", marks=pytest.mark.torture),
        pytest.param(10, True, id="full, own interpreters", marks=pytest.mark.torture),
    ],
)
def test_savers_killed_at_random_lose_nothing(
    rounds: int, fresh: bool, tmp_path: Path, children: Children, table: Table
) -> None:
    tally = table.row(f"random kill -9 of {SAVERS} savers{', own interpreters' if fresh else ''}")

    for number in range(rounds):
        case = Case(tmp_path / f"store{number // ROUNDS_A_STORE}")
        if number % ROUNDS_A_STORE == 0:
            new_case(case.root)
            children.run(prepare, case)
        kill_savers(case, children, f"round{number}", fresh=fresh)
        tally.add(case.audit(), f"round {number}")

    tally.check()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(5, id="bounded"),
        pytest.param(100, id="full", marks=pytest.mark.torture),
    ],
)
def test_sweepers_take_nothing_from_live_savers(
    rounds: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "store")
    children.run(prepare, case)
    over = children.context.Event()
    sweeps = children.context.Value("q", 0)
    tally = table.row(f"kill -9 of {SAVERS} savers beside {SAVERS} sweepers")
    sweepers = [children.start(sweep_until, case, over, sweeps) for _ in range(SAVERS)]

    for number in range(rounds):
        kill_savers(case, children, f"round{number}")
        tally.tries += 1
    over.set()
    codes = [finish(sweeper) for sweeper in sweepers]

    tally.findings += case.audit()
    if any(codes):
        tally.findings.append(Finding(Harm.LOST, f"sweepers ended with {codes}"))
    tally.check()
    assert sweeps.value > 0
