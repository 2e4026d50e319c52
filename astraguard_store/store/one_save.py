"""Row and files of a run, or its files alone, read so that all are of one save."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from astraguard_store.artifacts.staging import staged_names, staged_of
from astraguard_store.artifacts.verification import OpenFile, open_file
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.model import epoch_us

T = TypeVar("T")

# A save publishes within milliseconds; one that hangs is waited for 5 s.
_PUBLISHED_AFTER_S = 5.0
# Of a run that is saved all the time, one look in a few finds row and files together.
_PATIENCE_S = 30.0
_PAUSE_S = 0.005


def read_of_one_save(
    root: Path, load: Callable[[], StoredRun], read: Callable[[StoredRun], T]
) -> T:
    """Return what *read* makes of a run whose row and files are of one save.

    A save of another process replaces the files a moment after the row. So a failure
    counts only if the row has stayed the same, and nothing of its save was still staged.

    Args:
        root: The folder that the run's folder is in.
        load: Gives the run's row as it is now.
        read: Reads the files; raises if they aren't those of the row.

    Raises:
        ArtifactReadError: A file is missing or isn't what was saved; or others save
            the run so often that no look found it at rest.
        StoreError: What *load* and *read* raise.
    """
    began = time.monotonic()
    while True:
        # Right before the files: a row that has waited is an old one.
        run = load()
        is_published = not _is_staged(root, run)
        try:
            return read(run)
        except (ArtifactReadError, FileNotFoundError) as error:
            failure = error
        is_same = save_of(load()) == save_of(run)
        waited_s = time.monotonic() - began
        if is_same and (is_published or waited_s > _PUBLISHED_AFTER_S):
            raise _missing(failure, root)
        if waited_s > _PATIENCE_S:
            raise ArtifactReadError(
                f"run {run.summary.run_id!r} was saved again and again for {waited_s:.0f} s; "
                "try again when nobody saves it"
            ) from failure
        if is_same:
            time.sleep(_PAUSE_S)


def files_of_one_save(
    root: Path, load: Callable[[], StoredRun], stack: ExitStack
) -> tuple[StoredRun, list[OpenFile]]:
    """Return a run and its files, opened, so that a later save doesn't change them.

    Args:
        root: The folder that the run's folder is in.
        load: Gives the run's row as it is now.
        stack: Closes the files.

    Raises:
        ArtifactReadError: As `read_of_one_save`.
    """

    def opened(run: StoredRun) -> tuple[StoredRun, list[OpenFile]]:
        is_published = not _is_staged(root, run)
        with ExitStack() as own:
            files = [own.enter_context(open_file(root, noted)) for noted in run.summary.artifacts]
            if not is_published or save_of(load()) != save_of(run):
                raise ArtifactReadError(f"a save of run {run.summary.run_id!r} is not finished")
            stack.push(own.pop_all())
            return run, files

    return read_of_one_save(root, load, opened)


class FolderAtRest:
    """Looks again and again at a run's folder whose row nobody asks for, until it is at rest.

    It may be that of a store in which others save: they publish one file after the other.

    Args:
        root: The folder that the run's folder is in.
        run_id: Its name.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        self._root = root
        self._run_id = run_id
        self._began = time.monotonic()
        self.look()

    def look(self) -> None:
        """Note what lies there now, and whether more is about to come."""
        before = self._found()
        is_staged = any(
            name.run_id == self._run_id and not (name.is_kept or name.is_journal)
            for name in staged_names(self._root)
        )
        self._files = self._found()
        # Else some of them were published before the question, and the others after it.
        self._is_published = not is_staged and before == self._files

    def check(self) -> None:
        """Do nothing if what was read since the look is of one save.

        Raises:
            ArtifactReadError: Somebody saved it meanwhile.
        """
        if self._has_changed() or not self._is_published_for_good():
            raise ArtifactReadError("it was saved meanwhile, again and again; import again")

    def is_worth_a_look(self) -> bool:
        """Return whether what failed since the look may succeed after another one; waits a bit."""
        is_moving = self._has_changed() and self._waited_s() < _PATIENCE_S
        if not is_moving and self._is_published_for_good():
            return False
        time.sleep(_PAUSE_S)
        return True

    def _is_published_for_good(self) -> bool:
        return self._is_published or self._waited_s() > _PUBLISHED_AFTER_S

    def _has_changed(self) -> bool:
        return self._found() != self._files

    def _waited_s(self) -> float:
        return time.monotonic() - self._began

    def _found(self) -> dict[str, tuple[int, int, int, int]]:
        try:
            with os.scandir(self._root / self._run_id) as entries:
                states = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
        except OSError:
            return {}
        return {
            name: (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
            for name, state in states.items()
        }


def _is_staged(root: Path, run: StoredRun) -> bool:
    token = run.staging_token
    return bool(token and staged_of(root, run.summary.run_id, token))


def _missing(failure: ArtifactReadError | FileNotFoundError, root: Path) -> ArtifactReadError:
    if isinstance(failure, ArtifactReadError):
        return failure
    error = ArtifactReadError(f"{failure.filename} is missing; restore it from a backup of {root}")
    error.__cause__ = failure
    return error


def save_of(run: StoredRun) -> str:
    """Return what no other save of the run has; an adopted one has no token."""
    summary = run.summary
    return run.staging_token or f"{epoch_us(summary.recorded_at):x}-{summary.revision}"
