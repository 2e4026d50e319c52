"""Numbers for people: three significant digits, a unit that fits, and no false precision.

Durations are milliseconds inside, and are shown in the unit that fits a whole column, so that
its numbers can be compared by looking. JSON doesn't come here: it has every digit.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, isfinite, log10
from typing import Final, NamedTuple

from astraguard_store.model import AtLeast

DIGITS: Final = 3
# A clock's tenth of a microsecond in ms has four decimals; of a unit that is too large for a
# value two more are shown.
_MOST_DECIMALS: Final = 6
# From eleven times as much on a factor says more than percent.
_FACTOR_FROM: Final = 10


class Unit(NamedTuple):
    """A unit of time.

    Attributes:
        name: As it is written.
        ms: How many milliseconds one is.
    """

    name: str
    ms: float


NANOSECONDS, MICROSECONDS = Unit("ns", 1e-6), Unit("µs", 1e-3)
MILLISECONDS, SECONDS = Unit("ms", 1.0), Unit("s", 1e3)
_UNITS: Final = (SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS)


def unit_of(values_ms: Iterable[float | AtLeast | None]) -> Unit:
    """Return the unit for a column: that of its middle value, as it would stand alone.

    Args:
        values_ms: The column's durations, ms. None and zero have no unit.
    """
    sizes = sorted(abs(float(v)) for v in values_ms if v is not None and isfinite(v) and v)
    if not sizes:
        return MILLISECONDS
    middle = float(f"{sizes[len(sizes) // 2]:.{DIGITS}g}")  # 999.9 ms is shown as 1,000 ms
    return next((unit for unit in _UNITS if middle >= unit.ms), NANOSECONDS)


def number_text(value: float) -> str:
    """Return three significant digits, with thousands separated and without an exponent.

    There is no ``-0``, and what is too small for six decimals is ``0``.
    """
    if not isfinite(value):
        return str(float(value))
    rounded = float(f"{float(value):.{DIGITS}g}")
    decimals = DIGITS - 1 - floor(log10(abs(rounded))) if rounded else 0
    text = f"{rounded:,.{min(max(decimals, 0), _MOST_DECIMALS)}f}"
    return "0" if not text.strip("-0.,") else text


def in_unit(value_ms: float | AtLeast | None, unit: Unit, *, above: str = "above ") -> str:
    """Return a duration without its unit; a lower bound with *above* before it; else ``-``."""
    if value_ms is None:
        return "-"
    bound = above if isinstance(value_ms, AtLeast) else ""
    return f"{bound}{number_text(float(value_ms) / unit.ms)}"


def duration_text(value_ms: float | AtLeast | None, *, about: str = "") -> str:
    """Return a duration that stands alone, as ``128 ms``, ``above 5 s`` or ``≈ 128 ms``.

    Args:
        value_ms: The duration, ms; None gives ``-``.
        about: What stands before a number that is known to 1 %, such as ``≈ ``.
    """
    if value_ms is None:
        return "-"
    unit = unit_of([value_ms])
    return f"{about}{in_unit(value_ms, unit)} {unit.name}"


def is_difference(baseline: float | AtLeast | None, candidate: float | AtLeast | None) -> bool:
    """Return whether a reader of three digits sees that two durations differ."""
    if baseline is None or candidate is None or isinstance(candidate - baseline, AtLeast):
        return True
    return number_text(float(baseline)) != number_text(float(candidate))


def change_text(relative_change: float | AtLeast | None, *, at_least: str = "≥ ") -> str:
    """Return a relative change: ``+25.0 %``, ``+2100×`` from ten times more on, ``-``.

    A change that shows no other digit than zero has no sign: ``0.0 %``.
    """
    if relative_change is None:
        return "-"
    bound = at_least if isinstance(relative_change, AtLeast) else ""
    change = float(relative_change)
    if change >= _FACTOR_FROM:
        # Of two significant digits: 2103 is 2100.
        return f"{bound}+{float(f'{change:.2g}'):.0f}×"
    percent = f"{change * 100:+.1f}" if abs(change) < 1 else f"{change * 100:+.0f}"
    return f"{bound}{'0.0' if percent in ('+0.0', '-0.0') else percent} %"


def count_text(number: float) -> str:
    """Return a whole number with thousands separated, as ``12,345``."""
    return f"{number:,.0f}"


def size_text(number_of_bytes: int) -> str:
    """Return a number of bytes, as ``12.3 MB``."""
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        # What three digits round up to 1,000 of a unit is 1 of the next.
        if float(f"{number_of_bytes:.{DIGITS}g}") >= 10**power:
            return f"{number_text(number_of_bytes / 10**power)} {unit}"
    return f"{number_of_bytes} byte{'' if number_of_bytes == 1 else 's'}"
