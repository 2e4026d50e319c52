"""The power goes, and the disk keeps of what wasn't synced whatever it likes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest

from .audit import audit, audit_database
from .cases import Case, new_case
from .children import Children
from .ledger import parse_entry, promises
from .power_loss import CrashState, Names, crash_states
from .report import Table, Tally
from .savers import trace_saves
from .trace import read_trace

A_FEW = 60
ALL = 1_000_000


def traced_states(
    case: Case,
    children: Children,
    durability: Literal["full", "normal"],
    rule: Names,
    most: int,
) -> list[CrashState]:
    """Trace a saver, and give *most* of the states that a power cut could leave."""
    trace = case.root / "trace"
    assert children.run(trace_saves, case, trace, durability) == 0
    states = list(crash_states(read_trace(trace, case.disk), rule))
    return random.Random(most).sample(states, min(most, len(states)))  # the same ones each time


def audit_states(states: Iterable[CrashState], place: Path, tally: Tally) -> None:
    """Build each state and open the store in it."""
    for state in states:
        place.mkdir()
        state.build(place)
        promised = promises([parse_entry(note) for note in state.notes])
        tally.add(audit(place / "results", promised), state.when)
        shutil.rmtree(place)


scales = pytest.mark.parametrize(
    "most",
    [
        pytest.param(A_FEW, id="bounded"),
        pytest.param(ALL, id="full", marks=pytest.mark.torture),
    ],
)


@pytest.mark.timeout(3600)
@scales
@pytest.mark.parametrize("rule", list(Names))
def test_a_power_cut_loses_nothing_acknowledged(
    rule: Names, most: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "traced")
    tally = table.row(f"power cut, {rule.value} names")

    states = traced_states(case, children, "full", rule, most)
    audit_states(states, tmp_path / "state", tally)

    tally.check()


@pytest.mark.timeout(3600)
@scales
def test_without_syncs_a_power_cut_leaves_a_sound_database(
    most: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "traced")
    tally = table.row("power cut, durability normal: only that the database is sound")

    for state in traced_states(case, children, "normal", Names.JOURNAL, most // 2):
        place = tmp_path / "state"
        place.mkdir()
        state.build(place)
        tally.add(audit_database(place / "results")[1], state.when)
        shutil.rmtree(place)

    tally.check()
