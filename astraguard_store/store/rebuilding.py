"""Summaries that are missing or damaged, made anew from the CSVs beside them."""

from __future__ import annotations

import os
from pathlib import Path

from astraguard_store.artifacts.reader import (
    last_measured_us,
    names_another_run,
    read_columns,
    read_summary_file,
)
from astraguard_store.artifacts.restoring import publish_summary, stage_summary
from astraguard_store.checks import check_run_id
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.layout import RAW_NAMES, SUMMARY, compression_of, file_name
from astraguard_store.formats.summary import parse_summary, render_document, utc_offset_s
from astraguard_store.model import Artifact
from astraguard_store.statistics import summarize
from astraguard_store.store.identity import document_of
from astraguard_store.store.store import FolderStore
from astraguard_store.system.files import modified_ns


def csv_of(root: Path, name: str) -> str | None:
    """Return the name of the CSV in a run's folder; None if there is none."""
    paths = ((raw, root / name / raw) for raw in RAW_NAMES)
    # Path.is_file() raises for a folder that may not be looked into, such as lost+found.
    return next((raw for raw, path in paths if os.path.isfile(path)), None)


def needs_summary(root: Path, name: str) -> bool:
    """Return whether a folder has a CSV, and no summary that can be read."""
    try:
        parse_summary(read_summary_file(root, check_run_id(name)).document)
    except (FileNotFoundError, ArtifactReadError):
        # That of another run is no damage: somebody put it there.
        return csv_of(root, name) is not None and not names_another_run(root, name)
    except InvalidRunError:
        return False
    return False


def rebuild_summary(store: FolderStore, run_id: str) -> None:
    """Write the summary of a run that has none that can be read, from its CSV.

    A damaged one is kept beside it, as ``….changed``.

    Raises:
        ArtifactReadError: The CSV isn't whole.
        ArtifactWriteError: The summary can't be written.
        OSError: The same.
    """
    root = store.root
    csv = csv_of(root, run_id)
    if csv is None:
        raise ArtifactReadError(f"{root / run_id} has no CSV")
    columns = read_columns(root / run_id / csv)
    if not columns.rows:
        raise ArtifactReadError(f"{root / run_id / csv} holds no measurements")
    statistics = summarize(columns)
    recorded_at_us = last_measured_us(root, run_id)
    if recorded_at_us is None:
        recorded_at_us = modified_ns((root / run_id / csv).stat()) // 1000
    noted = Artifact(
        SUMMARY, f"{run_id}/{file_name(SUMMARY, compression_of(csv))}", 0, None, columns.rows
    )
    offset_s = utc_offset_s(recorded_at_us)
    content = render_document(document_of(run_id, statistics, recorded_at_us, offset_s))
    staged = stage_summary(root, noted, content, recorded_at_us, durable=store.options.sync)
    try:
        with store.turn(f"rebuilding the summary of run {run_id!r}"):
            publish_summary(root, staged)
    except BaseException:
        staged.discard()
        raise
