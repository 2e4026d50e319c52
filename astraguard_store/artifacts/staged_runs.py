"""The files of one save, of one run or of several, while they are synced."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from astraguard_store.artifacts.staged_run import StagedRun, sync_staging
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.options import Compression
from astraguard_store.system.threads import begin_all, wait_for_all

__all__ = ["StagedRuns"]

logger = logging.getLogger("astraguard_store")

# So much is synced while its rows are written: others who want to write wait for it. The
# syncs of a small save take 0.7 ms, and its rows as long.
_SYNCED_BESIDE_BYTES = 4 * 2**20


class StagedRuns:
    """What one save has staged; other threads sync it meanwhile.

    It is used by one thread. Ends with `discard`, `keep` or `leave`, or, when `wait`
    has returned and the rows are committed, with each run's `publish` and `close`.

    Attributes:
        runs: The runs, in the order of `add`.
    """

    def __init__(self, root: Path, *, sync: bool) -> None:
        self.runs: list[StagedRun] = []
        self._root = root
        self._sync = sync
        self._works: list[Future[None]] = []

    def add(self, run_id: str, recorded_at_us: int, compression: Compression | None) -> StagedRun:
        """Return a run whose files are written next."""
        run = StagedRun(
            self._root, run_id, recorded_at_us, sync=self._sync, compression=compression
        )
        self.runs.append(run)
        return run

    def begin_sync(self, *works: Callable[[], None]) -> None:
        """Let threads do *works*, if what is staged must survive a power cut."""
        if self._sync:
            self._works += begin_all(works)

    def sync_names(self) -> None:
        """Make the staged names durable.

        Raises:
            ArtifactWriteError: They can't be.
        """
        sync_staging(self._root)

    def wait_if_long(self) -> None:
        """Wait, as `wait` does, if others would wait too long: much is not yet synced.

        Little is synced while the rows are written.
        """
        if sum(file.bytes for run in self.runs for file in run.artifacts) > _SYNCED_BESIDE_BYTES:
            self.wait()

    def wait(self) -> None:
        """Wait until all is as durable as it has to be; from here on rows may be committed.

        Raises:
            ArtifactWriteError: A file or a name can't be written or synced.
        """
        wait_for_all(self._works)
        for work in self._works:
            work.result()

    def discard(self) -> None:
        """Remove what was staged; the rows were not committed."""
        wait_for_all(self._works)
        for run in self.runs:
            run.discard()

    def keep(self, notes: Mapping[str, bytes]) -> tuple[Path, ...]:
        """Leave the files for the next opening to adopt: the database was not to be had.

        Args:
            notes: {run id: what the save knew beside its measurements}.

        Returns:
            Where they lie, as far as they could be kept.
        """
        try:
            self.wait()
        except ArtifactWriteError as error:
            # They are there, and only a power cut could take them.
            logger.warning("files that are kept could not be synced: %s", error)
        return tuple(path for run in self.runs for path in run.keep(notes[run.run_id]))

    def leave(self) -> None:
        """Leave the files as they are, for recovery to settle."""
        wait_for_all(self._works)
        for run in self.runs:
            run.leave()
