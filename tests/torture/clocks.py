"""What a child does whose clock jumps, beside a program that locks the database now and then."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from astraguard_store import MetricsStorage, RunNotFoundError, RunRepository, StoreError

from .audit import DATABASE, tags
from .cases import Case
from .ledger import Ledger
from .report import Finding, Harm
from .savers import new_tag, recording
from .shim import Shim

RUN_IDS = ("first", "second", "third")
DAY_S = 86_400
SHIFTS_S = (0, -1, 1, -3_600, 3_600, -DAY_S, 400 * DAY_S, -3_000 * DAY_S)


class Model:
    """What must be in the store: of each run the tag that was saved last, kept ones too."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.chance = random.Random(seed)
        self.shim = Shim(case.disk)
        self.newest: dict[str, int] = {}
        self.steps: list[str] = []
        self.raw: list[str] = []

    def save(self) -> None:
        """Save a run."""
        with RunRepository.open(self.case.results) as repository:
            self._save(repository)

    def save_beside_a_tool(self) -> None:
        """Save while another program has the write lock: the files are kept."""
        database = self.case.results / DATABASE
        with (
            RunRepository.open(self.case.results, busy_timeout_s=0.05) as repository,
            closing(sqlite3.connect(database, isolation_level=None)) as tool,
        ):
            tool.execute("BEGIN IMMEDIATE")
            for _ in range(self.chance.randrange(1, 3)):
                self.shift()
                with suppress(StoreError):
                    self._save(repository)

    def _save(self, repository: RunRepository) -> None:
        run_id, tag = self.chance.choice(RUN_IDS), new_tag()
        try:
            repository.save(run_id, recording(tag))
        except StoreError as error:
            if error.kept:
                self.newest[run_id] = tag
            raise
        self.newest[run_id] = tag

    def delete(self) -> None:
        """Delete a run that is there."""
        if not self.newest:
            return
        run_id = self.chance.choice(sorted(self.newest))
        with RunRepository.open(self.case.results) as repository, suppress(RunNotFoundError):
            repository.delete(run_id)
            del self.newest[run_id]

    def shift(self) -> None:
        """Set the clock back or forth."""
        self.shim.shift_clock(self.chance.choice(SHIFTS_S))

    def blunt_times(self) -> None:
        """Cut all file times down to whole seconds, as some file systems do."""
        for path in self._files():
            seconds = int(path.stat().st_mtime)
            os.utime(path, (seconds, seconds))

    def copy_without_times(self) -> None:
        """Put a copy in the place of the whole tree: each file has the time of now."""
        copy = self.case.disk / "copy"
        shutil.copytree(self.case.results, copy, copy_function=shutil.copyfile)
        shutil.rmtree(self.case.results)
        copy.rename(self.case.results)

    def _files(self) -> list[Path]:
        found = self.case.results.rglob("*")
        return [path for path in found if path.is_file() and not path.name.startswith(DATABASE)]

    def look(self) -> None:
        """Note what the store has that it shouldn't, or hasn't."""
        with RunRepository.open(self.case.results) as repository:
            headers = repository.recent(100)
            found = {header.run_id: tags(repository.get(header.run_id)) for header in headers}
            order = [(header.recorded_at, header.run_id) for header in headers]
        expected = {run_id: {tag} for run_id, tag in self.newest.items()}
        if found != expected:
            self.raw.append(f"{found} instead of {expected} after {self.steps}")
        if order != sorted(order, reverse=True):
            self.raw.append(f"out of order after {self.steps}: {order}")
        listed = MetricsStorage.get_recent_runs(str(self.case.results))
        if listed != [run_id for _, run_id in order]:
            self.raw.append(f"the facade lists {listed}, the repository {order}")


STEPS: tuple[Callable[[Model], None], ...] = (
    Model.save,
    Model.save_beside_a_tool,
    Model.delete,
    Model.shift,
    Model.shift,
    Model.blunt_times,
    Model.copy_without_times,
)


def live_with_a_bad_clock(case: Case, seed: int, steps: int) -> None:
    """Do steps at random, and answer what wasn't as it must be."""
    Ledger(case.ledger).close()
    model = Model(case, seed)
    model.save()
    for number in range(steps):
        step = model.chance.choice(STEPS)
        model.steps.append(step.__name__)
        try:
            step(model)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            model.raw.append(f"{step.__name__}: {error!r}")
        if number % 3 == 2 or number == steps - 1:
            model.look()
    case.answer.write_text(json.dumps(model.raw))


def harms(case: Case) -> list[Finding]:
    """Read what a child answered."""
    return [Finding(Harm.LOST, seen) for seen in json.loads(case.answer.read_text())]
