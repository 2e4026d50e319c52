"""Reading a run's folder: its summary, its time."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from astraguard_store.artifacts.files import open_for_reading, read_file
from astraguard_store.artifacts.layout import RAW_NAME, SUMMARY_NAME
from astraguard_store.columns import Columns
from astraguard_store.csv_format import FIELDS, parse_csv
from astraguard_store.exceptions import ArtifactError, ArtifactReadError
from astraguard_store.model import epoch_us
from astraguard_store.summary_format import parse_document, parse_timestamp

__all__ = [
    "SummaryFile",
    "is_as_saved",
    "last_measured_us",
    "read_columns",
    "read_document",
    "read_summary_file",
    "run_time_us",
    "was_set_by_save",
]

# Fifty lines of the usual 70 bytes: enough to find a whole one at the end of a torn file.
_TAIL_BYTES = 4096
_MAX_LINE_CHARACTERS = 65_536
# Time zones differ by multiples of a quarter of an hour.
_ZONE_STEP_US = 900_000_000


@dataclass(frozen=True, slots=True)
class SummaryFile:
    """A run's summary as it lies in its folder.

    Attributes:
        document: The JSON object.
        content: Its bytes.
        modified_ns: The file's time, nanoseconds since 1970.
    """

    document: dict[str, Any]
    content: bytes
    modified_ns: int

    @property
    def modified_us(self) -> int:
        """The file's time, whole microseconds since 1970."""
        return self.modified_ns // 1000


def read_summary_file(root: Path, run_id: str) -> SummaryFile:
    """Read the summary of the run in folder *run_id*.

    Raises:
        FileNotFoundError: There is none.
        ArtifactReadError: It can't be read, is no JSON object, or is that of
            another run; the message says which.
    """
    folder = root / run_id
    content, modified_ns = read_file(folder, SUMMARY_NAME)
    try:
        document = parse_document(content)
    except ArtifactReadError as error:
        raise ArtifactReadError(f"{folder / SUMMARY_NAME} is {error}") from error
    # Hand-made summaries that don't name their run exist.
    named = document.get("run_id", run_id)
    if named != run_id:
        of = f"run {named!r:.200}" if isinstance(named, str) else "no run"
        raise ArtifactReadError(f"{folder / SUMMARY_NAME} is the summary of {of}")
    return SummaryFile(document, content, modified_ns)


def read_document(root: Path, run_id: str) -> dict[str, Any]:
    """Return the summary of the run in folder *run_id*; raises as `read_summary_file`."""
    return read_summary_file(root, run_id).document


def is_as_saved(root: Path, run_id: str, size: int, recorded_at_us: int) -> bool:
    """Return whether the run's summary file is there and is the one of that save.

    Told by size and time, which a save sets to the microsecond: one question to
    the file system, 2 µs.
    """
    try:
        found = os.stat(f"{root}/{run_id}/{SUMMARY_NAME}", follow_symlinks=False)
    except OSError:
        return False
    return found.st_size == size and found.st_mtime_ns == recorded_at_us * 1000


def run_time_us(root: Path, run_id: str, summary: SummaryFile) -> int:
    """Return when a run was, microseconds since 1970, as far as its files tell.

    The summary file's own time if this store set it. Else the last time in the
    CSV, which is true UTC; else the summary's, local where it names no zone;
    else the file's after all, which may be that of a copy.
    """
    if was_set_by_save(summary):
        return summary.modified_us
    measured = last_measured_us(root, run_id)
    if measured is not None:
        return measured
    written = parse_timestamp(summary.document.get("timestamp"))
    return summary.modified_us if written is None else written


def was_set_by_save(summary: SummaryFile) -> bool:
    """Return whether file time and document agree to the microsecond in some time zone."""
    try:
        written = datetime.fromisoformat(summary.document["timestamp"]).replace(tzinfo=UTC)
    except (KeyError, TypeError, ValueError):
        return False
    # Whole seconds agree by chance, where somebody set them by hand.
    return (
        summary.modified_us % 1_000_000 != 0
        and (summary.modified_us - epoch_us(written)) % _ZONE_STEP_US == 0
    )


def last_measured_us(root: Path, run_id: str) -> int | None:
    """Return the time of the last whole row of a run's CSV, None where there is none."""
    try:
        with open_for_reading(root / run_id, RAW_NAME) as descriptor:
            start = max(0, os.fstat(descriptor).st_size - _TAIL_BYTES)
            tail = os.pread(descriptor, _TAIL_BYTES, start)
    except (OSError, ArtifactError):
        return None
    lines = tail.decode(errors="replace").split("\n")
    # The part after the last line end is empty, or torn.
    whole = [f"{line}\n" for line in lines[:-1]]
    for start in reversed(range(len(whole))):
        time_us = _row_time_us(whole[start:])
        if time_us is not None:
            return time_us
    return None


def _row_time_us(lines: list[str]) -> int | None:
    """Return the time of the row that begins *lines*, None if none begins there."""
    try:
        # A quoted name may hold line ends, so the row may be longer than a line.
        row = next(csv.reader(lines, strict=True), [])
        numbers = [float(row[index]) for index in (0, 3, 4)] if len(row) == len(FIELDS) else []
    except (csv.Error, ValueError):
        return None
    # A time before 1970 or after 3000 is no time of a run.
    if numbers and all(map(isfinite, numbers)) and 0 <= numbers[0] < 32_503_680_000:
        return round(numbers[0] * 1e6)
    return None


def read_columns(path: Path) -> Columns:
    """Return the measurements in the CSV file *path*.

    Raises:
        FileNotFoundError: There is no such file.
        ArtifactReadError: It can't be read or is no such CSV; the message says why.
    """
    with open_for_reading(path.parent, path.name) as descriptor:
        raw = open(descriptor, "rb", closefd=False)  # noqa: SIM115 - a descriptor
        with io.TextIOWrapper(raw, encoding="utf-8", newline="") as lines:
            try:
                return parse_csv(_bounded(lines))
            except (ArtifactReadError, OSError) as error:
                raise ArtifactReadError(f"{path}: {error}") from error


def _bounded(lines: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines; one without an end would be read into memory as a whole."""
    while line := lines.readline(_MAX_LINE_CHARACTERS):
        if len(line) == _MAX_LINE_CHARACTERS:
            raise ArtifactReadError(f"a line has over {_MAX_LINE_CHARACTERS} characters")
        yield line
