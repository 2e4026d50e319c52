"""Rigs that push, a job that saves by URL, and readers; all of them note what they were told."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from recordings import recorded

from astraguard_store import (
    DatabaseError,
    Provenance,
    RunNotFoundError,
    RunRepository,
    RunSummary,
)

_RUNS_A_PUSH: Final = 5
_PAUSE_S: Final = 0.1


class Load:
    """What goes on while leaders die.

    Attributes:
        acknowledged: The run as it was when a push or a save of it returned, by its id.
        answered_at: When a push or a save last returned, by `time.monotonic`.
        longest_s: The longest time without one.
        seen: What readers saw that must not be, and how often they saw what.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.acknowledged: dict[str, RunSummary] = {}
        self.answered_at = time.monotonic()
        self.longest_s = 0.0
        self.seen: Counter[str] = Counter()
        self._url = url
        self._folder = folder
        self._lock = threading.Lock()
        self._over = threading.Event()

    @contextmanager
    def going_on(self, *, rigs: int, readers: int) -> Iterator[None]:
        """Let it go on until the end of the block; an error in it is raised there."""
        failures: list[BaseException] = []

        def guarded(step: Callable[[], None]) -> None:
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - raised below, in the main thread
                failures.append(error)

        steps: list[Callable[[], None]] = [self._save, *[self._read] * readers]
        steps += [lambda n=n: self._push(f"rig{n}") for n in range(rigs)]  # type: ignore[misc]
        threads = [threading.Thread(target=guarded, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]

    def _push(self, rig: str) -> None:
        """Save some runs, and one of before again, and push; on and on."""
        with RunRepository.open(self._folder / rig, durability="normal") as repository:
            for first in itertools.count(0, _RUNS_A_PUSH):
                numbers = [*range(first, first + _RUNS_A_PUSH), first // 2]
                for number in numbers:
                    repository.save(
                        f"{rig}_{number:06}",
                        recorded(1 + (first + number) % 7),
                        provenance=Provenance(rig=rig),
                        tags={"first": str(first)},
                    )
                here = {id_: repository.get(id_) for id_ in {f"{rig}_{n:06}" for n in numbers}}
                if not self._until_answered(lambda: repository.push(self._url)):
                    return
                self._acknowledge(here)

    def _save(self) -> None:
        """Save by URL, each run under a name, so that it may be tried again."""
        repository = self._opened()
        for number in itertools.count():
            run_id = f"job_{number:06}"
            found: list[RunSummary] = []

            def save(run_id: str = run_id, number: int = number) -> None:
                assert repository
                measured = recorded(1 + number % 7)
                found.append(repository.save(run_id, measured, save_id=run_id))  # noqa: B023

            if repository is None or not self._until_answered(save):
                break
            self._acknowledge({run_id: found[0]})
            self._over.wait(_PAUSE_S)
        if repository:
            repository.close()

    def _read(self) -> None:
        """Look at runs that were acknowledged, and at the newest."""
        repository = self._opened()
        while repository and not self._over.wait(_PAUSE_S / 2):
            with self._lock:
                known = self.acknowledged
                before = random.choice(list(known.values())) if known else None
            if before is None:
                continue
            try:
                repository.recent(20)
                self.seen[look(repository, before)] += 1
            except DatabaseError:
                self.seen["no answer"] += 1
        if repository:
            repository.close()

    def _opened(self) -> RunRepository | None:
        found: list[RunRepository] = []
        self._until_answered(lambda: found.append(RunRepository.open(self._url)))
        return found[0] if found else None

    def _until_answered(self, step: Callable[[], object]) -> bool:
        """Try until the server answers; return whether it did before the end."""
        while True:
            try:
                step()
            except DatabaseError:
                if self._over.wait(_PAUSE_S):
                    return False
            else:
                return not self._over.is_set()

    def _acknowledge(self, runs: dict[str, RunSummary]) -> None:
        with self._lock:
            self.acknowledged |= runs
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - self.answered_at)
            self.answered_at = now


def look(repository: RunRepository, before: RunSummary) -> str:
    """Tell how a run that was acknowledged is now; a later save of it may be there."""
    try:
        found = repository.get(before.run_id)
    except RunNotFoundError:
        return "lost"
    if found.revision < before.revision:
        return "lost"
    if found.revision == before.revision and found != before:
        return "partial"
    return "as acknowledged"
