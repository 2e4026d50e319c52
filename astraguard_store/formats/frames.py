"""Frames of anybody's → measurements: columns by name, checked value by value.

A frame is anything with ``__arrow_c_stream__``: of polars, pandas or Arrow. It is read in
batches; what comes of a long file is kept in another file, and not in memory.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from astraguard_store.checks import check_name
from astraguard_store.columns import ROW_BYTES, Columns, Label, polars_is_usable
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.formats.csv import FIELDS_WITH_MISSED
from astraguard_store.system.spill import Spill

if TYPE_CHECKING:
    import polars as pl

MEASUREMENT_FIELDS: Final = FIELDS_WITH_MISSED
"""The columns of measurements; `timestamp`, `scenario_time_s` and `missed` may be left out."""

TIME_UNITS: Final[dict[str, float]] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""{unit: seconds in it}"""

# Epoch times above these count finer units: 1e11 s is the year 5138, 1e11 ms 1973.
_EPOCHS: Final = ((1e11, 1.0), (1e14, 1e-3), (1e17, 1e-6))
_FIRST_OF_FINER_S: Final = 1e8
_THOUSANDS: Final = r"^\s*\d{1,3}(,\d{3})+\s*$"
# ISO 8601's other ways → the one that is parsed: no time of day, a space for the T, no hyphens
# and colons, no seconds, a decimal comma, and zones as +0100 and +01.
_ISO_FORMS: Final = (
    (r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00:00"),
    (r"^(\d{4}-?\d\d-?\d\d)[ t]", "${1}T"),
    (r"^(\d{4})(\d\d)(\d\d)T", "${1}-${2}-${3}T"),
    (r"T(\d\d)(\d\d)(\d\d)?", "T${1}:${2}:${3}"),
    (r"T(\d\d:\d\d):?( ?(?:Z|z|[+-]|$))", "T${1}:00${2}"),
    (r"(T\d\d:\d\d:\d\d),(\d)", "${1}.${2}"),
    (r" ?(z|Z)$", "Z"),
    (r"(T.*\d) ?([+-]\d\d)(\d\d)?$", "${1}${2}:${3}"),
    (r"([+-]\d\d):$", "${1}:00"),
)
_TRUE: Final = ("1", "true", "yes", "y", "t")
_FALSE: Final = ("0", "false", "no", "n", "f", "")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the columns of a frame are read.

    Attributes:
        names: {name of `MEASUREMENT_FIELDS`: the frame's name of it}, where they differ.
        duration_unit: What durations are counted in.
        scenario_unit: What scenario times are counted in.
        metric_type: Of all rows, where no column says it.
        satellite_id: Of all rows, where no column says it.
        first_row: The number of the first row, for messages.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    duration_unit: str = "ms"
    scenario_unit: str = "s"
    metric_type: str | None = None
    satellite_id: str | None = None
    first_row: int = 0

    def name(self, field_name: str) -> str:
        """Return the frame's name of a column."""
        return self.names.get(field_name, field_name)


def columns_of_frame(frame: Any) -> Columns:
    """Return the measurements in a frame, whose columns have the names of `MEASUREMENT_FIELDS`.

    Raises:
        InvalidRunError: A column is missing, or a value can't be stored; the message
            names the column, the row and the value.
    """
    builder = ColumnsBuilder(Reading())
    builder.add(_polars_frame(frame))
    return builder.columns()


def _polars_frame(frame: Any) -> pl.DataFrame:
    if not polars_is_usable():
        raise InvalidRunError(
            "A frame is read by polars, which can't be used in a process that was forked beside "
            "it: use multiprocessing's 'spawn' or 'forkserver'"
        )
    import polars as pl

    if isinstance(frame, pl.DataFrame):
        return frame
    try:
        return pl.DataFrame(frame)
    except pl.exceptions.PolarsError as error:
        raise InvalidRunError(f"Invalid frame: {error}") from error
    except (ImportError, TypeError, ValueError) as error:
        if not hasattr(frame, "iloc"):
            raise InvalidRunError(f"Invalid frame: {error}") from error
        # pandas hands out Arrow only beside pyarrow, and columns of mixed values not even
        # then; its columns are had without. Mixed values become text, and the row of what is
        # no number is named below.
        return pl.DataFrame({str(name): frame[name].tolist() for name in frame}, strict=False)


class ColumnsBuilder:
    """Adds up the measurements of frames with the same columns.

    Args:
        reading: How they are read.
        spill: Where they are kept; None for memory.
    """

    def __init__(self, reading: Reading, spill: Spill | None = None) -> None:
        self._reading = reading
        self._spill = spill
        self._blocks: list[bytes] = []
        self._codes: dict[tuple[str, str, bool], int] = {}
        self._rows = self.first_row = reading.first_row
        self._fields: frozenset[str] | None = None
        self._is_iso: bool | None = None
        self._first_timestamp: float | None = None
        self._now = time.time()
        self._epoch_unit_s: float | None = None
        self._commas_separate = False

    def begin_file(self, *, commas_separate: bool = False) -> None:
        """Number rows anew, for messages.

        Args:
            commas_separate: Whether commas stand between the columns: in ``1,234`` it may
                then mean thousands.
        """
        self._rows = self.first_row
        self._fields = self._is_iso = None
        self._commas_separate = commas_separate

    def add(self, frame: pl.DataFrame) -> None:
        """Add the rows of a frame; raises as `columns_of_frame`."""
        if frame.height:
            frame = self._as_before(frame)
            (self._blocks if self._spill is None else self._spill).append(self._packed(frame))
            self._rows += frame.height

    def _as_before(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the frame with the columns that the first one of its file had.

        Lines of JSON may leave out what has no value, so a part of them may lack a column.
        """
        import polars as pl

        names = {self._reading.name(field_name) for field_name in MEASUREMENT_FIELDS}
        found = frozenset(names.intersection(frame.columns))
        if self._fields is None:
            self._fields = found
        # An event that was missed may be the only one that says so.
        new = found - self._fields - {self._reading.name("missed")}
        if new:
            raise InvalidRunError(f"{self._row()}, column {min(new)!r}: no row before has it")
        lacking = self._fields - found
        return frame.with_columns(pl.lit(None).alias(name) for name in lacking)

    def columns(self) -> Columns:
        """Return all of them."""
        labels: list[Label] = [(metric, satellite) for metric, satellite, _ in self._codes]
        missed = [code for (_, _, is_missed), code in self._codes.items() if is_missed]
        kept = self._blocks if self._spill is None else [self._spill]
        return Columns(
            [(block, len(block)) for block in kept],
            labels,
            missed,
            is_in_file=self._spill is not None,
        )

    def _packed(self, frame: pl.DataFrame) -> bytes:
        import numpy as np

        rows = np.empty((frame.height, ROW_BYTES // 8), np.float64)
        rows[:, 0] = self._timestamps(frame).to_numpy()
        rows[:, 1] = self._numbers(frame, "duration_ms", self._in_ms()).to_numpy()
        rows[:, 2] = self._scenario_times(frame, rows[:, 0])
        rows.view(np.int64)[:, 3] = self._label_codes(frame)
        return rows.tobytes()

    def _in_ms(self) -> float:
        return TIME_UNITS[self._reading.duration_unit] * 1000

    def _column(self, frame: pl.DataFrame, field_name: str) -> pl.Series | None:
        name = self._reading.name(field_name)
        if name in frame.columns:
            return frame[name]
        if field_name in self._reading.names:
            raise InvalidRunError(
                f"There is no column {name!r} for {field_name}; there are {_listed(frame)}"
            )
        return None

    def _needed(self, frame: pl.DataFrame, field_name: str) -> pl.Series:
        column = self._column(frame, field_name)
        if column is None:
            raise InvalidRunError(
                f"There is no column {field_name!r}; there are {_listed(frame)}. "
                f"Name the one that it is ({field_name}=…)"
            )
        return column

    def _numbers(self, frame: pl.DataFrame, field_name: str, factor: float) -> pl.Series:
        """Return a column's numbers, 0 or above, times *factor*."""
        import polars as pl

        column = self._needed(frame, field_name)
        if column.dtype == pl.Duration:
            per_second = 1e3 if field_name == "duration_ms" else 1.0
            numbers = column.dt.total_nanoseconds() * 1e-9 * per_second
        else:
            self._check_type(column, column.dtype.is_numeric(), "numbers")
            if self._commas_separate and column.dtype == pl.String:
                plain = ~column.str.contains(_THOUSANDS).fill_null(value=False)
                self._check(column, plain, "may be thousands or a decimal; leave the comma out")
            numbers = _floats(column) * factor
        self._check(column, numbers.is_finite() & (numbers >= 0), "is no number of at least 0")
        return numbers

    def _timestamps(self, frame: pl.DataFrame) -> pl.Series:
        """Return the times of recording, seconds since 1970."""
        import polars as pl

        column = self._column(frame, "timestamp")
        if column is None:
            return pl.Series([self._now]).new_from_index(0, frame.height)
        if isinstance(column.dtype, pl.Datetime | pl.Date):
            seconds = column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
        else:
            self._check_type(column, column.dtype.is_numeric(), "times")
            numbers = _floats(column)
            if self._is_iso is None:
                self._is_iso = column.dtype == pl.String and numbers[0] is None
            seconds = (
                _parsed_times(column) if self._is_iso else self._epoch_seconds(column, numbers)
            )
        self._check(column, seconds.is_finite(), "is no time")
        return seconds

    def _epoch_seconds(self, column: pl.Series, numbers: pl.Series) -> pl.Series:
        """Return seconds since 1970 of times that count s, ms, µs or ns, all of them the same.

        The size of the first rows' largest tells which.
        """
        if self._epoch_unit_s is None:
            largest = numbers.abs().max()
            if isinstance(largest, float):
                units = (unit for limit, unit in _EPOCHS if largest < limit)
                self._epoch_unit_s = next(units, 1e-9)
        seconds = numbers * (self._epoch_unit_s or 1.0)
        least = 0.0 if self._epoch_unit_s == 1.0 else _FIRST_OF_FINER_S
        is_plausible = (seconds.abs() < _EPOCHS[0][0]) & (seconds.abs() >= least)
        # Of what is no number the caller says so.
        is_number = seconds.is_finite().fill_null(value=False)
        self._check(column, is_plausible | ~is_number, "counts no unit of the others")
        return seconds

    def _scenario_times(self, frame: pl.DataFrame, timestamps: Any) -> Any:
        if self._column(frame, "scenario_time_s") is not None:
            factor = TIME_UNITS[self._reading.scenario_unit]
            return self._numbers(frame, "scenario_time_s", factor).to_numpy()
        if self._column(frame, "timestamp") is None:
            self._needed(frame, "scenario_time_s")
        if self._first_timestamp is None:
            self._first_timestamp = float(timestamps[0])
        since = timestamps - self._first_timestamp
        if (since < 0).any():
            raise InvalidRunError(
                f"{self._row(int((since < 0).argmax()))}: its timestamp is before the "
                "first row's, so it tells no scenario time; a column scenario_time_s is needed"
            )
        return since

    def _names(self, frame: pl.DataFrame, field_name: str, constant: str | None) -> pl.Series:
        import polars as pl

        column = self._column(frame, field_name)
        if column is None and constant is not None:
            return pl.Series([constant]).new_from_index(0, frame.height)
        column = self._needed(frame, field_name)
        is_named = isinstance(column.dtype, pl.Categorical | pl.Enum) or column.dtype.is_integer()
        self._check_type(column, is_named, "names")
        names = column.cast(pl.String, strict=False)
        self._check(column, names.is_not_null() & (names.str.strip_chars() != ""), "is no name")
        return names

    def _label_codes(self, frame: pl.DataFrame) -> Any:
        """Return the label number of each row; new labels are numbered as they come."""
        import numpy as np
        import polars as pl

        reading = self._reading
        labels = pl.DataFrame(
            {
                "metric_type": self._names(frame, "metric_type", reading.metric_type),
                "satellite_id": self._names(frame, "satellite_id", reading.satellite_id),
                "missed": self._missed(frame),
            }
        )
        found = labels.with_row_index("row").unique(
            labels.columns, keep="first", maintain_order=True
        )
        numbers = [self._code(*row) for row in found.rows()]
        numbered = found.drop("row").with_columns(code=pl.Series(numbers, dtype=pl.Int64))
        joined = labels.join(
            numbered, on=labels.columns, how="left", maintain_order="left", validate="m:1"
        )
        return joined["code"].to_numpy().astype(np.int64)

    def _code(self, place: int, metric_type: str, satellite_id: str, missed: bool) -> int:
        try:
            check_name(metric_type, "metric_type")
            check_name(satellite_id, "satellite_id")
        except InvalidRunError as error:
            raise InvalidRunError(f"{self._row(place)}: {error}") from error
        return self._codes.setdefault((metric_type, satellite_id, missed), len(self._codes))

    def _missed(self, frame: pl.DataFrame) -> pl.Series:
        import polars as pl

        column = self._column(frame, "missed")
        if column is None:
            return pl.Series([False]).new_from_index(0, frame.height)
        if column.dtype == pl.Boolean:
            return column.fill_null(value=False)
        self._check_type(column, column.dtype.is_numeric(), "truth values")
        words = column.cast(pl.String, strict=False).fill_null("").str.to_lowercase()
        known = words.is_in([*_TRUE, *_FALSE])
        self._check(column, known, "is neither true nor false")
        return words.is_in(list(_TRUE))

    def _check_type(self, column: pl.Series, is_right: bool, wanted: str) -> None:
        """Refuse a column whose type isn't text, nothing or one that is right."""
        import polars as pl

        if not is_right and not isinstance(column.dtype, pl.String | pl.Null):
            first = column.head(1).to_list()[0]
            raise InvalidRunError(
                f"{self._row()}, column {column.name!r}: {first!r:.40} is of type "
                f"{column.dtype}; {wanted} are needed"
            )

    def _check(self, column: pl.Series, is_right: pl.Series, what: str) -> None:
        wrong = ~is_right.fill_null(value=False)
        if wrong.any():
            place = int(wrong.arg_max() or 0)
            raise InvalidRunError(
                f"{self._row(place)}, column {column.name!r}: {column[place]!r} {what}"
            )

    def _row(self, place: int = 0) -> str:
        return f"Row {self._rows + place} (the first is {self.first_row})"


def _listed(frame: pl.DataFrame) -> str:
    return ", ".join(map(repr, frame.columns[:20])) or "none"


def _floats(column: pl.Series) -> pl.Series:
    """Return a column's numbers, also written with a decimal comma; null where there is none."""
    import polars as pl

    if column.dtype == pl.String:
        column = column.str.strip_chars().str.replace(",", ".", literal=True)
    return column.cast(pl.Float64, strict=False)


def _parsed_times(column: pl.Series) -> pl.Series:
    """Return seconds since 1970 of times in ISO 8601."""
    import polars as pl

    text = column.str.strip_chars()
    for pattern, extended in _ISO_FORMS:
        text = text.str.replace(pattern, extended)
    # Without a zone UTC is meant.
    zoned = text.str.contains(r"(Z|[+-]\d\d:\d\d)$")
    full = pl.select(pl.when(zoned).then(text).otherwise(text + "Z")).to_series()
    times = full.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    return times.dt.epoch("us") / 1e6
