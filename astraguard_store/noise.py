"""What else a machine did while it recorded a run; frozen values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from astraguard_store.shown import Shown

__all__ = ["NOISE_FIELDS", "MachineNoise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineNoise(Shown):
    """What may have made a run slow that is not the software under test.

    Each when the recording began, when it ended, and the worst of all samples, of which
    one a second is taken. None where the machine doesn't say, as in some containers.

    Attributes:
        processors: How many the recording process may use.
        load_start: Load average over a minute (``/proc/loadavg``).
        load_end: The same at the end.
        load_worst: The highest.
        steal_start: Share of the processors' time that the host gave to other machines,
            since the last sample (``/proc/stat``), 0 to 1.
        steal_end: The same at the end.
        steal_worst: The highest.
        pressure_start: Share of the last 10 s in which a thread waited for a processor
            (``/proc/pressure/cpu``), 0 to 1.
        pressure_end: The same at the end.
        pressure_worst: The highest.
        frequency_mhz_start: Mean frequency of the processors.
        frequency_mhz_end: The same at the end.
        frequency_mhz_worst: The lowest.
    """

    processors: int | None = None
    load_start: float | None = None
    load_end: float | None = None
    load_worst: float | None = None
    steal_start: float | None = None
    steal_end: float | None = None
    steal_worst: float | None = None
    pressure_start: float | None = None
    pressure_end: float | None = None
    pressure_worst: float | None = None
    frequency_mhz_start: float | None = None
    frequency_mhz_end: float | None = None
    frequency_mhz_worst: float | None = None


NOISE_FIELDS: Final = tuple(field.name for field in fields(MachineNoise))
"""The names of its attributes: also those of its columns."""
