"""Reading a run's folder: its summary, its time, its measurements; plain or compressed."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astraguard_store.checks import FIRST_DATE_S
from astraguard_store.exceptions import ArtifactError, ArtifactReadError
from astraguard_store.formats.compression import open_unpacked, unpacked
from astraguard_store.formats.csv import FIELDS, parse_csv
from astraguard_store.formats.layout import (
    NAMES_BY_KIND,
    RAW_NAMES,
    SUMMARY_NAME,
    SUMMARY_NAMES,
    compression_of,
    file_name,
)
from astraguard_store.formats.summary import (
    AdoptedSummary,
    decoded_summary,
    parse_document,
    parse_summary,
    parse_timestamp,
)
from astraguard_store.model import Artifact, RunSummary, epoch_us, utc_from_epoch_us
from astraguard_store.system.files import (
    MAX_SUMMARY_BYTES,
    digest_of,
    open_for_reading,
    read_file,
)

if TYPE_CHECKING:
    from astraguard_store.columns import Columns

# Fifty lines of the usual 70 bytes: enough to find a whole one at the end of a torn file.
_TAIL_BYTES = 4096
_MAX_LINE_CHARACTERS = 65_536
# Time zones differ by multiples of a quarter of an hour.
_ZONE_STEP_US = 900_000_000
_A_DAY_US = 86_400_000_000
# What a CSV that nobody has vouched for may unpack to: real ones to 5 times their
# size, one of the same row again and again to 200 times.
_UNPACKED_AT_MOST = 64 * 2**20
_UNPACKED_TIMES = 100
_CHUNK_BYTES = 2**20
# 30,000 measurements: polars parses them on all processors.
_LARGE_CHUNK_BYTES = 2 * 2**20
_TWICE = (*SUMMARY_NAMES, *SUMMARY_NAMES)


@dataclass(frozen=True, slots=True)
class SummaryFile:
    """A run's summary as it lies in its folder.

    Attributes:
        document: The JSON object.
        name: The file's name in the run's folder.
        content: Its bytes as they lie there.
        modified_ns: The file's time, nanoseconds since 1970.
    """

    document: dict[str, Any]
    name: str
    content: bytes
    modified_ns: int

    def run_time_us(self, root: Path, run_id: str) -> int:
        """Return when the run was; see the function of that name."""
        timestamp = self.document.get("timestamp")
        return run_time_us(root, run_id, timestamp, self.modified_ns // 1000)


def read_summary_file(root: Path, run_id: str) -> SummaryFile:
    """Read the summary of the run in folder *run_id*.

    Raises:
        FileNotFoundError: There is none.
        ArtifactReadError: It can't be read, is no JSON object, or is that of
            another run; the message says which.
    """
    folder = root / run_id
    name, content, modified_ns = _read_first(folder)
    return SummaryFile(_document_of(folder, run_id, name, content), name, content, modified_ns)


def _document_of(folder: Path | str, run_id: str, name: str, content: bytes) -> dict[str, Any]:
    try:
        document = parse_document(unpacked(content, compression_of(name), MAX_SUMMARY_BYTES))
    except ArtifactReadError as error:
        raise ArtifactReadError(f"{folder}/{name} is {error}") from error
    # Hand-made summaries that don't name their run exist.
    named = document.get("run_id", run_id)
    if named != run_id:
        of = f"run {named!r:.200}" if isinstance(named, str) else "no run"
        raise ArtifactReadError(f"{folder}/{name} is the summary of {of}")
    return document


def names_another_run(root: Path, run_id: str) -> bool:
    """Return whether the summary in the folder *run_id* can be read, and is of another run."""
    try:
        name, content, _ = _read_first(root / run_id)
        document = parse_document(unpacked(content, compression_of(name), MAX_SUMMARY_BYTES))
    except (FileNotFoundError, ArtifactReadError):
        return False
    return bool(document.get("run_id", run_id) != run_id)


def _read_first(folder: Path | str) -> tuple[str, bytes, int]:
    # A save with another compression publishes the new name before it removes the
    # old one, so whoever missed both finds one of them at the second look.
    for name in _TWICE:
        # Mostly it is plain. Of a run that isn't there to open each takes 10 µs, to ask 1.
        if name is not SUMMARY_NAME and not os.path.lexists(f"{folder}/{name}"):
            continue
        with suppress(FileNotFoundError):
            return name, *read_file(folder, name)
    raise FileNotFoundError(f"there is no summary in {folder}")


def read_summary_bytes(path: Path) -> bytes:
    """Return the content of the summary file *path*, unpacked.

    Raises:
        FileNotFoundError: It isn't there.
        ArtifactReadError: It can't be read or unpacked, or is too large.
    """
    content, _ = read_file(path.parent, path.name)
    return unpacked(content, compression_of(path.name), MAX_SUMMARY_BYTES)


def has_summary(root: Path | str, run_id: str) -> bool:
    """Return whether there is a summary in the run's folder: mostly one question."""
    if "\0" in run_id:
        # Another program's row: no folder has such a name.
        return False
    # Mostly it is plain; to go through all names takes as long as the question.
    if os.access(f"{root}/{run_id}/{SUMMARY_NAME}", os.F_OK):
        return True
    return any(os.access(f"{root}/{run_id}/{name}", os.F_OK) for name in _TWICE)


def read_document(root: Path | str, run_id: str) -> dict[str, Any]:
    """Return the summary of the run in folder *run_id*; raises as `read_summary_file`."""
    folder = f"{root}/{run_id}"
    name, content, _ = _read_first(folder)
    return _document_of(folder, run_id, name, content)


def is_as_saved(root: Path, noted: Artifact, recorded_at_us: int) -> bool:
    """Return whether the summary file *noted* is there and is the one of that save.

    Told by size and time, which a save sets to the microsecond: one question to
    the file system, 2 µs.
    """
    try:
        found = os.stat(f"{root}/{noted.path}", follow_symlinks=False)
    except OSError:
        return False
    return found.st_size == noted.bytes and found.st_mtime_ns == recorded_at_us * 1000


def run_time_us(root: Path, run_id: str, timestamp: object, modified_us: int) -> int:
    """Return when a run was, microseconds since 1970, as far as its files tell.

    The summary file's own time if this store set it. Else the last time in the
    CSV, which is true UTC, unless it counts from a boot: then the summary or the file
    has to bear witness to it. Else the summary's, local where it names no zone;
    else the file's after all, which may be that of a copy.

    Args:
        root: The results folder.
        run_id: The run.
        timestamp: What its summary has under that name, None for nothing.
        modified_us: The summary file's time.
    """
    if _was_set_by_save(timestamp, modified_us):
        return modified_us
    measured = last_measured_us(root, run_id)
    written = parse_timestamp(timestamp)
    if measured is not None and _is_witnessed(measured, written, modified_us):
        return measured
    return modified_us if written is None else written


def _is_witnessed(measured: int, written: int | None, modified: int) -> bool:
    # A run isn't over before it is listed: such a date is a rig's wrong clock, or no date.
    is_to_come = measured > time.time_ns() // 1000 + _A_DAY_US
    if is_to_come or measured < FIRST_DATE_S * 1e6:
        return any(abs(measured - other) <= _A_DAY_US for other in (written, modified) if other)
    return True


def _was_set_by_save(timestamp: object, modified_us: int) -> bool:
    """Return whether file time and document agree to the microsecond in some time zone."""
    # Whole seconds agree by chance, where somebody set them by hand.
    if not isinstance(timestamp, str) or modified_us % 1_000_000 == 0:
        return False
    try:
        written = datetime.fromisoformat(timestamp).replace(tzinfo=UTC)
    except ValueError:
        return False
    return (modified_us - epoch_us(written)) % _ZONE_STEP_US == 0


def last_measured_us(root: Path, run_id: str) -> int | None:
    """Return the time of the last whole row of a run's CSV, None where there is none."""
    tail = b""
    for name in RAW_NAMES:
        # 1 µs to find out that there is none, as in an old tree of summaries; 20 to open it.
        if not os.access(f"{root}/{run_id}/{name}", os.F_OK):
            continue
        try:
            tail = _tail(root / run_id, name)
            break
        except FileNotFoundError:
            continue
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


def _tail(folder: Path, name: str) -> bytes:
    with open_for_reading(folder, name) as descriptor:
        if compression_of(name) is None:
            start = max(0, os.fstat(descriptor).st_size - _TAIL_BYTES)
            return os.pread(descriptor, _TAIL_BYTES, start)
        tail = b""
        with _content(descriptor, name, trusted=False) as file:
            # All of it has to be unpacked: 40 ms for 100,000 rows.
            while chunk := file.read(_CHUNK_BYTES):
                tail = (tail + chunk)[-_TAIL_BYTES:]
        return tail


def _row_time_us(lines: list[str]) -> int | None:
    """Return the time of the row that begins *lines*, None if none begins there."""
    try:
        # A quoted name may hold line ends, so the row may be longer than a line.
        row = next(csv.reader(lines, strict=True), [])
        whole = len(row) == len(FIELDS) or row[len(FIELDS) :] in (["0"], ["1"])
        numbers = [float(row[index]) for index in (0, 3, 4)] if whole else []
    except (csv.Error, ValueError):
        return None
    # A time before 1970 or after 3000 is no time of a run.
    if numbers and all(map(isfinite, numbers)) and 0 <= numbers[0] < 32_503_680_000:
        return round(numbers[0] * 1e6)
    return None


def read_columns(path: Path, noted: Artifact | None = None, *, trusted: bool = False) -> Columns:
    """Return the measurements in the CSV file *path*, plain or compressed.

    Args:
        path: The file.
        noted: Of what its content must be, if that is known.
        trusted: Whether this store wrote it, so that it may unpack to any size.

    Raises:
        FileNotFoundError: There is no such file.
        ArtifactReadError: It can't be read, is no such CSV, or another one than
            *noted*; the message says why.
    """
    with open_for_reading(path.parent, path.name) as descriptor:
        try:
            if noted and noted.sha256:
                _check_content(descriptor, noted.sha256)
                trusted = True
            with (
                _content(descriptor, path.name, trusted=trusted) as file,
                io.TextIOWrapper(file, encoding="utf-8", newline="") as lines,
            ):
                return parse_csv(_bounded(lines))
        except (ArtifactReadError, OSError) as error:
            raise ArtifactReadError(f"{path}: {error}") from error


def read_noted(path: Path, noted: Artifact) -> bytes:
    """Return the content of the file *path*, all of it and unpacked.

    Raises:
        FileNotFoundError: There is no such file.
        ArtifactReadError: It can't be read, or is another one than *noted*.
    """
    return b"".join(noted_chunks(path, noted))


def noted_chunks(path: Path, noted: Artifact) -> Iterator[bytes]:
    """Yield the content of the file *path*, unpacked, 2 MB at a time; raises as `read_noted`.

    All of it has the hash that was noted before the first part of it is given.
    """
    with open_for_reading(path.parent, path.name) as descriptor:
        try:
            if noted.sha256:
                _check_content(descriptor, noted.sha256)
            with _content(descriptor, path.name, trusted=bool(noted.sha256)) as file:
                while chunk := file.read(_LARGE_CHUNK_BYTES):
                    yield chunk
        except (ArtifactReadError, OSError) as error:
            raise ArtifactReadError(f"{path}: {error}") from error


def _check_content(descriptor: int, noted: str) -> None:
    """Hash an open file, and go back to its beginning; so what is read next is what was hashed."""
    found = digest_of(descriptor).sha256
    if found != noted:
        raise ArtifactReadError(
            "its content is not the one that was saved: "
            f"the SHA-256 noted is {noted}, found is {found}"
        )
    os.lseek(descriptor, 0, os.SEEK_SET)


@contextmanager
def _content(descriptor: int, name: str, *, trusted: bool) -> Iterator[io.BufferedReader]:
    """Give the open file *name*, unpacked."""
    with open(descriptor, "rb", closefd=False) as raw:  # a descriptor
        compression = compression_of(name)
        if compression is None:
            yield raw
            return
        limit = _UNPACKED_AT_MOST + _UNPACKED_TIMES * os.fstat(descriptor).st_size
        with open_unpacked(raw, compression, None if trusted else limit) as file:
            yield file


def _bounded(lines: io.TextIOWrapper) -> Iterator[str]:
    """Yield lines; one without an end would be read into memory as a whole."""
    while line := lines.readline(_MAX_LINE_CHARACTERS):
        if len(line) == _MAX_LINE_CHARACTERS:
            raise ArtifactReadError(f"a line has over {_MAX_LINE_CHARACTERS} characters")
        yield line


def read_run(root: Path, run_id: str) -> RunSummary:
    """Return the run in folder *run_id*, its revision 0.

    Raises:
        FileNotFoundError: There is no summary.
        ArtifactReadError: The summary can't be read; the message says why.
    """
    name, content, modified_ns = _read_first(f"{root}/{run_id}")
    told = decoded_summary(content)
    if told is None or told.run_id != run_id:
        document = _document_of(root / run_id, run_id, name, content)
        file = SummaryFile(document, name, content, modified_ns)
        return found_run(root, run_id, file, file.run_time_us(root, run_id))
    recorded_at_us = run_time_us(root, run_id, told.timestamp, modified_ns // 1000)
    return _run_of(root, run_id, (name, content), told, recorded_at_us)


def found_run(root: Path, run_id: str, file: SummaryFile, recorded_at_us: int) -> RunSummary:
    """Return the run of a summary file that was read, its revision 0.

    Raises:
        ArtifactReadError: The summary holds something else than it should.
    """
    try:
        told = parse_summary(file.document)
    except ArtifactReadError as error:
        raise ArtifactReadError(f"{root / run_id / file.name}: {error}") from error
    return _run_of(root, run_id, (file.name, file.content), told, recorded_at_us)


def _run_of(
    root: Path, run_id: str, file: tuple[str, bytes], told: AdoptedSummary, recorded_at_us: int
) -> RunSummary:
    name, content = file
    try:
        recorded_at = utc_from_epoch_us(recorded_at_us)
    except OverflowError as error:
        raise ArtifactReadError(f"{root / run_id / name}: its time: {error}") from error
    return RunSummary(
        run_id=run_id,
        revision=0,
        recorded_at=recorded_at,
        total_measurements=told.total_measurements,
        metrics=told.metrics,
        satellites=told.satellites,
        artifacts=_found_artifacts(root, run_id, name, content, told.total_measurements),
    )


def _found_artifacts(
    root: Path, run_id: str, summary: str, content: bytes, rows: int
) -> tuple[Artifact, ...]:
    from hashlib import sha256

    folder = f"{root}/{run_id}"
    digest = sha256(content).hexdigest()
    found = [Artifact("summary_json", f"{run_id}/{summary}", len(content), digest, rows)]
    # One list of the folder takes 6 µs, to ask for six files that aren't there 25.
    present = os.listdir(folder)
    # In an old tree mostly nothing else.
    for kind, names in NAMES_BY_KIND.items() if len(present) > 1 else ():
        if kind == "summary_json":
            continue
        # A save that was interrupted may have left an older file beside its own.
        same_save = file_name(kind, compression_of(summary))
        for name in (same_save, *names):
            if name not in present:
                continue
            try:
                size = os.stat(f"{folder}/{name}", follow_symlinks=False).st_size
            except OSError:
                continue
            # Neither hashed nor counted: that would read every byte of an old tree.
            found.append(Artifact(kind, f"{run_id}/{name}", size, None, None))
            break
    return tuple(sorted(found))
