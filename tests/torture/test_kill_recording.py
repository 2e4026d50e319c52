"""A recorder is killed, or its power is cut, at every step: what was flushed is there."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import pytest

from astraguard_store import RunNotFoundError, RunRepository, RunSummary

from .audit import left_over
from .cases import Case, new_case
from .children import Children
from .power_loss import CrashState, Names, crash_states, in_fair_order
from .recorders import (
    FLUSHES,
    LOG,
    ROWS_OF_A_FLUSH,
    adopt_once,
    noted,
    record_once,
    record_until_killed,
    trace_adoption,
    trace_recording,
)
from .report import Finding, Harm, Table, Tally
from .savers import NEW, prepare
from .shim import Action
from .test_kill import KILLED, kill_at_steps
from .trace import Note, read_trace

ALL_ROWS = FLUSHES * ROWS_OF_A_FLUSH

strides = [
    pytest.param(9, id="bounded"),
    pytest.param(1, id="full", marks=pytest.mark.torture),
]
mosts = pytest.mark.parametrize(
    "most",
    [
        pytest.param(40, id="bounded"),
        pytest.param(2_000, id="full", marks=pytest.mark.torture),
    ],
)


def judge(results: Path, flushed: int) -> list[Finding]:
    """Open the store, which adopts what is left of the recording, and look at it twice."""
    findings: list[Finding] = []
    for _ in range(2):
        with RunRepository.open(results) as repository:
            headers = {header.run_id for header in repository.recent(1_000)}
            report = repository.check(deep=True)
            found = found_run(repository)
            rows = repository.measurements(NEW).height if found and found.artifacts else 0
        faults = (str(f) for f in report.findings if f.severity == "fault")
        findings += (Finding(Harm.TORN, fault) for fault in faults)
        findings += judge_run(found, rows, flushed)
        # Attachments are files of the run that `left_over` knows nothing of.
        shown = (seen for seen in left_over(results, headers) if "['attachments']" not in seen)
        findings += (Finding(Harm.LEFT_OVER, seen) for seen in shown)
    return findings


def found_run(repository: RunRepository) -> RunSummary | None:
    try:
        return repository.get(NEW)
    except RunNotFoundError:
        return None


def judge_run(found: RunSummary | None, rows: int, flushed: int) -> list[Finding]:
    if found is None:
        return [Finding(Harm.LOST, "the run is not there")] if flushed else []
    findings = []
    if found.state not in {"interrupted", "finished"}:
        findings.append(Finding(Harm.LEFT_OVER, f"its state is {found.state}"))
    if found.total_measurements < flushed or rows != found.total_measurements:
        what = f"{flushed} were flushed, {found.total_measurements} and {rows} are there"
        findings.append(Finding(Harm.LOST, what))
    if found.total_measurements % ROWS_OF_A_FLUSH:
        findings.append(Finding(Harm.TORN, f"{found.total_measurements} measurements"))
    if found.tags != {"rig": "7"} or found.revision != 1:
        findings.append(Finding(Harm.TORN, f"{found.tags}, revision {found.revision}"))
    if flushed == ALL_ROWS and [a.name for a in found.attachments] != [LOG]:
        findings.append(Finding(Harm.LOST, "its attachment is not there"))
    return findings


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", strides)
@pytest.mark.parametrize("action", [Action.KILL, Action.TORN])
def test_what_was_flushed_survives_a_kill(
    action: Action, stride: int, tmp_path: Path, children: Children, table: Table
) -> None:
    prepared = new_case(tmp_path / "prepared")
    assert children.run(prepare, prepared) == 0
    tally = table.row(f"{action.name.lower()} in a recording")

    kill_at_steps(
        prepared,
        lambda case, fault: children.run(record_once, case, fault),
        action,
        stride,
        tally,
        lambda case: judge(case.results, noted(case)),
    )

    tally.check()


@pytest.mark.timeout(3600)
@mosts
@pytest.mark.parametrize("rule", list(Names))
def test_what_was_flushed_survives_a_power_cut(
    rule: Names, most: int, tmp_path: Path, memory: Path, children: Children, table: Table
) -> None:
    case: Case = new_case(tmp_path / "traced")
    trace = case.root / "trace"
    assert children.run(trace_recording, case, trace) == 0
    tally = table.row(f"power cut in a recording, {rule.value} names")
    steps = read_trace(trace, case.disk)
    # What a cut in the store's creation leaves has a test of its own.
    created = next(n for n, step in enumerate(steps, 1) if isinstance(step, Note))
    states = list(crash_states(steps, rule, created))

    try_recordings(states, most, memory / "state", tally)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", strides)
def test_a_killed_adoption_is_done_again_and_once(
    stride: int, tmp_path: Path, children: Children, table: Table
) -> None:
    prepared = new_case(tmp_path / "prepared")
    assert children.run(prepare, prepared) == 0
    assert children.run(record_until_killed, prepared) == KILLED
    tally = table.row("kill in the adoption of a recording")

    kill_at_steps(
        prepared,
        lambda case, fault: children.run(adopt_once, case, fault),
        Action.KILL,
        stride,
        tally,
        lambda case: judge(case.results, ALL_ROWS),
    )

    tally.check()


@pytest.mark.timeout(3600)
@mosts
@pytest.mark.parametrize("rule", list(Names))
def test_what_was_flushed_survives_a_power_cut_in_its_adoption(
    rule: Names, most: int, tmp_path: Path, memory: Path, children: Children, table: Table
) -> None:
    case: Case = new_case(tmp_path / "traced")
    trace = case.root / "trace"
    assert children.run(record_until_killed, case, trace) == KILLED
    killed_at = len(read_trace(trace, case.disk))
    assert children.run(trace_adoption, case, trace) == 0
    tally = table.row(f"power cut in the adoption of a recording, {rule.value} names")
    states = list(crash_states(read_trace(trace, case.disk), rule, killed_at))

    try_recordings(states, most, memory / "state", tally, flushed=ALL_ROWS)


def try_recordings(
    states: list[CrashState], most: int, place: Path, tally: Tally, flushed: int | None = None
) -> None:
    """Open the stores in *most* of the folders that *states* leave.

    Args:
        states: After power cuts.
        most: So many at most.
        place: A folder that isn't there yet.
        tally: Of the findings.
        flushed: How many measurements were flushed; None where notes of the trace say it.
    """
    tally.states = len(states)
    for state in islice(in_fair_order(states, 1), most):
        tally.drawn += 1
        place.mkdir()
        state.layout().fill(place)
        noted = max((int(text) for text in state.notes), default=0)
        tally.add(judge(place / "results", noted if flushed is None else flushed), state.when)
        shutil.rmtree(place)
    tally.check()
