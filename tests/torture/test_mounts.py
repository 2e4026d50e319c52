"""Disks that are mounted over an open store, taken away, or made read-only under it."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from astraguard_store import RunRepository, StoreError

from .audit import audit_database, left_over, tags, torn
from .mounts import mounted_tmpfs
from .report import Finding, Harm, Table
from .savers import new_tag, recording

LONG = [pytest.mark.torture, pytest.mark.timeout(3600)]
RUN_IDS = ("first", "second")


class Disks:
    """Two disks with a store each; the second is mounted over the first one's, now and then.

    Attributes:
        newest: Of each disk, the tag that was saved last of each run, kept saves too.
        promised: Of each run, all tags that were, since kept ones come later.
        harms: What wasn't as it must be.
    """

    def __init__(self, one: Path, other: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.disks = (one, other)
        self.results = one / "results"
        self.newest: tuple[dict[str, int], ...] = ({}, {})
        self.promised: dict[str, set[int]] = {run_id: set() for run_id in RUN_IDS}
        self.harms: list[Finding] = []
        self.steps: list[str] = []
        self.is_covered = False
        self.is_read_only = False
        for disk in self.disks:
            RunRepository.open(disk / "results").close()
        self.opened = RunRepository.open(self.results, busy_timeout_s=1.0)

    def save(self) -> None:
        """Save through what has been open all along."""
        self._save(self.opened)

    def save_anew(self) -> None:
        """Save through an opening of its own."""
        with RunRepository.open(self.results, busy_timeout_s=1.0) as repository:
            self._save(repository)

    def _save(self, repository: RunRepository) -> None:
        run_id, tag = self.chance.choice(RUN_IDS), new_tag()
        seen = self.newest[self.is_covered]
        try:
            repository.save(run_id, recording(tag))
        except StoreError as error:
            if not error.kept:
                raise
        seen[run_id] = tag
        self.promised[run_id].add(tag)

    def read(self) -> None:
        """Read what is seen there."""
        with RunRepository.open(self.results, read_only=True) as repository:
            found = {run.run_id: tags(repository.get(run.run_id)) for run in repository.recent()}
        for run_id, seen in found.items():
            if len(seen) != 1 or not seen <= self.promised[run_id]:
                self.harms.append(Finding(Harm.TORN, f"{run_id} has {seen}"))

    def cover(self) -> None:
        """Mount the second disk's store over the first, or take it away again."""
        if self.is_covered:
            run("umount", "--lazy", self.results)
        else:
            run("mount", "--bind", self.disks[1] / "results", self.results)
        self.is_covered = not self.is_covered

    def protect(self) -> None:
        """Make the first disk read-only, as a kernel does after an error, or writable again."""
        option = "remount,rw" if self.is_read_only else "remount,ro"
        with suppress(subprocess.CalledProcessError):  # busy: somebody writes
            run("mount", "-o", option, self.disks[0])
            self.is_read_only = not self.is_read_only

    def reopen(self) -> None:
        """Close what was open all along, and open it anew."""
        self.opened.close()
        self.opened = RunRepository.open(self.results, busy_timeout_s=1.0)

    def step(self) -> None:
        """Do one of them; an error must be one of ours."""
        step = self.chance.choice(STEPS)
        self.steps.append(step.__name__)
        try:
            step(self)
        except StoreError:
            pass
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            self.harms.append(Finding(Harm.LOST, f"{self.steps}: {error!r}"))

    def end(self) -> list[Finding]:
        """Put the disks back, and say what they lack."""
        with suppress(StoreError):
            self.opened.close()
        if self.is_covered:
            self.cover()
        if self.is_read_only:
            self.protect()
        for disk, newest in zip(self.disks, self.newest, strict=True):
            self.harms += audited(disk / "results", newest, f"{disk.name} after {self.steps}")
        return self.harms


STEPS: tuple[Callable[[Disks], None], ...] = (
    Disks.save,
    Disks.save,
    Disks.save_anew,
    Disks.read,
    Disks.cover,
    Disks.protect,
    Disks.reopen,
)


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def audited(results: Path, newest: dict[str, int], where: str) -> list[Finding]:
    """Find runs that aren't those which were saved last, and files that don't fit."""
    runs, findings = audit_database(results)
    found = {run_id: tags(summary) for run_id, summary in (runs or {}).items()}
    if found != {run_id: {tag} for run_id, tag in newest.items()}:
        findings.append(Finding(Harm.LOST, f"{found} instead of {newest} on {where}"))
    for summary in (runs or {}).values():
        findings += (Finding(Harm.TORN, seen) for seen in torn(results, summary))
    return findings + [Finding(Harm.LEFT_OVER, seen) for seen in left_over(results, set(found))]


@pytest.mark.parametrize(
    ("tries", "steps"),
    [pytest.param(2, 12, id="bounded"), pytest.param(150, 20, id="full", marks=LONG)],
)
def test_what_is_mounted_over_an_open_store_loses_no_save(
    tries: int, steps: int, tmp_path: Path, table: Table
) -> None:
    tally = table.row("disks mounted over an open store, taken away, made read-only")
    for seed in range(tries):
        with (
            mounted_tmpfs(tmp_path / f"one{seed}", "8m") as one,
            mounted_tmpfs(tmp_path / f"other{seed}", "8m") as other,
        ):
            disks = Disks(one, other, seed)
            for _ in range(steps):
                disks.step()
            tally.add(disks.end(), f"seed {seed}")
    tally.check()
