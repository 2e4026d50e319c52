"""Tables in files → measurements: CSV, Parquet, Arrow IPC and JSON lines, batch by batch."""

from __future__ import annotations

import codecs
import csv
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
from astraguard_store.formats.arrow_stream import STREAM_MARK, arrow_batches
from astraguard_store.formats.frames import ColumnsBuilder, Reading
from astraguard_store.formats.text_parts import csv_frames, json_frames
from astraguard_store.system.spill import Spill

if TYPE_CHECKING:
    import polars as pl

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
# How the others begin, by which a file is known whose name doesn't tell: such as what comes
# through a pipe.
_ARROW_FILE: Final = b"ARROW1"
_MARKS: Final = {b"PAR1": "parquet", _ARROW_FILE: "arrow", STREAM_MARK: "arrow"}
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
# Some 12 MB as columns.
_BATCH_ROWS: Final = 262_144
_MOST_OF_A_LINE: Final = 65_536
_TEXTS: Final = ("csv", "jsonl")
_NO_UTF8: Final = "it is not in UTF-8. Convert it, as with: iconv -f WINDOWS-1252 -t UTF-8"


def read_tables(paths: Iterable[str], reading: Reading, form: str | None) -> Columns:
    """Return the measurements in files, one after the other; ``-`` is standard input.

    Args:
        paths: The files.
        reading: How their columns are read.
        form: One of `FORMATS`; None to tell it by the name, else by how the file begins.

    Raises:
        ArtifactReadError: A file can't be read, or there is no room for what was read.
        InvalidRunError: A column is missing, or a value can't be stored; the message says
            which, and in which row.
    """
    if not polars_is_usable():
        raise ArtifactReadError("files are read by polars, which can't be used in a forked child")
    paths = tuple(paths)
    try:
        builder = ColumnsBuilder(reading, Spill())
        for path in paths:
            _add(path, form, builder)
    except OSError as error:
        raise ArtifactReadError(
            f"rows can't be kept in a temporary file: {error.strerror or error}; name a folder "
            "with room by TMPDIR"
        ) from error
    columns = builder.columns()
    if not columns.rows:
        raise InvalidRunError(
            f"No measurements in {', '.join(paths)}: there are names of columns, but no rows"
        )
    return columns


def _add(path: str, form: str | None, builder: ColumnsBuilder) -> None:
    try:
        for frame in _batches(path, form, builder):
            builder.add(frame)
    except InvalidRunError as error:
        raise InvalidRunError(f"{path}: {error}") from error


def _batches(path: str, form: str | None, builder: ColumnsBuilder) -> Iterator[pl.DataFrame]:
    """Yield the rows of a file as frames; of a long one few are in memory at a time."""
    import polars as pl

    try:
        with _as_file(path) as file, tempfile.TemporaryDirectory(prefix="astraguard-") as folder:
            kind = form or _FORMAT_OF.get(Path(path).suffix.lower()) or _kind_of(file)
            if kind in _TEXTS:
                file = _plain_text(file, Path(folder))
            separator = _separator(file) if kind == "csv" else ","
            builder.begin_file(commas_separate=kind == "csv" and separator == ",")
            yield from _frames(file, kind, separator, builder)
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be read: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, UnicodeError) as error:
        why = _NO_UTF8 if "utf-8" in str(error).lower() else error
        raise ArtifactReadError(f"{path} can't be read: {why}") from error


def _kind_of(file: Path) -> str:
    """Return what a file is by how it begins: CSV, if it is nothing else.

    Raises:
        InvalidRunError: It is compressed, or holds one JSON document and no lines.
    """
    with file.open("rb") as content:
        head = content.read(_MOST_OF_A_LINE)
    for mark, kind in _MARKS.items():
        if head.startswith(mark):
            return kind
    if head.startswith(_COMPRESSED):
        raise InvalidRunError("it is compressed; pipe it in, as with: zcat FILE | … save RUN -")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"[") and text[1:].lstrip().startswith(b"{"):
        raise InvalidRunError(
            "it is one JSON document; an object a line is needed, as of: jq -c '.[]'"
        )
    return "jsonl" if text.startswith(b"{") else "csv"


def _frames(
    file: Path, kind: str, separator: str, builder: ColumnsBuilder
) -> Iterator[pl.DataFrame]:
    import polars as pl

    first_row = builder.first_row
    if kind == "parquet":
        yield from _slices(pl.scan_parquet(file))
    elif kind == "arrow" and _begins_with(file, _ARROW_FILE):
        yield from _slices(pl.scan_ipc(file))
    else:
        with file.open("rb") as content:
            if kind == "arrow":
                yield from arrow_batches(content)
            elif kind == "jsonl":
                yield from json_frames(content, first_row)
            else:
                yield from csv_frames(content, separator, first_row)


def _slices(lazy: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Yield rows some at a time: what isn't needed for them polars doesn't read."""
    import polars as pl

    rows = lazy.select(pl.len()).collect().item()
    for start in range(0, rows, _BATCH_ROWS):
        yield lazy.slice(start, _BATCH_ROWS).collect()


def _begins_with(file: Path, mark: bytes) -> bool:
    with file.open("rb") as content:
        return content.read(len(mark)) == mark


def _plain_text(file: Path, folder: Path) -> Path:
    """Return a file of text as polars reads it: in UTF-8, its lines ended by LF.

    Raises:
        InvalidRunError: It has zeros in it, and no mark that says which encoding it has.
        UnicodeError: It is in another one.
    """
    with file.open("rb") as content:
        head = content.read(_MOST_OF_A_LINE)
    is_wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in head and not is_wide:
        raise InvalidRunError(
            "it is no text, or UTF-16 without a mark. Convert it: iconv -f UTF-16LE -t UTF-8"
        )
    only_cr = b"\r" in head and b"\n" not in head
    if not (is_wide or only_cr or head.startswith(codecs.BOM_UTF8)):
        # polars takes other bytes in the columns' names for what they are not.
        head[: head.find(b"\n") + 1].decode("utf-8")
        return file
    plain = folder / "plain"
    encoding = "utf-16" if is_wide else "utf-8-sig"
    with file.open(encoding=encoding) as lines, plain.open("w", encoding="utf-8") as copy:
        shutil.copyfileobj(lines, copy, _MOST_OF_A_LINE)
    return plain


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
