"""Columns ↔ the bytes of ``latency_raw.csv``; pure.

Byte for byte what `csv.writer` gives: CRLF, shortest round-trip floats, quotes
only where needed. The label of a row is rendered by `csv.writer` itself, once a
label; the floats by polars or orjson, and by `repr` where these print them in
another way.

A run with missed events has a sixth column, ``missed``: 1 for these, whose
duration is what was waited, and 0 for the others.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from astraguard_store.checks import MAX_NAME_CHARACTERS
from astraguard_store.columns import (
    Batch,
    Columns,
    Label,
    Packing,
    panics_raise,
    polars_pays,
)
from astraguard_store.exceptions import ArtifactReadError, ArtifactWriteError, InvalidRunError
from astraguard_store.model import LatencyMeasurement

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

FIELDS = ("timestamp", "metric_type", "satellite_id", "duration_ms", "scenario_time_s")
HEADER = (",".join(FIELDS) + "\r\n").encode()
FIELDS_WITH_MISSED = (*FIELDS, "missed")
_MISSED = {"0": False, "1": True}
_END_OF_FILE = "\x1a"

# About 1 MB of text: large enough that polars' fixed cost (0.3 ms a call) is
# lost in it, small enough that a million rows never lie in memory as text.
_BATCH_ROWS = 16_384
# Between these, and at zero, polars and orjson print a float as Python's repr
# does; outside they write 2.3e-5 for 2.3e-05.
_PLAIN_FROM, _PLAIN_BELOW = 1e-4, 1e16
# Of a file that is read; in longer blocks the search for garbage takes half the time.
_BLOCK_ROWS = 128
_Numbered = tuple[int, list[str]]
"""The number of a row's last line, and its fields."""
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = tuple("=+-@\t\r")


def render_csv(columns: Columns) -> Iterator[bytes]:
    """Yield the file's bytes, header first, about 1 MB at a time."""
    return (render() for render in csv_parts(columns))


def csv_parts(columns: Columns) -> Iterator[Callable[[], bytes]]:
    """Yield functions that return the file's bytes, part after part, as `render_csv` does.

    They may be called in several threads at once: polars drops the interpreter's lock.
    """
    labels = [_render_label(label) for label in columns.labels]
    render = _render_by_polars if polars_pays(columns.rows) else _render_in_python
    missed = None
    if columns.has_missed:
        missed = ["01"[code in columns.missed_codes] for code in range(len(labels))]
    header = HEADER if missed is None else (",".join(FIELDS_WITH_MISSED) + "\r\n").encode()
    yield lambda: header
    for batch in columns.batches(_BATCH_ROWS):
        yield partial(render, batch, labels, missed)


def safe_labels(columns: Columns) -> Columns:
    """Return *columns* with names that no spreadsheet takes for a formula.

    A name that begins like one gets an apostrophe in front; so does a name that
    already looks like the result of that, or two names could become one.
    """
    return columns.relabelled(
        [(_escaped(metric_type), _escaped(satellite)) for metric_type, satellite in columns.labels]
    )


def plain_labels(
    columns: Columns, metric_types: Container[str], satellites: Container[str]
) -> Columns:
    """Return *columns*, read from a CSV, with the names they were recorded with.

    Args:
        columns: As read; whether `safe_labels` were written can't be seen in the file.
        metric_types: Those of the run. A name that is not among them tells.
        satellites: Those of the run.
    """
    if all(metric in metric_types and name in satellites for metric, name in columns.labels):
        return columns
    return columns.relabelled(
        [(_unescaped(metric), _unescaped(name)) for metric, name in columns.labels]
    )


def may_have_apostrophes(names: Iterable[str]) -> bool:
    """Return whether `safe_labels` puts an apostrophe before any of the names of a run."""
    return any(_escaped(name) != name for name in names)


def _escaped(name: str) -> str:
    return f"'{name}" if name.lstrip("'").startswith(_FORMULA) else name


def _unescaped(name: str) -> str:
    return name[1:] if name[0] == "'" and name.lstrip("'").startswith(_FORMULA) else name


# The same few in every run of a rig.
@lru_cache(maxsize=1024)
def _render_label(label: Label) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(label)
    return text.getvalue().removesuffix("\r\n")


def _render_in_python(batch: Batch, labels: list[str], missed: list[str] | None) -> bytes:
    codes = batch.codes.tolist()
    fields = [
        _texts(batch.timestamps),
        map(labels.__getitem__, codes),
        _texts(batch.durations_ms),
        _texts(batch.scenario_times_s),
    ]
    if missed is not None:
        fields.append(map(missed.__getitem__, codes))
    lines = map(",".join, zip(*fields, strict=True))
    return ("\r\n".join(lines) + "\r\n").encode()


def _texts(numbers: NDArray[np.float64]) -> list[str]:
    """Return each number as its repr; by orjson, four times faster, where that is the same."""
    contiguous = numbers.copy()
    texts = orjson.dumps(contiguous, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
    for index in _others(contiguous):
        texts[index] = repr(numbers[index].item())
    return texts


def _others(numbers: NDArray[np.float64]) -> list[int]:
    """Return the indexes of the numbers that polars and orjson print in their own way."""
    plain = (numbers >= _PLAIN_FROM) & (numbers < _PLAIN_BELOW) | (numbers == 0.0)
    return [] if plain.all() else (~plain).nonzero()[0].tolist()


@panics_raise(ArtifactWriteError, "the measurements can't be written as CSV")
def _render_by_polars(batch: Batch, labels: list[str], missed: list[str] | None) -> bytes:
    import polars as pl

    codes = pl.Series(batch.codes.copy())
    fields = {
        "timestamp": _printable(batch.timestamps),
        "label": pl.Series(labels, dtype=pl.String).gather(codes),
        "duration": _printable(batch.durations_ms),
        "scenario_time": _printable(batch.scenario_times_s),
    }
    if missed is not None:
        fields["missed"] = pl.Series(missed, dtype=pl.String).gather(codes)
    text = io.BytesIO()
    pl.DataFrame(fields).write_csv(
        text, include_header=False, line_terminator="\r\n", quote_style="never"
    )
    return text.getvalue()


def _printable(numbers: NDArray[np.float64]) -> pl.Series:
    """Return a column that polars prints as Python would."""
    import polars as pl

    contiguous = numbers.copy()
    column = pl.Series(contiguous)
    others = _others(contiguous)
    if not others:
        return column
    return column.cast(pl.String).scatter(others, [repr(numbers[i].item()) for i in others])


def parse_csv(lines: Iterable[str]) -> Columns:
    """Return the measurements in the *lines* of a file opened with ``newline=""``.

    What editors and copies add and no row can be mistaken for is passed over: a byte
    order mark, blank lines (CR CR LF makes one of every line end), lines of blanks and
    commas, as spreadsheets leave them, and control-Z at the end.

    Raises:
        ArtifactReadError: The header is another one, or a row can't be a
            measurement; the message says which.
    """
    reader = csv.reader(lines, strict=True)
    try:
        numbered = ((reader.line_num, row) for row in reader)
        header = next(((*row,) for _, row in _rows(numbered)), ())
        if header:
            header = (header[0].removeprefix("\ufeff"), *header[1:])
        if header not in {FIELDS, FIELDS_WITH_MISSED}:
            raise ArtifactReadError(f"the header is not {','.join(FIELDS)}")
        # `safe_labels` makes a name one character longer.
        packing = Packing(MAX_NAME_CHARACTERS + 1)
        for block in _blocks(numbered):
            if not _add_block([row for _, row in block], len(header), packing):
                # Something is wrong or odd in it, and what follows may depend on that.
                for line, row in _rows(chain(block, numbered)):
                    packing.add(_parse_row(row, len(header), line))
        return packing.columns()
    except UnicodeDecodeError as error:
        is_utf16 = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        found = "UTF-16" if is_utf16 else "LATIN1"
        raise ArtifactReadError(
            f"it is no UTF-8; convert it, as by `iconv -f {found} -t UTF-8`"
        ) from error
    except (csv.Error, InvalidRunError) as error:
        raise ArtifactReadError(str(error)) from error


def _rows(numbered: Iterator[_Numbered]) -> Iterator[_Numbered]:
    """Yield the rows that hold anything; control-Z must be the last, as in old systems."""
    for line, row in numbered:
        if row == [_END_OF_FILE]:
            if any(next(numbered, (0, []))[1]):
                raise ArtifactReadError("a row follows control-Z, which ends a file")
        elif any(map(str.strip, row)):
            yield line, row


def _blocks(numbered: Iterator[_Numbered]) -> Iterator[list[_Numbered]]:
    """Yield the rows in blocks; those before one that can't be read come before its error."""
    block: list[_Numbered] = []
    try:
        for one in numbered:
            block.append(one)
            if len(block) == _BLOCK_ROWS:
                yield block
                block = []
    except (ArtifactReadError, UnicodeDecodeError, csv.Error):
        yield block
        raise
    yield block


def _add_block(rows: Sequence[list[str]], fields: int, packing: Packing) -> bool:
    """Add whole rows as columns; or none, and return False, if one of them isn't plain."""
    if not rows or len(rows[0]) != fields:
        return not rows
    try:
        timestamps, metric_types, satellites, durations, times, *missed = zip(*rows, strict=True)
        are_missed = [_MISSED[mark] for mark in missed[0]] if missed else [False] * len(rows)
        return packing.add_all(
            [*zip(metric_types, satellites, are_missed, strict=True)],
            [*map(float, timestamps)],
            [*map(float, durations)],
            [*map(float, times)],
        )
    except (KeyError, ValueError):
        return False


def _parse_row(row: list[str], fields: int, line: int) -> LatencyMeasurement:
    if len(row) != fields:
        raise ArtifactReadError(
            f"line {line} is no measurement: it has {len(row)} fields, not {fields}"
        )
    timestamp, metric_type, satellite_id, duration_ms, scenario_time_s, *missed = row
    if missed and missed[0] not in _MISSED:
        raise ArtifactReadError(f"line {line}: missed is {missed[0]!r:.40}, not 0 or 1")
    return LatencyMeasurement(
        _number(timestamp, "timestamp", line),
        metric_type,
        satellite_id,
        _number(duration_ms, "duration_ms", line),
        _number(scenario_time_s, "scenario_time_s", line),
        bool(missed) and _MISSED[missed[0]],
    )


def _number(text: str, field: str, line: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArtifactReadError(
            f"line {line} is no measurement: {field} is {text!r:.40}, no number"
        ) from None
