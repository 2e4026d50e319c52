"""Runs that are being deleted: what is on disk from before their rows go until their files do."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from astraguard_store.artifacts.publishing import remove_files
from astraguard_store.artifacts.staging import StagedName, ensure_staging, new_token
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.formats.layout import DELETION_SUFFIX, STAGING_NAME
from astraguard_store.system.files import create_locked, sync, sync_folder, unlock
from astraguard_store.system.threads import run_all


class _Marker(NamedTuple):
    path: Path
    descriptor: int


class Deletion:
    """The intent to remove the files of some runs: a marker for each, kept until they are gone.

    Args:
        root: The results folder; None in memory, where there is nothing to do.
        run_ids: The runs.
        durable: Whether it must survive a power cut.

    Raises:
        ArtifactWriteError: A marker can't be written; nothing is deleted.
    """

    def __init__(
        self, root: Path | None = None, run_ids: Iterable[str] = (), *, durable: bool = False
    ) -> None:
        self._root = root
        self._durable = durable
        self._markers: dict[str, _Marker] = {}
        # (run id, bytes): threads add to it.
        self._removed: list[tuple[str, int]] = []
        if root is None:
            return
        try:
            self._note(root, run_ids)
        except BaseException:
            self.discard(list(self._markers))
            self.close()
            raise

    def _note(self, root: Path, run_ids: Iterable[str]) -> None:
        path = root / STAGING_NAME
        try:
            ensure_staging(root)
            for run_id in run_ids:
                path = StagedName(run_id, new_token(), DELETION_SUFFIX).path(root)
                self._markers[run_id] = _Marker(path, create_locked(path))
            if self._durable:
                # Together: the file system commits syncs at once that come at the same time.
                run_all([partial(sync, marker.descriptor) for marker in self._markers.values()])
                sync_folder(root / STAGING_NAME)
        except OSError as error:
            raise ArtifactWriteError(
                f"{path} can't be written: {error.strerror}; {path.name.rpartition('~')[0]!r} "
                "was not deleted"
            ) from error

    @property
    def removed_bytes(self) -> int:
        """What the files had that are removed."""
        return sum(size for _, size in self._removed)

    def remove_files(self, run_id: str) -> None:
        """Remove those of a run; the deletion of its row is committed and the ticket held.

        Threads may do so with several runs at a time.

        Raises:
            OSError: A file couldn't be removed; recovery does it later.
        """
        if self._root is not None:
            self._removed.append((run_id, remove_files(self._root, run_id)))

    def finish(self) -> None:
        """Forget the runs whose files are removed, once nothing brings them back.

        Raises:
            OSError: That can't be made sure of; recovery does it later.
        """
        if self._root is not None and self._durable:
            sync_folder(self._root)
        for run_id, _ in self._removed:
            self._markers[run_id].path.unlink()

    def discard(self, run_ids: Iterable[str]) -> None:
        """Forget the intent to delete these runs: it was not committed."""
        for run_id in self._markers.keys() & run_ids:
            # If the marker can't be removed, recovery finds the run's row and removes it;
            # the failure that led here is the one to raise.
            with suppress(OSError):
                self._markers[run_id].path.unlink()

    def close(self) -> None:
        """Give back the markers' locks; what is left is for recovery."""
        for marker in self._markers.values():
            unlock(marker.descriptor)
