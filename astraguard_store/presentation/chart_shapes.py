"""What a chart shows, whoever draws it: its axes, and what lies on them; pure.

There are two drawers, and one way to draw a chart: what is decided is decided here. `svg` draws
for reports, pages and the README: it needs no package, and takes a millisecond. `charts` makes
Vega-Altair charts for notebooks, where people zoom, restyle and save them. vl-convert could make
SVG of those, but it is an extra, and starts by bundling JavaScript for 7 s. Each of them knows
how one axis and each kind of part is drawn, and nothing of what a chart is about.

Times lie on a log axis. Shares lie on an axis of nines, 50 %, 90 %, 99 %, so that the tail has
as much room as the middle. A missed event never arrives: the curve ends at the share that
did, and a dashed line goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from typing import Any, Final, NamedTuple

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

_SHARES: Final = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999)
_NO_PLACE: Final = "0 ms each time that it came, which has no place on a log axis"
_MARKED: Final = (0.5, 0.95, 0.99)
_NINES: Final = 3.0
_LONGEST_NAME: Final = 60
_MOST_ROWS: Final = 6
_ROOM: Final = 0.12
# Of text of 12 px, a little more than what most letters are wide.
_LETTER_PX: Final = 6.8


class Axis(NamedTuple):
    """An axis; what lies on it is in its unit.

    Attributes:
        title: What stands beside it.
        low: Its lowest end.
        high: Its highest.
        ticks: (where, what is said there), each.
        is_log: Whether the logarithms of numbers lie evenly on it, else the numbers.
    """

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return where a number lies: 0 at the lowest end, 1 at the highest."""
        if self.is_log:
            return log10(max(value, self.low) / self.low) / log10(self.high / self.low)
        return (value - self.low) / ((self.high - self.low) or 1.0)


class Point(NamedTuple):
    """A place on a curve: without *y* there is a gap; *told* is what a tooltip tells of it."""

    x: float
    y: float | None
    told: Mapping[str, Any]


class Curve(NamedTuple):
    """A line through points.

    Attributes:
        series: The number of its series, which gives the colour.
        points: In the order of x.
        name: What tells it from the others of the series.
        dash: How it is dashed, as SVG says it.
        is_stepped: Whether it goes up at each point, and not before.
        has_dots: Whether its points are seen.
    """

    series: int
    points: tuple[Point, ...]
    name: str = ""
    dash: str | None = None
    is_stepped: bool = False
    has_dots: bool = False


class Mark(NamedTuple):
    """A dot on a curve of a series, and what is said of it."""

    series: int
    x: float
    y: float
    said: str


class Cross(NamedTuple):
    """A cross at the top, where so many events of a series never came."""

    series: int
    x: float
    missed: int


class Band(NamedTuple):
    """What lies between two heights, over the whole width."""

    series: int
    low: float
    high: float


class Area(NamedTuple):
    """What lies between two lines: (x, low, high), each."""

    series: int
    points: tuple[tuple[float, float, float], ...]


class Level(NamedTuple):
    """A line from *x* to the right end; dotted, with what is said of it, or plain."""

    series: int | None
    x: float
    y: float
    said: str = ""


class Event(NamedTuple):
    """A line from top to bottom: a step of a series, or what was new from there on."""

    series: int | None
    x: float
    event: str


Part = Curve | Mark | Cross | Band | Area | Level | Event


class Picture(NamedTuple):
    """A chart.

    Attributes:
        title: With the unit.
        x: The axis from left to right.
        y: The axis upwards.
        parts: What is drawn, one over the other.
        series: Their names, by number.
        legend: What a legend says of each series; nothing of those where it is empty.
        field: What a series is: a run, or a group of a history.
    """

    title: str
    x: Axis
    y: Axis
    parts: tuple[Part, ...]
    series: tuple[str, ...]
    legend: tuple[str, ...]
    field: str = "run"


def colour(number: int) -> str:
    """Return the colour of the series of that number."""
    return PALETTE[number % len(PALETTE)]


def nines(share: float) -> float:
    """Return how many nines a share has, three at most: 0.9 has one, 0.99 has two."""
    return min(log10(1 / max(1 - share, 10**-_NINES)), _NINES)


def _times_axis(low_ms: float, high_ms: float, unit: Unit) -> Axis:
    low, high = low_ms / unit.ms, high_ms / unit.ms
    ticks = tuple((tick, tick_text(tick)) for tick in log_ticks(low, high))
    return Axis(f"duration, {unit.name}", low, high, ticks, is_log=True)


def _nines_axis(title: str, last: float = _SHARES[-1]) -> Axis:
    ticks = tuple((nines(share), f"{share * 100:g} %") for share in _SHARES if share <= last)
    return Axis(title, 0.0, nines(last), ticks)


def distribution_shape(distribution: Distribution, most_points: int) -> Picture | str:
    """Return cumulative distributions, so many points a curve, or why there are none."""
    runs = [run for run in distribution.runs if run.cumulative()]
    times = [time for run in runs for time, _ in run.cumulative() if time > 0]
    if not times:
        why = f"It took {_NO_PLACE}" if runs else "No event of it was measured"
        return f"{why}, so there is no chart."
    # Room at the right for what never came.
    beyond = 1.3 if any(run.missed for run in runs) else 1.05
    unit = unit_of(run.percentile(0.95) for run in runs)
    x = _times_axis(min(times) / 1.05, max(times) * beyond, unit)
    where = f" on {distribution.satellite_id}" if distribution.satellite_id else ""
    title = f"{_short(distribution.metric_type + where)}: share of events within a time"
    parts = [
        part
        for number, run in enumerate(runs)
        for part in _distribution_parts(number, run, unit, x, most_points)
    ]
    legend = tuple(_percentiles_text(run, unit) for run in runs)
    y = _nines_axis("share of events that took no longer")
    return Picture(f"{title}, {unit.name}", x, y, tuple(parts), legend, legend)


def _distribution_parts(
    number: int, run: RunDistribution, unit: Unit, x: Axis, most: int
) -> list[Part]:
    def place(time_ms: float) -> float:
        return max(time_ms / unit.ms, x.low)  # 0 ms lies at the axis' end

    # A mark lies on the curve, which is of buckets; what is said of it is exact.
    marked = {
        q: value
        for q in _MARKED
        if (value := run.quantile(q)) is not None and not isinstance(value, AtLeast)
    }
    points = tuple(
        Point(place(time), nines(share), {"time": time / unit.ms, "share": share})
        for time, share in _thinned(run.cumulative(), list(marked.values()), most)
    )
    dash = "6 3" if number >= len(PALETTE) else None
    parts: list[Part] = [Curve(number, points, dash=dash, is_stepped=True)]
    if run.missed:
        *_, (last, share) = run.cumulative()
        never = f"{count_text(run.missed)} never came"
        parts.append(Level(number, place(last), nines(share), never))
    return parts + [
        Mark(number, place(value), nines(q), f"{quantile_text(q)} {_percentile(run, q, unit)}")
        for q, value in marked.items()
    ]


def _percentiles_text(run: RunDistribution, unit: Unit) -> str:
    """Return a run's name and percentiles, in a hundred characters or a few more."""
    said = ", ".join(f"{quantile_text(q)} {_percentile(run, q, unit)}" for q in _MARKED)
    said += f" {unit.name}" + (f", {count_text(run.missed)} missed" if run.missed else "")
    return f"{shortened(printable(run.run_id), max(_LONGEST_NAME, 98 - len(said)))}: {said}"


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


def history_shape(history: History, statistic: str) -> Picture | str:
    """Return trends over runs, the oldest at the left, or why there are none."""
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
    curves: list[Part] = []
    events: list[Part] = []
    groups = history.groups()
    for number, points in enumerate(groups.values()):
        placed = [
            (places[point.run_id], max(float(value), low) / unit.ms, point)
            for point in points
            if (value := value_of(point, statistic)) is not None
        ]
        told = tuple(Point(x, y, _told(point, y)) for x, y, point in placed)
        curves.append(Curve(number, told, has_dots=True))
        events += [
            Event(
                number,
                x,
                printable(
                    f"changed at {point.git_commit[:12]}" if point.git_commit else "changed"
                ),
            )
            for x, _, point in placed
            if point in steps
        ]
    # Room for what is said of steps above, and of what is new below.
    room = (high / low) ** _ROOM
    high *= room if events else 1.0
    news = [
        Event(None, places[run_id], _short(said))
        for run_id, said in history.news.items()
        if run_id in places
    ]
    low /= room if news else 1.0
    drawn: list[Part] = [
        Band(number, *(end / unit.ms for end in bands[group]))
        for number, group in enumerate(groups)
        if group in bands
    ]
    name = statistic.removesuffix("_ms")
    return Picture(
        f"{_short(history.metric_type)}: {name} of each run, {unit.name}, oldest left",
        Axis("runs, in order of recording", -0.5, len(runs) - 0.5),
        _times_axis(low, high, unit),
        (*drawn, *curves, *events, *news),
        tuple(printable(group or "-") if history.by else "all" for group in groups),
        tuple(_said(history, group, unit, bands.get(group)) for group in groups),
        "group",
    )


def _told(point: HistoryPoint, value: float) -> dict[str, str | float]:
    commit = printable(point.git_commit or "unknown")[:12]
    return {"run": printable(point.run_id), "value": value, "commit": commit}


def _said(
    history: History, group: str | None, unit: Unit, band: tuple[float, float] | None
) -> str:
    """Return what a legend says of a group, and between what the baseline's runs of it lie."""
    said = [f"{history.by} {group or '-'}"] if history.by else []
    if history.baseline_name is not None:
        said.append(f"baseline {band_text(history.baseline_name, band, unit)}")
    return printable(": ".join(said))


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


def times_shape(
    metric_type: str, runs: Sequence[tuple[str, Sequence[TimeSlice]]]
) -> Picture | str:
    """Return percentiles of runs over the time of their scenario, or why there are none.

    Args:
        metric_type: Of what.
        runs: (run id, its slices), each; those without measurements have none.
    """
    statistics = ("p50", "p95") if len(runs) == 1 else ("p95",)
    every = [one for _, slices in runs for one in slices]
    came = [v for one in every for name in statistics if (v := _arrived(one, name)) is not None]
    known = [value for value in came if value > 0]
    name = _short(metric_type)
    if not known:
        why = "no event of it came" if every else "the measurements aren't kept here"
        why = f"it took {_NO_PLACE}" if came else why
        return f"{name}: nothing over the scenario's time, {why}."
    unit = unit_of(known)
    y = _times_axis(min(known) / 1.1, max(known) * 1.1, unit)
    start, end = min(one.start_s for one in every), max(one.end_s for one in every)
    seconds = tuple((tick, tick_text(tick)) for tick in even_ticks(start, end))
    parts: list[Part] = []
    for number, (_, slices) in enumerate(runs):
        middles = [(one, (one.start_s + one.end_s) / 2) for one in slices]
        for statistic in statistics:
            line = [_slice_point(x, _arrived(one, statistic), unit, y.low) for one, x in middles]
            dash = "4 3" if statistic == "p50" else None
            parts.append(Curve(number, tuple(line), statistic, dash))
        parts += [Cross(number, x, one.missed) for one, x in middles if one.missed]
    names = tuple(printable(run_id) for run_id, _ in runs)
    told = [_times_text(slices) for _, slices in runs]
    return Picture(
        f"{name}: {' (dashed) and '.join(statistics)} over the scenario's time, {unit.name}",
        Axis("time in the scenario, s", start, end, seconds),
        y,
        tuple(parts),
        names,
        tuple(f"{run}: {said}" if said else run for run, said in zip(names, told, strict=True)),
    )


def _arrived(one: TimeSlice, statistic: str) -> float | None:
    """Return a percentile of a slice, ms; None, a gap of its line, among what never came."""
    value: float | AtLeast = getattr(one, statistic)
    return None if isinstance(value, AtLeast) else value


def _slice_point(x: float, value_ms: float | None, unit: Unit, low: float) -> Point:
    y = None if value_ms is None else max(value_ms / unit.ms, low)
    return Point(x, y, {"time": x, "value": y})


def _times_text(slices: Sequence[TimeSlice]) -> str:
    if not slices:
        return "its measurements aren't kept here"
    missed = sum(one.missed for one in slices)
    return f"{count_text(missed)} never came (×)" if missed else ""


def changes_shape(
    metric_type: str, baseline: str, changes: Sequence[QuantileChanges]
) -> Picture | str:
    """Return how many times as long runs take as a baseline, by quantile, or why it isn't said."""
    points = [point for run in changes for point in run.changes]
    if not points:
        return f"{_short(metric_type)}: too few events for a difference by quantile."
    low, high = ratio_range(points)

    def ratio(change: float | None, unknown: float) -> float:
        # An open end, and what lies beyond the chart, is drawn to its edge.
        return unknown if change is None else min(max(1 + change, low), high)

    parts: list[Part] = [Level(None, 0.0, 1.0)]
    for number, run in enumerate(changes, start=1):
        ends = [(nines(p.quantile), ratio(p.low, low), ratio(p.high, high)) for p in run.changes]
        told = [{"quantile": p.quantile, "ratio": ratio(p.change, 1.0)} for p in run.changes]
        line = [Point(x, one["ratio"], one) for (x, _, _), one in zip(ends, told, strict=True)]
        parts += [Area(number, tuple(ends)), Curve(number, tuple(line))] if ends else []
    names = [printable(run.candidate) for run in changes]
    few = ["" if run.changes else ": too few events" for run in changes]
    last = max(0.9, *(point.quantile for point in points))
    return Picture(
        f"{_short(metric_type)}: against {_short(baseline)}, by quantile, with 95 % intervals",
        _nines_axis("quantile", last),
        Axis("times the baseline", low, high, _ratio_ticks(low, high), is_log=True),
        tuple(parts),
        (printable(baseline), *names),
        ("", *map("".join, zip(names, few, strict=True))),
    )


def _ratio_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Return percent below twice as much, else ``×5``."""
    if high < 2 and low > 0.5:
        return tuple((1 + n, change_text(n)) for n in even_ticks(low - 1, high - 1))
    ticks = sorted({*log_ticks(low, high), 1.0})
    return tuple((n, f"×{tick_text(n)}") for n in ticks)


def log_ticks(first: float, last: float) -> list[float]:
    """Return round numbers: decades, and 2 and 5 of each where these are few."""
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
