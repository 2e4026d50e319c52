"""The files of one save, read back into the row that its process could not commit."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from astraguard_store.artifacts.reader import read_columns, read_summary_bytes
from astraguard_store.artifacts.staging import StagedName
from astraguard_store.artifacts.verification import found_artifact
from astraguard_store.columns import Columns
from astraguard_store.database.runs import StoredRun
from astraguard_store.exceptions import ArtifactReadError
from astraguard_store.formats.csv import plain_labels
from astraguard_store.formats.layout import (
    FILE_KINDS,
    KEPT_RUN_SUFFIX,
    PARQUET,
    compression_of,
    file_name,
)
from astraguard_store.formats.notes import NO_NOTES, SaveNotes, parse_notes
from astraguard_store.formats.parquet import MAGIC as PARQUET_MAGIC
from astraguard_store.formats.summary import (
    AdoptedSummary,
    parse_document,
    parse_summary,
    parse_timestamp,
    utc_offset_s,
)
from astraguard_store.model import ArtifactKind, RunSummary, utc_from_epoch_us
from astraguard_store.statistics import RunStatistics, summarize
from astraguard_store.store.identity import disagreement
from astraguard_store.system.files import modified_ns, open_for_reading, read_file

logger = logging.getLogger("astraguard_store")

# Time zones differ by multiples of a quarter of an hour.
_ZONE_STEP_US = 900_000_000


class KeptSave(NamedTuple):
    """What the files of a save hold.

    Attributes:
        run: The run, its revision 0.
        statistics: Of its measurements.
        measurements: These, if they are to be kept in the database too.
        files_agree: Whether its summary file tells the same as its CSV.
        notes: What it knew beside its files.
        is_timed: Whether the files' time is that of the save by its summary, too, and not of
            a copy.
    """

    run: StoredRun
    statistics: RunStatistics
    measurements: Columns | None
    files_agree: bool
    notes: SaveNotes
    is_timed: bool


def is_kept(names: Iterable[StagedName]) -> bool:
    """Return whether the staged files of a save are there to be adopted."""
    return any(name.is_kept for name in names)


def is_complete(root: Path, names: tuple[StagedName, ...]) -> bool:
    """Return whether the files of a save are all there, and tell the same.

    Its CSV may be published already, as long as no other save replaced it.

    Raises:
        OSError: A file can't be read, so it can't be told.
    """
    try:
        return _read(root, names).files_agree
    except (FileNotFoundError, ArtifactReadError):
        return False


def read_kept(root: Path, names: tuple[StagedName, ...]) -> KeptSave | None:
    """Return what the files of a save hold.

    Returns:
        None if there are no measurements of that save any more.

    Raises:
        ArtifactReadError: The staged CSV is damaged.
        OSError: A file can't be read.
    """
    csv_is_staged = "raw_csv" in _staged(names)
    try:
        kept = _read(root, names)
    except (FileNotFoundError, ArtifactReadError):
        if csv_is_staged:
            raise
        return None
    return kept if csv_is_staged or kept.files_agree else None


def _staged(names: Iterable[StagedName]) -> dict[ArtifactKind, StagedName]:
    """Return the staged files by kind; one under both names is meant by its later one."""
    by_kind: dict[ArtifactKind, StagedName] = {}
    for name in sorted(names, key=lambda name: name.is_kept):
        if name.file_name:
            by_kind[FILE_KINDS[name.file_name]] = name
    return by_kind


def _files(root: Path, names: tuple[StagedName, ...]) -> dict[str, Path]:
    """Return where the files of a save lie, by the names that they have in the run's folder."""
    staged = _staged(names)
    files = {name.file_name: name.path(root) for name in staged.values() if name.file_name}
    published = root / names[0].run_id
    summary = staged.get("summary_json")
    if "raw_csv" not in staged and summary:
        # Published already: both are compressed in the same way.
        name = file_name("raw_csv", compression_of(summary.suffix))
        files[name] = published / name
    parquet = published / file_name("raw_parquet", None)
    if "raw_parquet" not in staged and _same_time(parquet, names[0].path(root)):
        files[parquet.name] = parquet
    return files


def _is_whole(parquet: Path | None) -> bool:
    """Return whether a parquet file has its footer, which is written last; True without a file.

    Its thread may have been killed when those of the CSV and the summary were done.
    """
    if parquet is None:
        return True
    with open_for_reading(parquet.parent, parquet.name) as file:
        size = os.lseek(file, 0, os.SEEK_END)
        os.lseek(file, max(0, size - len(PARQUET_MAGIC)), os.SEEK_SET)
        return size > len(PARQUET_MAGIC) and os.read(file, size) == PARQUET_MAGIC


def _same_time(path: Path, other: Path) -> bool:
    try:
        return os.stat(path).st_mtime_ns == os.stat(other).st_mtime_ns
    except FileNotFoundError:
        return False


def _read(root: Path, names: tuple[StagedName, ...]) -> KeptSave:
    run_id, token = names[0].run_id, names[0].token
    files = _files(root, names)
    by_kind = {FILE_KINDS[name]: path for name, path in files.items()}
    if "raw_csv" not in by_kind:
        raise FileNotFoundError(f"nothing is staged of the measurements of run {run_id!r}")
    notes = read_notes(root, names)
    summary_path = by_kind.get("summary_json")
    told = _read_summary(summary_path) if summary_path else None
    columns = read_columns(by_kind["raw_csv"], trusted=True)
    if told:
        # The apostrophes of `safe_csv` are taken back.
        columns = plain_labels(columns, told.metrics, told.satellites)
    statistics = summarize(columns, satellite_buckets=notes.satellite_buckets)
    recorded_at_us = notes.recorded_at_us
    if recorded_at_us is None:
        recorded_at_us = modified_ns(os.stat(names[0].path(root))) // 1000
    summary = RunSummary(
        run_id,
        0,
        utc_from_epoch_us(recorded_at_us),
        statistics.total_measurements,
        statistics.metrics,
        statistics.satellites,
        tuple(
            sorted(
                found_artifact(run_id, name, path, statistics.total_measurements)
                for name, path in files.items()
            )
        ),
        notes.provenance,
        notes.tags,
        save_id=notes.save_id,
    )
    offset_s = utc_offset_s(recorded_at_us)
    run = StoredRun(summary, offset_s, token, save_sha256=notes.save_sha256)
    return KeptSave(
        run,
        statistics,
        columns if notes.in_database else None,
        told is not None
        and disagreement(statistics, told, "it") is None
        and _is_whole(by_kind.get(PARQUET)),
        notes,
        told is not None and _is_of(told, recorded_at_us),
    )


def _is_of(told: AdoptedSummary, recorded_at_us: int) -> bool:
    """Return whether a summary has that time, in some time zone."""
    written_us = parse_timestamp(told.timestamp)
    return written_us is not None and (recorded_at_us - written_us) % _ZONE_STEP_US == 0


def read_notes(root: Path, names: tuple[StagedName, ...]) -> SaveNotes:
    """Return what a kept save knew; `NO_NOTES` where it left none that can be read."""
    path = StagedName(names[0].run_id, names[0].token, KEPT_RUN_SUFFIX).path(root)
    try:
        content, _ = read_file(path.parent, path.name)
        return parse_notes(content)
    except FileNotFoundError:
        # A save that was killed has none.
        return NO_NOTES
    except ArtifactReadError as error:
        logger.warning("%s is adopted without its provenance and tags: %s", path, error)
        return NO_NOTES


def _read_summary(path: Path) -> AdoptedSummary | None:
    try:
        return parse_summary(parse_document(read_summary_bytes(path)))
    except (FileNotFoundError, ArtifactReadError):
        # The measurements count, under whichever names.
        return None
