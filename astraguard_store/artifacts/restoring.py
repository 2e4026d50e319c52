"""A summary file written anew; what lay in its place is kept beside it."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from astraguard_store.artifacts.staged_run import StagedRun
from astraguard_store.artifacts.staging import ensure_staging, sync_staging
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.formats.layout import SUMMARY, SUMMARY_NAMES, compression_of, name_in
from astraguard_store.model import Artifact
from astraguard_store.system.files import is_same_file, open_folder, sync_folder


def stage_summary(
    root: Path, noted: Artifact, content: bytes, recorded_at_us: int, *, durable: bool
) -> StagedRun:
    """Write a run's summary to the staging folder; the caller publishes or discards it.

    Args:
        root: The results folder.
        noted: What is known of the file, its name and its rows.
        content: The document; compressed as the name says.
        recorded_at_us: The time of the run, microseconds since 1970, UTC.
        durable: Whether it must survive a power cut.

    Raises:
        ArtifactWriteError: It can't be written; nothing is left of it.
    """
    try:
        ensure_staging(root)
    except OSError as error:
        raise ArtifactWriteError(f"{error.filename} can't be made: {error.strerror}") from error
    run_id = noted.path.partition("/")[0]
    compression = compression_of(name_in(noted.path))
    staged = StagedRun(root, run_id, recorded_at_us, durable=durable, compression=compression)
    try:
        staged.write(SUMMARY, [content], noted.rows or 0)
        if durable:
            sync_staging(root)
    except BaseException:
        staged.discard()
        raise
    return staged


def publish_summary(root: Path, staged: StagedRun) -> list[str]:
    """Put a staged summary into its run's folder; what lay there stays, under another name.

    Returns:
        The names of what lay there.

    Raises:
        OSError: It can't be done.
    """
    kept = []
    for name in SUMMARY_NAMES:
        beside = _second_name(root / staged.run_id, name)
        if beside:
            kept.append(beside)
    staged.publish(replaced=SUMMARY_NAMES)
    staged.close()
    if staged.needs_folder_sync:
        sync_folder(root)
    return kept


def _second_name(path: Path, name: str) -> str | None:
    """Give a file a second name, so that it outlives its replacement; None if it isn't there."""
    try:
        with open_folder(path) as folder:
            for number in count():
                second = f"{name}.changed{f'-{number}' if number else ''}"
                try:
                    os.link(
                        name,
                        second,
                        src_dir_fd=folder,
                        dst_dir_fd=folder,
                        follow_symlinks=False,
                    )
                except FileExistsError:
                    # One that was given it by a mending that was killed needs no other.
                    if not _is_same(folder, name, second):
                        continue
                return second
    except FileNotFoundError:
        pass
    return None


def _is_same(folder: int, name: str, second: str) -> bool:
    states = (os.stat(n, dir_fd=folder, follow_symlinks=False) for n in (name, second))
    return is_same_file(*states)
