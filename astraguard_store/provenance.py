"""What a run was: its scenario, its software and its machine; frozen values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from numbers import Integral
from operator import index
from typing import Any, Final, NamedTuple

from astraguard_store.checks import check_name
from astraguard_store.exceptions import InvalidRunError
from astraguard_store.frozen import FrozenMapping
from astraguard_store.shown import Shown, dict_of, html_of

ProvenanceValue = str | int | bool | datetime | None

PERCENTILE_DEFINITION = "s[int(n*q)]"
"""How the statistics of a run are defined; see `MetricSummary`."""

MAX_TEXT_CHARACTERS = 1_000

_NOT_COMPARABLE = ("scenario", "host", "percentile_definition")
# They differ between any two runs, so they say nothing about a change.
_TIMES = frozenset({"started_at", "finished_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit(Shown):
    """Which piece of hardware a satellite was; None is what isn't known.

    Attributes:
        serial: Its serial number.
        hardware: Version of its hardware.
        firmware: Version of its firmware.

    Raises:
        InvalidRunError: A value is no string, too long, or can't be stored.
    """

    serial: str | None = None
    hardware: str | None = None
    firmware: str | None = None

    def __post_init__(self) -> None:
        for name in UNIT_FIELDS:
            value = getattr(self, name)
            if value is not None:
                _text(f"{name} of a unit", value)

    def values(self) -> tuple[str | None, ...]:
        """Return the values of all attributes, in their order."""
        return self.serial, self.hardware, self.firmware


UNIT_FIELDS: Final = tuple(field.name for field in fields(Unit))

NO_UNITS: Final[FrozenMapping[str, Unit]] = FrozenMapping({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance(Shown):
    """What a run was; None is what isn't known.

    A save fills in by itself what is None and can be learned where it runs: the
    git fields, host, platform and Python, and, from the measurements, when the
    run started and finished.

    Attributes:
        scenario: The scenario's name.
        seed: Of its random numbers, at most 63 bits.
        software_version: Of the software under test.
        git_commit: Its commit, hex.
        git_branch: Its branch; None also if it is on none.
        git_dirty: Whether tracked files differed from the commit.
        host: The machine's name.
        platform: Its system and processor, as Python's `platform` says.
        python: Python's version.
        rig: The test rig.
        firmware: Version of the rig's firmware.
        started_at: Aware; kept in UTC to the microsecond.
        finished_at: Aware; kept in UTC to the microsecond.
        percentile_definition: How the percentiles are defined; set by the store.
        units: {satellite: which piece of hardware it was}.

    Raises:
        InvalidRunError: A value is of the wrong type, too long, holds a character
            that can't be stored, or a time has no zone.
    """

    scenario: str | None = None
    seed: int | None = None
    software_version: str | None = None
    git_commit: str | None = None
    git_branch: str | None = None
    git_dirty: bool | None = None
    host: str | None = None
    platform: str | None = None
    python: str | None = None
    rig: str | None = None
    firmware: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    percentile_definition: str | None = None
    units: Mapping[str, Unit] = NO_UNITS

    def __post_init__(self) -> None:
        for name in PROVENANCE_FIELDS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _checked(name, value))
        if self.units is not NO_UNITS:
            object.__setattr__(self, "units", _checked_units(self.units))

    @staticmethod
    def of_values(
        values: Sequence[ProvenanceValue], units: Mapping[str, Unit] = NO_UNITS
    ) -> Provenance:
        """Return what a save has checked and stored; *values* as of `Provenance.values`."""
        # Checking them again takes 8 µs, a fifth of reading a run.
        made = object.__new__(Provenance)
        for set_in, value in zip(_SETTERS, values, strict=True):
            set_in(made, value)
        _SET_UNITS(made, units)
        return made

    def of_run(self, started_at: datetime | None, finished_at: datetime | None) -> Provenance:
        """Return this with the times of a run, UTC, and how the store defines percentiles.

        Args:
            started_at: When its first event was measured; None where that isn't known.
            finished_at: When its last one was.
        """
        values = (*self.values()[:-3], started_at, finished_at, PERCENTILE_DEFINITION)
        return Provenance.of_values(values, self.units)

    def values(self) -> tuple[ProvenanceValue, ...]:
        """Return the values of all attributes but the units, in their order."""
        return tuple(getattr(self, name) for name in PROVENANCE_FIELDS)

    def known(self) -> Iterator[tuple[str, ProvenanceValue]]:
        """Yield (name, value) of what is known but the units, in the order of the attributes."""
        for name in PROVENANCE_FIELDS:
            if (value := getattr(self, name)) is not None:
                yield name, value

    def filled_from(self, other: Provenance) -> Provenance:
        """Return this with what it doesn't know taken from *other*.

        The git fields are taken together or not at all: they speak of one checkout.
        """
        own, learned = dict(self.known()), dict(other.known())
        if any(name in own for name in _GIT_FIELDS):
            learned = {name: value for name, value in learned.items() if name not in _GIT_FIELDS}
        units = self.units or other.units
        return Provenance(**{**learned, **own}, units=units)  # type: ignore[arg-type]


_GIT_FIELDS = frozenset({"git_commit", "git_branch", "git_dirty"})
PROVENANCE_FIELDS = tuple(field.name for field in fields(Provenance) if field.name != "units")
# Of a frozen class: in a third of the time of `object.__setattr__`.
_SETTERS = tuple(getattr(Provenance, name).__set__ for name in PROVENANCE_FIELDS)
_SET_UNITS = Provenance.__dict__["units"].__set__

UNKNOWN_PROVENANCE: Final = Provenance()


class ProvenanceChange(NamedTuple):
    """What differs between what two runs were.

    Attributes:
        name: The attribute of `Provenance`; of a unit ``units.SAT001.firmware``.
        baseline: Its value in the baseline; None where it isn't known.
        candidate: Its value in the candidate; None where it isn't known.
    """

    name: str
    baseline: ProvenanceValue
    candidate: ProvenanceValue

    @property
    def forbids_comparison(self) -> bool:
        """Whether the runs' numbers can't be compared: both sides are known and differ."""
        known = self.baseline is not None and self.candidate is not None
        return known and self.name in _NOT_COMPARABLE

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for JSON; nothing is rounded."""
        return dict_of(self)

    def _repr_html_(self) -> str:
        return html_of(self)


def provenance_changes(
    baseline: Provenance, candidate: Provenance
) -> tuple[ProvenanceChange, ...]:
    """Return what differs, but for the times, which always do."""
    return (
        *changes_of_values(baseline.values(), candidate.values()),
        *changes_of_units(baseline.units, candidate.units),
    )


def changes_of_units(
    baseline: Mapping[str, Unit], candidate: Mapping[str, Unit]
) -> tuple[ProvenanceChange, ...]:
    """Return what differs between the units of two runs, by satellite."""
    unknown = Unit()
    return tuple(
        ProvenanceChange(f"units.{satellite_id}.{name}", before, after)
        for satellite_id in sorted(baseline.keys() | candidate.keys())
        for name, before, after in zip(
            UNIT_FIELDS,
            baseline.get(satellite_id, unknown).values(),
            candidate.get(satellite_id, unknown).values(),
            strict=True,
        )
        if before != after
    )


def changes_of_values(
    baseline: Sequence[ProvenanceValue], candidate: Sequence[ProvenanceValue]
) -> tuple[ProvenanceChange, ...]:
    """Return the same of the values that `Provenance.values` gives."""
    return tuple(
        ProvenanceChange(name, before, after)
        for name, before, after in zip(PROVENANCE_FIELDS, baseline, candidate, strict=True)
        if before != after and name not in _TIMES
    )


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return *tags* as a dict if all can be stored; a value may be empty.

    Raises:
        InvalidRunError: A name or value is no string, is too long or can't be stored.
    """
    return {tag: _tag_value(tag, value) for tag, value in _named(tags)}


def check_tag_changes(changes: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return *changes* as a dict if all can be made; None removes a tag.

    Raises:
        InvalidRunError: As of `check_tags`.
    """
    return {
        tag: None if value is None else _tag_value(tag, value) for tag, value in _named(changes)
    }


def _checked_units(units: object) -> FrozenMapping[str, Unit]:
    if not isinstance(units, Mapping):
        raise InvalidRunError(f"Invalid units {units!r}: {{satellite: Unit(…)}} is needed")
    for satellite_id, unit in units.items():
        check_name(satellite_id, "satellite of units")
        if not isinstance(unit, Unit):
            raise InvalidRunError(
                f"Invalid unit {unit!r} of {satellite_id!r}: a Unit is needed, as "
                "Unit(serial=…, hardware=…, firmware=…)"
            )
    return units if isinstance(units, FrozenMapping) else FrozenMapping(units)


def _named(tags: object) -> Iterator[tuple[str, object]]:
    if not isinstance(tags, Mapping):
        raise InvalidRunError(f"Invalid tags {tags!r}: a mapping of names to strings is needed")
    for tag, value in tags.items():
        yield check_name(tag, "tag"), value


def _tag_value(tag: str, value: object) -> str:
    return _text(f"value of tag {tag!r}", value)


def _checked(name: str, value: object) -> ProvenanceValue:
    if name == "seed":
        return _seed(value)
    if name == "git_dirty":
        if not isinstance(value, bool):
            raise InvalidRunError(f"Invalid {name} {value!r}: True or False is needed")
        return value
    return _utc(name, value) if name in _TIMES else _text(name, value)


def _seed(value: object) -> int:
    try:
        # NumPy's integers are taken; its time spans, which it counts among them, aren't. Nor are
        # its truth values, which before NumPy 2.3 are an index.
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        seed = index(value) if is_whole else None  # type: ignore[arg-type]
    except TypeError:
        seed = None
    if seed is None:
        raise InvalidRunError(f"Invalid seed {value!r}: an integer is needed")
    if not -(2**63) <= seed < 2**63:
        raise InvalidRunError(f"Invalid seed {value!r}: it has more than 63 bits")
    return seed


def _text(name: str, value: object) -> str:
    return "" if value == "" else check_name(value, name, MAX_TEXT_CHARACTERS)


def _utc(name: str, value: object) -> datetime:
    if not isinstance(value, datetime):
        raise InvalidRunError(f"Invalid {name} {value!r}: a datetime is needed")
    if value.utcoffset() is None:
        raise InvalidRunError(f"Invalid {name} {value!r}: it has no time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise InvalidRunError(
            f"Invalid {name} {value!r}: in UTC it isn't in years 1 to 9999"
        ) from error
