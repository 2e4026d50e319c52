"""Runs that are about to be saved: their measurements, and what they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Protocol

from astraguard_store.checks import FIRST_DATE_S
from astraguard_store.columns import Columns, MeasurementLike
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.latency import LatencyCollector
from astraguard_store.model import Attachment, RunState
from astraguard_store.noise import MachineNoise
from astraguard_store.provenance import Provenance, check_tags
from astraguard_store.system.machine import surroundings

__all__ = ["Collector", "Life", "NewRun", "check_provenance", "new_run", "times_of"]


_BATCH_ROWS = 65_536


class Collector(Protocol):
    """What can be saved: a `LatencyCollector`, or anything that has its measurements."""

    @property
    def measurements(self) -> Iterable[MeasurementLike]:
        """The measurements in recording order."""


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
    """

    run_id: str
    columns: Columns
    provenance: Provenance
    tags: Mapping[str, str]
    life: Life | None = None
    save_id: str | None = None


def new_run(
    run_id: str,
    collector: Collector,
    provenance: Provenance | None,
    tags: Mapping[str, str] | None,
) -> NewRun:
    """Return what is to be saved, as it is at this moment.

    Args:
        run_id: Its name, checked.
        collector: What was measured.
        provenance: What it was, as far as the caller knows.
        tags: To set.

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
    )


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


def _snapshot(collector: Collector) -> Columns:
    if isinstance(collector, LatencyCollector):
        columns = collector.snapshot()
    else:
        try:
            measurements = collector.measurements
        except AttributeError as error:
            raise InvalidRunError(f"Invalid collector {collector!r}: {error}") from error
        columns = Columns.of(measurements)
    if not columns.rows:
        raise InvalidRunError("No measurements to export")
    return columns
