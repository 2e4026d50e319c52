"""get, recent and compare from the folders alone, where there is no database to ask."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from astraguard_store.artifacts.layout import NAMES_BY_KIND, compression_of, file_name
from astraguard_store.artifacts.reader import SummaryFile, read_summary_file, run_time_us
from astraguard_store.artifacts.scanner import file_time_us, newest_runs
from astraguard_store.comparison import Comparison, compare
from astraguard_store.exceptions import ArtifactReadError, RunNotFoundError
from astraguard_store.model import (
    Artifact,
    RunHeader,
    RunSummary,
    utc_from_epoch_us,
)
from astraguard_store.run_ids import check_run_id
from astraguard_store.summary_format import parse_summary

__all__ = ["FolderRuns", "read_run"]

logger = logging.getLogger("astraguard_store")


class FolderRuns:
    """The runs below one results folder; reads afresh each time, threads may share it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, run_id: str) -> RunSummary:
        """Return the run as its summary file has it.

        Raises:
            RunNotFoundError: There is no such folder, or no summary in it.
            ArtifactReadError: The summary can't be read.
        """
        run_id = check_run_id(run_id)
        try:
            file = read_summary_file(self._root, run_id)
            time_us = file_time_us(self._root, run_id, file.modified_ns)
            return _found_run(self._root, run_id, file, time_us)
        except FileNotFoundError:
            raise RunNotFoundError(run_id, str(self._root)) from None

    def recent(self, limit: int = 10) -> list[RunHeader]:
        """Return the newest runs, newest first; a run that can't be read is logged.

        Raises:
            ArtifactReadError: The folder can't be listed.
        """
        wanted = limit
        headers: dict[str, RunHeader | None] = {}
        while True:
            try:
                found = newest_runs(self._root, wanted)
            except OSError as error:
                raise ArtifactReadError(
                    f"{self._root} can't be listed: {error.strerror}"
                ) from error
            for _, run_id in found:
                if run_id not in headers:
                    headers[run_id] = self._header(run_id)
            readable = [header for _, run_id in found if (header := headers[run_id])]
            if len(readable) >= limit or len(found) < wanted:
                return readable[: max(limit, 0)]
            wanted *= 2

    def compare(self, baseline: str, candidate: str, *, by_satellite: bool = False) -> Comparison:
        """Return what changed from *baseline* to *candidate*; raises as `get`."""
        return compare(self.get(baseline), self.get(candidate), by_satellite=by_satellite)

    def _header(self, run_id: str) -> RunHeader | None:
        try:
            return self.get(run_id).header
        except (ArtifactReadError, RunNotFoundError) as error:
            logger.warning("left out of the recent runs: %s", error)
            return None


def read_run(root: Path, run_id: str) -> RunSummary:
    """Return the run in folder *run_id*, its revision 0.

    Raises:
        FileNotFoundError: There is no summary.
        ArtifactReadError: The summary can't be read; the message says why.
    """
    file = read_summary_file(root, run_id)
    return _found_run(root, run_id, file, run_time_us(root, run_id, file))


def _found_run(root: Path, run_id: str, file: SummaryFile, recorded_at_us: int) -> RunSummary:
    try:
        parsed = parse_summary(file.document)
    except ArtifactReadError as error:
        raise ArtifactReadError(f"{root / run_id / file.name}: {error}") from error
    try:
        recorded_at = utc_from_epoch_us(recorded_at_us)
    except OverflowError as error:
        raise ArtifactReadError(f"{root / run_id / file.name}: its time: {error}") from error
    return RunSummary(
        run_id=run_id,
        revision=0,
        recorded_at=recorded_at,
        total_measurements=parsed.total_measurements,
        metrics=parsed.metrics,
        satellites=parsed.satellites,
        artifacts=_found_artifacts(root, run_id, file, parsed.total_measurements),
    )


def _found_artifacts(
    root: Path, run_id: str, summary: SummaryFile, rows: int
) -> tuple[Artifact, ...]:
    digest = hashlib.sha256(summary.content).hexdigest()
    path = f"{run_id}/{summary.name}"
    found = [Artifact("summary_json", path, len(summary.content), digest, rows)]
    # One list of the folder takes 6 µs, to ask for six files that aren't there 25.
    present = os.listdir(root / run_id)
    for kind, names in NAMES_BY_KIND.items():
        if kind == "summary_json":
            continue
        # A save that was interrupted may have left an older file beside its own.
        same_save = file_name(kind, compression_of(summary.name))
        for name in (same_save, *names):
            if name not in present:
                continue
            try:
                size = os.stat(f"{root}/{run_id}/{name}", follow_symlinks=False).st_size
            except OSError:
                continue
            # Neither hashed nor counted: that would read every byte of an old tree.
            found.append(Artifact(kind, f"{run_id}/{name}", size, None, None))
            break
    return tuple(sorted(found))
