"""The in-run reference: a fixed piece of work, timed beside what is measured.

What slows it down is the machine. So a gate takes off from a run's latencies what the
reference explains: of the noise between runs of the demo's swarm a third stayed.
"""

from __future__ import annotations

from math import inf, log
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from astraguard_store.latency import LatencyCollector

_KIND: Final = "py1"
"""Which work a unit is: another one gets another name, and isn't compared with it."""

_TARGET_S: Final = 30e-6
_SIZES: Final = (2, 8, 32, 128, 512)
_TRIED_UNITS: Final = 16
_ROUNDS: Final = 10
_TRIES: Final = 40
_PAUSE_S: Final = 0.006


class ReferenceWorkload:
    """A fixed piece of work of about 30 µs: pure Python on floats, a list and a dict.

    ```python
    reference = ReferenceWorkload()
    for tick in range(600):
        ...
        reference.record(collector, tick / 10)
    ```

    Call it once a tick, between measurements, and with nothing else going on in the
    process. The work is made of equal units. How many make 30 µs is found out when it
    is made, in 0.1 s, in steps of four and from the fastest of many tries, so that it
    is the same each time on one machine. Machines of a pool may need other numbers; a
    verdict counts by units, and `units` sets one number for all.

    Attributes:
        units: How many units of the work one call does.
        version: Which work it is, and how many units: what it is recorded as.
    """

    def __init__(self, units: int | None = None) -> None:
        """Take *units*, or find out how many of them take about 30 µs here.

        Raises:
            ValueError: *units* is below 1.
        """
        if units is not None and units < 1:
            raise ValueError(f"Invalid units {units!r}: 1 or more are needed")
        self.units = units or _calibrated()
        self.version = f"{_KIND}x{self.units}"

    def __call__(self) -> float:
        """Do the work, and return how long it took, in ms."""
        # Once before: what was measured meanwhile has filled the caches.
        _work(1)
        started = perf_counter()
        _work(self.units)
        return (perf_counter() - started) * 1000.0

    def record(self, collector: LatencyCollector, scenario_time_s: float = 0.0) -> float:
        """Do the work, record how long it took, and return that, in ms.

        Args:
            collector: Where it is recorded, as metric type ``reference``.
            scenario_time_s: Seconds since the scenario's start, at least 0.

        Raises:
            InvalidRunError: As `LatencyCollector.record`.
        """
        duration_ms = self()
        collector.record_reference(duration_ms, scenario_time_s, version=self.version)
        return duration_ms

    def __repr__(self) -> str:
        return f"<ReferenceWorkload {self.version}>"


def _work(units: int) -> float:
    """Do *units* of the work: about 1 µs each, always the same steps."""
    total = 0.0
    seen: dict[int, float] = {}
    for unit in range(units):
        values = [total, 1.5, unit * 0.5, 2.25]
        values.sort()
        for place, value in enumerate(values):
            total = (total * 0.75 + value) % 97.0
            seen[place] = total
    return total


def _calibrated() -> int:
    """Return which of 2, 8, 32, 128 and 512 units comes next to 30 µs, by its logarithm.

    In steps of four, so that few machines lie near where one number gives way to the
    next. Of today's processors 32 units take 15 to 60 µs.
    """
    wanted = _TARGET_S / _fastest_s(_TRIED_UNITS) * _TRIED_UNITS
    return int(min(_SIZES, key=lambda units: abs(log(units / wanted))))


def _fastest_s(units: int) -> float:
    """Return the time of the fastest of many tries: what nothing else slowed down.

    In rounds with pauses in between, some 0.1 s in all: another process may take this
    one's turn for 10 ms or more.
    """
    fastest = inf
    for _ in range(_ROUNDS):
        for _ in range(_TRIES):
            started = perf_counter()
            _work(units)
            fastest = min(fastest, perf_counter() - started)
        sleep(_PAUSE_S)
    return fastest
