"""Files into a run's folder, and out of it; the database has committed before."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from astraguard_store.artifacts.attachments import keep_attachments
from astraguard_store.artifacts.staging import staged_path
from astraguard_store.formats.layout import ATTACHMENTS_NAME, FILES, name_in
from astraguard_store.model import Artifact
from astraguard_store.system.files import open_folder, status_in, sync

logger = logging.getLogger("astraguard_store")


def publish_files(
    root: Path,
    run_id: str,
    token: str,
    artifacts: Iterable[Artifact],
    *,
    durable: bool,
    replaced: Collection[str] = FILES,
    may_be_kept: bool = True,
) -> bool:
    """Move the staged files of save *token* to the run's folder; those already moved are skipped.

    A file that is in neither place is logged: the save's row stays, and `check` finds it.

    Args:
        root: The results folder.
        run_id: The run.
        token: The save.
        artifacts: Its files.
        durable: Whether a power cut must find old files gone before the save is done.
        replaced: Names of an older save that are removed where this one has none of
            them: it may have been compressed in another way.
        may_be_kept: Whether they may be staged as kept, too.

    Returns:
        Whether the folder is new.

    Raises:
        OSError: The folder can't be made, is a symbolic link, or a file can't be moved.
    """
    folder = f"{root}/{run_id}"
    try:
        os.mkdir(folder)
        new_folder = True
    except FileExistsError:
        new_folder = False
    order = list(FILES)
    names = sorted((name_in(artifact.path) for artifact in artifacts), key=order.index)
    with open_folder(folder) as descriptor:
        found = set() if new_folder else set(os.listdir(descriptor))
        old = [name for name in reversed(order) if name in found and name in replaced]
        old = [name for name in old if name not in names]
        for name in names:
            # The last one is the summary, and what says that there is something to do.
            is_last = name == names[-1]
            suffixes = (FILES[name].staged, *([FILES[name].kept] if may_be_kept else []))
            moved = [
                _moved(
                    staged_path(root, run_id, token, suffix),
                    name,
                    descriptor,
                    old if is_last else [],
                    durable=durable,
                )
                for suffix in suffixes
            ]
            if not any(moved) and status_in(descriptor, name) is None:
                _warn_of_missing(root, run_id, name)
    return new_folder


def _moved(staged: str, name: str, descriptor: int, old: list[str], *, durable: bool) -> bool:
    """Move one file to its folder, and remove the *old* names there.

    It keeps its staged name until they are gone, so that recovery finds out; and
    a reader finds the old summary, or the new one, or both.
    """
    try:
        if not old:
            os.replace(staged, name, dst_dir_fd=descriptor)
            return True
        is_linked = _linked(staged, name, descriptor)
        for old_name in old:
            with suppress(FileNotFoundError):
                os.unlink(old_name, dir_fd=descriptor)
        if is_linked:
            if durable:
                sync(descriptor)
            os.unlink(staged)
        else:
            os.replace(staged, name, dst_dir_fd=descriptor)
    except FileNotFoundError:
        return False
    return True


def _linked(staged: str, name: str, descriptor: int) -> bool:
    try:
        os.link(staged, name, dst_dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        # The name is taken, or the file system has no second names.
        return False
    return True


def _warn_of_missing(root: Path, run_id: str, name: str) -> None:
    logger.warning(
        "%s: the %s of run %r is neither staged nor published: somebody removed it; "
        "`astraguard-store check --fix` mends what can be mended",
        root,
        name,
        run_id,
    )


def remove_files(root: Path, run_id: str) -> int:
    """Remove a run's files, and its folder if nothing else is in it.

    To survive a power cut, the folder above has to be synced then.

    Returns:
        How many bytes they had.

    Raises:
        OSError: A file can't be removed.
    """
    folder = root / run_id
    removed = 0
    try:
        with open_folder(folder) as descriptor:
            found = set(os.listdir(descriptor))
            if ATTACHMENTS_NAME in found:
                removed += keep_attachments(root, run_id)
            for name in reversed(FILES):
                if name in found:
                    with suppress(FileNotFoundError):
                        size = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size
                        os.unlink(name, dir_fd=descriptor)
                        removed += size
            _remove_if_empty(folder, descriptor)
    except (FileNotFoundError, NotADirectoryError):
        # Also a file or a link in its place, which is somebody else's.
        pass
    return removed


def _remove_if_empty(folder: Path, descriptor: int) -> None:
    """Remove a run's open folder, or sync it: what is gone with its folder needs no sync."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        sync(descriptor)
