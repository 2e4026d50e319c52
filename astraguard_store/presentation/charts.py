"""Vega-Altair charts, for notebooks: the extra `plots`.

What they show is decided in `chart_shapes`. All data is aggregated before it goes into a chart,
so that none has more than 5,000 marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
    SHARES,
    ChangesShape,
    HistoryShape,
    TimesShape,
    arrived,
    changes_shape,
    colour,
    distribution_shape,
    history_shape,
    label_rows,
    label_start,
    middle,
    nines,
    share_text,
    time_ticks,
    times_shape,
)
from astraguard_store.presentation.numbers import Unit, count_text, unit_of
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
    alt = _altair()
    most = MOST_MARKS // 4 // max(len(distribution.runs), 1)
    shape = distribution_shape(distribution, most)
    if isinstance(shape, str):
        return _nothing(alt, distribution.metric_type, shape)
    unit = shape.unit
    curves = [
        {"run": curve.legend, "time": time / unit.ms, "nines": nines(share), "share": share}
        for curve in shape.curves
        for time, share in curve.points
    ]
    ends = [(curve, curve.points[-1]) for curve in shape.curves if curve.missed]
    never = [
        {
            "run": curve.legend,
            "time": time / unit.ms,
            "end": shape.high_ms / unit.ms,
            "nines": nines(share),
            "said": f"{count_text(curve.missed)} never came",
        }
        for curve, (time, share) in ends
    ]
    marks = [
        {
            "run": curve.legend,
            "time": mark.place_ms / unit.ms,
            "nines": nines(mark.share),
            "said": mark.said,
        }
        for curve in shape.curves
        for mark in curve.marks
    ]
    colours = _colour(alt, [curve.legend for curve in shape.curves], "run")
    x = _time_axis(alt.X, "time", shape.low_ms, shape.high_ms, unit)
    y = _nines_axis(alt.Y, "share of events that took no longer", SHARES[-1])
    lines = alt.Chart(_data(alt, curves)).mark_line(interpolate="step-after")
    beyond = alt.Chart(_data(alt, never)).encode(y=y, color=colours, tooltip=["run:N", "said:N"])
    points = alt.Chart(_data(alt, marks)).mark_point(filled=True, size=60)
    layers = [
        lines.encode(x=x, y=y, color=colours, tooltip=["run:N", "time:Q", "share:Q"]),
        points.encode(x=x, y=y, color=colours, tooltip=["run:N", "said:N"]),
    ]
    if never:
        layers.append(beyond.mark_rule(strokeDash=[2, 4], size=2).encode(x=x, x2="end:Q"))
        layers.append(beyond.mark_text(align="right", dy=-7).encode(x=_at_end(alt), text="said:N"))
    chart: altair.LayerChart = alt.layer(*layers)
    return chart.properties(title=_title(alt, shape.title), width=_WIDTH, height=_HEIGHT)


def _at_end(alt: Any) -> Any:
    return alt.value(_WIDTH)


def _time_axis(channel: Any, field: str, low_ms: float, high_ms: float, unit: Unit) -> Any:
    """Return a log axis of durations, with the ticks of the shape."""
    ticks = [tick / unit.ms for tick, _ in time_ticks(low_ms, high_ms, unit)]
    made = channel(f"{field}:Q", title=f"duration, {unit.name}")
    made = made.scale(type="log", nice=False, domain=[low_ms / unit.ms, high_ms / unit.ms])
    return made.axis(values=ticks, format=",.9~g")


def _nines_axis(channel: Any, title: str, last: float) -> Any:
    """Return an axis of shares, by their nines."""
    shares = [share for share in SHARES if share <= last]
    texts = {f"{nines(share):.3f}": share_text(share) for share in shares}
    return (
        channel("nines:Q", title=title)
        .scale(domain=[0, nines(last)], nice=False)
        .axis(
            values=[nines(share) for share in shares],
            labelExpr=f"{texts!r}[format(datum.value, '.3f')]",
        )
    )


def history_chart(history: History, statistic: str) -> altair.LayerChart:
    """Return the trend over runs: a band of the baseline; changes and what is new as lines."""
    alt = _altair()
    points = tuple(_newest(history.points, MOST_MARKS // 4))
    shape = history_shape(replace(history, points=points), statistic)
    if isinstance(shape, str):
        return _nothing(alt, history.metric_type, shape)
    unit = shape.unit
    rows = [
        {
            "run": printable(point.run_id),
            "place": place,
            "group": trend.name,
            "value": value / unit.ms,
            "commit": printable(point.git_commit or "-")[:12],
        }
        for trend in shape.trends
        for place, value, point in trend.points
    ]
    names = [trend.name for trend in shape.trends]
    # Where there is one trend alone, its name tells nothing.
    colours = _colour(alt, names, history.by, "group")
    x = alt.X("place:Q", title="runs, in order of recording").axis(labels=False, ticks=False)
    x = x.scale(domain=[-0.5, shape.runs - 0.5], nice=False)
    y = _time_axis(alt.Y, "value", shape.low_ms, shape.high_ms, unit)
    lines = alt.Chart(_data(alt, rows)).mark_line(point=True)
    bands = [
        {"group": trend.name, "low": trend.band[0] / unit.ms, "high": trend.band[1] / unit.ms}
        for trend in shape.trends
        if trend.band is not None
    ]
    # With an edge, as the band of a single run has no height.
    band = alt.Chart(_data(alt, bands)).mark_rect(fillOpacity=0.12, strokeOpacity=0.5)
    band = band.encode(
        y=alt.Y("low:Q"),
        y2="high:Q",
        color=colours,
        stroke=alt.Stroke("group:N", legend=None, scale=colours["scale"]),
        tooltip=["group:N", "low:Q", "high:Q"],
    )
    layers = [
        *([band] if bands else []),
        *_events(alt, shape, x),
        lines.encode(x=x, y=y, color=colours, tooltip=["run:N", "value:Q", "commit:N"]),
    ]
    said = ""
    if history.baseline_name is not None:
        said = "the band is from its lowest run to its highest" if bands else "no such run"
        said = f"baseline {history.baseline_name}: {said}"
    chart: altair.LayerChart = alt.layer(*layers)
    return chart.properties(title=_title(alt, shape.title, said), width=_WIDTH, height=_HEIGHT)


def _events(alt: Any, shape: HistoryShape, x: Any) -> list[Any]:
    """Return lines at what happened, and what is said of it: steps above, what was new below."""
    layers = []
    step = _WIDTH / shape.runs
    for is_step in (True, False):
        events = [event for event in shape.events if (event.trend is not None) is is_step]
        places = [(step * (event.place + 0.5), event.said) for event in events]
        rows = [
            {
                "place": event.place,
                "event": event.said,
                # Where there is no room, only the tooltip tells.
                "label": "" if row is None else event.said,
                "from": label_start(at, event.said, _WIDTH) / step - 0.5,
                "dy": (row or 0) * (14 if is_step else -14),
            }
            for event, (at, _), row in zip(events, places, label_rows(places, _WIDTH), strict=True)
        ]
        base = alt.Chart(_data(alt, rows)).encode(tooltip=["event:N"])
        rule = base.mark_rule(strokeDash=[5, 3] if is_step else [1, 4]).encode(x=x)
        text = base.mark_text(align="left", dy=alt.expr("datum.dy"))
        text = text.encode(x="from:Q", y=alt.value(8 if is_step else _HEIGHT - 8), text="label:N")
        layers += [rule, text] if rows else []
    return layers


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
    drawn = [_times_of(alt, shape) for shape in shapes if not isinstance(shape, str)]
    if not drawn:
        why = shapes[0] if shapes else "Not drawn: the measurements aren't kept here."
        return _nothing(alt, title, str(why))
    return alt.vconcat(*drawn).properties(title=_title(alt, title))


def _times_of(alt: Any, shape: TimesShape) -> Any:
    """Return one metric type of one run over time."""
    [(_, said, slices)] = shape.runs
    rows = [
        {
            "time": middle(one),
            "percentile": statistic,
            # None breaks the line: the percentile is among what never came.
            "value": None if value is None else max(value, shape.low_ms) / shape.unit.ms,
            "missed": one.missed if statistic == "p95" and one.missed else None,
        }
        for one in slices
        for statistic in shape.statistics
        for value in [arrived(one, statistic)]
    ]
    x = alt.X("time:Q", title="time in the scenario, s").scale(domain=[shape.start_s, shape.end_s])
    base = alt.Chart(_data(alt, rows)).encode(x=x.axis(format=",.9~g"))
    lines = base.mark_line(color=colour(0)).encode(
        y=_time_axis(alt.Y, "value", shape.low_ms, shape.high_ms, shape.unit),
        strokeDash=alt.StrokeDash("percentile:N", legend=None).scale(
            domain=["p50", "p95"], range=[[4, 3], [1, 0]]
        ),
        tooltip=["percentile:N", "time:Q", "value:Q"],
    )
    crosses = (
        base.transform_filter("datum.missed != null")
        .mark_point(shape="cross", angle=45, filled=True, size=70, color=colour(0))
        .encode(y=alt.value(5), tooltip=["missed:Q", "time:Q"])
    )
    title = _title(alt, shape.title, said)
    return alt.layer(lines, crosses).properties(title=title, width=_WIDTH, height=_LOW_HEIGHT)


def _still(value: T, ask: Callable[[Asked], T], repository: Asked | None) -> Asked | str:
    """Return who knows more of *value*, or why nobody does."""
    if repository is None:
        return "the repository that gave it is gone"
    try:
        return repository if ask(repository) == value else "it was saved anew since"
    except StoreError as error:
        return str(error)


def _nothing(alt: Any, title: str, why: str) -> altair.LayerChart:
    """Return a line that says why there is no chart."""
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
    drawn = [_differences_of(alt, one) for one in shapes.values() if not isinstance(one, str)]
    few = [change.metric_type for change in comparison.changes if change.metric_type not in shapes]
    few += [name for name, shape in shapes.items() if isinstance(shape, str)]
    why = f"too few events: {few_names(few)}" if few else ""
    if not drawn:
        return _kept_differences(alt, comparison, title, f"without intervals: {why}")
    said = _title(alt, f"{title}, with 95 % interval", why)
    return alt.vconcat(*drawn).properties(title=said)


def _difference_shapes(comparison: Comparison, repository: Asked) -> dict[str, ChangesShape | str]:
    baseline = repository.get(comparison.baseline)
    candidate = repository.get(comparison.candidate)
    both = [change for change in comparison.changes if change.baseline and change.candidate]
    shapes: dict[str, ChangesShape | str] = {}
    for change in both[: MOST_MARKS // 250]:
        name = change.metric_type
        distribution = repository.distribution(name, [baseline.run_id, candidate.run_id])
        changes = quantile_changes(distribution, baseline, [candidate])
        shapes[name] = changes_shape(name, baseline.run_id, changes)
    return shapes


def _differences_of(alt: Any, shape: ChangesShape) -> Any:
    """Return one metric type at each quantile."""
    [(_, points)] = shape.runs
    rows = [{"nines": nines(point.quantile), **point._asdict()} for point in points]
    texts = {f"{tick:.9g}": said for tick, said in shape.ticks}
    y = alt.Y("ratio:Q", title="times the baseline").scale(
        type="log", nice=False, domain=[shape.low, shape.high]
    )
    y = y.axis(
        values=[tick for tick, _ in shape.ticks],
        labelExpr=f"{texts!r}[format(datum.value, '.9~g')]",
    )
    base = alt.Chart(_data(alt, rows)).encode(x=_nines_axis(alt.X, "quantile", shape.last))
    # In the colour of the candidate.
    band = base.mark_area(opacity=0.2, color=colour(1)).encode(y=alt.Y("low:Q"), y2="high:Q")
    tooltip = ["quantile:Q", "ratio:Q", "low:Q", "high:Q"]
    line = base.mark_line(color=colour(1)).encode(y=y, tooltip=tooltip)
    same = base.mark_rule().encode(x=alt.value(0), x2=_at_end(alt), y=alt.datum(1.0))
    layers = alt.layer(line, band, same)
    return layers.properties(title=_title(alt, shape.title), width=_WIDTH, height=_LOW_HEIGHT)


def _kept_differences(alt: Any, comparison: Comparison, title: str, why: str) -> Any:
    """Return the changes of the percentiles that every run keeps."""
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
