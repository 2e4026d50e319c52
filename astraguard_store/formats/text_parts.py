"""Text files with a row a line, CSV and JSON, as frames: read part by part, cut at line ends."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Final

from astraguard_store.exceptions import InvalidRunError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

# As columns of text it takes some five times as much.
_PART_BYTES: Final = 2**24
# A quote that is opened and never closed would make a row of all that follows.
_LONGEST_ROW_BYTES: Final = 4 * _PART_BYTES
_NEWLINE: Final = ord("\n")
_QUOTE: Final = ord('"')
_KINDS: Final[dict[type, str]] = {
    int: "a number",
    float: "a number",
    str: "a text",
    bool: "a truth value",
}


def csv_frames(file: BinaryIO, separator: str, first_row: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of a CSV, all values as text; lines of nothing are left out.

    Args:
        file: In UTF-8, its lines ended by LF.
        separator: What stands between the columns.
        first_row: The number of the first row, for messages.

    Raises:
        InvalidRunError: A row has more values than the first line has names, or a quote is
            never closed.
    """
    import polars as pl

    names = b""
    row = first_row
    for part in _parts(file, _last_end_of_row):
        if not names:
            end = int(_ends_of_rows(part)[0])
            names, rows = part[:end], part[end:]
        else:
            rows = part
        try:
            frame = pl.read_csv(names + rows, separator=separator, infer_schema=False)
        except pl.exceptions.ComputeError as error:
            found = _wrong_row(names + rows, separator)
            if found is None:
                raise
            raise _wrong(found, row, first_row) from error
        # Nor is a line of blanks a row, or with the control-Z that ends a file in old systems.
        frame = frame.filter(pl.any_horizontal(pl.all().str.strip_chars(" \t\x1a") != ""))
        row += frame.height
        yield frame


def json_frames(file: BinaryIO, first_row: int) -> Iterator[pl.DataFrame]:
    """Yield the rows of lines of JSON, an object each; lines of nothing are left out.

    Raises:
        InvalidRunError: A line is no object, or a value of another kind than those above it.
    """
    import polars as pl

    row = first_row
    for part in _parts(file, lambda content: content.rfind(b"\n") + 1):
        lines = [line for line in part.split(b"\n") if line.strip()]
        if not lines:
            continue
        try:
            # The types of all lines: a number that is whole for long may have a fraction later.
            frame = pl.read_ndjson(b"\n".join(lines), infer_schema_length=None)
        except pl.exceptions.PolarsError as error:
            found = _wrong_line(lines)
            if found is None:
                raise
            raise _wrong(found, row, first_row) from error
        row += len(lines)
        yield frame


def _parts(file: BinaryIO, end_of: Callable[[bytes], int]) -> Iterator[bytes]:
    """Yield a file part by part, each of whole rows.

    Args:
        file: The file.
        end_of: Says where the last row ends that is whole; 0 if none is.
    """
    rest = b""
    line = 1
    while content := file.read(_PART_BYTES):
        content = rest + content
        end = end_of(content)
        if not end and len(content) > _LONGEST_ROW_BYTES:
            raise InvalidRunError(
                f"line {line} begins a row that doesn't end within {_LONGEST_ROW_BYTES >> 20} MB: "
                "a quote is opened in it that nothing closes"
            )
        part, rest = content[:end], content[end:]
        if part:
            line += part.count(b"\n")
            yield part
    if rest:
        yield rest + b"\n"


def _last_end_of_row(content: bytes) -> int:
    if b'"' not in content:
        return content.rfind(b"\n") + 1
    ends = _ends_of_rows(content)
    return int(ends[-1]) if len(ends) else 0


def _ends_of_rows(content: bytes) -> NDArray[np.intp]:
    """Return where the rows of a CSV end that are whole: after line ends outside of quotes."""
    import numpy as np

    text = np.frombuffer(content, np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    quotes = np.flatnonzero(text == _QUOTE)
    found: NDArray[np.intp] = ends[np.searchsorted(quotes, ends) % 2 == 0] + 1
    return found


def _wrong(found: tuple[int, str], row: int, first_row: int) -> InvalidRunError:
    """Return the error of a row: (its place in a part that begins with *row*, what is wrong)."""
    place, why = found
    return InvalidRunError(f"Row {row + place} (the first is {first_row}){why}")


def _wrong_row(part: bytes, separator: str) -> tuple[int, str] | None:
    """Return which row of a CSV is none, and why; None if each is one."""
    lines = io.StringIO(part.decode("utf-8", "replace"), newline="")
    rows = csv.reader(lines, delimiter=separator)
    names = next(rows, [])
    place, values = -1, names
    try:
        for place, values in enumerate(filter(any, rows)):
            if len(values) > len(names):
                told = f" has {len(values)} values for the {len(names)} names in the first line: "
                more = f"{values[len(names)]!r:.40} is the first that is too many"
                return place, told + more
    except csv.Error:
        # A value of more than 131,072 characters.
        return place + 1, ": a quote is opened in it that nothing closes"
    # The last value takes all that follows, to the last end of a line.
    if values[-1].endswith("\n"):
        name = names[len(values) - 1]
        return place, f", column {name!r}: a quote is opened that nothing closes"
    return None


def _wrong_line(lines: Iterable[bytes]) -> tuple[int, str] | None:
    """Return what keeps lines of JSON from being rows of one table; None if nothing does."""
    kinds: dict[str, str] = {}
    for place, line in enumerate(lines):
        why = _why_no_row(line, kinds)
        if why is not None:
            return place, why
    return None


class _NoNumber(str):
    """NaN or an infinity, which Python writes into JSON, and JSON doesn't know."""

    __slots__ = ()


def _why_no_row(line: bytes, kinds: dict[str, str]) -> str | None:
    try:
        values = json.loads(line, parse_constant=_NoNumber)
    except ValueError as error:
        return f" is no JSON: {error}"
    if not isinstance(values, dict):
        return f" is no JSON object: {values!r:.40}"
    for name, value in values.items():
        if isinstance(value, _NoNumber):
            return f", column {name!r}: {value} is no number in JSON; leave such rows out"
        kind = _KINDS.get(type(value), "a list or an object")
        if value is not None and kinds.setdefault(name, kind) != kind:
            return f", column {name!r}: {value!r:.40} is {kind}, and above it was {kinds[name]}"
    return None
