"""Measurements as a polars frame, from columns, a CSV or parquet, and as parquet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from astraguard_store.columns import Columns, polars_is_usable
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError
from astraguard_store.formats.panics import panics_raise

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "MAGIC",
    "check_parquet",
    "frame_of",
    "frame_of_csv",
    "frame_schema",
    "parse_parquet",
    "render_parquet",
]

MAGIC = b"PAR1"
"""How a parquet file begins and, when it is whole, ends."""

_BATCH_ROWS = 65_536
FIELDS = (
    "timestamp",
    "metric_type",
    "satellite_id",
    "duration_ms",
    "scenario_time_s",
    "missed",
)
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
    return pl.concat(parts, rechunk=True) if parts else pl.DataFrame(schema=frame_schema())


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


def frame_of_csv(content: bytes) -> pl.DataFrame:
    """Return the measurements in the *content* of a CSV that this store wrote.

    Ten times as fast as `csv.parse_csv`, and the same to the last bit; it
    takes more, though, and names no line, so it is not for anybody's CSV.

    Raises:
        ArtifactReadError: It is no such CSV.
    """
    import polars as pl

    header = content[: content.find(b"\r\n")].decode(errors="replace").split(",")
    dtypes = {
        name: pl.Int8 if name == "missed" else dtype for name, dtype in frame_schema().items()
    }
    try:
        schema = {name: dtypes[name] for name in header}
        with panics_raise(ArtifactReadError, "the CSV can't be read"):
            frame = pl.read_csv(io.BytesIO(content), schema=schema)
    except (pl.exceptions.PolarsError, KeyError) as error:
        raise ArtifactReadError(f"no CSV of measurements: {error}") from error
    missed = pl.col("missed").cast(pl.Boolean) if "missed" in header else pl.lit(False)
    return frame.with_columns(missed=missed).select(FIELDS)


def frame_schema() -> pl.Schema:
    """Return the names and types of the columns."""
    import polars as pl

    dtypes = (pl.Float64, pl.String, pl.String, pl.Float64, pl.Float64, pl.Boolean)
    return pl.Schema(dict(zip(FIELDS, dtypes, strict=True)))
