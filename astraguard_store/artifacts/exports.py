"""Copies of runs for somebody else: a folder, a zip or a parquet file.

What is made gets its name only when it is whole and synced.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from astraguard_store.artifacts.staging import errors_name, new_token
from astraguard_store.artifacts.verification import OpenFile, name_of
from astraguard_store.columns import Columns, panics_raise, polars_is_usable
from astraguard_store.exceptions import ArtifactWriteError
from astraguard_store.formats.layout import PARQUET, compression_of
from astraguard_store.formats.parquet import frame_of as frame_of_columns
from astraguard_store.model import RunSummary, epoch_us
from astraguard_store.options import DATABASE_NAME
from astraguard_store.system.files import sync, sync_file, sync_folder

if TYPE_CHECKING:
    import polars as pl

# The earliest and the latest that a zip can tell.
_FIRST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_LAST_ZIP_TIME = (2107, 12, 31, 23, 59, 58)
_PLAIN_FILE = 0o100644 << 16
# What opens in any tool with little memory: some 20 MB unpacked.
_ROW_GROUP_ROWS = 262_144


class RunsTarget(Protocol):
    """What takes whole runs, one after another."""

    def add(self, run: RunSummary, file: OpenFile) -> None:
        """Copy one file of a run.

        Raises:
            ArtifactReadError: It isn't what was noted.
            OSError: The copy can't be written.
        """

    def add_beside(self, run: RunSummary, name: str, chunks: Iterator[bytes]) -> None:
        """Write a file of that name, below the run's folder, that isn't one of the run's own.

        Raises:
            OSError: It can't be written.
        """

    def finish(self) -> int:
        """Write what is left, durably; return how many bytes all of it takes."""


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a path beside *target* that gets its name if the block ends well, and goes if not.

    Raises:
        ArtifactWriteError: The target is there already, or can't be written.
    """
    _check_free(target)
    beside = target.with_name(f".{target.name[:200]}~{new_token()}")
    try:
        with errors_name(target, "; nothing was exported"):
            yield beside
            _check_free(target)
            beside.rename(target)
            sync_folder(target.parent.resolve())
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def why_in_store(root: Path, target: Path, *, is_folder: bool = False) -> str | None:
    """Return why nothing may be made at *target* for the results folder's sake; None if it may.

    Args:
        root: The real path of the results folder.
        target: Where something is to be made.
        is_folder: Whether it is a folder, or a file.
    """
    # Not by `resolve`, to which a loop of links is a RuntimeError.
    real = Path(os.path.realpath(target))
    if is_folder and root in (real, *real.parents):
        where = "lies in the results folder, where it would be taken for a run"
        return f"{where}; name a folder elsewhere"
    if root in real.parents[1:]:
        return "lies in a folder of the store; name a file elsewhere"
    if root == real.parent and real.name.startswith(DATABASE_NAME):
        return "has a name of the store's own files; name a file elsewhere"
    return None


def _check_free(target: Path) -> None:
    if os.path.lexists(target):
        raise ArtifactWriteError(f"{target} is there already; name a new one, or remove it")
    if not target.parent.is_dir():
        raise ArtifactWriteError(f"{target.parent} is no folder, so {target} can't be made in it")


class FolderOfRuns:
    """A folder that the old readers and `import` take: a folder for each run in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._bytes = 0
        self._folders = [folder]

    def add(self, run: RunSummary, file: OpenFile) -> None:
        """Copy one file, with its time: `import` finds in it when the run was."""
        folder = self._made(self._folder / run.run_id)
        path = folder / name_of(run.run_id, file.noted)
        self._write(path, file.checked_chunks(), file.modified_ns)

    def add_beside(self, run: RunSummary, name: str, chunks: Iterator[bytes]) -> None:
        """Write another file; see `RunsTarget.add_beside`."""
        path = self._made(self._folder / run.run_id) / name
        self._made(path.parent)
        self._write(path, chunks, epoch_us(run.recorded_at) * 1000)

    def _write(self, path: Path, chunks: Iterator[bytes], time_ns: int) -> None:
        with path.open("xb") as copy:
            copy.writelines(chunks)
            copy.flush()
            os.utime(copy.fileno(), ns=(time_ns, time_ns))
            sync(copy.fileno())
            self._bytes += copy.tell()

    def _made(self, folder: Path) -> Path:
        if folder not in self._folders[-2:]:
            folder.mkdir(exist_ok=True)
            self._folders.append(folder)
        return folder

    def finish(self) -> int:
        """Sync the names; see `RunsTarget.finish`."""
        for folder in reversed(self._folders):
            sync_folder(folder)
        return self._bytes


class ZipOfRuns:
    """A zip with the same layout; the same runs always give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(path, "x", allowZip64=True)

    def add(self, run: RunSummary, file: OpenFile) -> None:
        """Copy one file; its time is that of the run, to 2 s."""
        name = name_of(run.run_id, file.noted)
        is_packed = file.noted.kind == PARQUET or compression_of(name) is not None
        self._write(run, name, file.checked_chunks(), file.noted.bytes, is_packed=is_packed)

    def add_beside(self, run: RunSummary, name: str, chunks: Iterator[bytes]) -> None:
        """Write another file; see `RunsTarget.add_beside`."""
        self._write(run, name, chunks)

    def _write(
        self,
        run: RunSummary,
        name: str,
        chunks: Iterator[bytes],
        size: int | None = None,
        *,
        is_packed: bool = False,
    ) -> None:
        member = zipfile.ZipInfo(f"{run.run_id}/{name}", _zip_time(run.recorded_at))
        member.external_attr = _PLAIN_FILE
        # zipfile decides by it whether the member needs ZIP64.
        member.file_size = size or 0
        member.compress_type = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
        try:
            with self._zip.open(member, "w", force_zip64=size is None) as copy:
                copy.writelines(chunks)
        except BaseException:
            # Else it writes its directory when it is collected, and the complaint of a
            # full disk goes to stderr.
            with suppress(OSError):
                self._zip.close()
            raise

    def finish(self) -> int:
        """Write the directory; see `RunsTarget.finish`."""
        self._zip.close()
        return sync_file(self._path)


def _zip_time(time: datetime) -> tuple[int, int, int, int, int, int]:
    moment = time.astimezone(UTC)
    told = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return min(max(told, _FIRST_ZIP_TIME), _LAST_ZIP_TIME)


def write_parquet(path: Path, run_ids: list[str], frame_of: Callable[[str], pl.DataFrame]) -> int:
    """Write the measurements of all runs into one file, one run in memory at a time.

    Args:
        path: The new file.
        run_ids: In the order of the rows.
        frame_of: Gives the measurements of a run; called from a thread of polars.

    Returns:
        How many bytes it has.

    Raises:
        ArtifactWriteError: It can't be written, or polars can't be used here.
        StoreError: What *frame_of* raises.
    """
    if not polars_is_usable():
        raise ArtifactWriteError(
            "a parquet file needs polars, which can't be used in a process that was forked "
            "beside it: use multiprocessing's 'spawn' or 'forkserver'"
        )
    import polars as pl
    from polars.io.plugins import register_io_source

    failures: list[BaseException] = []

    def frames(*_: object) -> Iterator[pl.DataFrame]:
        try:
            for run_id in run_ids:
                frame = frame_of(run_id)
                of_run = pl.Series("run_id", [run_id]).new_from_index(0, frame.height)
                yield frame.insert_column(0, of_run)
        except BaseException as error:
            failures.append(error)
            raise

    of_one = frame_of_columns(Columns.of(())).schema
    schema: dict[str, pl.DataType] = {"run_id": pl.String(), **of_one}
    rows = register_io_source(frames, schema=schema, is_pure=False)
    try:
        # Opened here: a thread of polars that is still at it when a source has failed would
        # make the file again after it is removed.
        with (
            path.open("xb") as file,
            panics_raise(ArtifactWriteError, f"{path} can't be written"),
        ):
            rows.sink_parquet(file, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
    except BaseException as error:
        # polars may wrap what a source raises.
        if failures:
            raise failures[0] from None
        if isinstance(error, pl.exceptions.PolarsError):
            raise ArtifactWriteError(f"{path.parent} can't take the file: {error}") from error
        raise
    return sync_file(path)
