"""`kill -9` at every step: whatever was acknowledged is there, whole, and nothing else."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .audit import audit_rebuilt
from .cases import Case, new_case
from .children import Children
from .report import Finding, Table, Tally
from .savers import OPERATIONS, open_once, operate_once, prepare
from .shim import EVERY_KIND, Action, Fault

KILLED = -signal.SIGKILL

every_fifth_step = pytest.param(5, id="bounded")
every_step = pytest.param(1, id="full", marks=pytest.mark.torture)
# Of operations of some 10 and some 1,000 steps alike.
some_tries = pytest.mark.parametrize(
    ("action", "tries"),
    [
        pytest.param(Action.KILL, 3, id="KILL-bounded"),
        pytest.param(Action.KILL, 10_000, id="KILL-full", marks=pytest.mark.torture),
        pytest.param(Action.TORN, 10_000, id="TORN-full", marks=pytest.mark.torture),
    ],
)


@pytest.fixture
def prepared(tmp_path: Path, children: Children) -> Case:
    """Give a store with three runs."""
    case = new_case(tmp_path / "prepared")
    assert children.run(prepare, case) == 0
    return case


def sampled(stride: int, seed: str) -> Iterator[int]:
    """Yield ever later steps, *stride* apart on average; 1 yields all of the first 10,000.

    Which, depends on *seed*: at a fixed distance, steps that come in pairs were always hit
    at the same half.
    """
    generator = random.Random(seed)
    step = generator.randint(1, stride)
    while step < 10_000:
        yield step
        step += generator.randint(1, 2 * stride - 1)


def stride_for(
    tries: int, template: Case, run: Callable[[Case, Fault], int], action: Action
) -> int:
    """Count the steps of a run that answers them, and divide them into *tries*."""
    case = template.copy(template.root.with_name("counted"))
    assert run(case, Fault(kinds=kinds_of(action))) == 0
    steps = int(case.answer.read_text())
    case.remove()
    return max(1, steps // tries)


def kinds_of(action: Action) -> str:
    """Name the kinds of step at which *action* differs from others."""
    return "w" if action is Action.TORN else EVERY_KIND


def kill_at_steps(
    template: Case,
    run: Callable[[Case, Fault], int],
    action: Action,
    stride: int,
    tally: Tally,
    judge: Callable[[Case], list[Finding]] = Case.audit,
) -> None:
    """Run on copies of *template*, killed at steps *stride* apart, until one run ends."""
    kinds = kinds_of(action)
    for step in sampled(stride, seed=tally.fault):
        case = template.copy(template.root.with_name("try"))
        code = run(case, Fault(step, action, kinds=kinds))
        tally.add(judge(case), f"at step {step}")
        case.remove()
        if code == 0:
            return
        assert code == KILLED
    raise AssertionError(f"{tally.fault}: never ended")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", [every_fifth_step, every_step])
@pytest.mark.parametrize("action", [Action.KILL, Action.TORN])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_killed_operation_came_to_pass_or_not(
    operation: str,
    action: Action,
    stride: int,
    prepared: Case,
    children: Children,
    table: Table,
) -> None:
    tally = table.row(f"{action.name.lower()} in {operation}")

    kill_at_steps(
        prepared,
        lambda case, fault: children.run(operate_once, case, operation, fault),
        action,
        stride,
        tally,
    )

    tally.check()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", [pytest.param(17, id="bounded"), every_step])
@pytest.mark.parametrize("action", [Action.KILL, Action.TORN])
def test_a_killed_first_opening_can_be_done_again(
    action: Action, stride: int, tmp_path: Path, children: Children, table: Table
) -> None:
    tally = table.row(f"{action.name.lower()} in first opening")

    kill_at_steps(
        new_case(tmp_path / "empty"),
        lambda case, fault: children.run(open_once, case, fault),
        action,
        stride,
        tally,
    )

    tally.check()


INTERRUPTED = {
    "save new, before its commit": ("save new", Fault(1, Action.KILL, path_part="-wal")),
    "save new, before its files moved": ("save new", Fault(1, Action.KILL, kinds="r")),
    "save new, between its files": ("save new", Fault(2, Action.KILL, kinds="r")),
    "save again, between its files": ("save again", Fault(2, Action.KILL, kinds="r")),
    "change over, between its files": ("change over", Fault(2, Action.KILL, kinds="r")),
    "change over, among old files": ("change over", Fault(2, Action.KILL, kinds="u")),
    "save many, between its files": ("save many", Fault(3, Action.KILL, kinds="r")),
    "delete, between its files": ("delete", Fault(2, Action.KILL, kinds="u")),
}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", [pytest.param(11, id="bounded"), every_step])
@pytest.mark.parametrize("interrupted", INTERRUPTED)
def test_a_killed_recovery_can_be_done_again(
    interrupted: str, stride: int, prepared: Case, children: Children, table: Table
) -> None:
    operation, fault = INTERRUPTED[interrupted]
    assert children.run(operate_once, prepared, operation, fault) == KILLED
    tally = table.row(f"kill in recovery of {interrupted}")

    kill_at_steps(
        prepared,
        lambda case, fault: children.run(open_once, case, fault),
        Action.KILL,
        stride,
        tally,
    )

    tally.check()


def lose_database(case: Case) -> None:
    for path in case.results.glob("astraguard.db*"):
        path.unlink()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", [pytest.param(9, id="bounded"), every_step])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_killed_operation_survives_the_loss_of_the_database(
    operation: str, stride: int, prepared: Case, children: Children, table: Table
) -> None:
    tally = table.row(f"kill in {operation}, then the database is lost")

    for step in range(1, 10_000, stride):
        case = prepared.copy(prepared.root.with_name("try"))
        code = children.run(operate_once, case, operation, Fault(step, Action.KILL))
        lose_database(case)
        tally.add(audit_rebuilt(case.results, case.promises()), f"at step {step}")
        case.remove()
        if code == 0:
            break

    tally.check()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stride", [pytest.param(29, id="bounded"), every_step])
@pytest.mark.parametrize("interrupted", INTERRUPTED)
def test_a_rebuilding_that_is_killed_can_be_done_again(
    interrupted: str, stride: int, prepared: Case, children: Children, table: Table
) -> None:
    operation, fault = INTERRUPTED[interrupted]
    assert children.run(operate_once, prepared, operation, fault) == KILLED
    lose_database(prepared)
    tally = table.row(f"kill in rebuilding after {interrupted}")

    for step in range(1, 10_000, stride):
        case = prepared.copy(prepared.root.with_name("try"))
        code = children.run(open_once, case, Fault(step, Action.KILL))
        tally.add(audit_rebuilt(case.results, case.promises()), f"at step {step}")
        case.remove()
        if code == 0:
            break

    tally.check()
