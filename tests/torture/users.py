"""What children do as users who share a folder, or may not."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from astraguard_store import RunRepository, StoreError

from .cases import Case
from .ledger import Ledger
from .savers import KEPT, NEW, delete, recording, save
from .shim import Action, Fault, Shim

RAW = "raw: "
HANGS_AFTER_S = 60.0
TEAM = 61_500
NOBODYS = 61_999


@dataclass(frozen=True, slots=True)
class User:
    """Who does something, and with which umask."""

    uid: int
    gid: int
    umask: int = 0o002

    def run_id(self) -> str:
        """Name the run that only this user saves and deletes."""
        return f"of{self.uid}"


OWNER = User(61_001, TEAM)
COLLEAGUE = User(61_002, TEAM)
# Whose files nobody else may read.
SECRETIVE = User(61_003, TEAM, 0o077)
STRANGER = User(61_004, NOBODYS, 0o022)


def warm_up() -> None:
    """Import what is imported on first use: as another user it may not be readable."""
    with tempfile.TemporaryDirectory() as spare, RunRepository.open(spare) as repository:
        repository.save(NEW, recording(1))
        repository.measurements(NEW)
        repository.delete(NEW)
        repository.import_legacy()
        repository.check(fix=True)
        repository.prune(keep=1)


def become(user: User) -> None:
    """Go on as *user*."""
    os.umask(user.umask)
    os.setgroups([])
    os.setgid(user.gid)
    os.setuid(user.uid)


Step = Callable[[RunRepository, Ledger, User], object]
STEPS: dict[str, Step] = {
    "save": lambda repository, ledger, user: save(repository, ledger, user.run_id()),
    "save the common run": lambda repository, ledger, _: save(repository, ledger, KEPT),
    "delete": lambda repository, ledger, user: delete(repository, ledger, user.run_id()),
    "save and die": lambda repository, ledger, user: save(repository, ledger, user.run_id()),
    "read": lambda repository, *_: [repository.get(run.run_id) for run in repository.recent()],
    "measurements": lambda repository, *_: repository.measurements(KEPT),
    "check and fix": lambda repository, *_: repository.check(fix=True),
    "import": lambda repository, *_: repository.import_legacy(),
    "prune": lambda repository, *_: repository.prune(keep=1_000),
}


def live_together(case: Case, seed: int, steps: int) -> None:
    """Let all of them do something in turn; answer raw errors, and who can't save at the end."""
    warm_up()
    ledger = Ledger(case.ledger)
    chance = random.Random(seed)
    members = (OWNER, COLLEAGUE)
    harms: list[str] = []
    turns = [(OWNER, "save the common run"), (OWNER, "save")]
    for _ in range(steps):
        user = chance.choice([*members, *members, SECRETIVE, STRANGER])
        turns.append((user, chance.choice(list(STEPS))))
    for number, (user, step) in enumerate(turns):
        seen = act(case, ledger, user, step, chance.randrange(2**30))
        if seen.startswith(RAW):
            harms.append(f"turn {number} of {user}, {step}: {seen}")
    for user in members:
        seen = act(case, ledger, user, "save", 0)
        if seen:
            harms.append(f"{user} can't save after {turns}: {seen}")
    case.answer.write_text(json.dumps(harms))


def act(case: Case, ledger: Ledger, user: User, step: str, seed: int) -> str:
    """Do one step as *user*, in a fork; return what it raised, nothing if it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, _done(case, ledger, user, step, seed).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as answer:
        seen = answer.read()
    os.waitpid(child, 0)
    return seen


def _done(case: Case, ledger: Ledger, user: User, step: str, seed: int) -> str:
    faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
    become(user)
    shim = Shim(case.disk)
    if step == "save and die":
        # About 35 steps a save: some end alive.
        shim.arm(Fault(random.Random(seed).randrange(1, 45), Action.KILL))
    try:
        with RunRepository.open(case.results, busy_timeout_s=5.0) as repository:
            STEPS[step](repository, ledger, user)
    except StoreError as error:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001 - that is what is looked for
        return f"{RAW}{traceback.format_exc()}"
    return ""
