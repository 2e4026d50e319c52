"""Which changes count: `Limits`, as values or as TOML; an error names the key."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from astraguard_store.exceptions import GateError
from astraguard_store.shown import Shown

STATISTICS: Final = ("p50", "p95", "p99")
"""The statistics of a run that are judged."""

DEFAULT_RELATIVE: Final = 0.05
"""From which relative change on a slow-down counts, if it is proven."""

REFERENCE: Final = "reference"
"""The metric type of the in-run reference, which is never judged."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class CellLimits(NamedTuple):
    """What holds for one metric type, on one satellite or on all.

    Attributes:
        statistics: Which of them are judged.
        relative: {statistic: relative change from which on it counts}; 0.05 is 5 %.
        absolute_ms: Change in ms from which on it counts; both limits have to be passed.
        deadline_ms: What latencies shall not be above, ms; None: there is no deadline.
        at_most: The share of events that may be later than that, or missed.
        missed: The rise of the share of missed events that is allowed.
    """

    statistics: tuple[str, ...]
    relative: Mapping[str, float]
    absolute_ms: float
    deadline_ms: float | None
    at_most: float | None
    missed: float


class _Level(NamedTuple):
    """What is said of a metric type, of a satellite, or of both."""

    key: str
    limits: Mapping[str, Any]
    metric_type: str | None
    satellite_id: str | None

    def holds_for(self, cell: tuple[str, str | None]) -> bool:
        return self.metric_type in (None, cell[0]) and self.satellite_id in (None, cell[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Shown):
    """Which changes count, for all metric types and for single ones.

    ``relative`` and ``absolute_ms`` say which slow-down matters at all; whether there is
    one is what the runs have to prove. More in docs/verdicts.md.

    Attributes:
        alpha: Probability of a false alarm, over all cells and both directions together.
        statistics: Which of ``p50``, ``p95`` and ``p99`` are judged.
        relative: Relative change from which on it counts, such as 0.05; or
            {statistic: change}, the others 0.05.
        absolute_ms: Change in ms from which on it counts; both have to be passed.
        deadline_ms: Latency that shall hold, ms; with `at_most`.
        at_most: Share of events, 0 to 1, that may be above the deadline, or missed: with
            95 % confidence it is no more.
        missed: Rise of the share of missed events that is allowed, 0 to 1.
        metrics: {metric type: {any of the names above but alpha: value}}; its key
            ``satellites`` has {satellite: the same}.
        satellites: {satellite: {any of the names above but alpha: value}}.

    Raises:
        GateError: A value can't be, or a name is unknown; the message has the key.
    """

    alpha: float = 0.05
    statistics: tuple[str, ...] = STATISTICS
    relative: float | Mapping[str, float] = DEFAULT_RELATIVE
    absolute_ms: float = 0.0
    deadline_ms: float | None = None
    at_most: float | None = None
    missed: float = 0.0
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    satellites: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_share("alpha", self.alpha, above_zero=True)
        own = _checked({name: getattr(self, name) for name in _CHECKS}, "")
        _check_deadline(own, "")
        for name, value in own.items():
            object.__setattr__(self, name, value)
        metrics = {
            name: _checked_metric(_table(limits, f"metrics.{name}"), f"metrics.{name}.")
            for name, limits in _table(self.metrics, "metrics").items()
        }
        if REFERENCE in metrics:
            raise GateError(f"Invalid limit 'metrics.{REFERENCE}': the reference is never judged")
        object.__setattr__(self, "metrics", metrics)
        object.__setattr__(self, "satellites", _checked_satellites(self.satellites, ""))
        self._check_deadlines()

    @classmethod
    def of_toml(cls, text: str, where: str = "the limits") -> Limits:
        """Return the limits of a TOML text whose keys are the names of the attributes.

        Args:
            text: TOML, such as ``relative = 0.1``.
            where: How an error names the text.

        Raises:
            GateError: It is no TOML, a name is unknown, or a value can't be.
        """
        try:
            keys = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise GateError(f"{where}: this is no TOML: {error}") from None
        try:
            _check_known(keys, (*cls.__dataclass_fields__,), "")
            return cls(**keys)
        except GateError as error:
            raise GateError(f"{where}: {error}") from None

    @classmethod
    def read(cls, path: str | Path) -> Limits:
        """Return the limits of a TOML file.

        Args:
            path: The file, in UTF-8.

        Raises:
            GateError: It can't be read, or as `of_toml`; the message names the file.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise GateError(f"the limits {path} can't be read: {error}") from error
        return cls.of_toml(text, str(path))

    def of(self, metric_type: str, satellite_id: str | None = None) -> CellLimits:
        """Return what holds for a metric type, or for it on one satellite.

        What is said of the metric type goes before what is said of the satellite, and
        what is said of both before either.

        Args:
            metric_type: What is measured.
            satellite_id: On which satellite; None for all together.
        """
        of_metric = self.metrics.get(metric_type, _NOTHING)
        limits: dict[str, Any] = {name: getattr(self, name) for name in _CHECKS}
        levels: list[Mapping[str, Any]] = [of_metric]
        if satellite_id is not None:
            levels.insert(0, self.satellites.get(satellite_id, _NOTHING))
            levels.append(of_metric.get("satellites", _NOTHING).get(satellite_id, _NOTHING))
        for level in levels:
            limits.update({name: level[name] for name in _CHECKS if name in level})
        limits["relative"] = _by_statistic(limits["relative"])
        return CellLimits(**limits)

    def of_metrics(self, metric_types: Collection[str]) -> Limits:
        """Return the same without what is said of metric types that aren't in *metric_types*."""
        kept = {name: limits for name, limits in self.metrics.items() if name in metric_types}
        return replace(self, metrics=kept)

    def names_satellites(self) -> bool:
        """Return whether anything is said of single satellites."""
        return bool(self.satellites) or any("satellites" in one for one in self.metrics.values())

    def check_matches(self, cells: Iterable[tuple[str, str | None]]) -> None:
        """Raise `GateError` if a limit is for something that isn't in *cells*.

        Args:
            cells: (metric type, satellite or None for all together) of all that is judged.

        Raises:
            GateError: There is such a limit; the message names it.
        """
        cells = set(cells)
        types = {metric_type for metric_type, _ in cells}
        satellites = {satellite for _, satellite in cells}
        for level in self._levels():
            if level.metric_type not in (None, *types):
                raise GateError(
                    f"the limit '{level.key}' matches nothing: both sides measured "
                    f"{', '.join(sorted(types)) or 'nothing'}"
                )
            if not any(map(level.holds_for, cells)):
                raise _no_satellite(level.key, satellites)
        self._check_statistics_match(cells)

    def _check_statistics_match(self, cells: set[tuple[str, str | None]]) -> None:
        """Refuse a relative limit of a statistic that isn't judged where it is said."""
        of_all = _Level("", {"relative": self.relative}, None, None)
        for level in (of_all, *self._levels()):
            relative, prefix = level.limits.get("relative"), f"{level.key}.".lstrip(".")
            judged = {
                statistic
                for cell in filter(level.holds_for, cells)
                for statistic in self.of(*cell).statistics
            }
            for statistic in relative if judged and isinstance(relative, Mapping) else ():
                if statistic not in judged:
                    raise GateError(
                        f"the limit '{prefix}relative.{statistic}' matches nothing: judged "
                        f"there are {', '.join(sorted(judged))}"
                    )

    def _levels(self) -> Iterator[_Level]:
        """Yield what is said of metric types, of satellites, and of both."""
        for name, limits in self.metrics.items():
            yield _Level(f"metrics.{name}", limits, name, None)
            for satellite, of_both in limits.get("satellites", _NOTHING).items():
                yield _Level(f"metrics.{name}.satellites.{satellite}", of_both, name, satellite)
        for satellite, limits in self.satellites.items():
            yield _Level(f"satellites.{satellite}", limits, None, satellite)

    def _check_deadlines(self) -> None:
        """Refuse a deadline that ends up without its share, wherever both come from."""
        for level in self._levels():
            found = self.of(level.metric_type or "", level.satellite_id)
            _check_deadline(found._asdict(), f"{level.key}.")


def _no_satellite(key: str, satellites: set[str | None]) -> GateError:
    if satellites <= {None}:
        return GateError(
            f"the limit '{key}' matches nothing: satellites are judged with by_satellite "
            "(--by-satellite)"
        )
    return GateError(f"the limit '{key}' matches nothing: no such satellite on both sides")


def _by_statistic(relative: float | Mapping[str, float]) -> Mapping[str, float]:
    if isinstance(relative, Mapping):
        return {name: relative.get(name, DEFAULT_RELATIVE) for name in STATISTICS}
    return dict.fromkeys(STATISTICS, relative)


def _check_known(keys: Mapping[str, Any], known: Iterable[str], prefix: str) -> None:
    known = tuple(known)
    for key in keys:
        if key not in known:
            raise GateError(f"Unknown limit '{prefix}{key}': there are {', '.join(known)}")


def _table(value: object, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise GateError(f"Invalid limit '{key}' {value!r}: a table of limits is needed")
    return value


def _checked_metric(limits: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    _check_known(limits, (*_CHECKS, "satellites"), prefix)
    own = {name: value for name, value in limits.items() if name != "satellites"}
    checked = _checked(own, prefix)
    if "satellites" in limits:
        checked["satellites"] = _checked_satellites(limits["satellites"], prefix)
    return checked


def _checked_satellites(satellites: object, prefix: str) -> dict[str, dict[str, Any]]:
    found = {}
    for name, limits in _table(satellites, f"{prefix}satellites").items():
        own = _table(limits, f"{prefix}satellites.{name}")
        _check_known(own, _CHECKS, f"{prefix}satellites.{name}.")
        found[name] = _checked(own, f"{prefix}satellites.{name}.")
    return found


def _checked(limits: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        name: value if value is None else _CHECKS[name](f"{prefix}{name}", value)
        for name, value in limits.items()
    }


def _check_deadline(limits: Mapping[str, Any], prefix: str) -> None:
    deadline_ms, at_most = limits.get("deadline_ms"), limits.get("at_most")
    if (deadline_ms is None) != (at_most is None):
        there, missing = (
            ("deadline_ms", "at_most") if at_most is None else ("at_most", "deadline_ms")
        )
        raise GateError(f"Invalid limit '{prefix}{there}': it needs '{missing}' beside it")


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise GateError(f"Invalid limit '{key}' {value!r}: a number is needed")
    return float(value)


def _check_share(key: str, value: object, *, above_zero: bool = False) -> float:
    share = _number(key, value)
    if not 0 <= share < 1 or (above_zero and share == 0):
        least = "above 0" if above_zero else "from 0 on"
        raise GateError(f"Invalid limit '{key}' {value!r}: a share {least} and below 1 is needed")
    return share


def _check_positive(key: str, value: object) -> float:
    number = _number(key, value)
    if number < 0:
        raise GateError(f"Invalid limit '{key}' {value!r}: it can't be below 0")
    return number


def _check_statistics(key: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise GateError(f"Invalid limit '{key}' {value!r}: a list is needed, such as ['p50']")
    names = tuple(value)
    for name in names:
        if name not in STATISTICS:
            raise GateError(
                f"Invalid limit '{key}' {name!r}: a statistic is one of {', '.join(STATISTICS)}"
            )
    if not names or len(set(names)) < len(names):
        raise GateError(f"Invalid limit '{key}' {list(names)!r}: each once, and at least one")
    return names


def _check_relative(key: str, value: object) -> float | dict[str, float]:
    if isinstance(value, Mapping):
        _check_known(value, STATISTICS, f"{key}.")
        return {name: _check_positive(f"{key}.{name}", one) for name, one in value.items()}
    return _check_positive(key, value)


_CHECKS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "statistics": _check_statistics,
    "relative": _check_relative,
    "absolute_ms": _check_positive,
    "deadline_ms": _check_positive,
    "at_most": _check_share,
    "missed": _check_share,
}
