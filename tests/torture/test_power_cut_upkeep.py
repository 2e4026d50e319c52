"""The power goes while a store recovers from a `kill -9`, or gets a newer schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from astraguard_store.formats.layout import DELETION_SUFFIX

from .audit import DATABASE, audit
from .cases import new_case
from .children import Children
from .keepers import trace_copy, trace_upgrade
from .ledger import Promise
from .power_loss import Names, crash_states
from .report import Finding, Table
from .savers import DOOMED, trace_opening, trace_until_killed
from .test_kill import INTERRUPTED, KILLED
from .test_kill_upkeep import OLD, STORED, unlike_before
from .test_power_cut import try_states
from .trace import NameChange, Step, Sync, read_trace


def scales(bounded: int, full: int) -> pytest.MarkDecorator:
    """Try so many states: a few where names are least certain, many under both rules."""
    few = [pytest.param(Names.POSIX, bounded, id="POSIX-bounded")]
    many = [
        pytest.param(rule, full, id=f"{rule.name}-full", marks=pytest.mark.torture)
        for rule in Names
    ]
    return pytest.mark.parametrize(("rule", "most"), few + many)


@pytest.mark.timeout(1200)
@scales(bounded=6, full=400)  # of some 30 ms each
@pytest.mark.parametrize("interrupted", INTERRUPTED)
def test_a_power_cut_in_a_recovery_loses_nothing_acknowledged(
    interrupted: str,
    rule: Names,
    most: int,
    tmp_path: Path,
    memory: Path,
    children: Children,
    table: Table,
) -> None:
    case = new_case(tmp_path / "traced")
    trace = case.root / "trace"
    assert children.run(trace_until_killed, case, trace, *INTERRUPTED[interrupted]) == KILLED
    # A kill isn't a power cut: what the dead process wrote is there for the next one,
    # and what it didn't sync is uncertain still.
    killed_at = len(read_trace(trace, case.disk))
    assert children.run(trace_opening, case, trace) == 0
    tally = table.row(f"power cut, {rule.value} names, in recovery of {interrupted}")
    states = list(crash_states(read_trace(trace, case.disk), rule, killed_at))

    try_states(states, most, memory / "state", audit, tally)

    tally.check()


def test_a_recovered_deletion_is_durable_before_its_marker_goes(
    tmp_path: Path, children: Children
) -> None:
    case = new_case(tmp_path / "traced")
    trace = case.root / "trace"
    interrupted = INTERRUPTED["delete, between its files"]
    assert children.run(trace_until_killed, case, trace, *interrupted) == KILLED
    assert children.run(trace_opening, case, trace) == 0

    steps = read_trace(trace, case.disk)
    [(folder_gone, results)] = removals(steps, lambda name: name == DOOMED)
    *_, (marker_gone, _) = removals(steps, lambda name: name.endswith(DELETION_SUFFIX))
    assert Sync(results) in steps[folder_gone:marker_gone]


def removals(steps: Sequence[Step], is_meant: Callable[[str], bool]) -> list[tuple[int, int]]:
    """List the steps that removed such a name and nothing else, and the folders it was in."""
    return [
        (number, step.entries[0][0])
        for number, step in enumerate(steps)
        if isinstance(step, NameChange)
        and len(step.entries) == 1
        and step.entries[0][2] is None
        and is_meant(step.entries[0][1])
    ]


@pytest.mark.timeout(1200)
@scales(bounded=8, full=400)  # of some 0.3 s: each is upgraded again
def test_a_power_cut_in_an_upgrade_leaves_the_old_schema_or_the_new(
    rule: Names, most: int, tmp_path: Path, memory: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "traced")
    trace = case.root / "trace"
    assert children.run(trace_copy, case, trace, STORED / f"{OLD}.sqlite", DATABASE) == 0
    copied_at = len(read_trace(trace, case.disk))
    assert children.run(trace_upgrade, case, trace) == 0
    tally = table.row(f"power cut, {rule.value} names, in an upgrade")
    states = list(crash_states(read_trace(trace, case.disk), rule, copied_at))

    def judge(results: Path, _: dict[str, Promise]) -> list[Finding]:
        return unlike_before(results)

    try_states(states, most, memory / "state", judge, tally)

    tally.check()
