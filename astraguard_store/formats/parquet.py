"""Measurements as a polars frame, from columns, a CSV or parquet, and as parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from astraguard_store.columns import Columns, panics_raise, polars_is_usable
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError
from astraguard_store.formats.csv import FIELDS_WITH_MISSED as FIELDS

if TYPE_CHECKING:
    import polars as pl

MAGIC = b"PAR1"
"""How a parquet file begins and, when it is whole, ends."""

_BATCH_ROWS = 65_536
_LONGEST_HEADER = 1_000
_FORKED = (
    "polars can't be used in a process that was forked beside it: use multiprocessing's "
    "'spawn' or 'forkserver'"
)


def check_parquet() -> None:
    """Refuse to write parquet where polars would hang.

    Raises:
        ArtifactWriteError: This process was forked from one that had polars loaded.
    """
    if not polars_is_usable():
        raise ArtifactWriteError(
            f"keep_measurements='parquet' needs polars, and {_FORKED}, or "
            "keep_measurements='database'; nothing was saved"
        )


def frame_of(columns: Columns) -> pl.DataFrame:
    """Return *columns* as a frame with the columns `FIELDS`: doubles, strings and truth values.

    Raises:
        ArtifactReadError: This process was forked from one that had polars loaded, or
            polars failed.
    """
    with panics_raise(ArtifactReadError, "the measurements can't be had as a frame"):
        return _frame(columns)


def _frame(columns: Columns) -> pl.DataFrame:
    if not polars_is_usable():
        raise ArtifactReadError(f"a frame of measurements needs polars, and {_FORKED}")
    import polars as pl

    metric_types = pl.Series([label[0] for label in columns.labels], dtype=pl.String)
    satellites = pl.Series([label[1] for label in columns.labels], dtype=pl.String)
    codes = range(len(columns.labels))
    missed = pl.Series([code in columns.missed_codes for code in codes], dtype=pl.Boolean)
    parts = []
    for batch in columns.batches(_BATCH_ROWS):
        code = pl.Series(batch.codes.copy())
        by_field = (
            pl.Series(batch.timestamps.copy()),
            metric_types.gather(code),
            satellites.gather(code),
            pl.Series(batch.durations_ms.copy()),
            pl.Series(batch.scenario_times_s.copy()),
            missed.gather(code),
        )
        parts.append(pl.DataFrame(dict(zip(FIELDS, by_field, strict=True))))
    # In parts, as it is: to make one of them takes as much memory once more.
    return pl.concat(parts, rechunk=False) if parts else pl.DataFrame(schema=frame_schema())


def render_parquet(columns: Columns) -> bytes:
    """Return the file's bytes, names as they were recorded; compressed by zstd.

    Raises:
        ArtifactWriteError: polars failed.
    """
    file = io.BytesIO()
    with panics_raise(ArtifactWriteError, "the measurements can't be written as parquet"):
        _frame(columns).write_parquet(file, compression="zstd")
    return file.getvalue()


def parse_parquet(content: bytes, rows: int, *, of_dataset: bool = False) -> pl.DataFrame:
    """Return the measurements in a parquet file's *content*.

    Args:
        content: The file's.
        rows: How many there must be. What the file says of itself is asked first: 60 million
            equal rows take 1 MB, and 3.4 GB of memory.
        of_dataset: Whether each row has the run's id in front, which is left out.

    Raises:
        ArtifactReadError: It is no such file, or polars can't be used here.
    """
    if not polars_is_usable():
        raise ArtifactReadError(f"a frame of measurements needs polars, and {_FORKED}")
    import polars as pl

    try:
        with panics_raise(ArtifactReadError, "the parquet file can't be read"):
            lazy = pl.scan_parquet(io.BytesIO(content))
            if of_dataset:
                lazy = lazy.drop("run_id")
            if lazy.collect_schema() != frame_schema():
                raise ArtifactReadError(f"its columns are not {', '.join(FIELDS)}")
            found = lazy.select(pl.len()).collect().item()
            if found != rows:
                raise ArtifactReadError(f"it has {found} rows, {rows} were saved")
            return lazy.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ArtifactReadError(f"not parquet: {error}") from error


def frame_of_csv(chunks: Iterable[bytes]) -> pl.DataFrame:
    """Return the measurements in a CSV that this store wrote, whose content comes in *chunks*.

    Ten times as fast as `csv.parse_csv`, and the same to the last bit; it
    takes more, though, and names no line, so it is not for anybody's CSV.

    Raises:
        ArtifactReadError: It is no such CSV.
    """
    import polars as pl

    dtypes = {
        name: pl.Int8 if name == "missed" else dtype for name, dtype in frame_schema().items()
    }
    parts: list[pl.DataFrame] = []
    header: list[str] = []
    try:
        for rows in _whole_rows(chunks):
            is_first = not header
            if is_first:
                header = rows[: rows.find(b"\r\n")].decode(errors="replace").split(",")
            schema = {name: dtypes[name] for name in header}
            with panics_raise(ArtifactReadError, "the CSV can't be read"):
                part = pl.read_csv(io.BytesIO(rows), schema=schema, has_header=is_first)
            # Each processor parses some of it.
            parts.append(part.rechunk())
    except (pl.exceptions.PolarsError, KeyError) as error:
        raise ArtifactReadError(f"no CSV of measurements: {error}") from error
    if not parts:
        raise ArtifactReadError("no CSV of measurements: it is empty")
    # In parts, as in `frame_of`; and column by column: a plan of polars takes 0.2 ms.
    frame = parts[0] if len(parts) == 1 else pl.concat(parts, rechunk=False)
    if "missed" in header:
        missed = frame["missed"].cast(pl.Boolean)
    else:
        missed = pl.Series([False]).new_from_index(0, frame.height)
    found = {name: missed if name == "missed" else frame[name] for name in FIELDS}
    return pl.DataFrame(found)


def _whole_rows(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same content, cut where rows end, and the rest."""
    rest = b""
    is_begun = False
    for chunk in chunks:
        rest += chunk
        end = rest.rfind(b"\r\n")
        is_begun = is_begun or end >= 0
        if not is_begun and len(rest) > _LONGEST_HEADER:
            # Else all of a file with other line ends would be joined, only to be refused.
            raise ArtifactReadError("no CSV of measurements: its lines don't end in CR LF")
        # A name in quotes may hold line ends; before a row's end there is no quote left open.
        while end >= 0 and rest.count(b'"', 0, end) % 2:
            end = rest.rfind(b"\r\n", 0, end)
        if end >= 0:
            yield rest[: end + 2]
            rest = rest[end + 2 :]
    if rest:
        yield rest


def frame_schema() -> pl.Schema:
    """Return the names and types of the columns."""
    import polars as pl

    dtypes = (pl.Float64, pl.String, pl.String, pl.Float64, pl.Float64, pl.Boolean)
    return pl.Schema(dict(zip(FIELDS, dtypes, strict=True)))
