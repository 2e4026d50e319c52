"""Vega-Altair charts, for notebooks: the extra `plots`.

What they show is decided in `chart_shapes`. All data is aggregated before it goes into a chart,
so that none has more than 5,000 marks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from astraguard_store.comparison import Comparison
from astraguard_store.distributions import Distribution
from astraguard_store.exceptions import MissingExtraError, StoreError
from astraguard_store.history import History, HistoryPoint
from astraguard_store.model import AtLeast, MetricSummary, RunSummary
from astraguard_store.over_time import over_time
from astraguard_store.presentation.chart_shapes import (
    Area,
    Axis,
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
from astraguard_store.presentation.numbers import Unit, unit_of
from astraguard_store.presentation.text import few_names
from astraguard_store.quantile_changes import quantile_changes
from astraguard_store.shown import printable

if TYPE_CHECKING:
    import altair
    import polars as pl

T = TypeVar("T")

MOST_MARKS: Final = 5_000
_MOST_SLICES: Final = 120
_WIDTH: Final = 480
_HEIGHT: Final = 280
_LOW_HEIGHT: Final = 120
_KEPT: Final = ("p50", "p95", "p99")
_Row = dict[str, Any]


def _altair() -> Any:
    try:
        import altair
    except ImportError:
        raise MissingExtraError("a chart", "plots") from None
    return altair


def distribution_chart(distribution: Distribution) -> altair.LayerChart:
    """Return cumulative distributions, one over the other; missed events never arrive."""
    most = MOST_MARKS // 4 // max(len(distribution.runs), 1)
    shape = distribution_shape(distribution, most)
    return _drawn(_altair(), shape, distribution.metric_type, legend="run")


def history_chart(history: History, statistic: str) -> altair.LayerChart:
    """Return the trend over runs: a band of the baseline; changes and what is new as lines."""
    points = tuple(_newest(history.points, MOST_MARKS // 4))
    shape = history_shape(replace(history, points=points), statistic)
    said = ""
    if history.baseline_name is not None and not isinstance(shape, str):
        has_band = any(isinstance(part, Band) for part in shape.parts)
        said = "the band is from its lowest run to its highest" if has_band else "no such run"
        said = f"baseline {history.baseline_name}: {said}"
    # Where there is one trend alone, its name tells nothing.
    return _drawn(_altair(), shape, history.metric_type, said, legend=history.by)


def _drawn(
    alt: Any,
    shape: Picture | str,
    title: str,
    said: str = "",
    *,
    legend: str | None = None,
    height: int = _HEIGHT,
) -> altair.LayerChart:
    """Return a picture, with what is *said* of it below its title; else why there is none."""
    if isinstance(shape, str):
        return _nothing(alt, title, shape)
    drawing = _Drawing(alt, shape, legend)
    layers = [
        layer
        for kind, draw in _LAYERS.items()
        if (parts := [part for part in shape.parts if isinstance(part, kind)])
        for layer in draw(drawing, parts)
    ]
    chart: altair.LayerChart = alt.layer(*layers)
    return chart.properties(title=_title(alt, shape.title, said), width=_WIDTH, height=height)


def _rows(part: Part) -> list[_Row]:
    match part:
        case Curve():
            line = {"line": part.name}
            return [{"x": x, "y": y, **told, **line} for x, y, told in part.points]
        case Area():
            return [{"x": x, "low": low, "high": high} for x, low, high in part.points]
    row = part._asdict()
    del row["series"]
    return [row]


class _Drawing:
    """A picture while its layers are made, one for all parts of a kind."""

    def __init__(self, alt: Any, shape: Picture, legend: str | None) -> None:
        self.alt, self.shape = alt, shape
        self.x, self.y = self._axis(alt.X("x:Q"), shape.x), self._axis(alt.Y("y:Q"), shape.y)
        self.colour = _colour(alt, shape.series, legend, shape.field)

    def _axis(self, channel: Any, axis: Axis) -> Any:
        kind = "log" if axis.is_log else "linear"
        made = channel.title(axis.title).scale(type=kind, nice=False, domain=[axis.low, axis.high])
        # As d3 writes numbers.
        texts = {re.sub(r"e([+-])0", r"e\1", f"{at:.6e}"): said for at, said in axis.ticks}
        texts = {re.sub("^-", "\u2212", number): said for number, said in texts.items()}
        expression = f"{texts!r}[format(datum.value, '.6e')]"
        places = [at for at, _ in axis.ticks]
        return made.axis(values=places, labelExpr=expression) if places else made.axis(values=[])

    def base(self, parts: Sequence[Part], **encodings: Any) -> Any:
        """Return a layer of parts in the colours of their series, whose tooltips tell them."""
        rows: list[_Row] = [
            ({} if part.series is None else {self.shape.field: self.shape.series[part.series]})
            | row
            for part in parts
            for row in _rows(part)
        ]
        first = rows[0] if rows else {}
        if self.shape.field in first:
            encodings["color"] = self.colour
        told = [
            f"{name}:{'N' if isinstance(value, str) else 'Q'}"
            for name, value in first.items()
            if name not in {"x", "y", "line"}
        ]
        return self.alt.Chart(_data(self.alt, rows)).encode(tooltip=told, **encodings)

    def bands(self, parts: Sequence[Band]) -> Iterator[Any]:
        # With an edge, as the band of a single run has no height.
        edge = self.alt.Stroke(f"{self.shape.field}:N", legend=None, scale=self.colour["scale"])
        base = self.base(parts, y=self._low(), y2="high:Q", stroke=edge)
        yield base.mark_rect(fillOpacity=0.12, strokeOpacity=0.5)

    def areas(self, parts: Sequence[Area]) -> Iterator[Any]:
        yield self.base(parts, x=self.x, y=self._low(), y2="high:Q").mark_area(opacity=0.2)

    def _low(self) -> Any:
        return self.alt.Y("low:Q").title(self.shape.y.title)

    def events(self, parts: Sequence[Event]) -> Iterator[Any]:
        """Yield lines, and what is said of them: steps above, what was new below."""
        for is_step in (True, False):
            events = [event for event in parts if (event.series is not None) is is_step]
            places = [(_WIDTH * self.shape.x.share(one.x), one.event) for one in events]
            rows = [
                {
                    "x": event.x,
                    "event": event.event,
                    # Where there is no room, only the tooltip tells.
                    "label": "" if row is None else event.event,
                    "from": label_start(at, event.event, _WIDTH),
                    "dy": (row or 0) * (14 if is_step else -14),
                }
                for event, (at, _), row in zip(
                    events, places, label_rows(places, _WIDTH), strict=True
                )
            ]
            base = self.alt.Chart(_data(self.alt, rows)).encode(tooltip=["event:N"])
            rule = base.mark_rule(strokeDash=[5, 3] if is_step else [1, 4]).encode(x=self.x)
            text = base.mark_text(align="left", dy=self.alt.expr("datum.dy"))
            x = self.alt.X("from:Q", scale=None)
            y = self.alt.value(8 if is_step else _HEIGHT - 8)
            yield from [rule, text.encode(x=x, y=y, text="label:N")] if rows else []

    def levels(self, parts: Sequence[Level]) -> Iterator[Any]:
        base, end = self.base(parts, y=self.y), self.alt.value(_WIDTH)
        dash = [2, 4] if parts[0].said else [1, 0]
        yield base.mark_rule(strokeDash=dash, size=2).encode(x=self.x, x2=end)
        yield base.mark_text(align="right", dy=-7).encode(x=end, text="said:N")

    def curves(self, parts: Sequence[Curve]) -> Iterator[Any]:
        base = self.base(parts, x=self.x, y=self.y)
        dashes = {part.name: part.dash or "1 0" for part in parts}
        if len(dashes) > 1:
            dash = self.alt.StrokeDash("line:N", legend=None)
            range_ = [list(map(int, dash.split())) for dash in dashes.values()]
            base = base.encode(strokeDash=dash.scale(domain=list(dashes), range=range_))
        steps = {"interpolate": "step-after"} if parts[0].is_stepped else {}
        yield base.mark_line(point=parts[0].has_dots, **steps)

    def marks(self, parts: Sequence[Mark]) -> Iterator[Any]:
        yield self.base(parts, x=self.x, y=self.y).mark_point(filled=True, size=60)

    def crosses(self, parts: Sequence[Cross]) -> Iterator[Any]:
        base = self.base(parts, x=self.x, y=self.alt.value(5))
        yield base.mark_point(shape="cross", angle=45, filled=True, size=70)


# One over the other, in this order.
_LAYERS: Final[Mapping[Any, Callable[[_Drawing, Any], Iterator[Any]]]] = {
    Band: _Drawing.bands,
    Area: _Drawing.areas,
    Event: _Drawing.events,
    Level: _Drawing.levels,
    Curve: _Drawing.curves,
    Mark: _Drawing.marks,
    Cross: _Drawing.crosses,
}


def _newest(points: Sequence[HistoryPoint], most: int) -> list[HistoryPoint]:
    """Return the points of the newest runs, whole runs as far as so many points go."""
    number = Counter((point.recorded_at, point.run_id) for point in points)
    kept: set[tuple[datetime, str]] = set()
    for run in sorted(number, reverse=True):
        if kept and sum(number[other] for other in kept) + number[run] > most:
            break
        kept.add(run)
    return [point for point in points if (point.recorded_at, point.run_id) in kept][:most]


class Asked(Protocol):
    """What charts ask of the `RunRepository` that gave a value."""

    def get(self, run_id: str) -> RunSummary:
        """Return a run."""

    def compare(self, baseline: str, candidate: str) -> Comparison:
        """Return what changed from one run to another."""

    def distribution(self, metric_type: str, runs: Iterable[str]) -> Distribution:
        """Return the distributions of runs."""

    def measurements(self, run_id: str) -> pl.DataFrame:
        """Return a run's measurements."""


def run_chart(run: RunSummary, repository: Asked | None = None) -> altair.VConcatChart:
    """Return a run's percentiles, its satellites as a heat map, and its latencies over time.

    Args:
        run: The run.
        repository: Who knows its measurements; None for nobody any more.
    """
    alt = _altair()
    unit = unit_of(summary.p95 for summary in run.metrics.values())
    rows = _percentile_rows(run.run_id, run.metrics.items(), unit)
    name = printable(run.run_id)
    bars = _percentile_lines(alt, rows, unit, [name], f"{name}: percentiles")
    cells = [
        {
            "satellite": printable(satellite),
            "metric type": _named(metric_type, None),
            "p95": None if summary.p95 is None else float(summary.p95) / unit.ms,
        }
        for satellite, metrics in sorted(run.satellites.items())
        for metric_type, summary in metrics.items()
    ][: MOST_MARKS // 2]
    heat = (
        alt.Chart(_data(alt, cells))
        .mark_rect()
        .encode(
            x=alt.X("metric type:N", title=None),
            y=alt.Y("satellite:N", title="satellite"),
            color=alt.Color("p95:Q", title=f"p95, {unit.name}")
            .scale(type="log", scheme="viridis")
            .legend(format=",.3~r"),
            tooltip=["satellite:N", "metric type:N", "p95:Q"],
        )
        .properties(title=f"{name}: p95 by satellite, {unit.name}")
    )
    times = _times(alt, run, repository)
    chart: altair.VConcatChart = alt.vconcat(bars, heat, times)
    scaled: altair.VConcatChart = chart.resolve_scale(color="independent")
    return scaled


def _times(alt: Any, run: RunSummary, repository: Asked | None) -> Any:
    """Return p50 and p95 over the scenario's time, and when events were missed."""
    title = f"{run.run_id}: over the scenario's time"
    now = _still(run, lambda asked: asked.get(run.run_id), repository)
    if isinstance(now, str):
        return _nothing(alt, title, f"Not drawn: {now}.")
    number = min(_MOST_SLICES, max(MOST_MARKS // 8 // max(len(run.metrics), 1), 1))
    found = over_time(now, run.run_id, number)
    shapes = [times_shape(name, [(run.run_id, slices)]) for name, slices in sorted(found.items())]
    drawn = [
        _drawn(alt, shape, title, _missed(shape), height=_LOW_HEIGHT)
        for shape in shapes
        if not isinstance(shape, str)
    ]
    if not drawn:
        why = shapes[0] if shapes else "Not drawn: the measurements aren't kept here."
        return _nothing(alt, title, str(why))
    return alt.vconcat(*drawn).properties(title=_title(alt, title))


def _missed(shape: Picture) -> str:
    """Return what a run's legend says but its name, which stands above."""
    return shape.legend[0].removeprefix(shape.series[0]).removeprefix(": ")


def _still(value: T, ask: Callable[[Asked], T], repository: Asked | None) -> Asked | str:
    """Return who knows more of *value*, or why nobody does."""
    if repository is None:
        return "the repository that gave it is gone"
    try:
        return repository if ask(repository) == value else "it was saved anew since"
    except StoreError as error:
        return str(error)


def _nothing(alt: Any, title: str, why: str) -> altair.LayerChart:
    said = alt.Chart(_data(alt, [{"said": printable(why)}])).mark_text(align="left")
    said = said.encode(text="said:N", x=alt.value(0))
    chart: altair.LayerChart = alt.layer(said)
    return chart.properties(title=_title(alt, title), height=20, width=_WIDTH)


def comparison_chart(
    comparison: Comparison, repository: Asked | None = None
) -> altair.VConcatChart:
    """Return the percentiles of both runs, and the difference by quantile with its interval.

    Args:
        comparison: The two runs.
        repository: Who knows their distributions; None for nobody any more.
    """
    alt = _altair()
    changes = comparison.changes[: MOST_MARKS // 12]
    names = [printable(comparison.baseline), printable(comparison.candidate)]
    summaries = [
        (run_id, _named(change.metric_type, change.satellite_id), summary)
        for change in changes
        for run_id, summary in zip(names, (change.baseline, change.candidate), strict=True)
        if summary is not None
    ]
    unit = unit_of(summary.p95 for _, _, summary in summaries)
    rows: list[_Row] = []
    for run_id, name, summary in summaries:
        rows += _percentile_rows(run_id, [(name, summary)], unit)
    title = " → ".join(names)
    lines = _percentile_lines(alt, rows, unit, names, f"{title}: percentiles")
    differences = _differences(alt, comparison, repository, f"{title}: difference by quantile")
    chart: altair.VConcatChart = alt.vconcat(lines, differences)
    scaled: altair.VConcatChart = chart.resolve_scale(color="independent")
    return scaled


def _differences(alt: Any, comparison: Comparison, repository: Asked | None, title: str) -> Any:
    """Return the difference by quantile with its interval, else that of what is kept."""
    if any(change.satellite_id for change in comparison.changes):
        return _kept_differences(alt, comparison, title, "of the percentiles that runs keep")
    runs = comparison.baseline, comparison.candidate
    now = _still(comparison, lambda asked: asked.compare(*runs), repository)
    if isinstance(now, str):
        return _kept_differences(alt, comparison, title, f"without intervals: {now}")
    shapes = _difference_shapes(comparison, now)
    drawn = [
        _drawn(alt, shape, name, height=_LOW_HEIGHT)
        for name, shape in shapes.items()
        if not isinstance(shape, str)
    ]
    few = [change.metric_type for change in comparison.changes if change.metric_type not in shapes]
    few += [name for name, shape in shapes.items() if isinstance(shape, str)]
    why = f"too few events: {few_names(few)}" if few else ""
    if not drawn:
        return _kept_differences(alt, comparison, title, f"without intervals: {why}")
    said = _title(alt, f"{title}, with 95 % interval", why)
    return alt.vconcat(*drawn).properties(title=said)


def _difference_shapes(comparison: Comparison, repository: Asked) -> dict[str, Picture | str]:
    baseline = repository.get(comparison.baseline)
    candidate = repository.get(comparison.candidate)
    both = [change for change in comparison.changes if change.baseline and change.candidate]
    shapes: dict[str, Picture | str] = {}
    for change in both[: MOST_MARKS // 250]:
        name = change.metric_type
        distribution = repository.distribution(name, [baseline.run_id, candidate.run_id])
        changes = quantile_changes(distribution, baseline, [candidate])
        shapes[name] = changes_shape(name, baseline.run_id, changes)
    return shapes


def _kept_differences(alt: Any, comparison: Comparison, title: str, why: str) -> Any:
    rows = [
        {
            "metric type": _named(change.metric_type, change.satellite_id),
            "percentile": name,
            "ratio": 1 + float(value),
            "known": "at least" if isinstance(value, AtLeast) else "exact",
        }
        for change in comparison.changes[: MOST_MARKS // 12]
        for name in _KEPT
        if (value := getattr(change, f"{name}_ms").relative_change) is not None and value > -1
    ]
    x = alt.X("ratio:Q", title="times the baseline").scale(type="log").axis(tickCount=4)
    return (
        alt.Chart(_data(alt, rows))
        .mark_point(filled=True, size=60, color=colour(1))
        .encode(
            x=x,
            y=alt.Y("percentile:N", title=None),
            row=alt.Row("metric type:N", title=None),
            tooltip=["metric type:N", "percentile:N", "ratio:Q", "known:N"],
        )
        .properties(title=_title(alt, title, why), height=60)
    )


def _percentile_rows(
    run_id: str, summaries: Iterable[tuple[str, MetricSummary]], unit: Unit
) -> list[_Row]:
    return [
        {
            "run": printable(run_id),
            "metric type": _named(name, None),
            "percentile": percentile,
            "value": None if value is None else float(value) / unit.ms,
            "known": "above" if isinstance(value, AtLeast) else "exact",
        }
        for name, summary in summaries
        for percentile in _KEPT
        for value in [getattr(summary, percentile)]
    ]


def _percentile_lines(
    alt: Any, rows: list[_Row], unit: Unit, runs: Sequence[str], title: str
) -> Any:
    return (
        alt.Chart(_data(alt, rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("value:Q", title=f"duration, {unit.name}").scale(type="log").axis(tickCount=5),
            y=alt.Y("percentile:N", title=None, sort=["p99", "p95", "p50"]),
            row=alt.Row("metric type:N", title=None),
            color=_colour(alt, runs, "run"),
            order="percentile:N",
            tooltip=["run:N", "metric type:N", "percentile:N", "value:Q", "known:N"],
        )
        .properties(title=title, height=80)
    )


def _colour(alt: Any, names: Sequence[str], title: str | None, field: str = "run") -> Any:
    """Return the colours of names, with a legend below; without a title there is none."""
    legend = None if title is None else alt.Legend(orient="bottom", columns=1, labelLimit=0)
    range_ = [colour(number) for number in range(len(names))]
    made = alt.Color(f"{field}:N", title=title, legend=legend)
    return made.scale(domain=list(names), range=range_)


def _title(alt: Any, said: str, below: str = "") -> Any:
    """Return a title at the left, with what explains it below it."""
    return alt.Title(printable(said), subtitle=printable(below), anchor="start")


def _data(alt: Any, rows: list[_Row]) -> Any:
    return alt.Data(values=rows)


def _named(metric_type: str, satellite_id: str | None) -> str:
    return printable(f"{metric_type} on {satellite_id}" if satellite_id else metric_type)
