"""Charts as SVG, without a script and without a package: for mail, pages and the README.

What they show is decided in `chart_shapes`; here is where it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import log10
from typing import Final

from astraguard_store.distributions import Distribution
from astraguard_store.history import History
from astraguard_store.over_time import TimeSlice
from astraguard_store.presentation.chart_shapes import (
    SHARES,
    Curve,
    HistoryShape,
    Trend,
    arrived,
    changes_shape,
    colour,
    distribution_shape,
    even_ticks,
    history_shape,
    label_rows,
    label_start,
    middle,
    nines,
    share_text,
    tick_text,
    time_ticks,
    times_shape,
)
from astraguard_store.presentation.html import Html, tag
from astraguard_store.presentation.numbers import count_text
from astraguard_store.presentation.style import PALETTE
from astraguard_store.presentation.text import shortened
from astraguard_store.quantile_changes import QuantileChanges

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _PLOT = 720, 64, 16, 34, 40, 260
_MOST_POINTS: Final = 300
_LEGEND_LINE: Final = 18
_LABEL_LINE: Final = 14
_LONGEST_LEGEND: Final = 100

_Place = Callable[[float], float]


def distribution_svg(distribution: Distribution) -> Html:
    """Return the cumulative distributions of the runs, one over the other."""
    shape = distribution_shape(distribution, _MOST_POINTS)
    if isinstance(shape, str):
        return _nothing(shape)
    x, y = _across(shape.low_ms, shape.high_ms), _upwards_in_nines(SHARES[-1])
    parts = [_title(shape.title), *_axis((y(share), share_text(share)) for share in SHARES)]
    for tick, said in time_ticks(shape.low_ms, shape.high_ms, shape.unit):
        parts += [_plumb(x(tick), "currentColor", opacity=0.15)]
        parts.append(_below(x(tick), _TOP + _PLOT + 18, said))
    for number, curve in enumerate(shape.curves):
        parts += _curve(curve, (x, y), colour(number), dashed=number >= len(PALETTE))
    parts += _legend([curve.legend for curve in shape.curves])
    names = ", ".join(curve.name for curve in shape.curves)
    label = f"Cumulative distributions of {distribution.metric_type}: {names}"
    return _svg(parts, len(shape.curves), label)


def _curve(
    curve: Curve, places: tuple[_Place, _Place], colour: str, *, dashed: bool
) -> list[Html]:
    x, y = places
    # In steps, as it is: the quantiles then lie on the line, however few events there are.
    corners = []
    before = 0.0
    for time, share in curve.points:
        corners += [(x(time), y(before)), (x(time), y(share))]
        before = share
    parts = [_line(corners, colour, dash="6 3" if dashed else None)]
    if curve.missed:
        at = corners[-1][1]
        parts.append(_line([corners[-1], (_WIDTH - _RIGHT, at)], colour, dash="2 4"))
        said = f"{count_text(curve.missed)} never came"
        parts.append(_text(_WIDTH - _RIGHT, at - 5, said, "end"))
    return parts + [
        tag("circle", cx=x(mark.place_ms), cy=y(mark.share), r=4, fill=colour)
        for mark in curve.marks
    ]


def history_svg(history: History, statistic: str = "p95") -> Html:
    """Return the trend of one statistic over runs, oldest left, with changes marked."""
    shape = history_shape(history, statistic)
    if isinstance(shape, str):
        return _nothing(shape)
    y = _upwards(shape.low_ms, shape.high_ms)
    step = (_WIDTH - _LEFT - _RIGHT) / shape.runs

    def x(place: float) -> float:
        return _LEFT + (place + 0.5) * step

    ticks = time_ticks(shape.low_ms, shape.high_ms, shape.unit)
    parts = [_title(shape.title), *_axis((y(tick), said) for tick, said in ticks)]
    for number, trend in enumerate(shape.trends):
        parts += _trend(trend, (x, y), colour(number))
    parts.append(_text((_WIDTH + _LEFT) / 2, _TOP + _PLOT + 26, "runs, in order of recording"))
    parts += _events(shape, x)
    name = statistic.removesuffix("_ms")
    legend = [trend.said for trend in shape.trends if trend.said]
    label = f"Trend of {history.metric_type} {name}"
    return _svg([*parts, *_legend(legend)], len(legend), label)


def _trend(trend: Trend, places: tuple[_Place, _Place], colour: str) -> list[Html]:
    x, y = places
    parts = [] if trend.band is None else [_band(y(trend.band[0]), y(trend.band[1]), colour)]
    parts.append(_line([(x(place), y(value)) for place, value, _ in trend.points], colour))
    for place, value, point in trend.points:
        said = tag("title", f"{point.run_id}, commit {(point.git_commit or 'unknown')[:12]}")
        parts.append(tag("circle", said, cx=x(place), cy=y(value), r=3.5, fill=colour))
    return parts


def _events(shape: HistoryShape, x: _Place) -> list[Html]:
    """Return lines at what happened: steps above, what was new below, told where there is room."""
    parts = []
    for is_step in (True, False):
        events = [event for event in shape.events if (event.trend is not None) is is_step]
        right = float(_WIDTH - 4)
        rows = label_rows([(x(event.place), event.said) for event in events], right)
        for event, row in zip(events, rows, strict=True):
            at = x(event.place)
            line = "currentColor" if event.trend is None else colour(event.trend)
            parts.append(_plumb(at, line, tag("title", event.said), "5 3" if is_step else "1 4"))
            if row is not None:
                below = row * _LABEL_LINE
                height = _TOP + 12 + below if is_step else _TOP + _PLOT - 6 - below
                parts.append(
                    _text(label_start(at, event.said, right), height, event.said, "start")
                )
    return parts


def _plumb(
    x: float, colour: str, title: Html | None = None, dash: str | None = None, opacity: float = 1.0
) -> Html:
    """Return a line from the top of the plot to its bottom."""
    where = {"x1": x, "x2": x, "y1": _TOP, "y2": _TOP + _PLOT}
    return tag("line", title, stroke=colour, stroke_dasharray=dash, opacity=opacity, **where)


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


def times_svg(metric_type: str, runs: Sequence[tuple[str, Sequence[TimeSlice]]]) -> Html:
    """Return the p95 of runs over the time of their scenario; of one alone also its median.

    A cross at the top is where events never came; a line has a gap where its percentile is
    one of them.

    Args:
        metric_type: Of what.
        runs: (run id, its slices), each; those without measurements have none.
    """
    shape = times_shape(metric_type, runs)
    if isinstance(shape, str):
        return _nothing(shape)
    y, start, end = _upwards(shape.low_ms, shape.high_ms), shape.start_s, shape.end_s

    def x(time_s: float) -> float:
        return _LEFT + (time_s - start) / ((end - start) or 1.0) * (_WIDTH - _LEFT - _RIGHT)

    ticks = time_ticks(shape.low_ms, shape.high_ms, shape.unit)
    parts = [_title(shape.title), *_axis((y(tick), said) for tick, said in ticks)]
    seconds = [(x(tick), tick_text(tick)) for tick in even_ticks(start, end)]
    parts += _below_axis(seconds, "time in the scenario, s")
    for number, (_, _, slices) in enumerate(shape.runs):
        for name in shape.statistics:
            parts += _times(slices, name, (x, y), colour(number))
        parts += [_cross(x(middle(one)), colour(number)) for one in slices if one.missed]
    legend = [f"{name}: {said}" if said else name for name, said, _ in shape.runs]
    return _svg([*parts, *_legend(legend)], len(legend), shape.title)


def _times(
    slices: Sequence[TimeSlice], statistic: str, places: tuple[_Place, _Place], colour: str
) -> list[Html]:
    """Return a line through the slices, with a gap where what it shows never came."""
    x, y = places
    parts: list[list[tuple[float, float]]] = [[]]
    for one in slices:
        value = arrived(one, statistic)
        if value is None:
            parts.append([])
        else:
            parts[-1].append((x(middle(one)), y(value)))
    dash = "4 3" if statistic == "p50" else None
    # A place alone would be no line.
    return [_line(part if len(part) > 1 else part * 2, colour, dash) for part in parts if part]


def _cross(x: float, colour: str) -> Html:
    path = f"M{x - 4:.1f} {_TOP + 2}l8 8m0 -8l-8 8"
    return tag("path", d=path, stroke=colour, stroke_width=2)


def changes_svg(metric_type: str, baseline: str, changes: Sequence[QuantileChanges]) -> Html:
    """Return how runs differ from the baseline at each quantile, with 95 % intervals."""
    shape = changes_shape(metric_type, baseline, changes)
    if isinstance(shape, str):
        return _nothing(shape)
    y = _upwards(shape.low, shape.high)

    def x(share: float) -> float:
        return _LEFT + nines(share) / nines(shape.last) * (_WIDTH - _LEFT - _RIGHT)

    parts = [_title(shape.title), *_axis((y(tick), said) for tick, said in shape.ticks)]
    shares = [(x(share), share_text(share)) for share in SHARES if share <= shape.last]
    parts += _below_axis(shares, "quantile")
    parts.append(_line([(_LEFT, y(1.0)), (_WIDTH - _RIGHT, y(1.0))], "currentColor"))
    for number, (_, points) in enumerate(shape.runs, start=1):
        upper = [(x(p.quantile), y(p.high)) for p in points]
        lower = [(x(p.quantile), y(p.low)) for p in points]
        if points:
            parts.append(_area([*upper, *lower[::-1]], colour(number)))
            parts.append(_line([(x(p.quantile), y(p.ratio)) for p in points], colour(number)))
    legend = [name if points else f"{name}: too few events" for name, points in shape.runs]
    return _svg([*parts, *_legend(legend, first=1)], len(legend), shape.title)


def _upwards(low: float, high: float) -> _Place:
    """Return where a number lies on a log axis from *low* to *high*, upwards."""
    return lambda value: _TOP + _PLOT * log10(high / max(value, low)) / log10(high / low)


def _across(low: float, high: float) -> _Place:
    """Return the same from left to right."""
    width = _WIDTH - _LEFT - _RIGHT
    return lambda value: _LEFT + width * log10(max(value, low) / low) / log10(high / low)


def _upwards_in_nines(last: float) -> _Place:
    """Return where a share lies on an axis of nines up to *last*."""
    return lambda share: _TOP + _PLOT * (1 - nines(share) / nines(last))


def _nothing(why: str) -> Html:
    return tag("p", why, class_="soft")


def _legend(entries: Sequence[str], *, first: int = 0) -> list[Html]:
    """Return a line for each entry, in colours from the *first* on."""
    parts = []
    for number, said in enumerate(entries):
        y = _TOP + _PLOT + _BOTTOM + 8 + number * _LEGEND_LINE
        stroke = colour(number + first)
        parts.append(
            tag("line", x1=_LEFT, x2=_LEFT + 24, y1=y - 4, y2=y - 4, stroke=stroke, stroke_width=3)
        )
        parts.append(_text(_LEFT + 32, y, shortened(said, _LONGEST_LEGEND), "start"))
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


def _axis(ticks: Iterable[tuple[float, str]]) -> list[Html]:
    """Return guides at (height, what stands at its left)."""
    return [
        part for y, said in ticks for part in (_guide(y), _text(_LEFT - 6, y + 4, said, "end"))
    ]


def _below_axis(ticks: Iterable[tuple[float, str]], title: str) -> list[Html]:
    """Return (place, what stands below it), and the title of the axis."""
    labels = [_below(x, _TOP + _PLOT + 16, said) for x, said in ticks]
    return [*labels, _text((_WIDTH + _LEFT) / 2, _TOP + _PLOT + 32, title)]


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
