"""Tables in files → measurements: CSV, Parquet, Arrow IPC and JSON lines, batch by batch."""

from __future__ import annotations

import codecs
import csv
import json
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
from astraguard_store.system.spill import Spill

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
_TEXTS: Final = ("csv", "jsonl")
_KINDS: Final[dict[type, str]] = {
    int: "a number",
    float: "a number",
    str: "a text",
    bool: "a truth value",
}
_NO_UTF8: Final = "it is not in UTF-8. Convert it, as with: iconv -f WINDOWS-1252 -t UTF-8"


def read_tables(paths: Iterable[str], reading: Reading, form: str | None) -> Columns:
    """Return the measurements in files, one after the other; ``-`` is standard input.

    Args:
        paths: The files.
        reading: How their columns are read.
        form: One of `FORMATS`; None to tell it by the names, and of standard input CSV.

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
            kind = form or _FORMAT_OF.get(Path(path).suffix.lower(), "csv")
            if kind in _TEXTS:
                file = _plain_text(file, Path(folder))
            separator = _separator(file) if kind == "csv" else None
            builder.begin_file(commas_separate=separator == ",")
            lazy = _scanned(file, kind, separator)
            unpacked = Path(folder) / "rows.parquet"
            _unpack(lazy, unpacked, file, kind)
            rows = pl.scan_parquet(unpacked).select(pl.len()).collect().item()
            for start in range(0, rows, _BATCH_ROWS):
                yield pl.scan_parquet(unpacked).slice(start, _BATCH_ROWS).collect()
    except OSError as error:
        raise ArtifactReadError(f"{path} can't be read: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, UnicodeError) as error:
        why = _NO_UTF8 if "utf-8" in str(error).lower() else error
        raise ArtifactReadError(f"{path} can't be read: {why}") from error


def _unpack(lazy: pl.LazyFrame, unpacked: Path, file: Path, form: str) -> None:
    """Write rows to a file in which a part of them is found without reading what is before."""
    import polars as pl

    try:
        lazy.sink_parquet(unpacked, compression="lz4", row_group_size=_BATCH_ROWS)
    except pl.exceptions.PolarsError as error:
        why = _wrong_line(file) if form == "jsonl" else None
        if why is None:
            raise
        raise InvalidRunError(why) from error


def _scanned(file: Path, form: str, separator: str | None) -> pl.LazyFrame:
    import polars as pl

    if form == "parquet":
        return pl.scan_parquet(file)
    if form == "arrow":
        # What comes through a pipe is mostly a stream, which only is read whole.
        return pl.scan_ipc(file) if _begins_with(file, _ARROW_FILE) else _arrow_stream(file)
    if form == "jsonl":
        # The types of all lines: a number that is whole for long may have a fraction later.
        return pl.scan_ndjson(file, infer_schema_length=None)
    # As text: what a number is says `frames`, which names the row. A line of nothing is none.
    rows = pl.scan_csv(file, separator=separator or ",", infer_schema=False)
    # Nor is one of blanks, or with the control-Z that ends a file in old systems.
    return rows.filter(pl.any_horizontal(pl.all().str.strip_chars(" \t\x1a") != ""))


def _begins_with(file: Path, mark: bytes) -> bool:
    with file.open("rb") as content:
        return content.read(len(mark)) == mark


def _arrow_stream(file: Path) -> pl.LazyFrame:
    import polars as pl

    return pl.read_ipc_stream(file).lazy()


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


def _wrong_line(file: Path) -> str | None:
    """Return what keeps lines of JSON from being rows of one table; None if nothing does."""
    kinds: dict[str, str] = {}
    with file.open("rb") as lines:
        for row, line in enumerate(filter(bytes.strip, lines), start=1):
            why = _why_no_row(line, kinds)
            if why is not None:
                return f"Row {row} (the first is 1){why}"
    return None


def _why_no_row(line: bytes, kinds: dict[str, str]) -> str | None:
    try:
        values = json.loads(line)
    except ValueError as error:
        return f" is no JSON: {error}"
    if not isinstance(values, dict):
        return f" is no JSON object: {values!r:.40}"
    for name, value in values.items():
        kind = _KINDS.get(type(value), "a list or an object")
        if value is not None and kinds.setdefault(name, kind) != kind:
            return f", column {name!r}: {value!r:.40} is {kind}, and above it was {kinds[name]}"
    return None


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
