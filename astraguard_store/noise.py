"""What else a machine did while it recorded a run; frozen values."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

from astraguard_store.shown import Shown

# A 95th percentile is what 5 % of the events are slower than: what happens in less of the
# time can't move it.
_STEAL_WARNED_OF: Final = 0.05
# Any thread of the machine that waits counts. Were one in five of them recorded, these
# were 5 % of the time again.
_PRESSURE_WARNED_OF: Final = 0.25
# Of two threads a processor each waits for as long as it runs.
_LOAD_WARNED_OF: Final = 2.0


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
        steal_start: Share of the processors' time that the host gave to other machines, over
            half a second or more up to then (``/proc/stat``), 0 to 1; the first such. None for
            a shorter run.
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


class Worst(NamedTuple):
    """The worst that was seen of what makes a run slow.

    Attributes:
        steal: As `MachineNoise.steal_worst`.
        pressure: As `MachineNoise.pressure_worst`.
        load: `MachineNoise.load_worst` for each processor.
    """

    steal: float | None = None
    pressure: float | None = None
    load: float | None = None

    @classmethod
    def of(cls, noise: MachineNoise | None) -> Worst:
        """Return that of a run; all None where its noise isn't known."""
        if noise is None:
            return cls()
        load = noise.load_worst
        load = load / noise.processors if load is not None and noise.processors else None
        return cls(noise.steal_worst, noise.pressure_worst, load)

    def doubts(self) -> list[str]:
        """Return what makes the run's numbers doubtful, each to be read after "ran with"."""
        steal, pressure, load = (-1.0 if value is None else value for value in self)
        said = (
            (steal >= _STEAL_WARNED_OF, f"{steal * 100:.0f} % steal"),
            (pressure >= _PRESSURE_WARNED_OF, f"{pressure * 100:.0f} % waiting for processors"),
            (load >= _LOAD_WARNED_OF, f"a load of {load:.1f} for each processor"),
        )
        return [text for is_doubtful, text in said if is_doubtful]


WORST_FIELDS: Final = Worst._fields
"""The names of its attributes."""
