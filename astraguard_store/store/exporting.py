"""Runs → a folder, a zip or a parquet file for somebody else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from astraguard_store.artifacts.attachments import attachment_chunks
from astraguard_store.artifacts.dataset import Dataset
from astraguard_store.artifacts.exports import (
    FolderOfRuns,
    RunsTarget,
    ZipOfRuns,
    appearing,
    why_in_store,
    write_parquet,
)
from astraguard_store.checks import check_run_id
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError, InvalidRunError
from astraguard_store.formats.layout import ATTACHMENTS_NAME
from astraguard_store.formats.run_notes import NOTES_NAME, notes_of, render_run_notes
from astraguard_store.model import Attachment
from astraguard_store.reports import ExportReport, Progress
from astraguard_store.store.one_save import files_of_one_save, save_of

if TYPE_CHECKING:
    import polars as pl

    from astraguard_store.store.folder_runs import FolderRuns
    from astraguard_store.store.sources import FolderSource
    from astraguard_store.verdict.values import Judgements


class Noted(NamedTuple):
    """What of a run is neither in its summary nor in its files.

    Attributes:
        satellite_buckets: Whether it keeps buckets of satellites.
        judgements: Its baselines, and what was said of it.
        save_ids: (name, content's hash, revision) of each named save that it ever had.
    """

    satellite_buckets: bool
    judgements: Judgements
    save_ids: list[tuple[str, str, int]]


# Names by which nobody means a folder.
_OTHER_KINDS = re.compile(
    r"\.(7z|arrow|bz2|csv|db|feather|gz|h5|hdf5|json|rar|sqlite|tar|tbz2?|tgz|txz|xlsx|xz|zst)",
    re.IGNORECASE,
)


def export(
    source: FolderSource | FolderRuns,
    run_ids: Iterable[str],
    target: Path,
    progress: Progress | None,
    *,
    dataset: bool = False,
) -> ExportReport:
    """Copy runs out of a results folder; raises as `RunRepository.export`."""
    makes_file = target.suffix.lower() in {".zip", ".parquet"}
    reason = why_in_store(source.root, target, is_folder=dataset or not makes_file)
    if reason:
        raise ArtifactWriteError(f"{target} {reason}")
    if dataset:
        return _export_dataset(source, run_ids, target, progress)
    if _OTHER_KINDS.fullmatch(target.suffix):
        raise InvalidRunError(
            f"Invalid target {target.name!r}: it can't be made; a folder, FILE.zip or "
            "FILE.parquet can"
        )
    if target.suffix.lower() == ".parquet":
        return _export_measurements(source, run_ids, target, progress)
    return _export_files(source, run_ids, target, progress)


def _export_files(
    source: FolderSource | FolderRuns,
    run_ids: Iterable[str],
    target: Path,
    progress: Progress | None,
) -> ExportReport:
    chosen = _checked(run_ids)
    is_zip = target.suffix.lower() == ".zip"
    with appearing(target) as beside:
        copies: RunsTarget = ZipOfRuns(beside) if is_zip else FolderOfRuns(beside)
        files = 0
        for number, run_id in enumerate(chosen, start=1):
            files += _copy_run(source, run_id, copies)
            if progress:
                progress(number, len(chosen))
        size = copies.finish()
    return ExportReport(target, len(chosen), files, size)


def _copy_run(source: FolderSource | FolderRuns, run_id: str, copies: RunsTarget) -> int:
    """Copy the files of one run; return how many it has."""
    looks: list[tuple[StoredRun, Noted]] = []

    def load() -> StoredRun:
        looks.append(source.noted(run_id))
        return looks[-1][0]

    with ExitStack() as stack:
        run, files = files_of_one_save(source.root, load, stack)
        # What is noted by now may be of a later save.
        of_run = next(of_look for stored, of_look in looks if stored is run)
        # A run that ended before its first measurement is what `export` notes of it.
        if not files and (run.summary.total_measurements or run.summary.state == "running"):
            is_running = run.summary.state == "running"
            why = "it is being recorded" if is_running else "its row names none"
            raise ArtifactReadError(f"run {run.summary.run_id!r} has no files to export: {why}")
        for file in files:
            copies.add(run.summary, file)
        for attached in run.summary.attachments:
            content = _content(source.root, run_id, attached)
            # Its name and what was noted are checked before a file is made by that name.
            next(content)
            copies.add_beside(run.summary, f"{ATTACHMENTS_NAME}/{attached.name}", content)
        notes = notes_of(run.summary, run.utc_offset_s, run.save_sha256, **of_run._asdict())
        copies.add_beside(run.summary, NOTES_NAME, iter([render_run_notes(notes)]))
        return len(files) + len(run.summary.attachments)


def _content(root: Path, run_id: str, noted: Attachment) -> Iterator[bytes]:
    try:
        yield from attachment_chunks(root, run_id, noted)
    except InvalidRunError as error:
        raise ArtifactReadError(f"run {run_id!r} can't be exported: {error}") from error


def _export_measurements(
    source: FolderSource | FolderRuns,
    run_ids: Iterable[str],
    target: Path,
    progress: Progress | None,
) -> ExportReport:
    chosen = _checked(run_ids)
    done = 0

    def next_frame(run_id: str) -> pl.DataFrame:
        nonlocal done
        frame = source.measurements(run_id)
        done += 1
        if progress:
            progress(done, len(chosen))
        return frame

    with appearing(target) as beside:
        size = write_parquet(beside, chosen, next_frame)
    return ExportReport(target, len(chosen), 1, size)


def _export_dataset(
    source: FolderSource | FolderRuns,
    run_ids: Iterable[str],
    target: Path,
    progress: Progress | None,
) -> ExportReport:
    chosen = _checked(run_ids)
    if target.suffix and not target.is_dir():
        raise InvalidRunError(f"Invalid target {target.name!r}: a dataset is a folder")
    # Before the first file is made.
    runs = {run_id: source.load(run_id) for run_id in chosen}
    files = Dataset(target)
    for number, (run_id, run) in enumerate(runs.items(), start=1):

        def of_that_save(run_id: str, save: str = save_of(run)) -> pl.DataFrame:
            frame = source.measurements(run_id)
            if save_of(source.load(run_id)) != save:
                raise ArtifactReadError(f"run {run_id!r} was saved meanwhile; export again")
            return frame

        files.write(run.summary, save_of(run), of_that_save)
        if progress:
            progress(number, len(chosen))
    return ExportReport(target, len(chosen), files.files, files.bytes)


def _checked(run_ids: Iterable[str]) -> list[str]:
    """Return the ids in their order, each once."""
    if isinstance(run_ids, str | os.PathLike):
        raise InvalidRunError(f"Invalid run_ids {run_ids!r}: several are needed, as in [run_id]")
    chosen = sorted({check_run_id(run_id) for run_id in run_ids})
    if not chosen:
        raise InvalidRunError("Invalid run_ids: no run was named, so there is nothing to export")
    return chosen
