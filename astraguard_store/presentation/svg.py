"""Charts as SVG, without a script and without a package: for mail, pages and the README.

Times lie on a log axis. Shares lie on an axis of nines, 50 %, 90 %, 99 %, so that the tail has
as much room as the middle. A missed event never arrives: the curve ends at the share that
did, and a dashed line goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil, floor, log10
from typing import Final, NamedTuple

from astraguard_store.distributions import Distribution, RunDistribution
from astraguard_store.history import History, HistoryPoint, value_of
from astraguard_store.model import AtLeast
from astraguard_store.over_time import TimeSlice
from astraguard_store.presentation.html import Html, tag
from astraguard_store.presentation.numbers import (
    Unit,
    change_text,
    count_text,
    in_unit,
    unit_of,
)
from astraguard_store.presentation.style import PALETTE
from astraguard_store.presentation.text import band_text, quantile_text
from astraguard_store.quantile_changes import QuantileChanges, ratio_range

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _PLOT = 720, 64, 16, 34, 40, 260
_SHARES: Final = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999)
_MARKED: Final = (0.5, 0.95, 0.99)
_NINES: Final = 3.0
_MOST_POINTS: Final = 200
_LEGEND_LINE: Final = 18
_MOST_NEWS: Final = 6


class _Axis(NamedTuple):
    """A log axis from *low* to *high*, ms, over the width of the plot."""

    low: float
    high: float

    def x(self, value_ms: float) -> float:
        """Return the place of a duration."""
        low, high = log10(self.low), log10(self.high)
        share = (log10(min(max(value_ms, self.low), self.high)) - low) / (high - low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def distribution_svg(distribution: Distribution) -> Html:
    """Return the cumulative distributions of the runs, one over the other."""
    runs = [run for run in distribution.runs if run.cumulative()]
    times = [time for run in runs for time, _ in run.cumulative() if time > 0]
    if not times:
        return tag("p", "No event of it was measured, so there is no chart.", class_="soft")
    # Room at the right for what never came.
    beyond = 1.3 if any(run.missed for run in runs) else 1.05
    axis = _Axis(min(times) / 1.05, max(times) * beyond)
    unit = unit_of(run.quantile(0.95) for run in runs)
    where = f" on {distribution.satellite_id}" if distribution.satellite_id else ""
    names = ", ".join(run.run_id for run in runs)
    parts = [
        _title(f"{distribution.metric_type}{where}: share of events within a time, {unit.name}"),
        *_share_grid(),
        *_time_grid(axis, unit.ms),
    ]
    for number, run in enumerate(runs):
        parts += _curve(run, axis, PALETTE[number % len(PALETTE)], dashed=number >= len(PALETTE))
    parts += _legend([(run.run_id, _legend_text(run, unit)) for run in runs])
    return _svg(
        parts, len(runs), f"Cumulative distributions of {distribution.metric_type}: {names}"
    )


def history_svg(history: History, statistic: str = "p95") -> Html:
    """Return the trend of one statistic over runs, oldest left, with changes marked."""
    groups = history.groups()
    bands = history.bands(statistic)
    known = [float(v) for p in history.points if (v := value_of(p, statistic)) is not None]
    known += [end for band in bands.values() for end in band]
    positive = [value for value in known if value > 0]
    if not positive:
        return tag("p", "No run measured it, so there is no chart.", class_="soft")
    unit = unit_of(known)
    low, high = min(positive) / 1.1, max(positive) * 1.1
    name = statistic.removesuffix("_ms")
    order = {
        run_id: number
        for number, (_, run_id) in enumerate(
            sorted({(point.recorded_at, point.run_id) for point in history.points})
        )
    }
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(order), 1)

    def x(point: HistoryPoint) -> float:
        return _LEFT + (order[point.run_id] + 0.5) * step

    y = partial(_y_of_time, low, high)
    parts = [_title(f"{history.metric_type}: {name} of each run, {unit.name}, oldest left")]
    for tick in _log_ticks(low, high, unit.ms):
        parts.append(_guide(y(tick)))
        parts.append(_text(_LEFT - 6, y(tick) + 4, in_unit(tick, unit), "end"))
    changes = frozenset(history.changes(statistic))
    for number, (group, points) in enumerate(groups.items()):
        colour = PALETTE[number % len(PALETTE)]
        if group in bands:
            parts.append(_band(y(bands[group][0]), y(bands[group][1]), colour))
        parts += _trend(points, statistic, (x, y), colour, changes)
    parts.append(_text((_WIDTH + _LEFT) / 2, _TOP + _PLOT + 26, "runs, in order of recording"))
    news = {point.run_id: x(point) for point in history.points if point.run_id in history.news}
    # More of them have no room.
    is_said = len(news) <= _MOST_NEWS
    for run_id, at in news.items():
        parts += _new(at, history.news[run_id], is_said=is_said)
    legend = _groups_legend(history, bands, unit)
    return _svg([*parts, *_legend(legend)], len(legend), f"Trend of {history.metric_type} {name}")


def _groups_legend(
    history: History, bands: Mapping[str | None, tuple[float, float]], unit: Unit
) -> list[tuple[str, str]]:
    """Return (group, between what the baseline's runs of it lie); of one trend only that."""
    found = []
    for group in history.groups():
        said = []
        if history.by is not None:
            said.append(f"{history.by} {group or '-'}")
        if history.baseline_name is not None:
            said.append(f"baseline {band_text(history.baseline_name, bands.get(group), unit)}")
        found.append((": ".join(said), ""))
    return [entry for entry in found if entry[0]]


def _band(low: float, high: float, colour: str) -> Html:
    """Return a band over the whole width, between two heights; a line where they are one."""
    return tag(
        "rect",
        x=_LEFT,
        width=_WIDTH - _LEFT - _RIGHT,
        y=round(high, 1),
        height=round(low - high, 1),
        fill=colour,
        fill_opacity=0.12,
        stroke=colour,
        stroke_opacity=0.5,
    )


def _new(x: float, said: str, *, is_said: bool) -> list[Html]:
    """Return a mark of what was new from here on."""
    mark = tag(
        "path",
        tag("title", said),
        d=f"M{x:.1f} {_TOP}v{_PLOT}",
        stroke="currentColor",
        stroke_dasharray="1 4",
    )
    if not is_said:
        return [mark]
    # Texts that begin at the right end would leave the picture.
    anchor, beside = ("end", -4) if x > _WIDTH * 0.7 else ("start", 4)
    return [mark, _text(x + beside, _TOP + _PLOT - 6, said, anchor)]


def times_svg(metric_type: str, runs: Sequence[tuple[str, Sequence[TimeSlice]]]) -> Html:
    """Return the p95 of runs over the time of their scenario; of one alone also its median.

    A cross at the top is where events never came; a line has a gap where its percentile is
    one of them.

    Args:
        metric_type: Of what.
        runs: (run id, its slices), each; those without measurements have none.
    """
    statistics = ("p50", "p95") if len(runs) == 1 else ("p95",)
    every = [one for _, slices in runs for one in slices]
    known = [v for one in every for name in statistics if (v := _arrived(one, name))]
    if not known:
        why = "no event of it came" if every else "the measurements aren't kept here"
        return tag("p", f"{metric_type}: nothing over the scenario's time, {why}.", class_="soft")
    low, high = min(known) / 1.1, max(known) * 1.1
    unit = unit_of(known)
    start, end = min(one.start_s for one in every), max(one.end_s for one in every)
    y = partial(_y_of_time, low, high)

    def x(time_s: float) -> float:
        return _LEFT + (time_s - start) / ((end - start) or 1.0) * (_WIDTH - _LEFT - _RIGHT)

    what = " (dashed) and ".join(statistics)
    title = f"{metric_type}: {what} over the scenario's time"
    parts = [_title(f"{title}, {unit.name}")]
    for tick in _log_ticks(low, high, unit.ms):
        parts += [_guide(y(tick)), _text(_LEFT - 6, y(tick) + 4, in_unit(tick, unit), "end")]
    for tick in _even_ticks(start, end):
        parts.append(_below(x(tick), _TOP + _PLOT + 16, f"{tick:,.9g}"))
    parts.append(_text((_WIDTH + _LEFT) / 2, _TOP + _PLOT + 32, "time in the scenario, s"))
    for number, (_, slices) in enumerate(runs):
        colour = PALETTE[number % len(PALETTE)]
        for name in statistics:
            parts += _times(slices, name, (x, y), colour)
        parts += [_cross(x(_middle(one)), colour) for one in slices if one.missed]
    return _svg([*parts, *_legend([(r, _times_text(s)) for r, s in runs])], len(runs), title)


def _times(
    slices: Sequence[TimeSlice],
    statistic: str,
    places: tuple[Callable[[float], float], Callable[[float], float]],
    colour: str,
) -> list[Html]:
    """Return a line through the slices, with a gap where what it shows never came."""
    x, y = places
    parts: list[list[tuple[float, float]]] = [[]]
    for one in slices:
        value = _arrived(one, statistic)
        if value:
            parts[-1].append((x(_middle(one)), y(value)))
        else:
            parts.append([])
    dash = "4 3" if statistic == "p50" else None
    # A place alone would be no line.
    return [_line(part if len(part) > 1 else part * 2, colour, dash) for part in parts if part]


def _arrived(one: TimeSlice, statistic: str) -> float | None:
    value: float | AtLeast = getattr(one, statistic)
    return None if isinstance(value, AtLeast) else value


def _middle(one: TimeSlice) -> float:
    return (one.start_s + one.end_s) / 2


def _cross(x: float, colour: str) -> Html:
    path = f"M{x - 4:.1f} {_TOP + 2}l8 8m0 -8l-8 8"
    return tag("path", d=path, stroke=colour, stroke_width=2)


def _times_text(slices: Sequence[TimeSlice]) -> str:
    missed = sum(one.missed for one in slices)
    if not slices:
        return "its measurements aren't kept here"
    return f"{count_text(missed)} never came (×)" if missed else ""


def _even_ticks(low: float, high: float) -> list[float]:
    """Return some five round numbers from *low* to *high*."""
    if high <= low:
        return [low]
    step = 10.0 ** floor(log10((high - low) / 4))
    step *= next(s for s in (5, 2, 1) if (high - low) / (step * s) >= 4 or s == 1)
    return [n * step for n in range(ceil(low / step), floor(high / step) + 1)]


def changes_svg(metric_type: str, baseline: str, changes: Sequence[QuantileChanges]) -> Html:
    """Return how runs differ from the baseline at each quantile, with 95 % intervals."""
    points = [point for run in changes for point in run.changes]
    if not points:
        said = f"{metric_type}: too few events for a difference by quantile."
        return tag("p", said, class_="soft")
    low, high = ratio_range(points)
    last = max(0.9, *(point.quantile for point in points))

    def y(change: float | None, unknown: float) -> float:
        ratio = unknown if change is None else min(max(1 + change, low), high)
        return _TOP + _PLOT * (log10(high / ratio) / log10(high / low))

    def x(share: float) -> float:
        return _LEFT + _nines(share) / _nines(last) * (_WIDTH - _LEFT - _RIGHT)

    title = f"{metric_type}: against {baseline}, by quantile"
    parts = [_title(f"{title}, with 95 % intervals")]
    for tick, said in _ratio_ticks(low, high):
        parts += [_guide(y(tick - 1, low)), _text(_LEFT - 6, y(tick - 1, low) + 4, said, "end")]
    for share in (one for one in _SHARES if one <= last):
        parts.append(_below(x(share), _TOP + _PLOT + 16, f"{share * 100:g} %"))
    parts.append(_text((_WIDTH + _LEFT) / 2, _TOP + _PLOT + 32, "quantile"))
    parts.append(_line([(_LEFT, y(0.0, low)), (_WIDTH - _RIGHT, y(0.0, low))], "currentColor"))
    for number, run in enumerate(changes, start=1):
        colour = PALETTE[number % len(PALETTE)]
        upper = [(x(p.quantile), y(p.high, high)) for p in run.changes]
        lower = [(x(p.quantile), y(p.low, low)) for p in run.changes]
        if run.changes:
            parts.append(_area([*upper, *lower[::-1]], colour))
            parts.append(_line([(x(p.quantile), y(p.change, 1.0)) for p in run.changes], colour))
    few = "too few events"
    legend = _legend([(run.candidate, "" if run.changes else few) for run in changes], first=1)
    return _svg([*parts, *legend], len(changes), title)


def _ratio_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round (ratio, its text): percent below twice as much, else ``×5``."""
    if high < 2 and low > 0.5:
        return [(1 + n, change_text(n)) for n in _even_ticks(low - 1, high - 1)]
    return [(n, f"×{n:,.9g}") for n in sorted({*_log_ticks(low, high, 1.0), 1.0})]


def _y_of_time(low: float, high: float, value_ms: float) -> float:
    """Return the place of a duration on a log axis from *low* to *high*, ms, upwards."""
    share = (log10(max(value_ms, low)) - log10(low)) / (log10(high) - log10(low))
    return _TOP + _PLOT * (1 - share)


def _y_of_share(share: float) -> float:
    return _TOP + _PLOT * (1 - _nines(share))


def _nines(share: float) -> float:
    """Return the place of a share on the axis of nines, 0 to 1."""
    return min(-log10(max(1 - share, 10**-_NINES)), _NINES) / _NINES


def _share_grid() -> list[Html]:
    parts = []
    for share in _SHARES:
        y = _y_of_share(share)
        parts.append(_guide(y))
        parts.append(_text(_LEFT - 6, y + 4, f"{share * 100:g} %", "end"))
    return parts


def _time_grid(axis: _Axis, unit_ms: float) -> list[Html]:
    parts = []
    for tick in _log_ticks(axis.low, axis.high, unit_ms):
        x = axis.x(tick)
        parts.append(
            tag("line", x1=x, x2=x, y1=_TOP, y2=_TOP + _PLOT, stroke="currentColor", opacity=0.15)
        )
        parts.append(_below(x, _TOP + _PLOT + 18, f"{tick / unit_ms:,.9g}"))
    return parts


def _log_ticks(low: float, high: float, unit_ms: float) -> list[float]:
    """Return round durations, ms: decades, and 2 and 5 of each where there are few of them."""
    first, last = low / unit_ms, high / unit_ms
    decades = range(floor(log10(first)), ceil(log10(last)) + 1)
    steps = (1, 2, 5) if last / first < 300 else (1,)
    ticks = [s * 10.0**d for d in decades for s in steps if first <= s * 10.0**d <= last]
    if len(ticks) < 2:
        ticks = [first * 1.02, last / 1.02]
        ticks = [float(f"{tick:.3g}") for tick in ticks]
    return [tick * unit_ms for tick in ticks]


def _curve(run: RunDistribution, axis: _Axis, colour: str, *, dashed: bool) -> list[Html]:
    marked = [
        (q, value)
        for q in _MARKED
        if (value := run.quantile(q)) is not None and not isinstance(value, AtLeast)
    ]
    kept = _thinned(run.cumulative(), [value for _, value in marked])
    # In steps, as it is: the quantiles then lie on the line, however few events there are.
    places = []
    before = 0.0
    for time, share in kept:
        places += [(axis.x(time), _y_of_share(before)), (axis.x(time), _y_of_share(share))]
        before = share
    parts = [_line(places, colour, dash="6 3" if dashed else None)]
    if run.missed:
        x, y = places[-1]
        parts.append(
            tag(
                "line",
                x1=x,
                x2=_WIDTH - _RIGHT,
                y1=y,
                y2=y,
                stroke=colour,
                stroke_width=2,
                stroke_dasharray="2 4",
            )
        )
        parts.append(_text(_WIDTH - _RIGHT, y - 5, f"{count_text(run.missed)} never came", "end"))
    for q, value in marked:
        parts.append(tag("circle", cx=axis.x(value), cy=_y_of_share(q), r=4, fill=colour))
    return parts


def _thinned(
    points: Sequence[tuple[float, float]], marked: Sequence[float]
) -> list[tuple[float, float]]:
    """Return so many points as a chart needs: the tail, and what is *marked*, stay."""
    every = max(1, len(points) // _MOST_POINTS)
    tail = len(points) - _MOST_POINTS // 2
    kept = set(marked)
    return [
        (time, share)
        for place, (time, share) in enumerate(points)
        if place >= tail or place % every == 0 or time in kept
    ]


def _trend(
    points: Sequence[HistoryPoint],
    statistic: str,
    places: tuple[Callable[[HistoryPoint], float], Callable[[float], float]],
    colour: str,
    changes: frozenset[HistoryPoint],
) -> list[Html]:
    x, y = places
    known = [(p, float(v)) for p in points if (v := value_of(p, statistic)) is not None]
    parts = [_line([(x(point), y(value)) for point, value in known], colour)]
    for point, value in known:
        parts.append(
            tag(
                "circle",
                tag("title", f"{point.run_id}, commit {(point.git_commit or 'unknown')[:12]}"),
                cx=x(point),
                cy=y(value),
                r=3.5,
                fill=colour,
            )
        )
        if point in changes:
            at = x(point)
            parts.append(
                tag(
                    "line",
                    x1=at,
                    x2=at,
                    y1=_TOP,
                    y2=_TOP + _PLOT,
                    stroke=colour,
                    stroke_dasharray="5 3",
                )
            )
            commit = f" at {point.git_commit[:12]}" if point.git_commit else ""
            parts.append(_text(at + 4, _TOP + 12, f"changed{commit}", "start"))
    return parts


def _legend_text(run: RunDistribution, unit: Unit) -> str:
    known = [(quantile_text(q), run.quantile(q)) for q in _MARKED]
    shown = [
        f"{name} {'' if isinstance(value, AtLeast) else '≈ '}{in_unit(value, unit)}"
        for name, value in known
    ]
    missed = f", {count_text(run.missed)} missed" if run.missed else ""
    return f"{', '.join(shown)} {unit.name}{missed}"


def _legend(entries: Sequence[tuple[str, str]], *, first: int = 0) -> list[Html]:
    """Return a line for each (name, what is said of it), in colours from the *first* on."""
    parts = []
    for number, (name, said) in enumerate(entries):
        y = _TOP + _PLOT + _BOTTOM + 8 + number * _LEGEND_LINE
        colour = PALETTE[(number + first) % len(PALETTE)]
        parts.append(
            tag("line", x1=_LEFT, x2=_LEFT + 24, y1=y - 4, y2=y - 4, stroke=colour, stroke_width=3)
        )
        shown = f"{name}: {said}" if said else name
        parts.append(
            _text(_LEFT + 32, y, shown if len(shown) < 100 else f"{shown[:98]}…", "start")
        )
    return parts


def _line(places: Sequence[tuple[float, float]], colour: str, dash: str | None = None) -> Html:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return tag(
        "path",
        d=f"M{path}",
        fill="none",
        stroke=colour,
        stroke_width=2,
        stroke_linejoin="round",
        stroke_dasharray=dash,
    )


def _area(places: Sequence[tuple[float, float]], colour: str) -> Html:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return tag("path", d=f"M{path}Z", fill=colour, opacity=0.2)


def _guide(y: float) -> Html:
    return tag(
        "line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, stroke="currentColor", opacity=0.15
    )


def _title(said: str) -> Html:
    return tag("text", said, x=_LEFT, y=18, font_weight="bold")


def _below(x: float, y: float, said: str) -> Html:
    """Return a label in the middle below a place, or at its left where the picture ends."""
    half = 3.5 * len(said)
    return _text(x, y, said) if x + half < _WIDTH else _text(_WIDTH, y, said, "end")


def _text(x: float, y: float, said: str, anchor: str = "middle") -> Html:
    return tag("text", said, x=round(x, 1), y=round(y, 1), text_anchor=anchor)


def _svg(parts: Sequence[Html], legend: int, label: str) -> Html:
    height = _TOP + _PLOT + _BOTTOM + 8 + legend * _LEGEND_LINE
    return tag(
        "svg",
        parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {height}",
        font_family="DejaVu Sans, sans-serif",
        font_size=12,
        role="img",
        aria_label=label,
    )
