"""Measurements as packed columns: 32 bytes a row, no Python object for any of them.

A row is the timestamp, the duration and the scenario time as doubles, and the
number of its label as an integer; a label is a (metric type, satellite) pair.
Missed events have labels of their own: their rows need no room for a mark.
Rows lie in blocks, and a snapshot is a list of blocks with a length each:
blocks only ever grow, so recording may go on while a snapshot is read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

from astraguard_store.checks import (
    MAX_NAME_CHARACTERS,
    check_name,
    check_non_negative,
    check_number,
)
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.model import LatencyMeasurement
from astraguard_store.system.forks import in_forked_child

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Label = tuple[str, str]
"""(metric type, satellite id)"""

_ROW = Struct("=dddq")
ROW_BYTES = _ROW.size
_FIELDS = 4
BLOCK_BYTES = 4096 * ROW_BYTES
_SEARCHED_ROWS = 4096
# Below this many rows plain Python formats a CSV as fast as polars does (1.3 ms either
# way at 4,000 rows), without the import of 0.15 s.
POLARS_PAYS_FROM_ROWS = 4_000

pack_row = _ROW.pack
"""(timestamp, duration_ms, scenario_time_s, label number) -> the bytes of a row."""

_forked_beside_polars = False


def _note_fork() -> None:
    global _forked_beside_polars
    _forked_beside_polars = "polars" in sys.modules


in_forked_child(_note_fork)


def polars_pays(rows: int) -> bool:
    """Return whether *rows* are to be worked on by polars rather than in plain Python.

    Never in a child forked from a process that had polars loaded: the locks of
    its thread pool come over as they were, and the child would hang.
    """
    return rows >= POLARS_PAYS_FROM_ROWS and polars_is_usable()


def polars_is_usable() -> bool:
    """Return whether polars works here: not in a child forked beside it, see `polars_pays`."""
    return not _forked_beside_polars


@contextmanager
def panics_raise(error: type[Exception], what: str) -> Iterator[None]:
    """Raise *error* for a panic of polars inside: it is a BaseException, which nobody catches.

    It panics for want of threads or files, and on some damaged parquet files.

    Args:
        error: What is raised.
        what: Was to be done, for the message.
    """
    try:
        yield
    except BaseException as failure:
        # Told by its name: importing the class would load polars for those who save small runs.
        if type(failure).__name__ != "PanicException":
            raise
        again = "start this process again, and " if "poisoned" in str(failure) else ""
        raise error(
            f"{what}: polars failed ({failure}); {again}see whether this process may have more "
            "threads and open files (`ulimit -u`, `ulimit -n`), and whether the file is whole"
        ) from failure


class Block(Protocol):
    """Packed rows in memory or elsewhere: bytes, which `system.spill` has in a file."""

    def __getitem__(self, part: slice, /) -> bytes | bytearray | memoryview:
        """Return some of its bytes."""


class MeasurementLike(Protocol):
    """What a measurement of somebody else's collector has to offer.

    One may also have an attribute `missed`: whether the event never came, and
    its duration is what was waited.
    """

    @property
    def timestamp(self) -> float:
        """Seconds since 1970, UTC."""

    @property
    def metric_type(self) -> str:
        """What was measured."""

    @property
    def satellite_id(self) -> str:
        """On which satellite."""

    @property
    def duration_ms(self) -> float:
        """How long it took, milliseconds."""

    @property
    def scenario_time_s(self) -> float:
        """Seconds since the scenario's start."""


class Batch(NamedTuple):
    """Some consecutive rows, an array each; all have one length. They are views: see `unpack`."""

    timestamps: NDArray[np.float64]
    durations_ms: NDArray[np.float64]
    scenario_times_s: NDArray[np.float64]
    codes: NDArray[np.int64]

    @classmethod
    def unpack(cls, packed: bytes | bytearray | memoryview) -> Batch:
        """Return the columns of *packed* rows, 32 bytes from each value to the next."""
        # Imported where measurements are read: recording needs no NumPy.
        import numpy as np

        rows = np.frombuffer(packed, np.float64).reshape(-1, _FIELDS)
        codes = np.frombuffer(packed, np.int64).reshape(-1, _FIELDS)
        return cls(rows[:, 0], rows[:, 1], rows[:, 2], codes[:, 3])


class Columns:
    """A snapshot of measurements in recording order; never changes.

    Attributes:
        rows: Number of measurements.
        labels: The (metric type, satellite) pair of each label number. A pair may
            have two: one for what was measured, one for what was missed.
        missed_codes: The label numbers whose rows are missed events; there may be
            no row of them.
        is_in_file: Whether the rows lie in a file, since memory may be too small for them.
    """

    __slots__ = ("_blocks", "is_in_file", "labels", "missed_codes", "rows")

    def __init__(
        self,
        blocks: Iterable[tuple[Block, int]],
        labels: Sequence[Label],
        missed_codes: Iterable[int] = (),
        *,
        is_in_file: bool = False,
    ) -> None:
        """Take (block, bytes of it that count) pairs; *labels* cover every code in them."""
        self._blocks = tuple(blocks)
        self.rows = sum(length for _, length in self._blocks) // ROW_BYTES
        self.labels = tuple(labels)
        self.missed_codes = frozenset(missed_codes)
        self.is_in_file = is_in_file

    @classmethod
    def of(
        cls, measurements: Iterable[MeasurementLike], longest_name: int = MAX_NAME_CHARACTERS
    ) -> Columns:
        """Return the columns of somebody else's measurements.

        Raises:
            InvalidRunError: One of them lacks an attribute or has a value that
                can't be kept; the message says which.
        """
        packing = Packing(longest_name)
        for measurement in measurements:
            packing.add(measurement)
        return packing.columns()

    def relabelled(self, labels: Sequence[Label]) -> Columns:
        """Return the same rows with other labels, in the place of those there are."""
        return Columns(self._blocks, labels, self.missed_codes)

    @property
    def has_missed(self) -> bool:
        """Whether any row is a missed event; free where no such label exists."""
        return bool(self.missed_codes) and not all(
            self.missed_codes.isdisjoint(batch.codes.tolist())
            for batch in self.batches(_SEARCHED_ROWS)
        )

    def batches(self, rows: int) -> Iterator[Batch]:
        """Yield all rows in order, at most about *rows* at a time."""
        # A slice copies: a view would forbid the recorder to grow the block.
        pending = bytearray()
        for block, length in self._blocks:
            for start in range(0, length, rows * ROW_BYTES):
                pending += block[start : min(length, start + rows * ROW_BYTES)]
                if len(pending) >= rows * ROW_BYTES:
                    yield Batch.unpack(pending)
                    pending = bytearray()
        if pending:
            yield Batch.unpack(pending)

    def measurements(
        self, start: int = 0, stop: int | None = None
    ) -> Iterator[LatencyMeasurement]:
        """Yield rows *start* to *stop* as objects, in recording order."""
        for timestamp, duration, scenario_time, code in self.packed_rows(start, stop):
            metric_type, satellite_id = self.labels[code]
            yield LatencyMeasurement(
                timestamp,
                metric_type,
                satellite_id,
                duration,
                scenario_time,
                code in self.missed_codes,
            )

    def packed_rows(
        self, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[float, float, float, int]]:
        """Yield timestamp (s), duration (ms), scenario time (s) and label number of each row."""
        stop = self.rows if stop is None else stop
        position = 0
        for block, length in self._blocks:
            first = max(0, start - position)
            last = min(length // ROW_BYTES, stop - position)
            if first < last:
                yield from _ROW.iter_unpack(block[first * ROW_BYTES : last * ROW_BYTES])
            position += length // ROW_BYTES


class Packing:
    """Measurements of somebody else's on their way into columns, checked.

    Args:
        longest_name: How many characters a metric type or a satellite may have.
    """

    def __init__(self, longest_name: int) -> None:
        self._longest_name = longest_name
        self._packed = bytearray()
        # {(metric type, satellite, missed): label number}
        self._codes: dict[tuple[str, str, bool], int] = {}

    def add(self, measurement: MeasurementLike) -> None:
        """Add one.

        Raises:
            InvalidRunError: It lacks an attribute or has a value that can't be kept; the
                message says which.
        """
        try:
            label, row = _checked(measurement, self._longest_name)
        except (InvalidRunError, AttributeError) as error:
            index = len(self._packed) // ROW_BYTES
            raise InvalidRunError(f"Measurement {index}: {error}") from error
        self._packed += pack_row(*row, self._codes.setdefault(label, len(self._codes)))

    def add_all(
        self,
        labels: Sequence[tuple[str, str, bool]],
        timestamps: Sequence[float],
        durations_ms: Sequence[float],
        scenario_times_s: Sequence[float],
    ) -> bool:
        """Add many, at a tenth of the time of `add`; or none, and return False, if one is wrong.

        Args:
            labels: (metric type, satellite, missed) of each.
            timestamps: Seconds since 1970; as many as labels, and so the rest.
            durations_ms: How long each took.
            scenario_times_s: Seconds since the scenario's start.
        """
        columns = (timestamps, durations_ms, scenario_times_s)
        if not all(all(map(isfinite, column)) for column in columns):
            return False
        if min(durations_ms, default=0) < 0 or min(scenario_times_s, default=0) < 0:
            return False
        new = [label for label in dict.fromkeys(labels) if label not in self._codes]
        try:
            for *names, _ in new:
                for name in names:
                    check_name(name, "name", self._longest_name)
        except InvalidRunError:
            return False
        for label in new:
            self._codes[label] = len(self._codes)
        self._packed += b"".join(map(pack_row, *columns, map(self._codes.__getitem__, labels)))
        return True

    def columns(self) -> Columns:
        """Return them; nothing may be added any more."""
        return Columns(
            [(self._packed, len(self._packed))],
            [(metric_type, satellite) for metric_type, satellite, _ in self._codes],
            [code for (*_, missed), code in self._codes.items() if missed],
        )


def check_packed(packed: bytes | memoryview, labels: int) -> None:
    """Raise InvalidRunError if these rows can't have been recorded under so many labels."""
    import numpy as np

    rows = Batch.unpack(packed)
    numbers = (rows.timestamps, rows.durations_ms, rows.scenario_times_s)
    if not (
        all(np.isfinite(column).all() for column in numbers)
        and all((column >= 0).all() for column in numbers[1:])
        and ((rows.codes >= 0) & (rows.codes < labels)).all()
    ):
        raise InvalidRunError("rows hold a number or a label that nobody can have recorded")


def _checked(
    measurement: MeasurementLike, longest_name: int
) -> tuple[tuple[str, str, bool], tuple[float, float, float]]:
    label = (
        check_name(measurement.metric_type, "metric_type", longest_name),
        check_name(measurement.satellite_id, "satellite_id", longest_name),
        _check_missed(getattr(measurement, "missed", None)),
    )
    return label, (
        check_number(measurement.timestamp, "timestamp"),
        check_non_negative(measurement.duration_ms, "duration_ms"),
        check_non_negative(measurement.scenario_time_s, "scenario_time_s"),
    )


def _check_missed(value: object) -> bool:
    # Somebody's collector may not have the attribute, or leave it empty.
    if value is None:
        return False
    # NumPy's truth values are named `bool_` before its version 2.
    if type(value).__name__ not in {"bool", "bool_"}:
        raise InvalidRunError(f"Invalid missed {value!r:.40}: True or False is needed")
    return bool(value)
