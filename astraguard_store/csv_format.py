"""Columns ↔ the bytes of ``latency_raw.csv``; pure.

Byte for byte what `csv.writer` gives: CRLF, shortest round-trip floats, quotes
only where needed. The label of a row is rendered by `csv.writer` itself, once a
label; the floats by polars, ten times faster than Python, and by `repr` where
polars prints them in another way.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from astraguard_store.columns import Batch, Columns, Label, polars_pays, series
from astraguard_store.exceptions import ArtifactReadError, InvalidRunError
from astraguard_store.model import LatencyMeasurement

if TYPE_CHECKING:
    from array import array

    import polars as pl

__all__ = ["FIELDS", "HEADER", "parse_csv", "render_csv"]

FIELDS = ("timestamp", "metric_type", "satellite_id", "duration_ms", "scenario_time_s")
HEADER = (",".join(FIELDS) + "\r\n").encode()

# About 1 MB of text: large enough that polars' fixed cost (0.3 ms a call) is
# lost in it, small enough that a million rows never lie in memory as text.
_BATCH_ROWS = 16_384
# Between these, and at zero, polars prints a float as Python's repr does;
# outside it writes 2.3e-5 for 2.3e-05.
_PLAIN_FROM, _PLAIN_BELOW = 1e-4, 1e16


def render_csv(columns: Columns) -> Iterator[bytes]:
    """Yield the file's bytes, header first, about 1 MB at a time."""
    labels = [_render_label(label) for label in columns.labels]
    render = _render_by_polars if polars_pays(columns.rows) else _render_in_python
    yield HEADER
    for batch in columns.batches(_BATCH_ROWS):
        yield render(batch, labels)


def _render_label(label: Label) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(label)
    return text.getvalue().removesuffix("\r\n")


def _render_in_python(batch: Batch, labels: list[str]) -> bytes:
    rows = zip(
        batch.timestamps, batch.codes, batch.durations_ms, batch.scenario_times_s, strict=True
    )
    return "".join(
        [
            f"{timestamp!r},{labels[code]},{duration!r},{scenario_time!r}\r\n"
            for timestamp, code, duration, scenario_time in rows
        ]
    ).encode()


def _render_by_polars(batch: Batch, labels: list[str]) -> bytes:
    import polars as pl

    label = pl.Series(labels, dtype=pl.String).gather(series(batch.codes, pl.Int64))
    text = io.BytesIO()
    pl.DataFrame(
        {
            "timestamp": _printable(batch.timestamps),
            "label": label,
            "duration": _printable(batch.durations_ms),
            "scenario_time": _printable(batch.scenario_times_s),
        }
    ).write_csv(text, include_header=False, line_terminator="\r\n", quote_style="never")
    return text.getvalue()


def _printable(numbers: array[float]) -> pl.Series:
    """Return a column that polars prints as Python would."""
    import polars as pl

    column = series(numbers, pl.Float64)
    plain = column.is_between(_PLAIN_FROM, _PLAIN_BELOW, closed="left") | (column == 0.0)
    if plain.all():
        return column
    others = (~plain).arg_true()
    return column.cast(pl.String).scatter(others, [repr(numbers[index]) for index in others])


def parse_csv(lines: Iterable[str]) -> Columns:
    """Return the measurements in the *lines* of a file opened with ``newline=""``.

    Raises:
        ArtifactReadError: The header is another one, or a row can't be a
            measurement; the message says which.
    """
    reader = csv.reader(lines, strict=True)
    try:
        if tuple(next(reader, ())) != FIELDS:
            raise ArtifactReadError(f"the header is not {','.join(FIELDS)}")
        return Columns.of(_parse_row(row, reader.line_num) for row in reader)
    except (csv.Error, InvalidRunError, UnicodeDecodeError) as error:
        raise ArtifactReadError(str(error)) from error


def _parse_row(row: list[str], line: int) -> LatencyMeasurement:
    try:
        timestamp, metric_type, satellite_id, duration_ms, scenario_time_s = row
        return LatencyMeasurement(
            float(timestamp), metric_type, satellite_id, float(duration_ms), float(scenario_time_s)
        )
    except ValueError as error:
        raise ArtifactReadError(f"line {line} is no measurement: {error}") from error
