"""What a chart shows, whoever draws it: numbers, ends of axes, ticks and words; pure.

There are two drawers, and one way to draw a chart: what is decided is decided here. `svg` draws
for reports, pages and the README: it needs no package, and takes a millisecond. `charts` makes
Vega-Altair charts for notebooks, where people zoom, restyle and save them. vl-convert could make
SVG of those, but it is an extra, and starts by bundling JavaScript for 7 s.

Times lie on a log axis. Shares lie on an axis of nines, 50 %, 90 %, 99 %, so that the tail has
as much room as the middle. A missed event never arrives: the curve ends at the share that
did, and a dashed line goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10
from typing import Final, NamedTuple

from astraguard_store.distributions import Distribution, RunDistribution
from astraguard_store.history import History, HistoryPoint, value_of
from astraguard_store.model import AtLeast
from astraguard_store.over_time import TimeSlice
from astraguard_store.presentation.numbers import (
    Unit,
    change_text,
    count_text,
    in_unit,
    unit_of,
)
from astraguard_store.presentation.style import PALETTE
from astraguard_store.presentation.text import band_text, quantile_text, shortened
from astraguard_store.quantile_changes import QuantileChanges, ratio_range
from astraguard_store.shown import printable

SHARES: Final = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999)
"""Where an axis of shares has its ticks."""

_NO_PLACE: Final = "0 ms each time that it came, which has no place on a log axis"
_MARKED: Final = (0.5, 0.95, 0.99)
_NINES: Final = 3.0
_LONGEST_NAME: Final = 60
_MOST_ROWS: Final = 6
_ROOM: Final = 0.12
# Of text of 12 px, a little more than what most letters are wide.
_LETTER_PX: Final = 6.8


def colour(number: int) -> str:
    """Return the colour of the run or group of that number."""
    return PALETTE[number % len(PALETTE)]


def nines(share: float) -> float:
    """Return how many nines a share has, three at most: 0.9 has one, 0.99 has two."""
    return min(log10(1 / max(1 - share, 10**-_NINES)), _NINES)


def share_text(share: float) -> str:
    """Return a share as ``99.9 %``."""
    return f"{share * 100:g} %"


class Mark(NamedTuple):
    """A percentile on a curve: its share, its place in ms, and what is said of it."""

    share: float
    place_ms: float
    said: str


class Curve(NamedTuple):
    """The cumulative distribution of one run.

    Attributes:
        name: The run's, as it can be shown.
        said: Its percentiles, exact where the run keeps them, and what was missed.
        missed: How many of its events never came.
        points: (duration in ms, share that took no longer), ascending, in steps.
        marks: The percentiles that aren't among the missed.
    """

    name: str
    said: str
    missed: int
    points: tuple[tuple[float, float], ...]
    marks: tuple[Mark, ...]

    @property
    def legend(self) -> str:
        """The entry of a legend, of a hundred characters or a few more."""
        return f"{shortened(self.name, max(_LONGEST_NAME, 98 - len(self.said)))}: {self.said}"


class DistributionShape(NamedTuple):
    """Cumulative distributions over one another, from *low_ms* to *high_ms*."""

    title: str
    unit: Unit
    low_ms: float
    high_ms: float
    curves: tuple[Curve, ...]


def distribution_shape(distribution: Distribution, most_points: int) -> DistributionShape | str:
    """Return the shape, with so many points a curve, or why there is none."""
    runs = [run for run in distribution.runs if run.cumulative()]
    times = [time for run in runs for time, _ in run.cumulative() if time > 0]
    if not times:
        why = f"It took {_NO_PLACE}" if runs else "No event of it was measured"
        return f"{why}, so there is no chart."
    # Room at the right for what never came.
    beyond = 1.3 if any(run.missed for run in runs) else 1.05
    low, high = min(times) / 1.05, max(times) * beyond
    unit = unit_of(run.percentile(0.95) for run in runs)
    where = f" on {distribution.satellite_id}" if distribution.satellite_id else ""
    title = f"{_short(distribution.metric_type + where)}: share of events within a time"
    curves = tuple(_curve(run, unit, low, most_points) for run in runs)
    return DistributionShape(f"{title}, {unit.name}", unit, low, high, curves)


def _curve(run: RunDistribution, unit: Unit, low: float, most: int) -> Curve:
    # A mark lies on the curve, which is of buckets; what is said of it is exact.
    marks = tuple(
        Mark(q, max(float(place), low), f"{quantile_text(q)} {_percentile(run, q, unit)}")
        for q in _MARKED
        if (place := run.quantile(q)) is not None and not isinstance(place, AtLeast)
    )
    points = _thinned(run.cumulative(), [run.quantile(mark.share) for mark in marks], most)
    said = ", ".join(f"{quantile_text(q)} {_percentile(run, q, unit)}" for q in _MARKED)
    said += f" {unit.name}" + (f", {count_text(run.missed)} missed" if run.missed else "")
    # 0 ms lies at the axis' end.
    kept = tuple((max(time, low), share) for time, share in points)
    return Curve(printable(run.run_id), said, run.missed, kept, marks)


def _percentile(run: RunDistribution, q: float, unit: Unit) -> str:
    value = run.percentile(q)
    about = "" if run.summary is not None or isinstance(value, AtLeast) else "≈ "
    return f"{about}{in_unit(value, unit)}"


def _thinned(
    points: Sequence[tuple[float, float]], marked: Sequence[object], most: int
) -> list[tuple[float, float]]:
    """Return *most* points or a few more: the tail, and what is *marked*, stay."""
    half = max(most // 2, 1)
    every, tail = ceil(len(points) / half), len(points) - half
    return [
        (time, share)
        for place, (time, share) in enumerate(points)
        if place >= tail or place % every == 0 or time in marked
    ]


class Trend(NamedTuple):
    """One group of a history.

    Attributes:
        name: The group's; ``all`` where it isn't taken apart.
        said: What a legend says; empty where it has nothing to tell.
        points: (place of the run, its value in ms, the point), those with a value.
        band: The lowest and highest of a baseline's runs, ms; None for none.
    """

    name: str
    said: str
    points: tuple[tuple[int, float, HistoryPoint], ...]
    band: tuple[float, float] | None


class Event(NamedTuple):
    """A line at a run: a step of a trend, or what was new from that run on."""

    place: int
    said: str
    trend: int | None


class HistoryShape(NamedTuple):
    """Trends over *runs* runs, each of which has its place, the oldest 0."""

    title: str
    unit: Unit
    low_ms: float
    high_ms: float
    runs: int
    trends: tuple[Trend, ...]
    events: tuple[Event, ...]


def history_shape(history: History, statistic: str) -> HistoryShape | str:
    """Return the shape, or why there is none."""
    bands = history.bands(statistic)
    known = [float(v) for p in history.points if (v := value_of(p, statistic)) is not None]
    ends = [
        value for value in [*known, *(e for band in bands.values() for e in band)] if value > 0
    ]
    if not ends:
        why = f"It took {_NO_PLACE}" if known else "No run measured it"
        return f"{why}, so there is no chart."
    unit = unit_of(known)
    low, high = min(ends) / 1.1, max(ends) * 1.1
    runs = sorted({(point.recorded_at, point.run_id) for point in history.points})
    places = {run_id: place for place, (_, run_id) in enumerate(runs)}
    steps = frozenset(history.changes(statistic))
    trends, events = [], []
    for number, (group, points) in enumerate(history.groups().items()):
        placed = tuple(
            (places[point.run_id], max(float(value), low), point)
            for point in points
            if (value := value_of(point, statistic)) is not None
        )
        name = printable(group or "-") if history.by else "all"
        trends.append(Trend(name, _said(history, group, unit, bands), placed, bands.get(group)))
        events += [
            Event(place, printable(f"changed{_commit(point)}"), number)
            for place, _, point in placed
            if point in steps
        ]
    events += [
        Event(places[run_id], _short(said), None)
        for run_id, said in history.news.items()
        if run_id in places
    ]
    name = statistic.removesuffix("_ms")
    title = f"{_short(history.metric_type)}: {name} of each run, {unit.name}, oldest left"
    # Room for what is said of steps above, and of what is new below.
    room = (high / low) ** _ROOM
    high *= room if any(event.trend is not None for event in events) else 1.0
    low /= room if any(event.trend is None for event in events) else 1.0
    return HistoryShape(title, unit, low, high, len(runs), tuple(trends), tuple(events))


def _said(
    history: History,
    group: str | None,
    unit: Unit,
    bands: dict[str | None, tuple[float, float]],
) -> str:
    """Return what a legend says of a group, and between what the baseline's runs of it lie."""
    said = [f"{history.by} {group or '-'}"] if history.by else []
    if history.baseline_name is not None:
        said.append(f"baseline {band_text(history.baseline_name, bands.get(group), unit)}")
    return printable(": ".join(said))


def _commit(point: HistoryPoint) -> str:
    return f" at {point.git_commit[:12]}" if point.git_commit else ""


def label_rows(labels: Iterable[tuple[float, str]], right: float) -> list[int | None]:
    """Return in which row each label stands, so that none lies on another; None for no room.

    Args:
        labels: Where each begins, px, and what it says; one that would reach over *right*
            ends there, as `label_start` says.
        right: Where the plot ends, px.
    """
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_MOST_ROWS)]
    found: list[int | None] = []
    for x, said in labels:
        start = label_start(x, said, right)
        end = start + len(said) * _LETTER_PX + 4
        free = (n for n, row in enumerate(taken) if all(end < a or start > b for a, b in row))
        row = next(free, None)
        if row is not None:
            taken[row].append((start, end))
        found.append(row)
    return found


def label_start(x: float, said: str, right: float) -> float:
    """Return where a label begins that belongs to *x*, so that it doesn't leave the picture."""
    return min(x + 4, right - len(said) * _LETTER_PX)


class TimesShape(NamedTuple):
    """Percentiles of runs over the time of their scenario.

    Attributes:
        title: With the unit.
        unit: Of all of them.
        low_ms: The lowest end of the axis.
        high_ms: The highest.
        start_s: The first time.
        end_s: The last.
        runs: (name, what a legend says, its slices), each.
        statistics: ``p95``, and of one run alone ``p50`` too.
    """

    title: str
    unit: Unit
    low_ms: float
    high_ms: float
    start_s: float
    end_s: float
    runs: tuple[tuple[str, str, Sequence[TimeSlice]], ...]
    statistics: tuple[str, ...]


def times_shape(
    metric_type: str, runs: Sequence[tuple[str, Sequence[TimeSlice]]]
) -> TimesShape | str:
    """Return the shape, or why there is none.

    Args:
        metric_type: Of what.
        runs: (run id, its slices), each; those without measurements have none.
    """
    statistics = ("p50", "p95") if len(runs) == 1 else ("p95",)
    every = [one for _, slices in runs for one in slices]
    came = [v for one in every for name in statistics if (v := arrived(one, name)) is not None]
    known = [value for value in came if value > 0]
    name = _short(metric_type)
    if not known:
        why = "no event of it came" if every else "the measurements aren't kept here"
        why = f"it took {_NO_PLACE}" if came else why
        return f"{name}: nothing over the scenario's time, {why}."
    unit = unit_of(known)
    title = f"{name}: {' (dashed) and '.join(statistics)} over the scenario's time, {unit.name}"
    return TimesShape(
        title,
        unit,
        min(known) / 1.1,
        max(known) * 1.1,
        min(one.start_s for one in every),
        max(one.end_s for one in every),
        tuple((printable(run_id), _times_text(slices), slices) for run_id, slices in runs),
        statistics,
    )


def arrived(one: TimeSlice, statistic: str) -> float | None:
    """Return a percentile of a slice, ms; None if it is among what never came.

    A line has a gap there.
    """
    value: float | AtLeast = getattr(one, statistic)
    return None if isinstance(value, AtLeast) else value


def middle(one: TimeSlice) -> float:
    """Return the time of a slice, s."""
    return (one.start_s + one.end_s) / 2


def _times_text(slices: Sequence[TimeSlice]) -> str:
    if not slices:
        return "its measurements aren't kept here"
    missed = sum(one.missed for one in slices)
    return f"{count_text(missed)} never came (×)" if missed else ""


class RatioPoint(NamedTuple):
    """How many times as long a quantile took, and between which factors that lies."""

    quantile: float
    ratio: float
    low: float
    high: float


class ChangesShape(NamedTuple):
    """How runs differ from a baseline at each quantile, from *low* to *high* times it.

    Attributes:
        title: What it is.
        low: The lowest end of the axis of ratios.
        high: The highest.
        last: The highest quantile.
        ticks: (ratio, its text): percent below twice as much, else ``×5``.
        runs: (name, its points), each; without points it has too few events.
    """

    title: str
    low: float
    high: float
    last: float
    ticks: tuple[tuple[float, str], ...]
    runs: tuple[tuple[str, tuple[RatioPoint, ...]], ...]


def changes_shape(
    metric_type: str, baseline: str, changes: Sequence[QuantileChanges]
) -> ChangesShape | str:
    """Return the shape, or why there is none."""
    points = [point for run in changes for point in run.changes]
    if not points:
        return f"{_short(metric_type)}: too few events for a difference by quantile."
    low, high = ratio_range(points)

    def ratio(change: float | None, unknown: float) -> float:
        # An open end, and what lies beyond the chart, is drawn to its edge.
        return unknown if change is None else min(max(1 + change, low), high)

    runs = tuple(
        (
            printable(run.candidate),
            tuple(
                RatioPoint(
                    p.quantile, ratio(p.change, 1.0), ratio(p.low, low), ratio(p.high, high)
                )
                for p in run.changes
            ),
        )
        for run in changes
    )
    title = f"{_short(metric_type)}: against {_short(baseline)}, by quantile, with 95 % intervals"
    last = max(0.9, *(point.quantile for point in points))
    return ChangesShape(title, low, high, last, tuple(_ratio_ticks(low, high)), runs)


def _ratio_ticks(low: float, high: float) -> list[tuple[float, str]]:
    if high < 2 and low > 0.5:
        return [(1 + n, change_text(n)) for n in even_ticks(low - 1, high - 1)]
    return [(n, f"×{tick_text(n)}") for n in sorted({*_log_ticks(low, high), 1.0})]


def time_ticks(low_ms: float, high_ms: float, unit: Unit) -> list[tuple[float, str]]:
    """Return round (ms, its text): decades, and 2 and 5 of each where these are few."""
    ticks = _log_ticks(low_ms / unit.ms, high_ms / unit.ms)
    return [(tick * unit.ms, tick_text(tick)) for tick in ticks]


def _log_ticks(first: float, last: float) -> list[float]:
    decades = range(floor(log10(first)), ceil(log10(last)) + 1)
    steps = (1, 2, 5) if last / first < 300 else (1,)
    # As decimals: a product with 0.001 has digits of its own.
    round_ones = [float(f"{s}e{d}") for d in decades for s in steps]
    ticks = [tick for tick in round_ones if first <= tick <= last]
    return ticks if len(ticks) > 1 else even_ticks(first, last)


def tick_text(tick: float) -> str:
    """Return a round number without zeros at its end."""
    return f"{tick:,.9f}".rstrip("0").rstrip(".")


def even_ticks(low: float, high: float) -> list[float]:
    """Return some five round numbers from *low* to *high*."""
    if high <= low:
        return [low]
    step = 10.0 ** floor(log10((high - low) / 4))
    step *= next(s for s in (5, 2, 1) if (high - low) / (step * s) >= 4 or s == 1)
    return [n * step for n in range(ceil(low / step), floor(high / step) + 1)]


def _short(name: str) -> str:
    return shortened(printable(name), _LONGEST_NAME)
