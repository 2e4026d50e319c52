"""The disk fails at every step: a typed error, the old run intact, and on it goes after."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from .cases import Case, new_case
from .children import Children
from .failing_savers import (
    fail_backup_at_steps,
    fail_opening_at_steps,
    fail_operation_at_steps,
)
from .report import Finding, Harm, Table
from .savers import OPERATIONS, prepare
from .shim import Action, Fault

FAULTS = {
    "no space": Fault(action=Action.FAIL, error_number=errno.ENOSPC),
    "I/O error": Fault(action=Action.FAIL, error_number=errno.EIO),
    "quota": Fault(action=Action.FAIL, error_number=errno.EDQUOT),
    "short write": Fault(action=Action.SHORT, kinds="w"),
}

# A quota's error takes the same ways as that of a full disk.
some_steps = [
    pytest.param(fault, 9, id=f"bounded, {fault}") for fault in FAULTS if fault != "quota"
]
all_steps = [
    pytest.param(fault, 1, id=f"full, {fault}", marks=pytest.mark.torture) for fault in FAULTS
]


def findings_of(case: Case) -> list[tuple[str, list[Finding]]]:
    """Read what a child found in each of its tries."""
    tries = [json.loads(line) for line in case.answer.read_text().splitlines()]
    return [
        (when, [Finding(Harm(harm), seen) for harm, seen in findings]) for when, findings in tries
    ]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("fault", "stride"), [*some_steps, *all_steps])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failed_operation_leaves_what_was_there(
    operation: str,
    fault: str,
    for_good: bool,
    stride: int,
    tmp_path: Path,
    children: Children,
    table: Table,
) -> None:
    case = new_case(tmp_path / "prepared")
    children.run(prepare, case)
    tally = table.row(f"{fault} {'for good' if for_good else 'once'} in {operation}")

    code = children.run(
        fail_operation_at_steps, case, operation, FAULTS[fault], for_good, stride, timeout_s=600
    )

    assert code == 0
    for when, findings in findings_of(case):
        tally.add(findings, when)
    tally.check()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("fault", "stride"), [*some_steps, *all_steps])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_a_failed_first_opening_can_be_done_again(
    fault: str, for_good: bool, stride: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "empty")
    tally = table.row(f"{fault} {'for good' if for_good else 'once'} in first opening")

    code = children.run(
        fail_opening_at_steps, case, FAULTS[fault], for_good, 3 * stride - 2, timeout_s=600
    )

    assert code == 0
    for when, findings in findings_of(case):
        tally.add(findings, when)
    tally.check()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("fault", "stride"), [*some_steps, *all_steps])
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_a_failed_backup_names_the_copy_and_leaves_none(
    fault: str, for_good: bool, stride: int, tmp_path: Path, children: Children, table: Table
) -> None:
    case = new_case(tmp_path / "prepared")
    children.run(prepare, case)
    tally = table.row(f"{fault} {'for good' if for_good else 'once'} in a backup")

    code = children.run(
        fail_backup_at_steps, case, FAULTS[fault], for_good, min(stride, 2), timeout_s=600
    )

    assert code == 0
    for when, findings in findings_of(case):
        tally.add(findings, when)
    tally.check()
