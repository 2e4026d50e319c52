"""One try of a fault: a folder that is watched, and what is noted beside it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .audit import audit
from .ledger import Entry, Promise, promises, read_ledger
from .report import Finding


@dataclass(frozen=True, slots=True)
class Case:
    """A store to break, below *root*.

    The results folder isn't the watched one but lies in it, so that making it
    is a step like any other.
    """

    root: Path

    @property
    def disk(self) -> Path:
        """The folder that the shim watches."""
        return self.root / "disk"

    @property
    def results(self) -> Path:
        """The store's folder."""
        return self.disk / "results"

    @property
    def ledger(self) -> Path:
        """Where savers note what they do."""
        return self.root / "ledger"

    @property
    def answer(self) -> Path:
        """Where a child leaves what it found."""
        return self.root / "answer"

    def entries(self) -> list[Entry]:
        """Read the ledger."""
        return read_ledger(self.ledger)

    def promises(self) -> dict[str, Promise]:
        """Say what the store must hold."""
        return promises(self.entries())

    def audit(self) -> list[Finding]:
        """Open the store, which nobody else uses, and find what isn't as promised."""
        return audit(self.results, self.promises())

    def copy(self, root: Path) -> Case:
        """Copy the store, which nobody uses, and its ledger to *root*."""
        shutil.copytree(self.root, root, symlinks=True)
        return Case(root)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.root)


def new_case(root: Path) -> Case:
    """Make an empty case in *root*."""
    case = Case(root)
    case.disk.mkdir(parents=True)
    return case
