"""A summary file written anew; what lay in its place is kept beside it."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from astraguard_store.artifacts.files import open_folder
from astraguard_store.artifacts.layout import SUMMARY_NAME
from astraguard_store.artifacts.staging import ensure_staging
from astraguard_store.artifacts.writer import StagedRun, sync_staging
from astraguard_store.exceptions import ArtifactWriteError

__all__ = ["keep_changed_summary", "stage_summary"]


def stage_summary(
    root: Path, run_id: str, content: bytes, recorded_at_us: int, rows: int, *, sync: bool
) -> StagedRun:
    """Write a run's summary to the staging folder; the caller publishes or discards it.

    Raises:
        ArtifactWriteError: It can't be written; nothing is left of it.
    """
    try:
        ensure_staging(root)
    except OSError as error:
        raise ArtifactWriteError(f"{error.filename} can't be made: {error.strerror}") from error
    staged = StagedRun(root, run_id, recorded_at_us, sync=sync)
    try:
        staged.write("summary_json", [content], rows)
        staged.sync("summary_json")
        if sync:
            sync_staging(root)
    except BaseException:
        staged.discard()
        raise
    return staged


def keep_changed_summary(root: Path, run_id: str) -> str | None:
    """Give the summary in a run's folder a second name, so that it outlives its replacement.

    Returns:
        The name, None if there is no summary.

    Raises:
        OSError: It can't be given one.
    """
    try:
        with open_folder(root / run_id) as folder:
            for number in count():
                name = f"{SUMMARY_NAME}.changed{f'-{number}' if number else ''}"
                try:
                    os.link(
                        SUMMARY_NAME,
                        name,
                        src_dir_fd=folder,
                        dst_dir_fd=folder,
                        follow_symlinks=False,
                    )
                except FileExistsError:
                    continue
                return name
    except FileNotFoundError:
        pass
    return None
