"""The power goes, and the disk keeps of what wasn't synced whatever it likes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import pytest

from .audit import audit, audit_database
from .cases import new_case
from .children import Children
from .ledger import Event, Promise, parse_entry, promises
from .power_loss import CrashState, Names, crash_states, in_fair_order
from .report import Finding, Table, Tally
from .savers import Durability, Scenario, trace_scenario
from .trace import Note, Step, read_trace

A_FEW = 60
# Folders that one test opens at most: some 20 to 40 ms each. All that there are, as
# long as a store isn't created in more than some 350 steps, nor a run saved in 25.
MANY = int(os.environ.get("ASTRAGUARD_TORTURE_STATES", "8_000"))
# States that are laid out at most to find them: 1 ms each.
DRAWN_FOR_EACH = 10
SEED = 1

scales = pytest.mark.parametrize(
    "most",
    [
        pytest.param(A_FEW, id="bounded"),
        pytest.param(MANY, id="full", marks=pytest.mark.torture),
    ],
)


def traced(
    root: Path, children: Children, scenario: Scenario, durability: Durability
) -> list[Step]:
    """Trace a saver that goes through a scenario."""
    case = new_case(root)
    trace = case.root / "trace"
    assert children.run(trace_scenario, case, trace, scenario, durability) == 0
    return read_trace(trace, case.disk)


def first_saved(steps: Sequence[Step]) -> int:
    """Count the steps until the store is there and has a run."""
    return next(
        number
        for number, step in enumerate(steps, 1)
        if isinstance(step, Note) and parse_entry(step.text).event is Event.ACKNOWLEDGED
    )


def try_states(
    states: Sequence[CrashState],
    most: int,
    place: Path,
    judge: Callable[[Path, dict[str, Promise]], list[Finding]],
    tally: Tally,
) -> None:
    """Open the stores in *most* of the folders that *states* leave; each folder once."""
    tally.states = len(states)
    seen: set[tuple[bytes, int]] = set()
    for state in islice(in_fair_order(states, SEED), DRAWN_FOR_EACH * most):
        if len(seen) == most:
            break
        tally.drawn += 1
        layout, notes = state.layout(), state.notes
        key = layout.digest(), len(notes)
        if key in seen:
            continue
        seen.add(key)
        place.mkdir()
        layout.fill(place)
        promised = promises([parse_entry(note) for note in notes])
        tally.add(judge(place / "results", promised), state.when)
        shutil.rmtree(place)


@pytest.mark.timeout(3600)
@scales
@pytest.mark.parametrize("rule", list(Names))
@pytest.mark.parametrize("scenario", ["saves", "changes"])
def test_a_power_cut_loses_nothing_acknowledged(
    scenario: Scenario,
    rule: Names,
    most: int,
    tmp_path: Path,
    memory: Path,
    children: Children,
    table: Table,
) -> None:
    changes = ", changes of compression and deletions" if scenario == "changes" else ""
    tally = table.row(f"power cut, {rule.value} names{changes}")
    steps = traced(tmp_path / "traced", children, scenario, "full")
    # Of a store's creation, all states are tried once: in the scenario "saves".
    first_cut = 1 if scenario == "saves" else first_saved(steps)

    try_states(list(crash_states(steps, rule, first_cut)), most, memory / "state", audit, tally)

    tally.check()


@pytest.mark.timeout(3600)
@scales
def test_without_syncs_a_power_cut_leaves_a_sound_database(
    most: int, tmp_path: Path, memory: Path, children: Children, table: Table
) -> None:
    tally = table.row("power cut, durability normal: only that the database is sound")
    steps = traced(tmp_path / "traced", children, "saves", "normal")
    states = list(crash_states(steps, Names.JOURNAL))

    def judge(results: Path, _: dict[str, Promise]) -> list[Finding]:
        return audit_database(results)[1]

    try_states(states, most, memory / "state", judge, tally)

    tally.check()
