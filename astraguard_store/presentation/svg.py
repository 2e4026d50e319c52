"""Charts as SVG, without a script and without a package: for mail, pages and the README.

What they show is decided in `chart_shapes`; here is where it lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from astraguard_store.distributions import Distribution
from astraguard_store.history import History
from astraguard_store.over_time import TimeSlice
from astraguard_store.presentation.chart_shapes import (
    Area,
    Band,
    Cross,
    Curve,
    Event,
    Level,
    Mark,
    Part,
    Picture,
    changes_shape,
    colour,
    distribution_shape,
    history_shape,
    label_rows,
    label_start,
    times_shape,
)
from astraguard_store.presentation.html import Html, tag
from astraguard_store.presentation.text import shortened
from astraguard_store.quantile_changes import QuantileChanges

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _PLOT = 720, 64, 16, 34, 48, 260
_MOST_POINTS: Final = 300
_LEGEND_LINE: Final = 18
_LABEL_LINE: Final = 14
_LONGEST_LEGEND: Final = 100

_Places = Sequence[tuple[float, float]]


def distribution_svg(distribution: Distribution) -> Html:
    """Return the cumulative distributions of the runs, one over the other."""
    return _drawn(distribution_shape(distribution, _MOST_POINTS))


def history_svg(history: History, statistic: str = "p95") -> Html:
    """Return the trend of one statistic over runs, oldest left, with changes marked."""
    return _drawn(history_shape(history, statistic))


def times_svg(metric_type: str, runs: Sequence[tuple[str, Sequence[TimeSlice]]]) -> Html:
    """Return the p95 of runs over the time of their scenario; of one alone also its median.

    A cross at the top is where events never came; a line has a gap where its percentile is
    one of them.

    Args:
        metric_type: Of what.
        runs: (run id, its slices), each; those without measurements have none.
    """
    return _drawn(times_shape(metric_type, runs))


def changes_svg(metric_type: str, baseline: str, changes: Sequence[QuantileChanges]) -> Html:
    """Return how runs differ from the baseline at each quantile, with 95 % intervals."""
    return _drawn(changes_shape(metric_type, baseline, changes))


def _drawn(shape: Picture | str) -> Html:
    """Return the picture, or a line that says why there is none."""
    if isinstance(shape, str):
        return tag("p", shape, class_="soft")
    legend = [(n, said) for n, said in enumerate(shape.legend) if said]
    return tag(
        "svg",
        tag("text", shape.title, x=_LEFT, y=18, font_weight="bold"),
        _axes(shape),
        [drawn for part in shape.parts for drawn in _part(part, shape)],
        _labels(shape),
        [drawn for place, entry in enumerate(legend) for drawn in _legend(place, *entry)],
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH} {_TOP + _PLOT + _BOTTOM + len(legend) * _LEGEND_LINE}",
        font_family="DejaVu Sans, sans-serif",
        font_size=12,
        role="img",
        aria_label="; ".join([shape.title, *(said for _, said in legend)]),
    )


def _across(shape: Picture, x: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * shape.x.share(x)


def _upwards(shape: Picture, y: float) -> float:
    return _TOP + _PLOT * (1 - shape.y.share(y))


def _axes(shape: Picture) -> Iterator[Html]:
    for tick, said in shape.y.ticks:
        y = _upwards(shape, tick)
        guide = {"x1": _LEFT, "x2": _WIDTH - _RIGHT, "y1": y, "y2": y}
        yield tag("line", **guide, stroke="currentColor", opacity=0.15)
        yield _text(_LEFT - 6, y + 4, said, "end")
    for tick, said in shape.x.ticks:
        x = _across(shape, tick)
        if shape.x.is_log:
            yield tag("line", **_from_top(x), stroke="currentColor", opacity=0.15)
        # In the middle below its place, or at its left where the picture ends.
        is_inside = x + 3.5 * len(said) < _WIDTH
        at, anchor = (x, "middle") if is_inside else (_WIDTH, "end")
        yield _text(at, _TOP + _PLOT + 16, said, anchor)
    yield _text((_WIDTH + _LEFT) / 2, _TOP + _PLOT + 32, shape.x.title, "middle")


def _part(part: Part, shape: Picture) -> Iterator[Html]:
    stroke = "currentColor" if part.series is None else colour(part.series)
    match part:
        case Curve():
            yield from _curve(part, shape, stroke)
        case Area(points=points):
            upper = [(_across(shape, x), _upwards(shape, high)) for x, _, high in points]
            lower = [(_across(shape, x), _upwards(shape, low)) for x, low, _ in points]
            yield tag("path", d=f"{_path([*upper, *lower[::-1]])}Z", fill=stroke, opacity=0.2)
        case Band():
            yield _band(_upwards(shape, part.low), _upwards(shape, part.high), stroke)
        case Level():
            y = _upwards(shape, part.y)
            line = [(_across(shape, part.x), y), (_WIDTH - _RIGHT, y)]
            yield _line(line, stroke, "2 4" if part.said else None)
            yield _text(_WIDTH - _RIGHT, y - 5, part.said, "end")
        case _:
            yield _sign(part, shape, stroke)


def _sign(part: Mark | Cross | Event, shape: Picture, stroke: str) -> Html:
    x = _across(shape, part.x)
    match part:
        case Mark():
            return tag("circle", cx=x, cy=_upwards(shape, part.y), r=4, fill=stroke)
        case Cross():
            path = f"M{x - 4:.1f} {_TOP + 2}l8 8m0 -8l-8 8"
            return tag("path", d=path, stroke=stroke, stroke_width=2)
    dash, said = "1 4" if part.series is None else "5 3", tag("title", part.event)
    return tag("line", said, stroke=stroke, stroke_dasharray=dash, **_from_top(x))


def _curve(curve: Curve, shape: Picture, stroke: str) -> Iterator[Html]:
    """Yield a line with a gap where it has no place, and its dots."""
    places = [
        (_across(shape, x), None if y is None else _upwards(shape, y)) for x, y, _ in curve.points
    ]
    for is_gap, part in groupby(places, lambda place: place[1] is None):
        if is_gap:
            continue
        line = [(x, y) for x, y in part if y is not None]
        if curve.is_stepped:
            # As it is: the quantiles then lie on the line, however few events there are.
            before = [float(_TOP + _PLOT), *(y for _, y in line)]
            line = [
                corner
                for (x, y), below in zip(line, before, strict=False)
                for corner in ((x, below), (x, y))
            ]
        # A place alone would be no line.
        yield _line(line if len(line) > 1 else line * 2, stroke, curve.dash)
    if curve.has_dots:
        for (x, y), point in zip(places, curve.points, strict=True):
            said = "{run}, commit {commit}".format_map(point.told)
            yield tag("circle", tag("title", said), cx=x, cy=y, r=3.5, fill=stroke)


def _labels(shape: Picture) -> Iterator[Html]:
    """Yield what is said of events: steps above, what was new below, where there is room."""
    events = [part for part in shape.parts if isinstance(part, Event)]
    right = float(_WIDTH - 4)
    for is_step in (True, False):
        labels = [
            (_across(shape, event.x), event.event)
            for event in events
            if (event.series is not None) is is_step
        ]
        for (x, said), row in zip(labels, label_rows(labels, right), strict=True):
            if row is not None:
                below = row * _LABEL_LINE
                y = _TOP + 12 + below if is_step else _TOP + _PLOT - 6 - below
                yield _text(label_start(x, said, right), y, said, "start")


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


def _legend(place: int, series: int, said: str) -> Iterator[Html]:
    y = _TOP + _PLOT + _BOTTOM + place * _LEGEND_LINE
    line = {"x1": _LEFT, "x2": _LEFT + 24, "y1": y - 4, "y2": y - 4}
    yield tag("line", **line, stroke=colour(series), stroke_width=3)
    yield _text(_LEFT + 32, y, shortened(said, _LONGEST_LEGEND), "start")


def _from_top(x: float) -> dict[str, float]:
    return {"x1": x, "x2": x, "y1": _TOP, "y2": _TOP + _PLOT}


def _path(places: _Places) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _line(places: _Places, colour: str, dash: str | None) -> Html:
    return tag(
        "path",
        d=_path(places),
        fill="none",
        stroke=colour,
        stroke_width=2,
        stroke_linejoin="round",
        stroke_dasharray=dash,
    )


def _text(x: float, y: float, said: str, anchor: str) -> Html:
    return tag("text", said, x=round(x, 1), y=round(y, 1), text_anchor=anchor)
