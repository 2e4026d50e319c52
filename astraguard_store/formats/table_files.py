"""Tables in files → measurements: CSV, Parquet, Arrow IPC and JSON lines, batch by batch."""

from __future__ import annotations

import codecs
import csv
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from astraguard_store.columns import Columns, polars_is_usable
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.formats.frames import ColumnsBuilder, Reading

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FORMATS", "read_tables"]

FORMATS: Final = ("csv", "parquet", "arrow", "jsonl")
_FORMAT_OF: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_SEPARATORS: Final = ("\t", ";", ",", "|")
_ARROW_FILE: Final = b"ARROW1"
# Some 30 MB as text, and 8 as columns.
_BATCH_ROWS: Final = 262_144
_MOST_OF_A_LINE: Final = 65_536


def read_tables(paths: Iterable[str], reading: Reading, form: str | None) -> Columns:
    """Return the measurements in files, one after the other; ``-`` is standard input.

    Args:
        paths: The files.
        reading: How their columns are read.
        form: One of `FORMATS`; None to tell it by the names, and of standard input CSV.

    Raises:
        ArtifactReadError: A file can't be read.
        InvalidRunError: A column is missing, or a value can't be stored; the message says
            which, and in which row.
    """
    if not polars_is_usable():
        raise ArtifactReadError("files are read by polars, which can't be used in a forked child")
    builder = ColumnsBuilder(reading)
    paths = tuple(paths)
    for path in paths:
        try:
            for frame in _batches(path, form, builder):
                builder.add(frame)
        except InvalidRunError as error:
            raise InvalidRunError(f"{path}: {error}") from error
    columns = builder.columns()
    if not columns.rows:
        raise InvalidRunError(
            f"No measurements in {', '.join(paths)}: there are names of columns, but no rows"
        )
    return columns


def _batches(path: str, form: str | None, builder: ColumnsBuilder) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file as frames; of a long one few are in memory at a time."""
    import polars as pl

    try:
        with _as_file(path) as file, tempfile.TemporaryDirectory(prefix="astraguard-") as folder:
            kind = form or _FORMAT_OF.get(Path(path).suffix.lower(), "csv")
            separator = _separator(file) if kind == "csv" else None
            builder.begin_file(commas_separate=separator == ",")
            lazy = _scanned(file, kind, separator)
            # What is read from the beginning each time, as text is, is first unpacked: then
            # a part of it is found without what is before.
            unpacked = Path(folder) / "rows.parquet"
            lazy.sink_parquet(unpacked, compression="lz4", row_group_size=_BATCH_ROWS)
            rows = pl.scan_parquet(unpacked).select(pl.len()).collect().item()
            for start in range(0, rows, _BATCH_ROWS):
                yield pl.scan_parquet(unpacked).slice(start, _BATCH_ROWS).collect()
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be read: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise ArtifactReadError(f"{path} can't be read: {error}") from error


def _scanned(file: Path, form: str, separator: str | None) -> pl.LazyFrame:
    import polars as pl

    if form == "parquet":
        return pl.scan_parquet(file)
    if form == "arrow":
        # What comes through a pipe is mostly a stream, which only is read whole.
        return pl.scan_ipc(file) if _begins_with(file, _ARROW_FILE) else _arrow_stream(file)
    if form == "jsonl":
        # The types of all lines: a number that is whole for long may have a fraction later.
        source = _without_mark(file) if _begins_with(file, codecs.BOM_UTF8) else file
        return pl.scan_ndjson(source, infer_schema_length=None)
    # As text: what a number is says `frames`, which names the row.
    return pl.scan_csv(file, separator=separator or ",", infer_schema=False)


def _begins_with(file: Path, mark: bytes) -> bool:
    with file.open("rb") as content:
        return content.read(len(mark)) == mark


def _arrow_stream(file: Path) -> pl.LazyFrame:
    import polars as pl

    return pl.read_ipc_stream(file).lazy()


def _without_mark(file: Path) -> io.BytesIO:
    return io.BytesIO(file.read_bytes().removeprefix(codecs.BOM_UTF8))


def _separator(file: Path) -> str:
    """Return what stands between the columns of a CSV's first line."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        first = lines.readline(_MOST_OF_A_LINE)
    if not first.strip():
        raise InvalidRunError("it is empty; a first line with the names of its columns is needed")
    counts = {
        separator: len(next(csv.reader([first], delimiter=separator), []))
        for separator in _SEPARATORS
    }
    return max(_SEPARATORS, key=lambda separator: counts[separator])


@contextmanager
def _as_file(path: str) -> Iterator[Path]:
    """Give the file *path*; what comes from standard input is kept in one meanwhile."""
    if path != "-":
        if not Path(path).is_file():
            # Such as of `save RUN <(a program)`: what it says comes by standard input.
            is_there = os.path.lexists(path)
            no_file = "it is no regular file; give `-`, and pipe it in"
            why = no_file if is_there else "there is no such file"
            raise ArtifactReadError(f"{path} can't be read: {why}")
        yield Path(path)
        return
    with tempfile.NamedTemporaryFile(prefix="astraguard-") as copy:
        source: BinaryIO = sys.stdin.buffer
        shutil.copyfileobj(source, copy)
        copy.flush()
        yield Path(copy.name)
