"""Savers that go on after their disk failed, and look at what is left each time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from traceback import extract_tb

from astraguard_store import (
    CommitOutcomeUnknownError,
    RunNotFoundError,
    RunRepository,
    RunSummary,
    StoreError,
)

from .cases import Case
from .ledger import Ledger
from .report import Finding, Harm
from .savers import AGAIN, DOOMED, KEPT, NEW, OPTIONS, operate, save
from .shim import Fault, Shim

MOST_STEPS = 10_000
PACKAGE = "astraguard_store"


def fail_operation_at_steps(
    template: Case, operation: str, fault: Fault, for_good: bool, stride: int
) -> None:
    """Do an operation on copies of *template*, failing at each *stride*-th step in turn."""
    for step in range(1, MOST_STEPS, stride):
        case = template.copy(template.root.with_name("try"))
        at_step = replace(fault, at=step, for_good=for_good)
        steps, findings = _fail_and_go_on(case, operation, at_step)
        _answer(template.answer, f"at step {step}", [*findings, *case.audit()])
        case.remove()
        if steps < step:
            return


def _fail_and_go_on(case: Case, operation: str, fault: Fault) -> tuple[int, list[Finding]]:
    shim = Shim(case.disk)
    ledger = Ledger(case.ledger)
    findings: list[Finding] = []
    with RunRepository.open(case.results, **OPTIONS.get(operation, {})) as repository:
        before = _runs(repository)
        shim.arm(fault)
        error = _attempt(repository, ledger, operation)
        steps = shim.disarm()
        findings += _untyped(error)
        if error is not None and not isinstance(error, CommitOutcomeUnknownError):
            findings += _changed(before, _runs(repository), error)
        error = _attempt(repository, ledger, operation)
        if error is not None and not isinstance(error, RunNotFoundError):
            findings.append(Finding(Harm.LOST, f"not done once the disk was well: {error!r}"))
    ledger.close()
    return steps, findings


def _attempt(repository: RunRepository, ledger: Ledger, operation: str) -> Exception | None:
    try:
        operate(repository, ledger, operation)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
        return error
    return None


def _runs(repository: RunRepository) -> dict[str, RunSummary | None]:
    found: dict[str, RunSummary | None] = {}
    for run_id in (KEPT, AGAIN, DOOMED, NEW):
        try:
            found[run_id] = repository.get(run_id)
        except RunNotFoundError:
            found[run_id] = None
    return found


def _untyped(error: Exception | None) -> Iterator[Finding]:
    if error is not None and not isinstance(error, StoreError):
        frames = [frame for frame in extract_tb(error.__traceback__) if PACKAGE in frame.filename]
        where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
        yield Finding(Harm.LOST, f"no StoreError but {error!r}, through {where}")


def _changed(
    before: dict[str, RunSummary | None], after: dict[str, RunSummary | None], error: Exception
) -> Iterator[Finding]:
    for run_id in before:
        if before[run_id] != after[run_id]:
            seen = f"{run_id} was {before[run_id]}, is {after[run_id]} after {error!r}"
            yield Finding(Harm.TORN, seen)


def fail_opening_at_steps(empty: Case, fault: Fault, for_good: bool, stride: int) -> None:
    """Open a store that isn't there, failing at each *stride*-th step; then open it and save."""
    for step in range(1, MOST_STEPS, stride):
        case = empty.copy(empty.root.with_name("try"))
        shim = Shim(case.disk)
        findings: list[Finding] = []
        shim.arm(replace(fault, at=step, for_good=for_good))
        try:
            RunRepository.open(case.results).close()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is judged
            findings += _untyped(error)
        steps = shim.disarm()
        findings += _open_well(case)
        _answer(empty.answer, f"at step {step}", [*findings, *case.audit()])
        case.remove()
        if steps < step:
            return


def fail_backup_at_steps(template: Case, fault: Fault, for_good: bool, stride: int) -> None:
    """Back up the store of *template*, failing at each *stride*-th step; then do it well."""
    shim = Shim(template.disk)
    target = template.disk / "copy.db"
    with RunRepository.open(template.results) as repository:
        for step in range(1, MOST_STEPS, stride):
            error: Exception | None = None
            # What can't be removed on a disk that is gone for good stays.
            at_step = replace(
                fault, at=step, for_good=for_good, kinds=fault.kinds.replace("u", "")
            )
            shim.arm(at_step)
            try:
                repository.back_up(target)
            except Exception as raised:  # noqa: BLE001 - whatever it is, it is judged
                error = raised
            steps = shim.disarm()
            findings = [*_untyped(error), *_left_of_backup(target, error)]
            target.unlink(missing_ok=True)
            repository.back_up(target)
            target.unlink()
            _answer(template.answer, f"at step {step}", findings)
            if steps < step:
                return


def _left_of_backup(target: Path, error: Exception | None) -> Iterator[Finding]:
    if error is None:
        with closing(sqlite3.connect(target)) as copy:
            if copy.execute("SELECT count(*) FROM runs").fetchone() != (3,):
                yield Finding(Harm.TORN, "a copy that lacks runs")
        return
    if "copy.db" not in str(error):
        yield Finding(Harm.LOST, f"the file isn't named in {error!r}")
    for path in target.parent.glob(f"{target.name}*"):
        yield Finding(Harm.LEFT_OVER, f"{path.name} after {error!r}")


def _open_well(case: Case) -> Iterator[Finding]:
    ledger = Ledger(case.ledger)
    try:
        with RunRepository.open(case.results) as repository:
            save(repository, ledger, NEW)
    except StoreError as error:
        yield Finding(Harm.LOST, f"can't be opened once the disk was well: {error!r}")
    ledger.close()


def _answer(path: Path, when: str, findings: list[Finding]) -> None:
    """Add a line: under which circumstances, and what was found."""
    with path.open("a") as file:
        file.write(json.dumps([when, [(f.harm.value, f.seen) for f in findings]]) + "\n")
