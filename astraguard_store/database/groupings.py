"""By what runs are grouped: an SQL expression for each name.

The week is counted in whole numbers: SQLite knows the ISO week (``%G``, ``%V``)
from 3.46 on only, and a Python may bring an older one.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Table, cast, func, literal_column

from astraguard_store.database.schema import runs, satellite_statistics

__all__ = ["GROUPINGS", "expression_of", "is_of_runs"]

_PROVENANCE: Final = (
    "scenario",
    "host",
    "rig",
    "firmware",
    "software_version",
    "git_branch",
    "git_commit",
    "platform",
    "python",
)
GROUPINGS: Final = ("run", "satellite", *_PROVENANCE, "day", "week", "month")
"""By what runs can be grouped."""


def is_of_runs(name: str) -> bool:
    """Return whether *name* needs the table `runs`; the others are keys of the statistics."""
    return name not in {"run", "satellite"}


def expression_of(name: str, statistics: Table) -> ColumnElement[Any]:
    """Return what *name*, one of `GROUPINGS`, is for a row of *statistics* joined with `runs`."""
    if name == "run":
        return statistics.c.run_id
    if name == "satellite":
        return satellite_statistics.c.satellite_id
    if name in _PROVENANCE:
        return runs.c[name]
    return _TIMES[name]


def _number(value: int) -> ColumnElement[int]:
    # Written out: a parameter would have to be bound by everybody who runs the statement.
    return literal_column(str(value), Integer)


def _modulo(dividend: ColumnElement[int], divisor: int) -> ColumnElement[int]:
    """Return the remainder from 0 on: SQLite's own is negative for times before 1970."""
    number = _number(divisor)
    return (dividend % number + number) % number


def _on_day(form: str, day: ColumnElement[int]) -> ColumnElement[str]:
    """Return ``strftime`` of a day, counted from 1970-01-01 on."""
    seconds = day * _number(86_400)
    return func.strftime(literal_column(f"'{form}'"), seconds, literal_column("'unixepoch'"))


def _iso_week(day: ColumnElement[int]) -> ColumnElement[str]:
    """Return the ISO week as ``2026-W47``: the year and the seventh of it of its Thursday."""
    # 1970-01-01 was a Thursday: three days later than the week's first.
    thursday = day - _modulo(day + _number(3), 7) + _number(3)
    week = (cast(_on_day("%j", thursday), Integer) + _number(6)) // _number(7)
    return func.printf(literal_column("'%s-W%02d'"), _on_day("%Y", thursday), week)


_DAY_US: Final = 86_400_000_000
_DAY: Final = (runs.c.recorded_at_us - _modulo(runs.c.recorded_at_us, _DAY_US)) // _number(_DAY_US)
_TIMES: Final = {
    "day": _on_day("%Y-%m-%d", _DAY),
    "week": _iso_week(_DAY),
    "month": _on_day("%Y-%m", _DAY),
}
