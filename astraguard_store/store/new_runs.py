"""Runs that are about to be saved: their measurements, and what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Protocol

from astraguard_store.checks import FIRST_DATE_S, check_name
from astraguard_store.columns import Columns, MeasurementLike
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.formats.frames import columns_of_frame
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import Attachment, RunState
from astraguard_store.noise import MachineNoise
from astraguard_store.provenance import Provenance, check_tags
from astraguard_store.system.machine import surroundings

_BATCH_ROWS = 65_536


class Frame(Protocol):
    """A table that hands out Arrow: of polars, pandas, pyarrow or others."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return it as a capsule of Arrow's C interface."""


class Collector(Protocol):
    """What can be saved: a `LatencyCollector`, or anything that has its measurements."""

    @property
    def measurements(self) -> Iterable[MeasurementLike]:
        """The measurements in recording order."""


Measured = Collector | Frame | Columns
"""What can be saved."""


@dataclass(frozen=True, slots=True)
class Life:
    """What a recorder knows of its run beside the measurements.

    Attributes:
        state: How far the run came.
        error: What ended a failed one.
        token: The recorder's journal, which ends with the save.
        last_written_at_us: When it last wrote, microseconds since 1970.
        recorded_at_us: The time of the save.
        attachments: The files that were attached.
        noise: The machine's.
    """

    state: RunState
    error: str | None
    token: str
    last_written_at_us: int
    recorded_at_us: int
    attachments: tuple[Attachment, ...] = ()
    noise: MachineNoise | None = None


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to save; everything in it is checked.

    Attributes:
        run_id: Its name.
        columns: Its measurements, at least one.
        provenance: What it was, with what this process could learn.
        tags: To set.
        life: What its recorder knows; None of a run that is saved at once.
        save_id: What the caller names the save; None where it has no name.
        save_sha256: Of what a named save holds; see `content_hash`.
    """

    run_id: str
    columns: Columns
    provenance: Provenance
    tags: Mapping[str, str]
    life: Life | None = None
    save_id: str | None = None
    save_sha256: str | None = None


def new_run(
    run_id: str,
    collector: Measured,
    provenance: Provenance | None,
    tags: Mapping[str, str] | None,
    save_id: str | None = None,
) -> NewRun:
    """Return what is to be saved, as it is at this moment.

    Args:
        run_id: Its name, checked.
        collector: What was measured.
        provenance: What it was, as far as the caller knows.
        tags: To set.
        save_id: What the caller names the save.

    Raises:
        InvalidRunError: Something in it can't be stored; the message says what.
    """
    check_provenance(provenance)
    columns = _snapshot(collector)
    learned = surroundings().of_run(*times_of(columns))
    return NewRun(
        run_id,
        columns,
        provenance.filled_from(learned) if provenance else learned,
        check_tags(tags or {}),
        save_id=None if save_id is None else check_name(save_id, "save_id"),
        save_sha256=None if save_id is None else content_hash(columns),
    )


def content_hash(columns: Columns) -> str:
    """Return the SHA-256 of measurements, hex; the same however their labels are numbered.

    Timestamps aren't in it: a collector and a file without them take those of the moment, and
    a job that runs twice would never be the same.
    """
    import numpy as np

    keys = [(*label, code in columns.missed_codes) for code, label in enumerate(columns.labels)]
    used: dict[int, int] = {}
    digest = hashlib.sha256()
    for batch in columns.batches(_BATCH_ROWS):
        for code in np.unique(batch.codes).tolist():
            used.setdefault(code, 0)
    order = sorted({keys[code] for code in used})
    place = {key: number for number, key in enumerate(order)}
    numbers = np.array([place.get(key, -1) for key in keys], np.int64)
    digest.update(repr(order).encode())
    for batch in columns.batches(_BATCH_ROWS):
        for column in (batch.durations_ms, batch.scenario_times_s, numbers[batch.codes]):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def check_provenance(provenance: object) -> None:
    """Raise InvalidRunError if *provenance* is neither a Provenance nor None."""
    if provenance is not None and not isinstance(provenance, Provenance):
        raise InvalidRunError(f"Invalid provenance {provenance!r}: a Provenance is needed")


def times_of(columns: Columns) -> tuple[datetime | None, datetime | None]:
    """Return the earliest and the latest time of the measurements, in whichever order they are."""
    earliest, latest = inf, -inf
    for batch in columns.batches(_BATCH_ROWS):
        earliest = min(earliest, float(batch.timestamps.min()))
        latest = max(latest, float(batch.timestamps.max()))
    return _date(earliest), _date(latest)


def _date(timestamp_s: float) -> datetime | None:
    """Return a time; None if its clock told what is no date, as seconds since the boot."""
    if timestamp_s < FIRST_DATE_S:
        return None
    try:
        return datetime.fromtimestamp(timestamp_s, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _snapshot(collector: Measured) -> Columns:
    if isinstance(collector, Columns):
        columns = collector
    elif isinstance(collector, LatencyCollector):
        columns = collector.snapshot()
    elif hasattr(collector, "__arrow_c_stream__"):
        columns = columns_of_frame(collector)
    else:
        try:
            measurements = collector.measurements
        except AttributeError as error:
            raise InvalidRunError(f"Invalid collector {collector!r}: {error}") from error
        columns = Columns.of(measurements)
    if not columns.rows:
        raise InvalidRunError("No measurements to export")
    return columns
