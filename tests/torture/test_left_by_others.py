"""What another user's saver left and nobody else may remove: a clear warning, and no harm."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from astraguard_store import RunRepository

from .cases import Case, new_case
from .children import Children
from .ledger import Ledger
from .savers import AGAIN, KEPT, NEW, operate_once, prepare, recording, save
from .shim import Action, Fault
from .test_read_only import NOBODY, as_root

ANYBODY = 0o777
STICKY = 0o1777  # as /tmp: who may make files there may remove only his own


@pytest.fixture
def case(children: Children) -> Iterator[Case]:
    """Give a store of root's that anybody may write to, in which root's saver was killed."""
    root = Path(tempfile.mkdtemp(prefix="astraguard-left-by-others-"))
    root.chmod(0o755)
    case = new_case(root / "case")
    assert children.run(prepare, case) == 0
    before_commit = Fault(1, Action.KILL, path_part="-wal")
    assert children.run(operate_once, case, "save new", before_commit) != 0
    assert len(staged(case)) == 2
    for path in [case.root, *case.root.rglob("*")]:
        path.chmod(ANYBODY if path.is_dir() else 0o666)
    (case.results / ".staging").chmod(STICKY)
    yield case
    shutil.rmtree(root)


def staged(case: Case) -> list[str]:
    return sorted(path.name for path in (case.results / ".staging").iterdir())


class Warnings(logging.Handler):
    """Keeps what the store warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.texts.append(record.getMessage())


def work_as_nobody(case: Case) -> None:
    """Open, save and read as another user, and answer what the store warned of."""
    # What is imported on first use is imported now: nobody may not read all of it.
    with tempfile.TemporaryDirectory() as elsewhere, RunRepository.open(elsewhere) as repository:
        repository.save(NEW, recording(1))
        repository.recent()
    warnings = Warnings()
    logging.getLogger("astraguard_store").addHandler(warnings)
    answer = os.open(case.answer, os.O_WRONLY | os.O_CREAT, 0o644)
    ledger = Ledger(case.ledger)
    os.umask(0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    seen: list[list[str]] = []
    with RunRepository.open(case.results) as repository:
        seen.append(list(warnings.texts))
        warnings.texts.clear()
        for run_id in ("own", "own", AGAIN):
            save(repository, ledger, run_id)
        revisions = [repository.get(run_id).revision for run_id in ("own", AGAIN, KEPT)]
        seen.append(list(warnings.texts))
    os.write(answer, json.dumps([seen, revisions]).encode())


@as_root
def test_whoever_may_not_remove_it_is_warned_and_works_on(case: Case, children: Children) -> None:
    left = staged(case)

    assert children.run(work_as_nobody, case) == 0

    (at_opening, later), revisions = json.loads(case.answer.read_text())
    assert revisions == [2, 2, 2]
    assert staged(case) == left
    (warning,) = at_opening
    for part in (str(case.results), repr(NEW), left[0], "not permitted", "a user who may"):
        assert part in warning
    assert later == []  # nor is it tried again at each save


@as_root
def test_whoever_may_remove_it_does_so_and_all_is_well(case: Case, children: Children) -> None:
    assert children.run(work_as_nobody, case) == 0

    assert case.audit() == []
    assert staged(case) == []
